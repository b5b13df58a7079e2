package recordtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

func atomic(t *testing.T, b Backend) {
	s := start(t, b)
	boom := errors.New("boom")
	_, err := s.Update(context.Background(), space, nil, func(tx record.Tx) error {
		if _, err := tx.Put(record.Put{Kind: subject, ID: "a", Body: []byte("x"), Expect: record.Any}); err != nil {
			return err
		}
		tx.Emit("topic", []byte("never"))
		return boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("error = %v, want the function's own", err)
	}
	_, err = view(t, s).Get(subject, "a")
	wantCode(t, err, errs.NotFound, "a record of a failed batch")
	if m, err := s.Outbox(context.Background(), 0, 10); err != nil || len(m) != 0 {
		t.Errorf("the outbox has %d messages of a failed batch, %v", len(m), err)
	}
	_, err = s.Update(context.Background(), space, nil, func(tx record.Tx) error {
		if _, err := tx.Put(record.Put{Kind: subject, ID: "b", Body: []byte("x"), Expect: record.Any}); err != nil {
			return err
		}
		_, err := tx.Put(record.Put{Kind: subject, ID: "c", Body: []byte("x"), Expect: 7})
		return err
	})
	wantCode(t, err, errs.Precondition, "a batch with one bad condition")
	_, err = view(t, s).Get(subject, "b")
	wantCode(t, err, errs.NotFound, "its other record")
}

func ownReads(t *testing.T, b Backend) {
	s := start(t, b)
	_, err := put(t, s, "a", "old", record.Any)
	must(t, err)
	_, err = s.Update(context.Background(), space, nil, func(tx record.Tx) error {
		if _, err := tx.Put(record.Put{Kind: subject, ID: "a", Body: []byte("new"), Expect: 1}); err != nil {
			return err
		}
		got, err := tx.Get(subject, "a")
		if err != nil || string(got.Body) != "new" || got.Version != 2 {
			t.Errorf("own read = %+v, %v", got, err)
		}
		if n, err := tx.Put(record.Put{Kind: subject, ID: "a", Body: []byte("newer"), Expect: 2}); err != nil || n != 3 {
			t.Errorf("second write in one batch: version %d, %v", n, err)
		}
		if _, err := tx.Delete(subject, "a", 3); err != nil {
			return err
		}
		_, err = tx.Get(subject, "a")
		wantCode(t, err, errs.Gone, "own deletion")
		return nil
	})
	must(t, err)
	v := view(t, s)
	for n, want := range map[int64]string{1: "old", 2: "new", 3: "newer"} {
		if got, err := v.GetVersion(subject, "a", n); err != nil || string(got.Body) != want {
			t.Errorf("version %d = %v, %v; want %q", n, got, err, want)
		}
	}
}

func locks(t *testing.T, b Backend) {
	s := start(t, b)
	_, err := put(t, s, "n", "", record.Any)
	must(t, err)
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 20 {
				_, err := s.Update(context.Background(), space, []string{"b", "a"}, func(tx record.Tx) error {
					old, err := tx.Get(subject, "n")
					if err != nil {
						return err
					}
					p, err := tx.Query(record.Query{Kind: subject, Where: record.Match{Index: "body", Value: record.String(string(old.Body))}, Limit: 1})
					if err != nil || len(p.Hits) != 1 {
						return fmt.Errorf("the index lags behind: %v %w", p, err)
					}
					_, err = tx.Put(record.Put{Kind: subject, ID: "n", Body: append(old.Body, '.'), Expect: record.Any})
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	if got, err := view(t, s).Get(subject, "n"); err != nil || len(got.Body) != 160 {
		t.Errorf("%d of 160 changes arrived, %v", len(got.Body), err)
	}
}

func order(t *testing.T, b Backend) {
	s := start(t, b)
	var mu sync.Mutex
	var commits []record.Commit
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 15 {
				c, err := s.Update(context.Background(), space, nil, func(tx record.Tx) error {
					_, err := tx.Put(record.Put{Kind: subject, ID: fmt.Sprintf("%d-%d", w, i), Body: []byte("x"), Expect: record.Any})
					return err
				})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				commits = append(commits, c)
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	slices.SortFunc(commits, func(a, b record.Commit) int { return int(a.Seq) - int(b.Seq) })
	for i := 1; i < len(commits); i++ {
		if commits[i].Seq == commits[i-1].Seq || !commits[i].Time.After(commits[i-1].Time) {
			t.Fatalf("commit %d at %v follows commit %d at %v", commits[i].Seq, commits[i].Time, commits[i-1].Seq, commits[i-1].Time)
		}
	}
}

func concurrent(t *testing.T, b Backend) {
	s := start(t, b)
	var wg sync.WaitGroup
	var mu sync.Mutex
	wins := 0
	for range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			_, err := put(t, s, "one", "x", record.Absent)
			if err == nil {
				mu.Lock()
				wins++
				mu.Unlock()
			} else if !errs.Is(err, errs.Conflict) {
				t.Error(err)
			}
			if _, err := put(t, s, "many", "x", record.Any); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	if wins != 1 {
		t.Errorf("%d creations of one record won", wins)
	}
	if got, err := view(t, s).Get(subject, "many"); err != nil || got.Version != 16 {
		t.Errorf("16 writes made version %d, %v", got.Version, err)
	}
}

func cancelled(t *testing.T, b Backend) {
	s := start(t, b)
	_, err := put(t, s, "a", string(bytes.Repeat([]byte("x"), 1000)), record.Any)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	entered, release := make(chan struct{}), make(chan struct{})
	go s.Update(context.Background(), space, []string{"l"}, func(record.Tx) error { close(entered); <-release; return nil })
	<-entered
	done := make(chan error)
	go func() {
		_, err := s.Update(ctx, space, []string{"l"}, func(record.Tx) error { return nil })
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for a lock after cancelling: %v", err)
	}
	close(release)
}
