package pebble

import (
	"sync"
	"time"
)

// A ticket is a commit time that a batch holds. Batches commit in the order of their times, so sequence and time rise together; a batch that is slow to come
// is overtaken after a while and is made again with a later time, so that one slow function does not hold up everybody.
type ticket struct {
	at    int64 // microseconds
	ready bool  // waits for its turn
	firm  bool  // was overtaken before: others wait for it for long
	since time.Time
}

// How long a batch waits for an earlier one whose function still runs; the second for one that was overtaken before.
const (
	usualPatience = 100 * time.Millisecond
	firmPatience  = 10 * time.Second
)

type line struct {
	mu      sync.Mutex
	turn    *sync.Cond
	waiting []*ticket // in the order of their times
	busy    *ticket   // has the turn
	last    int64     // the newest time given
	done    int64     // the time of the last commit

	patience, firmPatience time.Duration
}

func (l *line) init() {
	l.turn = sync.NewCond(&l.mu)
	l.patience, l.firmPatience = usualPatience, firmPatience
}

// start goes on after the last commit of an earlier life.
func (l *line) start(last int64) { l.last, l.done = last, last }

// ticket gives a time after all times given before, also when the clock went back.
func (l *line) ticket(now int64, firm bool) *ticket {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = max(l.last+1, now)
	t := &ticket{at: l.last, firm: firm}
	l.waiting = append(l.waiting, t)
	return t
}

// wait returns true when the ticket has the turn, false when a later one has committed before it.
func (l *line) wait(t *ticket) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.ready, t.since = true, time.Now()
	var alarms []*time.Timer
	defer func() {
		for _, a := range alarms {
			a.Stop()
		}
	}()
	for {
		if t.at <= l.done {
			return false
		}
		if l.busy == nil {
			blocked, left := l.blocked(t)
			if !blocked {
				l.busy = t
				return true
			}
			if left > 0 && len(alarms) == 0 {
				alarms = append(alarms, time.AfterFunc(l.patience, l.wake), time.AfterFunc(l.firmPatience, l.wake))
			}
		}
		l.turn.Wait()
	}
}

func (l *line) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn.Broadcast()
}

// blocked reports whether an earlier ticket must go first, and how long that may be waited for; 0 = until it went.
func (l *line) blocked(t *ticket) (bool, time.Duration) {
	for _, e := range l.waiting {
		if e == t {
			break
		}
		if e.ready {
			return true, 0
		}
		limit := l.patience
		if e.firm {
			limit = l.firmPatience
		}
		if waited := time.Since(t.since); waited < limit {
			return true, limit - waited
		}
	}
	return false, 0
}

// leave ends a ticket, committed or not.
func (l *line) leave(t *ticket, committed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if committed {
		l.done = t.at
	}
	if l.busy == t {
		l.busy = nil
	}
	for i, e := range l.waiting {
		if e == t {
			l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
			break
		}
	}
	l.turn.Broadcast()
}

// recent remembers which records the last commits wrote, so that a batch finds out without reading whether a record changed since it was seen.
type recent struct {
	last  map[uint64]uint64 // hash of the record → sequence number of its last commit
	floor uint64            // commits up to this one are forgotten
}

const recentSize = 1 << 17

// unchanged reports whether a record seen when commit seen was the last is as it was; known is false when that is forgotten.
func (r *recent) unchanged(record, seen uint64) (same, known bool) {
	return r.last[record] <= seen, seen >= r.floor
}

func (r *recent) wrote(record, seq uint64) {
	if r.last == nil || len(r.last) >= recentSize {
		r.last, r.floor = make(map[uint64]uint64, recentSize/8), seq-1
	}
	r.last[record] = seq
}
