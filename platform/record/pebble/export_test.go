package pebble

import "time"

// Shrink makes the evaluation change its ways at small counts, so that small data takes every way.
func (s *Store) Shrink() { s.plan = plan{few: 2, list: 3, probe: 2, sort: 3, walk: 30, union: 3} }

// OnFatal returns options under which a fatal condition calls fn instead of ending the process.
func (o Options) OnFatal(fn func(string)) Options {
	o.fatal = fn
	return o
}

// MemTable returns options with a small table in memory, so that little data is flushed and compacted.
func (o Options) MemTable(size uint64) Options {
	o.memTable = size
	return o
}

// LookEvery is how old a look at the disk's room may be.
const LookEvery = time.Duration(lookEvery)

// SetPatience changes how long batches wait for slow ones.
func (s *Store) SetPatience(usual, firm time.Duration) {
	s.line.patience, s.line.firmPatience = usual, firm
}
