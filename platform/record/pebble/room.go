package pebble

import (
	"sync/atomic"
	"time"

	"github.com/galen-health/galen/platform/errs"
)

// room watches the free space of the disk: a Pebble that runs into a full disk cannot go on, so new versions are refused before.
type room struct {
	reserve uint64
	asked   atomic.Int64 // nanoseconds of the last look
	full    atomic.Bool
}

// lookEvery is how old a look at the disk may be.
const lookEvery = int64(200 * time.Millisecond)

func (s *Store) checkRoom() error {
	r := &s.room
	now := time.Now().UnixNano()
	if asked := r.asked.Load(); now-asked > lookEvery && r.asked.CompareAndSwap(asked, now) {
		if u, err := s.fs.GetDiskUsage(s.dir); err == nil { // a disk that does not tell is taken as having room
			r.full.Store(u.AvailBytes < r.reserve)
		}
	}
	if r.full.Load() {
		return errs.New(errs.Exhausted, "the disk of the record store is full")
	}
	return nil
}
