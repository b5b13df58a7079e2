package pebble

import (
	"context"
	"sync/atomic"

	"github.com/galen-health/galen/platform/record"
)

// counts are what commits come to since the store was opened.
type counts struct {
	commits, versions, messages, retries atomic.Uint64
}

func (c *counts) committed(t *tx) {
	c.commits.Add(1)
	c.versions.Add(uint64(len(t.writes)))
	c.messages.Add(uint64(len(t.messages)))
}

var _ record.Measured = (*Store)(nil)

// Stats implements record.Measured.
func (s *Store) Stats(context.Context) (record.Stats, error) {
	done, err := s.use()
	if err != nil {
		return record.Stats{}, err
	}
	defer done()
	m := s.db.Metrics()
	return record.Stats{Commits: s.counts.commits.Load(), Versions: s.counts.versions.Load(), Messages: s.counts.messages.Load(), Retries: s.counts.retries.Load(),
		Bytes: m.DiskSpaceUsage(), CacheHits: uint64(m.BlockCache.Hits), CacheMisses: uint64(m.BlockCache.Misses), Compactions: uint64(m.Compact.Count)}, nil
}
