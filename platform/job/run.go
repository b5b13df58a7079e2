package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// run is one attempt of one job in this process.
type run struct {
	e      *Engine
	space  record.Space
	id     string // record id
	jobID  string
	lease  int64 // fencing token
	kind   Kind
	cancel context.CancelCauseFunc
	err    error // of the attempt, for its span

	mu          sync.Mutex
	s           *stored // as claimed or last saved
	done, total int64
	unit        string
}

func (e *Engine) launch(space record.Space, id string, kind Kind, s *stored) {
	ctx, cancel := context.WithCancelCause(call.With(context.Background(), &call.Call{
		RequestID: s.ID, Time: time.Now(),
		Principal: call.Principal{Kind: call.AWSService},
	}))
	r := &run{e: e, space: space, id: id, jobID: s.ID, lease: s.Lease, kind: kind, cancel: cancel, s: s}
	e.mu.Lock()
	if e.stopped {
		e.mu.Unlock()
		cancel(ErrStopping)
		r.handBack()
		return
	}
	e.running[runKey{space, id}] = r
	e.busy[kind.Name]++
	e.work.Add(1)
	e.mu.Unlock()
	if s.Cancel {
		cancel(ErrCancelled)
	}
	go func() {
		defer e.work.Done()
		r.attempt(ctx)
		cancel(nil)
		e.mu.Lock()
		delete(e.running, runKey{space, id})
		e.busy[kind.Name]--
		if s := r.state(); s != Queued && s != Running {
			if e.ended[kind.Name] == nil {
				e.ended[kind.Name] = map[State]int64{}
			}
			e.ended[kind.Name][s]++
		}
		for sp := range e.waiting { // a place is free
			e.dirty[sp] = true
		}
		if r.unfinished() { // only now can its next attempt be seen: while it ran, a scan passed it over
			e.dirty[space] = true
		}
		clear(e.waiting)
		e.mu.Unlock()
		e.signal()
	}()
}

// attempt renews the lease while the work goes on and writes down how it ended.
func (r *run) attempt(ctx context.Context) {
	ctx, tell := r.traced(ctx)
	defer tell()
	ended := make(chan struct{})
	var renewing sync.WaitGroup
	renewing.Go(func() { r.renew(ctx, ended) })
	final := r.work(ctx)
	close(ended)
	renewing.Wait()
	if errors.Is(context.Cause(ctx), ErrLeaseLost) {
		return
	}
	// What the attempt came to must be written although ctx may be cancelled. When the store fails, the lease runs out and the
	// job is claimed again.
	if err := r.change(context.Background(), final); err != nil && !errors.Is(err, ErrLeaseLost) {
		r.e.cfg.Log.Error("the end of a job could not be written; it runs again when its lease ends", "job", r.id, "error", describe(err))
		r.e.wakeAt(r.space, time.Now().Add(r.e.cfg.Lease))
	}
}

// work runs the service's code and returns what becomes of the record.
func (r *run) work(ctx context.Context) func(*stored) {
	r.mu.Lock()
	s := r.s
	r.mu.Unlock()
	if s.Failure != nil { // the work is over, only Failed is left
		return r.fail(ctx, s.Failure)
	}
	if s.Cancel {
		return r.cancelled(ctx)
	}
	if s.Attempt > r.kind.MaxAttempts {
		f := &failure{errs.Internal, "", fmt.Sprintf("the job was given up after %d attempts; the last one ended with: %s", s.Attempt-1, s.LastError)}
		return r.fail(ctx, f)
	}
	err := guard(r.e, r.id, func() error { return r.kind.Run(ctx, r) })
	cause := context.Cause(ctx)
	if r.err = err; cause != nil {
		r.err = nil // it was told to end
	}
	switch {
	case err == nil:
		return func(s *stored) { s.LastError = ""; s.end(Done, time.Now().UTC()) }
	case errors.Is(cause, ErrCancelled):
		return r.cancelled(ctx)
	case errors.Is(cause, ErrStopping):
		return func(s *stored) { s.Attempt--; s.release(Queued) }
	case permanent(err):
		x := errs.As(err)
		return r.fail(ctx, &failure{x.Code, x.Name, x.Message})
	default:
		x := errs.As(err)
		n := r.Attempt()
		if n >= r.kind.MaxAttempts {
			return r.fail(ctx, &failure{x.Code, x.Name, x.Message})
		}
		return r.later(n, describe(err))
	}
}

// later queues the job again after a pause.
func (r *run) later(n int, why string) func(*stored) {
	at := time.Now().Add(r.e.cfg.Backoff(n))
	return func(s *stored) {
		s.release(Queued)
		s.NotBefore, s.LastError = at, why
	}
}

// fail calls Failed, after the failure is durable: the work must not run again.
func (r *run) fail(ctx context.Context, f *failure) func(*stored) {
	if err := r.change(context.Background(), func(s *stored) { s.Failure, s.LastError = f, describe(f.err()) }); err != nil {
		return func(*stored) {}
	}
	if r.kind.Failed != nil {
		err := guard(r.e, r.id, func() error { return r.kind.Failed(settling(ctx), r, f.err()) })
		if err != nil {
			return r.later(max(1, r.Attempt()-r.kind.MaxAttempts), "the failure could not be recorded: "+describe(err))
		}
	}
	return func(s *stored) { s.end(Failed, time.Now().UTC()) }
}

