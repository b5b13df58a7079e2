package guard

import (
	"context"
	"slices"
	"sync"
)

// Names are the callers' locks, by space and name. The zero value has none.
type Names struct {
	mu   sync.Mutex
	held map[string]*name
}

type name struct {
	gate chan struct{} // holds one token while free
	refs int
}

// Take locks the names in order, so that no two callers wait for each other. The result unlocks.
func (n *Names) Take(ctx context.Context, space string, names []string) (func(), error) {
	if len(names) == 0 {
		return func() {}, nil
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(names)))
	var taken []string
	release := func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, k := range taken {
			n.held[k].gate <- struct{}{}
			n.forget(k)
		}
	}
	for _, name := range sorted {
		k := space + "\x00" + name
		select {
		case <-n.gate(k):
			taken = append(taken, k)
		case <-ctx.Done():
			n.mu.Lock()
			n.forget(k)
			n.mu.Unlock()
			release()
			return nil, ctx.Err()
		}
	}
	return release, nil
}

// gate counts one more user of a lock.
func (n *Names) gate(k string) chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.held == nil {
		n.held = map[string]*name{}
	}
	l := n.held[k]
	if l == nil {
		l = &name{gate: make(chan struct{}, 1)}
		l.gate <- struct{}{}
		n.held[k] = l
	}
	l.refs++
	return l.gate
}

// forget counts one user less; n.mu is held.
func (n *Names) forget(k string) {
	l := n.held[k]
	if l.refs--; l.refs == 0 {
		delete(n.held, k)
	}
}
