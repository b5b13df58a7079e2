package pebble

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// stream yields pids in rising order. Seek returns the first pid ≥ its argument, 0 at the end; arguments never fall.
type stream interface {
	seek(pid uint64) (uint64, error)
	close() error
}

// evaluation is one query over one view.
type evaluation struct {
	ctx   context.Context
	v     *view
	kind  string
	no    uint16
	steps int
	sets  map[string]*set // results of joins, by what they say
}

// tick looks at the context now and then.
func (e *evaluation) tick() error {
	if e.steps++; e.steps&0x3ff == 0 {
		return e.ctx.Err()
	}
	return nil
}

// posts is the stream of one exact value: postings with this prefix, pid last.
type posts struct {
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
	return &posts{it: it, prefix: prefix}, nil
}

func (p *posts) seek(pid uint64) (uint64, error) {
	if p.done {
		return 0, nil
	}
	if p.at >= pid && p.at != 0 {
		return p.at, nil
	}
	ok := false
	if p.at != 0 {
		for range 4 { // a neighbour is cheaper than a seek
			if ok = p.it.Next(); !ok || binary.BigEndian.Uint64(p.it.Key()[len(p.prefix):]) >= pid {
				break
			}
		}
	}
	if !ok && p.it.Error() == nil && (p.at == 0) || ok && binary.BigEndian.Uint64(p.it.Key()[len(p.prefix):]) < pid {
		p.buf = binary.BigEndian.AppendUint64(append(p.buf[:0], p.prefix...), pid)
		ok = p.it.SeekGE(p.buf)
	}
	if !ok {
		p.done = true
		return 0, storeError(p.it.Error())
	}
	p.at = binary.BigEndian.Uint64(p.it.Key()[len(p.prefix):])
	return p.at, nil
}

func (p *posts) close() error { return storeError(p.it.Close()) }

// set is a materialised stream: sorted pids without duplicates.
type set struct {
	pids []uint64
	pos  int
}

func newSet(pids []uint64) *set {
	slices.Sort(pids)
	return &set{pids: slices.Compact(pids)}
}

func (s *set) seek(pid uint64) (uint64, error) {
	if s.pos < len(s.pids) && s.pids[s.pos] < pid {
		i, _ := slices.BinarySearch(s.pids[s.pos:], pid)
		s.pos += i
	}
	if s.pos >= len(s.pids) {
		return 0, nil
	}
	return s.pids[s.pos], nil
}

func (s *set) close() error { return nil }

func (s *set) has(pid uint64) bool {
	_, ok := slices.BinarySearch(s.pids, pid)
	return ok
}

// all is the stream of every live record of the kind.
type all struct {
	it   *pebble.Iterator
	at   uint64
	done bool
	e    *evaluation
}

func (e *evaluation) all() (stream, error) {
	it, err := e.v.heads(e.no, 0)
	if err != nil {
		return nil, err
	}
	return &all{it: it, e: e}, nil
}

func (a *all) seek(pid uint64) (uint64, error) {
	if a.done || a.at >= pid && a.at != 0 {
		if a.done {
			return 0, nil
		}
		return a.at, nil
	}
	var ok bool
	if a.at != 0 && pid == a.at+1 {
		ok = a.it.Next()
	} else {
		ok = a.it.SeekGE(headKey(a.e.v.sp.id, a.e.no, pid))
	}
	for ; ok; ok = a.it.Next() {
		if err := a.e.tick(); err != nil {
			return 0, err
		}
		live, err := isLive(a.it.Value())
		if err != nil {
			return 0, err
		}
		if live {
			a.at = binary.BigEndian.Uint64(a.it.Key()[7:])
			return a.at, nil
		}
	}
	a.done = true
	return 0, storeError(a.it.Error())
}

func (a *all) close() error { return storeError(a.it.Close()) }

// isLive reads only the deleted flag of a head.
func isLive(b []byte) (bool, error) {
	r := &reader{b: b}
	r.bytes(r.uvarint())
	r.uvarint()
	r.uvarint()
	r.varint()
	deleted := r.byte()
	if r.bad {
		return false, corrupt("a record's head cannot be read")
	}
	return deleted == 0, nil
}

