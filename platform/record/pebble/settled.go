package pebble

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// settled is the newest state that is wholly on the disk. Pebble shows a commit to new snapshots before its log is synced, so a reader could act on what a
// crash then takes back: delete a body that is named again, or acknowledge a repeated call whose first run is gone. Views therefore share the snapshot
// of the last synced commit; only batches read newer, and one that wrote nothing waits until what it read is here.
type settled struct {
	mu      sync.Mutex
	reached *sync.Cond
	now     *shared
	broken  bool // a sync failed: nothing is reached any more
}

// shared is a snapshot with as many holders as views, and one for being the newest.
type shared struct {
	snap    *pebble.Snapshot
	seq     uint64
	holders int // under settled.mu
}

func (s *settled) start(snap *pebble.Snapshot, seq uint64) {
	s.reached = sync.NewCond(&s.mu)
	s.now = &shared{snap: snap, seq: seq, holders: 1}
}

// advance takes over a snapshot whose last commit, seq, is on the disk.
func (s *settled) advance(snap *pebble.Snapshot, seq uint64) {
	s.mu.Lock()
	old := &shared{snap: snap, seq: seq, holders: 1}
	if s.now != nil && seq >= s.now.seq {
		s.now, old = old, s.now
	}
	old.holders--
	unused := old.holders == 0
	s.reached.Broadcast()
	s.mu.Unlock()
	if unused {
		_ = old.snap.Close() // only releases it
	}
}

// take is a holder of the newest snapshot.
func (s *settled) take() *shared {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.holders++
	return s.now
}

func (s *settled) release(h *shared) {
	s.mu.Lock()
	h.holders--
	unused := h.holders == 0
	s.mu.Unlock()
	if unused {
		_ = h.snap.Close() // only releases it
	}
}

// wait waits until commit seq is on the disk; false when it never will be.
func (s *settled) wait(seq uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.now.seq < seq && !s.broken {
		s.reached.Wait()
	}
	return s.now.seq >= seq
}

func (s *settled) fail() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = true
	s.reached.Broadcast()
}

// stop gives up the newest snapshot; views that are still open keep theirs, and the database does not close.
func (s *settled) stop() { s.release(s.now) }
