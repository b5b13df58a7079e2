package pebble

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// A stream yields ranks in rising order. A rank is a pid, or its complement when the query runs from the newest record to the oldest, so that everything
// above the leaves is written once. seek returns the first rank ≥ its argument, 0 at the end; arguments never fall.
type stream interface {
	seek(rank uint64) (uint64, error)
	close() error
}

// rank turns a pid into a rank and back.
func (e *evaluation) rank(pid uint64) uint64 {
	if e.desc {
		return ^pid
	}
	return pid
}

// first is the smallest rank there is.
const first = 1

// posts is the stream of one exact value: postings with this prefix, pid last.
type posts struct {
	e      *evaluation
	it     *pebble.Iterator
	prefix []byte
	buf    []byte
	at     uint64
	done   bool
}

func (e *evaluation) posts(index uint16, value string) (stream, error) {
	prefix := append(indexPrefix(e.v.sp.id, e.no, index), value...)
	it, err := e.v.snap.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: next(prefix)})
	if err != nil {
		return nil, storeError(err)
	}
	return &posts{e: e, it: it, prefix: prefix}, nil
}

// neighbours is how many steps are tried before a seek.
const neighbours = 12

func (p *posts) seek(rank uint64) (uint64, error) {
	if p.done {
		return 0, nil
	}
	if p.at >= rank && p.at != 0 {
		return p.at, nil
	}
	ok := true
	for n := 0; p.at != 0 && p.at < rank && ok && n < neighbours; n++ {
		if p.e.desc {
			ok = p.it.Prev()
		} else {
			ok = p.it.Next()
		}
		if ok {
			p.at = p.here()
		}
	}
	if ok && p.at < rank {
		if p.e.desc {
			pid := p.e.rank(rank)
			p.buf = binary.BigEndian.AppendUint64(append(p.buf[:0], p.prefix...), pid)
			p.buf = append(p.buf, 0) // just after the pid
			ok = p.it.SeekLT(p.buf)
		} else {
			p.buf = binary.BigEndian.AppendUint64(append(p.buf[:0], p.prefix...), rank)
			ok = p.it.SeekGE(p.buf)
		}
		if ok {
			p.at = p.here()
		}
	}
	if !ok {
		p.done = true
		return 0, storeError(p.it.Error())
	}
	return p.at, p.e.tick()
}

func (p *posts) here() uint64 {
	k := p.it.Key()
	return p.e.rank(binary.BigEndian.Uint64(k[len(k)-8:]))
}

func (p *posts) close() error { return storeError(p.it.Close()) }

// all is the stream of every live record of the kind.
func (e *evaluation) all() (stream, error) { return e.posts(indexLive, "") }

// set is a stream in memory.
type set struct {
	ranks []uint64 // rising, each once
	pos   int
}

// newSet takes pids in any order.
func (e *evaluation) newSet(pids []uint64) *set {
	if e.desc {
		for i, p := range pids {
			pids[i] = ^p
		}
	}
	slices.Sort(pids)
	return &set{ranks: slices.Compact(pids)}
}

func (s *set) seek(rank uint64) (uint64, error) {
	if s.pos < len(s.ranks) && s.ranks[s.pos] < rank {
		i, _ := slices.BinarySearch(s.ranks[s.pos:], rank)
		s.pos += i
	}
	if s.pos >= len(s.ranks) {
		return 0, nil
	}
	return s.ranks[s.pos], nil
}

func (s *set) close() error { return nil }

func (s *set) has(rank uint64) bool {
	_, ok := slices.BinarySearch(s.ranks, rank)
	return ok
}

// and intersects by leapfrog.
type and struct{ parts []stream }

func (a *and) seek(rank uint64) (uint64, error) {
	for agreed := 0; ; {
		for _, p := range a.parts {
			got, err := p.seek(rank)
			if err != nil || got == 0 {
				return 0, err
			}
			if got != rank {
				rank, agreed = got, 0
			}
			if agreed++; agreed == len(a.parts) {
				return rank, nil
			}
		}
	}
}

func (a *and) close() error { return closeAll(a.parts) }

// or merges.
type or struct {
	parts []stream
	at    []uint64 // where each part stands, math.MaxUint64 = ended, 0 = not begun
}

func (o *or) seek(rank uint64) (uint64, error) {
	if o.at == nil {
		o.at = make([]uint64, len(o.parts))
	}
	best := uint64(math.MaxUint64)
	for i, p := range o.parts {
		if o.at[i] < rank {
			got, err := p.seek(rank)
			if err != nil {
				return 0, err
			}
			if got == 0 {
				got = math.MaxUint64
			}
			o.at[i] = got
		}
		best = min(best, o.at[i])
	}
	if best == math.MaxUint64 {
		return 0, nil
	}
	return best, nil
}

func (o *or) close() error { return closeAll(o.parts) }

func closeAll(parts []stream) error {
	var first error
	for _, p := range parts {
		first = firstError(first, p.close())
	}
	return first
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// minus keeps what another stream does not have.
type minus struct{ of, without stream }

func (m *minus) seek(rank uint64) (uint64, error) {
	for {
		got, err := m.of.seek(rank)
		if err != nil || got == 0 {
			return 0, err
		}
		no, err := m.without.seek(got)
		if err != nil {
			return 0, err
		}
		if no != got {
			return got, nil
		}
		rank = got + 1
	}
}

func (m *minus) close() error { return closeAll([]stream{m.of, m.without}) }

// resumed is a stream whose beginning was read ahead.
type resumed struct {
	head *set
	rest stream
}

func (r *resumed) seek(rank uint64) (uint64, error) {
	if got, err := r.head.seek(rank); got != 0 || err != nil {
		return got, err
	}
	return r.rest.seek(rank)
}

func (r *resumed) close() error { return r.rest.close() }

// filter keeps what a test on the record's entries accepts. When few pass of many tested, and there is another way, it goes on that way.
type filter struct {
	e            *evaluation
	of           stream
	test         func(pid uint64, h *head) (bool, error)
	other        func() (stream, error) // all that matches, by listing; nil = no other way
	instead      stream
	tested, hits int
}

func (f *filter) seek(rank uint64) (uint64, error) {
	for {
		if f.instead != nil {
			return f.instead.seek(rank)
		}
		got, err := f.of.seek(rank)
		if err != nil || got == 0 {
			return 0, err
		}
		pid := f.e.rank(got)
		h, err := f.e.head(pid)
		if err != nil {
			return 0, err
		}
		ok, err := f.test(pid, h)
		if err != nil {
			return 0, err
		}
		f.tested++
		if ok {
			f.hits++
			return got, nil
		}
		rank = got + 1
		if f.other != nil && f.tested > f.e.v.s.plan.probe && f.hits*16 < f.tested {
			if f.instead, err = f.other(); err != nil {
				return 0, err
			}
		}
	}
}

func (f *filter) close() error {
	if f.instead != nil {
		return closeAll([]stream{f.of, f.instead})
	}
	return f.of.close()
}
