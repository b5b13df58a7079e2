package pebble_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/pebble"
)

// The workload of the crash tests. Writer w makes step n in one batch: record "w/n" is made, the writer's counter goes to n, "w/n-3" is deleted, "w/n-6" is
// purged and a message is emitted. So whatever the moment of a crash, the counter tells exactly what else must be there.

const (
	workSpace = record.Space("work")
	writers   = 6
)

var ref = key.Ref{}

type step struct {
	Writer, N int
	Text      string
}

var (
	steps = record.Kind[step]{Name: "work.step", Indexes: record.Indexes[step]{
		record.ByToken("writer", func(s *step) string { return fmt.Sprint(s.Writer) }),
		record.ByString("text", func(s *step) string { return s.Text }),
	}}
	counts = record.Kind[step]{Name: "work.count", Volatile: true, Indexes: record.Indexes[step]{record.ByToken("n", func(s *step) string { return fmt.Sprint(s.N) })}}
)

func stepID(w, n int) string { return fmt.Sprintf("%d/%06d", w, n) }

func stepText(w, n int) string { return strings.Repeat(fmt.Sprintf("text of %d by %d ", n, w), 1+n%40) }

// declare prepares an opened store for the workload.
func declare(s *pebble.Store) error {
	if err := s.Declare(steps.Def(), counts.Def()); err != nil {
		return err
	}
	return s.CreateSpace(context.Background(), workSpace, key.Ref{})
}

// work goes on from where the counters stand until ctx ends or a step fails; acked is told of every step that Update acknowledged.
func work(ctx context.Context, s *pebble.Store, acked func(w, n int)) error {
	var wg sync.WaitGroup
	failed := make(chan error, writers)
	for w := range writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for ctx.Err() == nil {
				n := 0
				_, err := s.Update(ctx, workSpace, []string{fmt.Sprint(w)}, func(tx record.Tx) (err error) {
					n, err = makeStep(tx, w)
					return err
				})
				if err != nil {
					if ctx.Err() == nil {
						failed <- err
					}
					return
				}
				acked(w, n)
			}
		}()
	}
	wg.Wait()
	close(failed)
	return <-failed
}

func makeStep(tx record.Tx, w int) (int, error) {
	id := fmt.Sprint(w)
	c, _, err := counts.Get(tx, id)
	if errs.Is(err, errs.NotFound) {
		c, err = &step{Writer: w}, nil
	}
	if err != nil {
		return 0, err
	}
	c.N++
	if err := counts.Put(tx, id, c); err != nil {
		return 0, err
	}
	if err := steps.Create(tx, stepID(w, c.N), &step{w, c.N, stepText(w, c.N)}); err != nil {
		return 0, err
	}
	if c.N > 3 {
		if _, err := tx.Delete(steps.Name, stepID(w, c.N-3), 1); err != nil {
			return 0, err
		}
	}
	if c.N > 6 {
		if err := tx.Purge(steps.Name, stepID(w, c.N-6)); err != nil {
			return 0, err
		}
	}
	tx.Emit("step", []byte(stepID(w, c.N)))
	return c.N, nil
}

// inspect checks a store after a crash: acked[w] was acknowledged, nothing is half there, and everything agrees. It returns how many steps there are.
func inspect(t *testing.T, s *pebble.Store, acked [writers]int) (total int) {
	t.Helper()
	ctx := context.Background()
	v, err := s.View(ctx, workSpace)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	sent := map[string]bool{}
	for after := uint64(0); ; {
		list, err := s.Outbox(ctx, after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		for _, m := range list {
			if sent[string(m.Body)] {
				t.Errorf("message %s is there twice", m.Body)
			}
			sent[string(m.Body)] = true
			after = m.Seq
		}
	}
	for w := range writers {
		c, _, err := counts.Get(v, fmt.Sprint(w))
		if errs.Is(err, errs.NotFound) {
			c, err = &step{}, nil
		}
		if err != nil {
			t.Fatal(err)
		}
		if c.N < acked[w] {
			t.Errorf("writer %d: step %d was acknowledged, %d is the last that is there", w, acked[w], c.N)
		}
		total += c.N
		for n := 1; n <= c.N+1; n++ {
			got, _, err := steps.Get(v, stepID(w, n))
			switch {
			case n > c.N || n <= c.N-6:
				if !errs.Is(err, errs.NotFound) {
					t.Errorf("step %d of %d: %v, want not found", n, c.N, err)
				}
			case n <= c.N-3:
				if !errs.Is(err, errs.Gone) {
					t.Errorf("step %d of %d: %v, want gone", n, c.N, err)
				}
			case err != nil || got.Text != stepText(w, n):
				t.Errorf("step %d of %d: %v, or another text", n, c.N, err)
			}
			if sent[stepID(w, n)] != (n <= c.N) {
				t.Errorf("step %d of %d: message sent %v", n, c.N, sent[stepID(w, n)])
			}
		}
		found, err := v.Count(ctx, steps.Name, record.Match{Index: "writer", Value: record.Token("", fmt.Sprint(w))})
		if err != nil || found != int64(min(c.N, 3)) {
			t.Errorf("the index finds %d steps of writer %d, want %d; %v", found, w, min(c.N, 3), err)
		}
	}
	if _, _, err := s.Verify(ctx, func(f string) { t.Errorf("verify: %s", f) }); err != nil {
		t.Error(err)
	}
	return total
}

// dump is all that callers can read of the workload's space, to compare states.
func dump(s *pebble.Store) (string, error) {
	v, err := s.View(context.Background(), workSpace)
	if err != nil {
		return "", err
	}
	defer v.Close()
	var b bytes.Buffer
	for _, kind := range []string{steps.Name, counts.Name} {
		for ver, err := range v.Scan(kind, 0) {
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&b, "%s %s %d %d %v %s\n", kind, ver.ID, ver.Version, ver.Commit, ver.Time, ver.Body)
		}
		p, err := v.Query(context.Background(), record.Query{Kind: kind, Order: []record.Order{{Index: "text", Desc: true}}, Limit: 1000, IDsOnly: true})
		if err != nil {
			return "", err
		}
		for _, h := range p.Hits {
			fmt.Fprintf(&b, "%s\n", h.ID)
		}
	}
	messages, err := s.Outbox(context.Background(), 0, 1_000_000)
	fmt.Fprintf(&b, "%v\n", messages)
	return b.String(), err
}
