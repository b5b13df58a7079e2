package pebble

import "sync"

// inUse counts the calls in progress, so that Close waits for them. Calls may nest: one that begins after Close did fails instead of waiting.
type inUse struct {
	mu     sync.Mutex
	idle   *sync.Cond
	calls  int
	closed bool
}

// use keeps the store open until the result is called; errClosed when it is closing.
func (s *Store) use() (func(), error) {
	u := &s.inUse
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil, errClosed
	}
	u.calls++
	return u.done, nil
}

func (u *inUse) done() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.calls--; u.calls == 0 && u.idle != nil {
		u.idle.Broadcast()
	}
}

// close lets no call begin and waits for the last to end; false when that was done before.
func (u *inUse) close() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return false
	}
	u.closed = true
	u.idle = sync.NewCond(&u.mu)
	for u.calls > 0 {
		u.idle.Wait()
	}
	return true
}
