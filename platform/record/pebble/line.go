package pebble

import (
	"context"
	"sort"
	"sync"
)

// line is where batches queue to commit: tickets are given with rising times, and served strictly in their order.
type line struct {
	mu      sync.Mutex
	turn    *sync.Cond
	issued  uint64
	serving uint64
	last    int64 // microseconds of the last ticket
	left    map[uint64]bool
}

func (l *line) init() {
	l.turn = sync.NewCond(&l.mu)
	l.serving = 1
	l.left = map[uint64]bool{}
}

// take gives a ticket and a time after all times given before, also when the clock went back.
func (l *line) take(now int64) (ticket uint64, at int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.issued++
	l.last = max(l.last+1, now)
	return l.issued, l.last
}

// wait returns when all earlier tickets have left.
func (l *line) wait(ticket uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.serving != ticket {
		l.turn.Wait()
	}
}

// leave ends a ticket, committed or not, served or not.
func (l *line) leave(ticket uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left[ticket] = true
	for l.left[l.serving] {
		delete(l.left, l.serving)
		l.serving++
	}
	l.turn.Broadcast()
}

// nameLocks are the callers' locks, by space and name.
type nameLocks struct {
	mu   sync.Mutex
	held map[string]*nameLock
}

type nameLock struct {
	gate chan struct{} // holds one token while free
	refs int
}

// take locks the names in order, so that no two callers wait for each other. The result unlocks.
func (n *nameLocks) take(ctx context.Context, space string, names []string) (func(), error) {
	if len(names) == 0 {
		return func() {}, nil
	}
	sorted := append([]string(nil), names...)
	sort.Strings(sorted)
	var taken []string
	release := func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, k := range taken {
			l := n.held[k]
			l.gate <- struct{}{}
			if l.refs--; l.refs == 0 {
				delete(n.held, k)
			}
		}
	}
	for i, name := range sorted {
		if i > 0 && name == sorted[i-1] {
			continue
		}
		k := space + "\x00" + name
		n.mu.Lock()
		l := n.held[k]
		if l == nil {
			l = &nameLock{gate: make(chan struct{}, 1)}
			l.gate <- struct{}{}
			n.held[k] = l
		}
		l.refs++
		n.mu.Unlock()
		select {
		case <-l.gate:
			taken = append(taken, k)
		case <-ctx.Done():
			n.mu.Lock()
			if l.refs--; l.refs == 0 {
				delete(n.held, k)
			}
			n.mu.Unlock()
			release()
			return nil, ctx.Err()
		}
	}
	return release, nil
}
