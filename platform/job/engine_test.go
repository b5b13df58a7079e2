package job_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/pebble"
)

var ctx = context.Background()

const space record.Space = "svc"

// result is what a service keeps of its job.
type result struct {
	State string
	Count int
}

var results = record.Kind[result]{Name: "test.result"}

func openStore(t testing.TB, dir string) record.Store {
	t.Helper()
	keys, err := keyring.Open(dir+"/keys", nil, keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := pebble.Open(dir+"/records", keys, pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(); _ = keys.Close() })
	return s
}

// shared lets two engines declare their kind on one store, as two processes on one back end would.
type shared struct{ record.Store }

func (s shared) Declare(kinds ...record.KindDef) error {
	if err := s.Store.Declare(kinds...); err != nil && !errs.Is(err, errs.Conflict) {
		return err
	}
	return nil
}

func newEngine(t testing.TB, s record.Store, cfg job.Config) *job.Engine {
	t.Helper()
	if cfg.Backoff == nil {
		cfg.Backoff = func(int) time.Duration { return time.Millisecond }
	}
	e, err := job.New(shared{s}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := (shared{s}).Declare(results.Def()); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateSpace(ctx, space, key.Ref{}); err != nil {
		t.Fatal(err)
	}
	return e
}

// run starts the engine and the reader of the outbox that wakes it.
func run(t testing.TB, s record.Store, e *job.Engine) (stop func()) {
	t.Helper()
	rctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { e.Run(rctx) })
	wg.Go(func() {
		for {
			select {
			case <-rctx.Done():
				return
			case <-s.Changed():
				e.Wake("")
			}
		}
	})
	var once sync.Once
	stop = func() {
		once.Do(func() {
			sctx, done := context.WithTimeout(ctx, 10*time.Second)
			defer done()
			if err := e.Stop(sctx); err != nil {
				t.Errorf("Stop: %v", err)
			}
			cancel()
			wg.Wait()
		})
	}
	t.Cleanup(stop)
	return stop
}

func start(t testing.TB, s record.Store, e *job.Engine, kind, id string, args any) {
	t.Helper()
	if _, err := s.Update(ctx, space, nil, func(tx record.Tx) error {
		if err := results.Put(tx, id, &result{State: "SUBMITTED"}); err != nil {
			return err
		}
		return e.Start(tx, kind, id, args)
	}); err != nil {
		t.Fatal(err)
	}
}

// await polls the status until the job has ended.
func await(t testing.TB, e *job.Engine, kind, id string, want job.State) job.Status {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		st, err := e.Status(ctx, space, kind, id)
		if err != nil {
			t.Fatal(err)
		}
		if st.State == want {
			return st
		}
		if time.Now().After(deadline) {
			t.Fatalf("job %s is %+v, want %s", id, st, want)
		}
	}
}

func TestJobRuns(t *testing.T) {
	s := openStore(t, t.TempDir())
	e := newEngine(t, s, job.Config{Exclusive: true})
	var got string
	e.Register(job.Kind{Name: "k", Run: func(ctx context.Context, r job.Run) error {
		if err := r.Args(&got); err != nil {
			return err
		}
		r.Progress(5, 10, "files")
		if r.Space() != space || r.ID() != "j1" || r.Attempt() != 1 {
			return errs.New(errs.Invalid, "wrong run")
		}
		_, err := s.Update(ctx, r.Space(), nil, func(tx record.Tx) error {
			if err := results.Put(tx, r.ID(), &result{State: "COMPLETED"}); err != nil {
				return err
			}
			return r.Finish(tx)
		})
		return err
	}})
	run(t, s, e)
	start(t, s, e, "k", "j1", "hello")
	await(t, e, "k", "j1", job.Done)
	if got != "hello" {
		t.Errorf("args = %q", got)
	}
	if _, err := s.Update(ctx, space, nil, func(tx record.Tx) error { return e.Start(tx, "k", "j1", nil) }); !errs.Is(err, errs.Conflict) {
		t.Errorf("the same id again: %v, want conflict", err)
	}
	if _, err := e.Status(ctx, space, "k", "none"); !errs.Is(err, errs.NotFound) {
		t.Errorf("status of none: %v", err)
	}
}