func (r *run) cancelled(ctx context.Context) func(*stored) {
	if r.kind.Cancelled != nil {
		err := guard(r.e, r.id, func() error { return r.kind.Cancelled(settling(ctx), r) })
		if err != nil {
			return r.later(r.Attempt(), "the cancellation could not be recorded: "+describe(err))
		}
	}
	return func(s *stored) { s.end(Cancelled, time.Now().UTC()) }
}

// settling is a context for the last words of a job: a cancelled one still has to write them.
func settling(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

// guard turns a panic into an error: one job's defect must not end the others.
func guard(e *Engine, id string, fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			e.cfg.Log.Error("a job panicked", "job", id, "panic", fmt.Sprintf("%T", p))
			err = errs.New(errs.Internal, "the job met a defect and stopped")
		}
	}()
	return fn()
}

// permanent says that trying again cannot help.
func permanent(err error) bool {
	switch errs.CodeOf(err) {
	case errs.Invalid, errs.Denied, errs.NotFound, errs.Conflict, errs.Corrupt, errs.Unsupported:
		return true
	}
	return false
}

// renew keeps the lease until the work ended. A lease that could not be renewed before its end is lost.
func (r *run) renew(ctx context.Context, ended <-chan struct{}) {
	until := time.Now().Add(r.e.cfg.Lease)
	for {
		select {
		case <-ended:
			return
		case <-time.After(r.e.cfg.Lease / 3):
		}
		next := time.Now().Add(r.e.cfg.Lease)
		err := r.change(context.WithoutCancel(ctx), func(s *stored) { s.Until = next })
		switch {
		case err == nil:
			until = next
		case errors.Is(err, ErrLeaseLost), time.Now().After(until):
			r.cancel(ErrLeaseLost)
			return
		}
	}
}

// handBack gives up a claim that was never used.
func (r *run) handBack() {
	_ = r.change(context.Background(), func(s *stored) { s.Attempt--; s.release(Queued) }) // else the lease runs out
}

// change edits the job's record while the lease is ours, else ErrLeaseLost. A job that Finish ended stays as it is.
func (r *run) change(ctx context.Context, fn func(*stored)) error {
	var now *stored
	_, err := r.e.store.Update(ctx, r.space, []string{"job/" + r.id}, func(tx record.Tx) error {
		s, version, err := jobs.Get(tx, r.id)
		if err != nil {
			return err
		}
		if s.Lease != r.lease {
			return ErrLeaseLost
		}
		now = s
		if !s.open() {
			return errNotOurs
		}
		cancel := s.Cancel
		fn(s)
		s.Cancel = cancel
		return jobs.Replace(tx, r.id, s, version)
	})
	switch {
	case errors.Is(err, errNotOurs): // now says how it ended
	case errs.Is(err, errs.NotFound), errs.Is(err, errs.Gone):
		return ErrLeaseLost // the space or the job is gone: nobody wants the result
	case err != nil:
		return err
	}
	r.mu.Lock()
	r.s = now
	r.mu.Unlock()
	return nil
}

func (r *run) ID() string          { return r.jobID }
func (r *run) Space() record.Space { return r.space }
func (r *run) Attempt() int        { r.mu.Lock(); defer r.mu.Unlock(); return r.s.Attempt }

func (r *run) Args(into any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := json.Unmarshal(r.s.Args, into); err != nil {
		return errs.Wrap(errs.Corrupt, err, "the arguments of job %s cannot be read", r.id)
	}
	return nil
}

func (r *run) Checkpoint(v any) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.s.Checkpoint) == 0 {
		return false, nil
	}
	if err := json.Unmarshal(r.s.Checkpoint, v); err != nil {
		return false, errs.Wrap(errs.Corrupt, err, "the checkpoint of job %s cannot be read", r.id)
	}
	return true, nil
}

// Save must work while the process stops, when ctx is already cancelled: that is when it matters most.
func (r *run) Save(ctx context.Context, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the checkpoint of job %s cannot be written", r.id)
	}
	return r.change(context.WithoutCancel(ctx), func(s *stored) { s.Checkpoint, s.Attempt = b, 1 })
}

func (r *run) Finish(tx record.Tx) error {
	s, version, err := jobs.Get(tx, r.id)
	if err != nil {
		return err
	}
	if s.Lease != r.lease || !s.open() {
		return ErrLeaseLost
	}
	s.LastError = ""
	s.end(Done, tx.Time())
	return jobs.Replace(tx, r.id, s, version)
}

func (r *run) Progress(done, total int64, unit string) {
	r.mu.Lock()
	r.done, r.total, r.unit = done, total, unit
	r.mu.Unlock()
}

// state is the job's as this run last wrote it.
func (r *run) state() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.s.State
}

// unfinished says that the job may have to run again.
func (r *run) unfinished() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.s.open()
}

func (r *run) progress() (done, total int64, unit string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done, r.total, r.unit
}
