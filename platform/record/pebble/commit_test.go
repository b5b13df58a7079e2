package pebble_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/pebble"
)

// A batch whose function is slow after it has asked for its time is overtaken, and made again with a later time.
func TestSlowBatchIsOvertaken(t *testing.T) {
	s := openOn(t, vfs.NewMem(), ring(t, t.TempDir()+"/keys"))
	defer s.Close() //nolint:errcheck // test
	s.SetPatience(time.Millisecond, time.Minute)
	asked, release := make(chan time.Time, 9), make(chan struct{})
	type result struct {
		record.Commit
		err error
	}
	slow := make(chan result, 1)
	go func() {
		c, err := s.Update(context.Background(), workSpace, nil, func(tx record.Tx) error {
			asked <- tx.Time()
			<-release
			return steps.Put(tx, "slow", &step{Text: tx.Time().Format(time.RFC3339Nano)})
		})
		slow <- result{c, err}
	}()
	first := <-asked
	quick, err := s.Update(context.Background(), workSpace, nil, func(tx record.Tx) error {
		return steps.Put(tx, "quick", &step{Text: fmt.Sprint(tx.Time())})
	})
	if err != nil {
		t.Fatal(err)
	}
	close(release)
	second := <-asked
	got := <-slow
	if got.err != nil || got.Seq <= quick.Seq || !got.Time.After(quick.Time) || !got.Time.Equal(second) || !first.Before(quick.Time) {
		t.Errorf("the quick batch is %+v; the slow one asked at %v and %v and is %+v", quick, first, second, got)
	}
	v, err := s.View(context.Background(), workSpace)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if st, _, err := steps.Get(v, "slow"); err != nil || st.Text != got.Time.Format(time.RFC3339Nano) {
		t.Errorf("the slow batch's body tells %v, its commit %v; %v", st, got.Time, err)
	}
}

// A batch that never asks for its time holds nobody up and is not made again.
func TestBatchWithoutTimeIsMadeOnce(t *testing.T) {
	s := openOn(t, vfs.NewMem(), ring(t, t.TempDir()+"/keys"))
	defer s.Close() //nolint:errcheck // test
	s.SetPatience(time.Minute, time.Minute)
	runs := 0
	if _, err := s.Update(context.Background(), workSpace, nil, func(tx record.Tx) error {
		runs++
		if _, err := s.Update(context.Background(), workSpace, nil, func(tx record.Tx) error { return steps.Put(tx, "other", &step{Text: fmt.Sprint(tx.Time())}) }); err != nil {
			return err
		}
		return steps.Put(tx, "one", &step{})
	}); err != nil || runs != 1 {
		t.Errorf("it was made %d times, %v", runs, err)
	}
}

