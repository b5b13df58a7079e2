package postgres_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/postgres"
	"github.com/galen-health/galen/platform/record/postgres/pgtest"
)

// three opens three stores on one database, as three processes have it: they share nothing but the database and the keys.
func three(t testing.TB) []*postgres.Store {
	server := pgtest.Shared(t)
	url, keys := server.Database(t), ring(t, t.TempDir())
	var out []*postgres.Store
	for range 3 {
		out = append(out, open(t, url, keys, postgres.Options{}))
	}
	return out
}

// Named locks, the order of commits and times, and the outbox hold over servers.
func TestThreeServers(t *testing.T) {
	stores := three(t)
	var mu sync.Mutex
	acked := map[string]bool{}
	var commits []record.Commit
	var wg sync.WaitGroup
	// A reader that goes on from where it was misses no message, whichever server wrote it.
	told := make(chan int)
	stop := make(chan struct{})
	go func() {
		n, after := 0, uint64(0)
		for last := false; ; {
			msgs, err := stores[2].Outbox(ctx, after, 50)
			if err != nil {
				t.Error(err)
			}
			for _, m := range msgs {
				if m.Seq != after+1 {
					t.Errorf("message %d follows %d", m.Seq, after)
				}
				after = m.Seq
				n++
			}
			if len(msgs) == 0 && last {
				told <- n
				return
			}
			select {
			case <-stop:
				last = true
			default:
			}
		}
	}()
	for i, s := range stores {
		for w := range 2 {
			wg.Go(func() {
				for n := range 25 {
					id := fmt.Sprintf("%d-%d-%d", i, w, n)
					if err := count(s, id); err != nil {
						t.Error(err)
						continue
					}
					c, err := s.Update(ctx, workSpace, nil, func(tx record.Tx) error { return steps.Put(tx, "free/"+id, &step{tx.Time().String()}) })
					if err != nil {
						t.Error(err)
					}
					// What one server has acknowledged, every server sees.
					v, err := stores[(i+1)%3].View(ctx, workSpace)
					if err != nil {
						t.Error(err)
						continue
					}
					if _, _, err := steps.Get(v, "free/"+id); err != nil {
						t.Errorf("the next server does not see %s: %v", id, err)
					}
					v.Close()
					mu.Lock()
					acked[id] = true
					commits = append(commits, c)
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	close(stop)
	if n := <-told; n != 150 {
		t.Errorf("%d messages were read on the way, want 150", n)
	}
	v, err := stores[0].View(ctx, workSpace)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if n, _, err := steps.Get(v, "counter"); err != nil || n.Text != "150" {
		t.Errorf("the counter is %v, %v", n, err)
	}
	last := time.Time{}
	seq := uint64(1 << 62)
	for x, err := range v.History(steps.Name, "", 0, time.Time{}) {
		if err != nil {
			t.Fatal(err)
		}
		if x.Commit > seq || !last.IsZero() && x.Commit < seq && !x.Time.Before(last) {
			t.Fatalf("commit %d at %v comes before %d at %v", x.Commit, x.Time, seq, last)
		}
		seq, last = x.Commit, x.Time
	}
	t.Logf("3 servers, 6 writers: %d batches under one lock, %d without, %d messages in order", len(acked), len(commits), 150)
}

// Spaces and kinds that one server makes are there for the others; one that was dropped takes no writes of theirs.
func TestServersShareSpaces(t *testing.T) {
	stores := three(t)
	a, b := stores[0], stores[1]
	if err := a.CreateSpace(ctx, "new", key.Ref{}); err != nil {
		t.Fatal(err)
	}
	write := func(s record.Store, id string) error {
		_, err := s.Update(ctx, "new", nil, func(tx record.Tx) error { return steps.Put(tx, id, &step{id}) })
		return err
	}
	for _, s := range stores {
		if err := write(s, "x"); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.DropSpace(ctx, "new"); err != nil {
		t.Fatal(err)
	}
	for i, s := range stores {
		if err := write(s, "y"); !errs.Is(err, errs.NotFound) {
			t.Errorf("server %d writes into a dropped space: %v", i, err)
		}
		if _, err := s.View(ctx, "new"); !errs.Is(err, errs.NotFound) {
			t.Errorf("server %d reads a dropped space: %v", i, err)
		}
	}
	if err := a.CreateSpace(ctx, "new", key.Ref{}); err != nil {
		t.Fatal(err)
	}
	for i, s := range stores {
		v, err := s.View(ctx, "new")
		if err != nil {
			t.Fatal(err)
		}
		if n, err := v.Count(ctx, steps.Name, nil); err != nil || n != int64(min(i, 1)) {
			t.Errorf("server %d counts %d in a new space, %v", i, n, err)
		}
		v.Close()
		if err := write(s, "z"); err != nil {
			t.Error(err)
		}
	}
}

// Signals arrive at the other servers.
func TestServersHearOfMessages(t *testing.T) {
	stores := three(t)
	for _, s := range stores[1:] {
		select { // what is left of the start
		case <-s.Changed():
		default:
		}
	}
	if err := count(stores[0], "a"); err != nil {
		t.Fatal(err)
	}
	for i, s := range stores {
		for deadline := time.After(10 * time.Second); ; {
			select {
			case <-s.Changed():
			case <-deadline:
				t.Fatalf("server %d was not told", i)
			}
			if m, err := s.Outbox(ctx, 0, 1); err == nil && len(m) == 1 {
				break
			}
		}
	}
}

// A batch that is slow after it asked for its time is overtaken, and made again with a later one.
func TestSlowFunctionIsMadeAgain(t *testing.T) {
	stores := three(t)
	a, b := stores[0], stores[1]
	asked, release := make(chan time.Time, 9), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		_, err := a.Update(ctx, workSpace, []string{"l"}, func(tx record.Tx) error {
			asked <- tx.Time()
			<-release
			return steps.Put(tx, "slow", &step{tx.Time().Format(time.RFC3339Nano)})
		})
		done <- err
	}()
	first := <-asked
	if err := count(b, "quick"); err != nil {
		t.Fatal(err)
	}
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	second := <-asked
	v, err := b.View(ctx, workSpace)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	st, _, err := steps.Get(v, "slow")
	if err != nil || st.Text != second.Format(time.RFC3339Nano) || !second.After(first) {
		t.Errorf("the slow batch asked at %v, then %v, and says %v; %v", first, second, st, err)
	}
}

// A function that does not come to an end while it holds the line is not waited for for ever: it is refused, and everybody else goes on.
func TestFunctionThatHoldsTheLine(t *testing.T) {
	stores := three(t)
	a, b := stores[0], stores[1]
	a.SetTurnPatience(200 * time.Millisecond)
	runs := 0
	asked, release := make(chan bool, 9), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		_, err := a.Update(ctx, workSpace, nil, func(tx record.Tx) error {
			tx.Time()
			if runs++; runs == 1 {
				asked <- true
				<-release
			} else { // waits for a commit that waits for it
				if err := count(a, "inner"); err != nil {
					return err
				}
			}
			return steps.Put(tx, "outer", &step{"x"})
		})
		done <- err
	}()
	<-asked
	if err := count(b, "quick"); err != nil {
		t.Fatal(err)
	}
	close(release)
	if err := <-done; !errs.Is(err, errs.Timeout) {
		t.Errorf("a batch that holds the line ends with %v", err)
	}
	for i := range 20 {
		if err := count(stores[i%3], fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	v, err := b.View(ctx, workSpace)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if _, _, err := steps.Get(v, "outer"); !errs.Is(err, errs.NotFound) {
		t.Errorf("the refused batch is there: %v", err)
	}
}
