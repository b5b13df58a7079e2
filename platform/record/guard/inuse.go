// Package guard has what a back end of package record holds its callers by: the locks that they name, and the count of those that are inside.
package guard

import "sync"

// InUse counts the calls in progress, so that closing waits for them. Calls may nest: one that begins after Close did fails instead of waiting.
type InUse struct {
	mu     sync.Mutex
	idle   *sync.Cond
	calls  int
	closed bool
}

// Enter keeps a store open until done is called; false when it is closing.
func (u *InUse) Enter() (done func(), open bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil, false
	}
	u.calls++
	return u.done, true
}

func (u *InUse) done() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.calls--; u.calls == 0 && u.idle != nil {
		u.idle.Broadcast()
	}
}

// Close lets no call begin and waits for the last to end; false when that was done before.
func (u *InUse) Close() bool {
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