// and intersects by leapfrog.
type and struct{ parts []stream }

func (a *and) seek(pid uint64) (uint64, error) {
	for agreed := 0; ; {
		for _, p := range a.parts {
			got, err := p.seek(pid)
			if err != nil || got == 0 {
				return 0, err
			}
			if got == pid {
				if agreed++; agreed >= len(a.parts) {
					return pid, nil
				}
				continue
			}
			pid, agreed = got, 1
			if len(a.parts) == 1 {
				return pid, nil
			}
		}
	}
}

func (a *and) close() error { return closeAll(a.parts) }

// or merges.
type or struct{ parts []stream }

func (o *or) seek(pid uint64) (uint64, error) {
	var best uint64
	for _, p := range o.parts {
		got, err := p.seek(pid)
		if err != nil {
			return 0, err
		}
		if got != 0 && (best == 0 || got < best) {
			best = got
		}
	}
	return best, nil
}

func (o *or) close() error { return closeAll(o.parts) }

func closeAll(parts []stream) error {
	var first error
	for _, p := range parts {
		if err := p.close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// filter keeps what a test on the record's entries accepts.
type filter struct {
	of   stream
	e    *evaluation
	test func(pid uint64, h *head) (bool, error)
}

func (f *filter) seek(pid uint64) (uint64, error) {
	for {
		got, err := f.of.seek(pid)
		if err != nil || got == 0 {
			return 0, err
		}
		if err := f.e.tick(); err != nil {
			return 0, err
		}
		h, err := headOf(f.e.v.snap, f.e.v.sp.id, f.e.no, got)
		if err != nil {
			return 0, err
		}
		ok, err := f.test(got, h)
		if err != nil {
			return 0, err
		}
		if ok {
			return got, nil
		}
		pid = got + 1
	}
}

func (f *filter) close() error { return f.of.close() }

// minus keeps what another stream does not have.
type minus struct{ of, without stream }

func (m *minus) seek(pid uint64) (uint64, error) {
	for {
		got, err := m.of.seek(pid)
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
		pid = got + 1
	}
}

func (m *minus) close() error { return closeAll([]stream{m.of, m.without}) }

// drain materialises a stream, up to a bound (0 = none); over reports that there was more.
func (e *evaluation) drain(s stream, bound int) (out []uint64, over bool, err error) {
	for pid := uint64(1); ; {
		got, err := s.seek(pid)
		if err != nil {
			return nil, false, err
		}
		if got == 0 {
			return out, false, nil
		}
		if bound > 0 && len(out) == bound {
			return out, true, nil
		}
		if err := e.tick(); err != nil {
			return nil, false, err
		}
		out = append(out, got)
		pid = got + 1
	}
}

// scanIndex calls fn for every posting of an index between two values (inclusive of every value that begins with high; "" = open), and stops when fn says so.
func (e *evaluation) scanIndex(index uint16, low, high string, fn func(value []byte, pid uint64) (bool, error)) error {
	prefix := indexPrefix(e.v.sp.id, e.no, index)
	lower := append(append([]byte(nil), prefix...), low...)
	upper := next(prefix)
	if high != "" {
		upper = next(append(append([]byte(nil), prefix...), high...))
	}
	it, err := e.v.snap.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return storeError(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		if err := e.tick(); err != nil {
			return err
		}
		k := it.Key()
		more, err := fn(k[len(prefix):len(k)-8], binary.BigEndian.Uint64(k[len(k)-8:]))
		if err != nil || !more {
			return err
		}
	}
	return storeError(it.Error())
}

func isCut(value []byte) bool {
	return len(value) == keepFrom+2+16 && value[keepFrom] == 0 && value[keepFrom+1] == 2
}

// textOf undoes the escaping of a String or URI value.
func textOf(v record.Value) (string, error) {
	s := string(v)
	if len(s) < 3 || !strings.HasSuffix(s, "\x00\x01") {
		return "", errs.New(errs.Corrupt, "an index value cannot be read; run galen verify")
	}
	return strings.ReplaceAll(s[1:len(s)-2], "\x00\xff", "\x00"), nil
}
