package event

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// lease says which process delivers to a subscriber, when several have the store.
type lease struct {
	Owner string    `json:"owner"` // "" = nobody
	Until time.Time `json:"until"`
	// Rewind is a replay that another process asked for; its holder takes it up.
	Rewind *uint64 `json:"rewind,omitempty"`
}

var leases = record.Kind[lease]{Name: "event.lease", Volatile: true}

// errLeaseLost says that another process delivers now.
var errLeaseLost = errors.New("event: another process delivers to the subscriber")

func newOwner() string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails on supported systems
	return hex.EncodeToString(id[:])
}

// holder holds a name among the processes that share a store: a subscriber, or other work that one of them does at a time.
type holder struct {
	bus    *Bus
	name   string
	replay func(after uint64) // takes up what another process asked for
}

func (s *holder) lock() []string { return []string{"event/" + s.name} }

// hold waits until the name is this process's. It returns the state of its holding, which ends when the lease is lost; release gives it back.
func (s *holder) hold(ctx context.Context) (held context.Context, release func(), err error) {
	b := s.bus
	for {
		got := false
		_, err := b.store.Update(ctx, Space, s.lock(), func(tx record.Tx) error {
			got = false
			l, _, err := leases.Get(tx, s.name)
			if errs.Is(err, errs.NotFound) {
				l, err = &lease{}, nil
			}
			if err != nil || l.Owner != "" && l.Owner != b.owner && !b.before(l.Owner) && b.binds(l.Until, time.Now()) {
				return err
			}
			l.Owner, l.Until = b.owner, time.Now().Add(b.cfg.Lease)
			got = true
			return leases.Put(tx, s.name, l)
		})
		if err == nil && got {
			break
		}
		if sleep(ctx, b.cfg.Lease/4); ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
	}
	held, cancel := context.WithCancel(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() { s.renew(held, cancel) })
	return held, func() {
		cancel()
		renewing.Wait()
		_ = s.own(context.WithoutCancel(ctx), func(tx record.Tx, l *lease) error { // else it runs out
			l.Owner = ""
			return leases.Put(tx, s.name, l)
		})
	}, nil
}

// before reports whether an owner is an earlier process of this server, which is dead.
func (b *Bus) before(owner string) bool {
	return b.cfg.Server != "" && strings.HasPrefix(owner, b.cfg.Server+"/")
}

// binds reports whether a lease until then keeps others out now. One that is longer than any was written by a clock that was ahead.
func (b *Bus) binds(until, now time.Time) bool {
	return now.Before(until) && until.Sub(now) <= 2*b.cfg.Lease
}

// own runs fn in a batch that is committed only while the lease is ours.
func (s *holder) own(ctx context.Context, fn func(record.Tx, *lease) error) error {
	_, err := s.bus.store.Update(ctx, Space, s.lock(), func(tx record.Tx) error {
		l, _, err := leases.Get(tx, s.name)
		if err != nil {
			return err
		}
		if l.Owner != s.bus.owner {
			return errLeaseLost
		}
		return fn(tx, l)
	})
	return err
}

// renew keeps the lease until held ends. A lease that could not be renewed before its end is lost.
func (s *holder) renew(held context.Context, lost context.CancelFunc) {
	until := time.Now().Add(s.bus.cfg.Lease)
	for {
		if sleep(held, s.bus.cfg.Lease/3); held.Err() != nil {
			return
		}
		next := time.Now().Add(s.bus.cfg.Lease)
		var rewind *uint64
		err := s.own(held, func(tx record.Tx, l *lease) error {
			rewind, l.Rewind, l.Until = l.Rewind, nil, next
			return leases.Put(tx, s.name, l)
		})
		switch {
		case err == nil:
			until = next
			if rewind != nil && s.replay != nil {
				s.replay(*rewind)
			}
		case errors.Is(err, errLeaseLost), time.Now().After(until):
			lost()
			return
		}
	}
}

// ask leaves a replay for whoever holds the subscriber.
func (s *holder) ask(ctx context.Context, after uint64) error {
	_, err := s.bus.store.Update(ctx, Space, s.lock(), func(tx record.Tx) error {
		l, _, err := leases.Get(tx, s.name)
		if errs.Is(err, errs.NotFound) {
			l, err = &lease{}, nil
		}
		if err != nil {
			return err
		}
		l.Rewind = &after
		return leases.Put(tx, s.name, l)
	})
	return err
}

// shared delivers whenever the subscriber is this process's.
func (s *subscription) shared(ctx context.Context) {
	for ctx.Err() == nil {
		held, release, err := s.hold(ctx)
		if err != nil {
			return // ctx ended
		}
		if err := s.load(held); err == nil { // where the last holder stopped
			s.run(held)
		}
		release()
	}
}

// Alone makes work that one process at a time does out of work that goes on until its context ends. The name is its identity over the processes; when its holder
// dies, another goes on after the lease. A store that nobody shares needs no lease.
func (b *Bus) Alone(name string, work func(context.Context) error) func(context.Context) error {
	if !b.cfg.Shared {
		return work
	}
	h := &holder{bus: b, name: "work/" + name}
	return func(ctx context.Context) error {
		for ctx.Err() == nil {
			held, release, err := h.hold(ctx)
			if err != nil {
				return nil // ctx ended
			}
			err = work(held)
			lost := held.Err() != nil
			release()
			if err != nil && !lost {
				return err
			}
		}
		return nil
	}
}