// Times rise although the clock goes back, also over a restart.
func TestClockGoesBack(t *testing.T) {
	fs, keys := vfs.NewMem(), ring(t, t.TempDir()+"/keys")
	clock := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var last record.Commit
	for life := range 3 {
		s, err := pebble.Open("records", keys, pebble.Options{FS: fs, Now: func() time.Time { clock = clock.Add(-time.Hour); return clock }})
		if err != nil {
			t.Fatal(err)
		}
		if err := declare(s); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			c, err := s.Update(context.Background(), workSpace, nil, func(tx record.Tx) error { return steps.Put(tx, fmt.Sprint(i), &step{N: life}) })
			if err != nil || c.Seq <= last.Seq || !c.Time.After(last.Time) {
				t.Fatalf("%+v follows %+v, %v", c, last, err)
			}
			last = c
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// The clock jumps by years in both directions, within a life and between lives: commits keep their order in number and in time, and a past state is the one that
// its time says.
func TestClockJumps(t *testing.T) {
	fs, keys := vfs.NewMem(), ring(t, t.TempDir()+"/keys")
	rng := rand.New(rand.NewPCG(7, 7))
	clock := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var all []record.Commit
	for range 6 {
		s, err := pebble.Open("records", keys, pebble.Options{FS: fs, Now: func() time.Time { return clock }})
		if err != nil {
			t.Fatal(err)
		}
		if err := declare(s); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if rng.IntN(3) == 0 {
				clock = clock.AddDate(rng.IntN(41)-20, 0, rng.IntN(300))
			}
			clock = clock.Add(time.Millisecond)
			c, err := s.Update(context.Background(), workSpace, nil, func(tx record.Tx) error { return steps.Put(tx, "one", &step{N: len(all)}) })
			if err != nil {
				t.Fatal(err)
			}
			if n := len(all); n > 0 && (c.Seq <= all[n-1].Seq || !c.Time.After(all[n-1].Time)) {
				t.Fatalf("%+v follows %+v", c, all[n-1])
			}
			all = append(all, c)
		}
		v, err := s.View(context.Background(), workSpace)
		if err != nil {
			t.Fatal(err)
		}
		var history []*record.Version
		for h, err := range v.History(steps.Name, "one", 0, time.Time{}) {
			if err != nil {
				t.Fatal(err)
			}
			history = append(history, h)
		}
		if len(history) != len(all) {
			t.Fatalf("%d versions, want %d", len(history), len(all))
		}
		for i, h := range history { // newest first
			if want := all[len(all)-1-i]; h.Commit != want.Seq || !h.Time.Equal(want.Time) {
				t.Errorf("version %d: commit %d at %v, want %+v", h.Version, h.Commit, h.Time, want)
			}
		}
		v.Close()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// gateFS holds every sync of a file while its gate is closed, and counts them.
type gateFS struct {
	vfs.FS
	gate  sync.RWMutex
	syncs atomic.Int64
	slow  time.Duration
}

type gateFile struct {
	vfs.File
	fs *gateFS
}

func (fs *gateFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, c)
	return &gateFile{f, fs}, err
}

func (f *gateFile) Sync() error {
	f.fs.syncs.Add(1)
	time.Sleep(f.fs.slow)
	f.fs.gate.RLock()
	defer f.fs.gate.RUnlock()
	return f.File.Sync()
}

func (f *gateFile) SyncData() error { return f.Sync() }

// While a commit is on its way to the disk, its message is not announced: a power cut could still undo it.
func TestMessagesWaitForTheDisk(t *testing.T) {
	fs := &gateFS{FS: vfs.NewMem()}
	s := openOn(t, fs, ring(t, t.TempDir()+"/keys"))
	defer s.Close() //nolint:errcheck // test
	ctx := context.Background()
	if _, err := s.Update(ctx, workSpace, nil, func(tx record.Tx) error { return steps.Put(tx, "first", &step{Text: "x"}) }); err != nil {
		t.Fatal(err) // so that the names of kinds and indexes have their numbers
	}
	fs.gate.Lock()
	done := make(chan error, 1)
	go func() {
		_, err := s.Update(ctx, workSpace, nil, func(tx record.Tx) error { tx.Emit("t", []byte("m")); return steps.Put(tx, "a", &step{Text: "x"}) })
		done <- err
	}()
	committed := make(chan struct{})
	var once sync.Once
	go func() { // until a batch, which reads what is committed, finds the record
		for found := false; !found; {
			_, err := s.Update(ctx, workSpace, nil, func(tx record.Tx) error {
				_, _, err := steps.Get(tx, "a")
				if found = err == nil; found {
					once.Do(func() { close(committed) })
				}
				return err
			})
			if !found && errs.As(err).Code != errs.NotFound {
				t.Error(err)
				once.Do(func() { close(committed) })
				return
			}
		}
	}()
	<-committed
	if m, err := s.Outbox(ctx, 0, 10); err != nil || len(m) != 0 {
		t.Errorf("messages before the commit is durable: %v, %v", m, err)
	}
	select {
	case err := <-done:
		t.Errorf("acknowledged before it was durable: %v", err)
	default:
	}
	fs.gate.Unlock()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if m, err := s.Outbox(ctx, 0, 10); err != nil || len(m) != 1 {
		t.Errorf("messages after: %v, %v", m, err)
	}
}

// Many writers share a sync.
func TestWritersShareSyncs(t *testing.T) {
	fs := &gateFS{FS: vfs.NewMem(), slow: 2 * time.Millisecond}
	s := openOn(t, fs, ring(t, t.TempDir()+"/keys"))
	defer s.Close() //nolint:errcheck // test
	before := fs.syncs.Load()
	var wg sync.WaitGroup
	const each, many = 20, 16
	for w := range many {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range each {
				if _, err := s.Update(context.Background(), workSpace, nil, func(tx record.Tx) error { return steps.Put(tx, fmt.Sprint(w, i), &step{}) }); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	if syncs := fs.syncs.Load() - before; syncs > each*many/2 {
		t.Errorf("%d commits took %d syncs", each*many, syncs)
	}
}

// Close waits for what is in progress; then everything says that the store is closed.
func TestClose(t *testing.T) {
	s := openOn(t, vfs.NewMem(), ring(t, t.TempDir()+"/keys"))
	ctx := context.Background()
	entered, release, closed := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	updated := make(chan error, 1)
	go func() {
		_, err := s.Update(ctx, workSpace, nil, func(tx record.Tx) error { close(entered); <-release; return steps.Put(tx, "a", &step{}) })
		updated <- err
	}()
	<-entered
	go func() { closed <- s.Close() }()
	for {
		if _, err := s.View(ctx, workSpace); errs.Is(err, errs.Unavailable) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	close(release)
	if err := <-updated; err != nil {
		t.Errorf("a batch in progress: %v", err)
	}
	<-closed // views that the loop opened may make it complain
	_, err := s.Update(ctx, workSpace, nil, func(record.Tx) error { return nil })
	_, outbox := s.Outbox(ctx, 0, 1)
	for _, err := range []error{err, outbox, s.Trim(ctx, 1), s.CreateSpace(ctx, "x", ref), s.DropSpace(ctx, workSpace)} {
		if !errs.Is(err, errs.Unavailable) {
			t.Errorf("after closing: %v", err)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}