func TestAbortedBatchStartsNothing(t *testing.T) {
	s := openStore(t, t.TempDir())
	e := newEngine(t, s, job.Config{Exclusive: true})
	e.Register(job.Kind{Name: "k", Run: func(context.Context, job.Run) error { t.Error("it ran"); return nil }})
	run(t, s, e)
	boom := errors.New("boom")
	if _, err := s.Update(ctx, space, nil, func(tx record.Tx) error {
		if err := e.Start(tx, "k", "j", nil); err != nil {
			return err
		}
		return boom
	}); !errors.Is(err, boom) {
		t.Fatal(err)
	}
	if _, err := e.Status(ctx, space, "k", "j"); !errs.Is(err, errs.NotFound) {
		t.Errorf("status: %v", err)
	}
}

func TestErrorsRetryOrFail(t *testing.T) {
	s := openStore(t, t.TempDir())
	e := newEngine(t, s, job.Config{Exclusive: true})
	var tries, failedCalls sync.Map
	count := func(m *sync.Map, id string) int {
		n, _ := m.LoadOrStore(id, new(atomic.Int64))
		return int(n.(*atomic.Int64).Add(1))
	}
	e.Register(job.Kind{Name: "k", Concurrency: 4, MaxAttempts: 3, Run: func(ctx context.Context, r job.Run) error {
		n := count(&tries, r.ID())
		switch r.ID() {
		case "second":
			if n == 1 {
				return errs.New(errs.Unavailable, "not now")
			}
			return nil
		case "never":
			return errs.New(errs.Unavailable, "never")
		case "panics":
			panic("defect")
		case "saves": // each attempt makes progress, so the bound on attempts is not reached
			var at int
			if _, err := r.Checkpoint(&at); err != nil {
				return err
			}
			if at == 8 {
				return nil
			}
			if err := r.Save(ctx, at+1); err != nil {
				return err
			}
			return errs.New(errs.Unavailable, "again")
		}
		return errs.New(errs.Denied, "for good")
	}, Failed: func(_ context.Context, r job.Run, err error) error {
		if count(&failedCalls, r.ID()) == 1 && r.ID() == "never" {
			return errs.New(errs.Unavailable, "the store is away")
		}
		_, uerr := s.Update(ctx, space, nil, func(tx record.Tx) error {
			return results.Put(tx, r.ID(), &result{State: "FAILED " + errs.CodeOf(err).String()})
		})
		return uerr
	}})
	run(t, s, e)
	for id, c := range map[string]struct {
		state  job.State
		tries  int
		failed int
		result string
	}{
		"second":  {job.Done, 2, 0, "SUBMITTED"},
		"never":   {job.Failed, 3, 2, "FAILED unavailable"},
		"panics":  {job.Failed, 3, 1, "FAILED internal"},
		"forever": {job.Failed, 1, 1, "FAILED denied"},
		"saves":   {job.Done, 9, 0, "SUBMITTED"},
	} {
		start(t, s, e, "k", id, nil)
		await(t, e, "k", id, c.state)
		n, f := count(&tries, id)-1, count(&failedCalls, id)-1
		v, err := s.View(ctx, space)
		if err != nil {
			t.Fatal(err)
		}
		res, _, err := results.Get(v, id)
		v.Close()
		if err != nil || n != c.tries || f != c.failed || res.State != c.result {
			t.Errorf("%s: %d tries, Failed called %d times, result %+v, %v; want %+v", id, n, f, res, err, c)
		}
	}
}

