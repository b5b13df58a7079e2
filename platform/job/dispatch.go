package job

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// errNotOurs ends a claim that came too late; it never leaves this file.
var errNotOurs = errors.New("not claimable")

// Run claims and runs jobs until ctx ends or Stop is called. It returns when nothing is being claimed any more; jobs may still be
// stopping: Stop waits for them. An error of the store is not fatal: the next turn tries again.
func (e *Engine) Run(ctx context.Context) {
	rescan := time.NewTicker(e.cfg.Rescan)
	defer rescan.Stop()
	nextPurge := time.Now()
	for {
		e.mu.Lock()
		stopped := e.stopped
		e.mu.Unlock()
		if stopped || ctx.Err() != nil {
			return
		}
		e.turn(ctx)
		if now := time.Now(); now.After(nextPurge) {
			e.purge(ctx, now.Add(-e.cfg.Keep))
			nextPurge = now.Add(time.Hour)
		}
		select {
		case <-ctx.Done():
		case <-e.wake:
		case <-rescan.C:
			e.mu.Lock()
			e.all = true
			e.mu.Unlock()
		}
	}
}

// Stop ends claiming, tells running jobs to save and return (ErrStopping) and waits for them until ctx ends. Those that do not return in
// time lose nothing but their work since the last checkpoint.
func (e *Engine) Stop(ctx context.Context) error {
	e.once.Do(func() {
		e.mu.Lock()
		e.stopped = true
		for _, t := range e.again {
			t.t.Stop()
		}
		for _, r := range e.running {
			r.cancel(ErrStopping)
		}
		e.mu.Unlock()
		e.signal()
	})
	idle := make(chan struct{})
	go func() { e.work.Wait(); close(idle) }()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return errs.New(errs.Timeout, "jobs are still running; they go on from their last checkpoint at the next start")
	}
}

// turn looks at the spaces that may hold work.
func (e *Engine) turn(ctx context.Context) {
	e.mu.Lock()
	all := e.all
	spaces := make([]record.Space, 0, len(e.dirty))
	for s := range e.dirty {
		spaces = append(spaces, s)
	}
	e.all = false
	clear(e.dirty)
	e.mu.Unlock()
	if all {
		var err error
		if spaces, err = e.store.Spaces(ctx); err != nil {
			e.wakeAt("", time.Now().Add(time.Second))
			return
		}
	}
	for _, s := range spaces {
		if err := e.scan(ctx, s); err != nil && !errs.Is(err, errs.NotFound) && ctx.Err() == nil {
			e.wakeAt(s, time.Now().Add(time.Second))
		}
	}
}

// scan claims what it can in one space, oldest first, as far as there are free places.
func (e *Engine) scan(ctx context.Context, space record.Space) error {
	e.mu.Lock()
	names := make([]string, 0, len(e.kinds))
	for name := range e.kinds {
		names = append(names, name)
	}
	e.mu.Unlock()
	v, err := e.store.View(ctx, space)
	if err != nil {
		return err
	}
	defer v.Close()
	for _, name := range names {
		for _, index := range []string{"cancelling", "open"} {
			if err := e.scanIndex(ctx, v, space, name, index); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *Engine) scanIndex(ctx context.Context, v record.View, space record.Space, kind, index string) error {
	q := record.Query{Kind: jobs.Name, Where: record.Match{Index: index, Value: record.Token("", kind)}, Limit: 200}
	for {
		page, err := v.Query(ctx, q)
		if err != nil {
			return err
		}
		for _, hit := range page.Hits {
			s, err := jobs.Decode(hit.Body)
			if err != nil {
				return err
			}
			more, err := e.consider(ctx, space, hit.ID, s)
			if err != nil || !more {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		q.After = page.Next
	}
}

// consider starts a job if it is due and there is a place, cancels it if that was asked for, or notes when to look again. It reports
// whether looking at more jobs of this kind makes sense.
func (e *Engine) consider(ctx context.Context, space record.Space, id string, s *stored) (more bool, err error) {
	now := time.Now()
	e.mu.Lock()
	r, kind := e.running[runKey{space, id}], e.kinds[s.Kind]
	full := r == nil && !s.Cancel && e.busy[s.Kind] >= kind.Concurrency
	if full {
		e.waiting[space] = true // the end of a running job wakes us
	}
	e.mu.Unlock()
	switch {
	case r != nil:
		if s.Cancel {
			r.cancel(ErrCancelled)
		}
		return true, nil
	case full:
		return false, nil
	}
	if due := e.due(s, now); due.After(now) {
		e.wakeAt(space, due)
		return true, nil
	}
	return true, e.claim(ctx, space, id, kind)
}

// due is when a job may be claimed by this process. A time that is further away than any lease or pause was written by a clock that was ahead: it binds nobody.
func (e *Engine) due(s *stored, now time.Time) time.Time {
	at, most := s.NotBefore, 2*longestPause
	if s.State == Running && (s.Owner == e.owner || !e.cfg.Exclusive && !e.before(s.Owner)) {
		at, most = s.Until, 2*e.cfg.Lease
	}
	if at.Sub(now) > most && (s.State == Running || s.Attempt > 0) { // what never ran waits for the time that its service gave it
		return now
	}
	return at
}

// before reports whether an owner is an earlier process of this server, which is dead.
func (e *Engine) before(owner string) bool {
	return e.cfg.Server != "" && owner != e.owner && strings.HasPrefix(owner, e.cfg.Server+"/")
}

func (e *Engine) claim(ctx context.Context, space record.Space, id string, kind Kind) error {
	var got *stored
	_, err := e.store.Update(ctx, space, []string{"job/" + id}, func(tx record.Tx) error {
		now := time.Now()
		s, version, err := jobs.Get(tx, id)
		if err != nil {
			return err
		}
		if !s.open() || e.due(s, now).After(now) {
			return errNotOurs
		}
		if s.State == Running && s.Failure == nil && s.LastError == "" {
			s.LastError = "the process ended while the job ran"
		}
		s.State, s.Owner, s.Until = Running, e.owner, now.Add(e.cfg.Lease)
		s.Lease++
		s.Attempt++
		if s.Started.IsZero() {
			s.Started = now.UTC()
		}
		got = s
		return jobs.Replace(tx, id, s, version)
	})
	switch {
	case errors.Is(err, errNotOurs), errs.Is(err, errs.Precondition), errs.Is(err, errs.NotFound), errs.Is(err, errs.Gone):
		return nil // another worker was faster
	case err != nil:
		return err
	}
	e.launch(space, id, kind, got)
	return nil
}

// purge forgets jobs that ended before a time.
func (e *Engine) purge(ctx context.Context, before time.Time) {
	spaces, err := e.store.Spaces(ctx)
	if err != nil {
		return
	}
	for _, space := range spaces {
		_, _ = e.store.Update(ctx, space, nil, func(tx record.Tx) error { // the next hour tries again
			page, err := tx.Query(record.Query{Kind: jobs.Name, Limit: 1000, IDsOnly: true,
				Where: record.Range{Index: "ended", High: record.Instant(before)}})
			if err != nil {
				return err
			}
			if len(page.Hits) == 0 {
				return errNotOurs // nothing to commit
			}
			for _, h := range page.Hits {
				if err := tx.Purge(jobs.Name, h.ID); err != nil {
					return err
				}
			}
			return nil
		})
	}
}
