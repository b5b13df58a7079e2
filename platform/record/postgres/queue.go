package postgres

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/galen-health/galen/platform/record"
)

// item is a batch that waits for the committer. Its answer comes over one of two channels: its outcome, or the turn to be made again within a transaction.
type item struct {
	t     *tx  // nil: not made yet, or made in vain
	firm  bool // shall be made within the committer's transaction
	since time.Time
	late  bool // was answered that it takes too long
	size  int
	done  chan outcome
	turn  chan *turn
	made  chan outcome // how that ended: a tx, or the function's error
}

type outcome struct {
	commit record.Commit
	t      *tx
	err    error
}

// How long a group waits for a batch with an earlier time whose function still runs; then that batch is overtaken, and made again.
const usualPatience = 20 * time.Millisecond

// turnPatience is how long a function that is made again may hold the line, and with it all writers of all servers.
const turnPatience = 10 * time.Second

// Bounds of one transaction.
const (
	maxGroup = 256
	maxFirm  = 16
	maxBytes = 16 << 20
)

// queue is what waits for the process's committer. Batches go out in the order of their times.
type queue struct {
	patience time.Duration
	firmness time.Duration // turnPatience, but for tests
	wake     chan struct{}
	dropped  chan struct{} // a space was dropped

	mu    sync.Mutex
	last  int64 // the newest time that was given or heard of
	open  []*tx // with a time, while their functions run
	ready []*item
	firm  []*item
}

func (q *queue) init() {
	q.patience, q.firmness, q.wake, q.dropped = usualPatience, turnPatience, make(chan struct{}, 1), make(chan struct{}, 1)
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (q *queue) swept() { nudge(q.dropped) }

// heard keeps times rising after what other processes committed.
func (q *queue) heard(at int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last = max(q.last, at)
}

// ticket gives a batch a time after all times given before, also when the clock went back.
func (q *queue) ticket(t *tx, now int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last = max(q.last+1, now)
	t.at = q.last
	q.open = append(q.open, t)
}

// between is a time for a batch that is made within a transaction whose last commit was at cur: now, but before those that wait, if there is room.
func (q *queue) between(cur, now int64) int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := max(cur+1, now)
	for _, t := range q.open {
		at = min(at, t.at-1)
	}
	for _, i := range q.ready {
		if i.t.at > 0 {
			at = min(at, i.t.at-1)
		}
	}
	at = max(at, cur+1)
	q.last = max(q.last, at)
	return at
}

// leave ends a batch that does not come.
func (q *queue) leave(t *tx) {
	q.mu.Lock()
	q.open = slices.DeleteFunc(q.open, func(o *tx) bool { return o == t })
	q.mu.Unlock()
	nudge(q.wake)
}

// submit queues an item; one whose batch has no time yet gets one.
func (q *queue) submit(i *item, now int64) {
	q.mu.Lock()
	if i.firm {
		q.firm = append(q.firm, i)
	} else {
		q.open = slices.DeleteFunc(q.open, func(o *tx) bool { return o == i.t })
		if i.t.at == 0 {
			q.last = max(q.last+1, now)
			i.t.at = q.last
		}
		at, _ := slices.BinarySearchFunc(q.ready, i.t.at, func(r *item, at int64) int { return int(r.t.at - at) })
		q.ready = slices.Insert(q.ready, at, i)
	}
	q.mu.Unlock()
	nudge(q.wake)
}

// withdraw takes back an item that the committer has not taken yet.
func (q *queue) withdraw(i *item) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.ready) + len(q.firm)
	is := func(o *item) bool { return o == i }
	q.ready, q.firm = slices.DeleteFunc(q.ready, is), slices.DeleteFunc(q.firm, is)
	return len(q.ready)+len(q.firm) < n
}

// take waits for a group. It returns nil when ctx ends.
func (q *queue) take(ctx context.Context) []*item {
	for {
		group, wait := q.next()
		if len(group) > 0 {
			return group
		}
		var alarm <-chan time.Time
		if wait > 0 {
			t := time.NewTimer(wait)
			defer t.Stop()
			alarm = t.C
		}
		select {
		case <-ctx.Done():
			return nil
		case <-q.wake:
		case <-alarm:
		}
	}
}

// next is the group that may go now, or how long to wait for it; 0 = until something comes.
func (q *queue) next() (group []*item, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	earliest := int64(0) // of the batches that are still made
	for _, t := range q.open {
		if earliest == 0 || t.at < earliest {
			earliest = t.at
		}
	}
	bytes, n := 0, 0
	for _, i := range q.ready {
		if earliest > 0 && i.t.at > earliest {
			if waited := time.Since(i.since); waited < q.patience {
				wait = q.patience - waited
				break
			}
		}
		if bytes += i.size; n == maxGroup || n > 0 && bytes > maxBytes {
			break
		}
		n++
	}
	group = append(group, q.ready[:n]...)
	q.ready = slices.Delete(q.ready, 0, n)
	firm := min(len(q.firm), maxFirm)
	group = append(group, q.firm[:firm]...)
	q.firm = slices.Delete(q.firm, 0, firm)
	return group, wait
}