func TestConcurrencyIsBounded(t *testing.T) {
	s := openStore(t, t.TempDir())
	e := newEngine(t, s, job.Config{Exclusive: true})
	var now, most, ran atomic.Int64
	e.Register(job.Kind{Name: "k", Concurrency: 3, Run: func(context.Context, job.Run) error {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(time.Millisecond)
		now.Add(-1)
		ran.Add(1)
		return nil
	}})
	run(t, s, e)
	for i := range 60 {
		start(t, s, e, "k", fmt.Sprint(i), nil)
	}
	for i := range 60 {
		await(t, e, "k", fmt.Sprint(i), job.Done)
	}
	if most.Load() > 3 || ran.Load() != 60 {
		t.Errorf("%d at once, %d ran; want at most 3 and 60", most.Load(), ran.Load())
	}
}

func TestCancel(t *testing.T) {
	s := openStore(t, t.TempDir())
	e := newEngine(t, s, job.Config{Exclusive: true})
	began := make(chan struct{}, 1)
	var cancelled sync.Map
	e.Register(job.Kind{Name: "k", Run: func(ctx context.Context, r job.Run) error {
		if r.ID() == "queued" {
			t.Error("a job that was cancelled before it ran has run")
		}
		began <- struct{}{}
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), job.ErrCancelled) {
			t.Errorf("cause = %v", context.Cause(ctx))
		}
		return ctx.Err()
	}, Cancelled: func(ctx context.Context, r job.Run) error {
		if ctx.Err() != nil {
			t.Error("the last words come under a cancelled context")
		}
		cancelled.Store(r.ID(), true)
		return nil
	}})
	run(t, s, e)
	start(t, s, e, "k", "running", nil)
	<-began
	start(t, s, e, "k", "queued", nil)
	for _, id := range []string{"queued", "running"} {
		if _, err := s.Update(ctx, space, nil, func(tx record.Tx) error { return e.Cancel(tx, "k", id) }); err != nil {
			t.Fatal(err)
		}
		await(t, e, "k", id, job.Cancelled)
		if _, ok := cancelled.Load(id); !ok {
			t.Errorf("Cancelled was not called for %s", id)
		}
	}
	if _, err := s.Update(ctx, space, nil, func(tx record.Tx) error { return e.Cancel(tx, "k", "running") }); !errs.Is(err, errs.Conflict) {
		t.Errorf("cancelling an ended job: %v", err)
	}
}

// Stop lets a job save its checkpoint; another engine goes on from it, and the interrupted attempt does not count.
func TestStopAndResume(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	first := newEngine(t, s, job.Config{Exclusive: true})
	began := make(chan struct{})
	first.Register(job.Kind{Name: "k", MaxAttempts: 1, Run: func(ctx context.Context, r job.Run) error {
		close(began)
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), job.ErrStopping) {
			t.Errorf("cause = %v", context.Cause(ctx))
		}
		return errors.Join(r.Save(ctx, 42), ctx.Err())
	}})
	stop := run(t, s, first)
	start(t, s, first, "k", "j", nil)
	<-began
	stop()
	second := newEngine(t, s, job.Config{Exclusive: true})
	var at int
	second.Register(job.Kind{Name: "k", MaxAttempts: 1, Run: func(_ context.Context, r job.Run) error {
		_, err := r.Checkpoint(&at)
		return err
	}})
	run(t, s, second)
	await(t, second, "k", "j", job.Done)
	if at != 42 {
		t.Errorf("resumed from %d, want 42", at)
	}
}

func TestStopIsBounded(t *testing.T) {
	s := openStore(t, t.TempDir())
	e := newEngine(t, s, job.Config{Exclusive: true})
	release, began := make(chan struct{}), make(chan struct{})
	e.Register(job.Kind{Name: "k", Run: func(context.Context, job.Run) error { close(began); <-release; return nil }})
	rctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go e.Run(rctx)
	start(t, s, e, "k", "j", nil)
	e.Wake(space)
	<-began
	short, done := context.WithTimeout(ctx, time.Millisecond)
	defer done()
	if err := e.Stop(short); !errs.Is(err, errs.Timeout) {
		t.Errorf("Stop = %v, want a timeout", err)
	}
	close(release)
	if err := e.Stop(ctx); err != nil {
		t.Errorf("Stop again = %v", err)
	}
}

// A worker whose lease was taken by another is told so and can no longer write; the other one's outcome stands.
func TestLostLease(t *testing.T) {
	s := openStore(t, t.TempDir())
	cfg := job.Config{Lease: 300 * time.Millisecond, Exclusive: true}
	zombie := newEngine(t, s, cfg)
	began, release := make(chan struct{}), make(chan struct{})
	verdict := make(chan error, 2)
	zombie.Register(job.Kind{Name: "k", Run: func(ctx context.Context, r job.Run) error {
		close(began)
		<-release
		verdict <- r.Save(ctx, 1)
		_, err := s.Update(ctx, r.Space(), nil, func(tx record.Tx) error { return r.Finish(tx) })
		verdict <- err
		return nil
	}})
	run(t, s, zombie)
	start(t, s, zombie, "k", "j", nil)
	<-began
	// Exclusive: the second engine believes that the first is dead.
	heir := newEngine(t, s, cfg)
	heir.Register(job.Kind{Name: "k", Run: func(ctx context.Context, r job.Run) error { return r.Save(ctx, 2) }})
	stop := run(t, s, heir)
	await(t, heir, "k", "j", job.Done)
	close(release)
	for range 2 {
		if err := <-verdict; !errors.Is(err, job.ErrLeaseLost) {
			t.Errorf("the zombie's write: %v, want ErrLeaseLost", err)
		}
	}
	stop()
	if st := await(t, heir, "k", "j", job.Done); string(st.Checkpoint) != "2" {
		t.Errorf("checkpoint %s, want 2", st.Checkpoint)
	}
}

// Two engines that share a store, each believing in the other's life, run every job once.
func TestTwoWorkers(t *testing.T) {
	s := openStore(t, t.TempDir())
	var ran sync.Map
	var engines []*job.Engine
	for range 2 {
		e := newEngine(t, s, job.Config{Lease: 2 * time.Second, Rescan: 5 * time.Millisecond})
		e.Register(job.Kind{Name: "k", Concurrency: 4, Run: func(_ context.Context, r job.Run) error {
			n, _ := ran.LoadOrStore(r.ID(), new(atomic.Int64))
			n.(*atomic.Int64).Add(1)
			return nil
		}})
		run(t, s, e)
		engines = append(engines, e)
	}
	for i := range 50 {
		start(t, s, engines[0], "k", fmt.Sprint(i), nil)
	}
	for i := range 50 {
		await(t, engines[0], "k", fmt.Sprint(i), job.Done)
		if n, ok := ran.Load(fmt.Sprint(i)); !ok || n.(*atomic.Int64).Load() != 1 {
			t.Errorf("job %d did not run exactly once", i)
		}
	}
}

func TestStartAt(t *testing.T) {
	s := openStore(t, t.TempDir())
	e := newEngine(t, s, job.Config{Exclusive: true})
	var ran sync.Map
	e.Register(job.Kind{Name: "k", Concurrency: 2, Run: func(_ context.Context, r job.Run) error {
		ran.Store(r.ID(), time.Now())
		return nil
	}})
	run(t, s, e)
	at := time.Now().Add(150 * time.Millisecond)
	if _, err := s.Update(ctx, space, nil, func(tx record.Tx) error {
		return errors.Join(e.StartAt(tx, "k", "soon", at, nil), e.StartAt(tx, "k", "tomorrow", at.Add(24*time.Hour), nil))
	}); err != nil {
		t.Fatal(err)
	}
	await(t, e, "k", "soon", job.Done)
	if when, _ := ran.Load("soon"); when.(time.Time).Before(at) {
		t.Error("it ran before its time")
	}
	if _, err := s.Update(ctx, space, nil, func(tx record.Tx) error { return e.Cancel(tx, "k", "tomorrow") }); err != nil {
		t.Fatal(err)
	}
	await(t, e, "k", "tomorrow", job.Cancelled)
	if _, ok := ran.Load("tomorrow"); ok {
		t.Error("a job was run before its time")
	}
}
