package pebble

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// plan says where the evaluation changes its ways. The tests shrink it, so that small data takes every way.
type plan struct {
	few   int // records that are tested one by one rather than met by listing another index
	list  int // postings that are listed before a span counts as large
	probe int // records that are tested before a filter looks at how many passed
	sort  int // matches that are sorted in memory rather than met by walking the order's index
	walk  int // records that are tested on such a walk before it is given up
	union int // values that are merged as streams
}

var usualPlan = plan{few: 256, list: 8192, probe: 4096, sort: 2048, walk: 20_000, union: 64}

// evaluation is one query over one view.
type evaluation struct {
	ctx   context.Context
	v     *view
	kind  string
	no    uint16
	desc  bool // from the newest record to the oldest
	total bool // every match is wanted, not a page
	steps int
	heads *pebble.Iterator
	hits  *pebble.Iterator // over the versions
	joins map[string]*join // by what they say
}

func (v *view) evaluation(ctx context.Context, kind string) (*evaluation, error) {
	if v.past() {
		return nil, errs.New(errs.Unsupported, "a past state cannot be searched: restore it into a space first")
	}
	no, err := v.s.number(kind, false)
	return &evaluation{ctx: ctx, v: v, kind: kind, no: no, joins: map[string]*join{}}, err
}

func (e *evaluation) close() error {
	var err error
	for _, it := range []*pebble.Iterator{e.heads, e.hits} {
		if it != nil {
			err = firstError(err, storeError(it.Close()))
		}
	}
	for _, j := range e.joins {
		err = firstError(err, j.inner.close())
	}
	return err
}

// tick looks at the context now and then.
func (e *evaluation) tick() error {
	if e.steps++; e.steps&0x3ff == 0 {
		return e.ctx.Err()
	}
	return nil
}

// head reads a record's entries. One iterator serves the whole query: records are met in order, so the next one is near.
func (e *evaluation) head(pid uint64) (*head, error) {
	if err := e.tick(); err != nil {
		return nil, err
	}
	if err := e.over(&e.heads, tableHead); err != nil {
		return nil, err
	}
	if !e.heads.SeekGE(headKey(e.v.sp.id, e.no, pid)) || binary.BigEndian.Uint64(e.heads.Key()[kindSize:]) != pid {
		return nil, firstError(storeError(e.heads.Error()), corrupt("a record has no head"))
	}
	b, err := e.heads.ValueAndErr()
	if err != nil {
		return nil, storeError(err)
	}
	return decodeHead(b)
}

// over opens an iterator over the kind's part of a table, once.
func (e *evaluation) over(it **pebble.Iterator, table byte) (err error) {
	if *it == nil {
		p := appendKind(nil, table, e.v.sp.id, e.no)
		*it, err = e.v.snap.NewIter(&pebble.IterOptions{LowerBound: p, UpperBound: next(p)})
	}
	return storeError(err)
}

// hit reads a match's newest version, with its body when that is wanted.
func (e *evaluation) hit(pid uint64, body bool) (*record.Version, error) {
	if err := e.over(&e.hits, tableVersion); err != nil {
		return nil, err
	}
	if !e.hits.SeekGE(versionKey(e.v.sp.id, e.no, pid, math.MaxInt64)) || binary.BigEndian.Uint64(e.hits.Key()[kindSize:]) != pid {
		return nil, firstError(storeError(e.hits.Error()), corrupt("a version of a record is missing"))
	}
	b, err := e.hits.ValueAndErr()
	if err != nil {
		return nil, storeError(err)
	}
	st, err := decodeVersion(b)
	if err != nil {
		return nil, err
	}
	version := versionOf(e.hits.Key())
	if !body {
		return &record.Version{Kind: e.kind, ID: st.id, PID: pid, Version: version, Commit: st.commit, Time: micros(st.time)}, nil
	}
	return e.v.open(e.kind, e.no, pid, version, st)
}

// eval turns a node into a stream.
func (e *evaluation) eval(x record.Expr) (stream, error) {
	switch n := x.(type) {
	case nil:
		return e.all()
	case record.And:
		return e.and(n)
	case record.Or:
		return e.or(n)
	case record.Not:
		return e.without(n.Expr)
	case record.Missing:
		return e.missing(n)
	case record.IDs:
		return e.ids(n)
	case record.Join, record.JoinBack:
		j, err := e.joined(x)
		if err != nil {
			return nil, err
		}
		return &set{ranks: j.set.ranks}, nil
	case record.Match:
		return e.match(n)
	case record.Range, record.Prefix, record.Contains, record.TimeRange:
		return e.span(x)
	}
	return nil, unknown(x)
}

func unknown(x record.Expr) error {
	return errs.New(errs.Internal, "the query has a node of an unknown type %T", x)
}

// or merges its operands; many exact values are listed instead, since each open stream has its price.
func (e *evaluation) or(n record.Or) (stream, error) {
	if len(n) > e.v.s.plan.union {
		var pids []uint64
		for _, p := range n {
			s, err := e.eval(p)
			if err != nil {
				return nil, err
			}
			if pids, _, err = e.drain(s, pids, 0); err != nil {
				return nil, err
			}
		}
		return e.newSet(pids), nil
	}
	o := &or{}
	for _, p := range n {
		s, err := e.eval(p)
		if err != nil {
			return nil, firstError(err, o.close())
		}
		o.parts = append(o.parts, s)
	}
	return o, nil
}

// without is the live records that x does not match.
func (e *evaluation) without(x record.Expr) (stream, error) {
	of, err := e.all()
	if err != nil {
		return nil, err
	}
	s, err := e.eval(x)
	if err != nil {
		return nil, firstError(err, of.close())
	}
	return &minus{of, s}, nil
}

// missing is the live records without an index: tested one by one as far as a page needs them, or all less those in the index.
func (e *evaluation) missing(n record.Missing) (stream, error) {
	of, err := e.all()
	if err != nil {
		return nil, err
	}
	index, found := e.v.s.indexNumber(n.Index)
	if !found {
		return of, nil
	}
	less := func() (stream, error) {
		all, err := e.all()
		if err != nil {
			return nil, err
		}
		has, err := e.having(index)
		if err != nil {
			return nil, firstError(err, all.close())
		}
		return &minus{all, has}, nil
	}
	if e.total {
		if err := of.close(); err != nil {
			return nil, err
		}
		return less()
	}
	return &filter{e: e, of: of, test: e.tests(n), other: less}, nil
}

// having is the records with any value in an index.
func (e *evaluation) having(index uint16) (*set, error) {
	var pids []uint64
	err := e.scanIndex(index, "", "", func(_ []byte, pid uint64) (bool, error) {
		pids = append(pids, pid)
		return true, nil
	})
	return e.newSet(pids), err
}

func (e *evaluation) ids(n record.IDs) (stream, error) {
	var pids []uint64
	for _, id := range n {
		if err := e.tick(); err != nil {
			return nil, err
		}
		d, err := find(e.v.snap, e.v.sp.id, e.no, id)
		if err != nil {
			return nil, err
		}
		if d != nil && !d.deleted {
			pids = append(pids, d.pid)
		}
	}
	return e.newSet(pids), nil
}

// match is the records with one exact value.
func (e *evaluation) match(n record.Match) (stream, error) {
	if n.Value == "" {
		return nil, errs.New(errs.Internal, "a Match on index %s has no value", n.Index)
	}
	index, found := e.v.s.indexNumber(n.Index)
	if !found {
		return &set{}, nil
	}
	switch n.Value[0] {
	case 'c':
		return e.matchCode(n, index)
	case 'y':
		if len(n.Value.Second()) <= 2 { // tokens without a system have no posting of it
			return e.span(n)
		}
	}
	return e.posts(index, short(n.Value))
}

// matchCode is a code in any system: the tokens of one code lie side by side.
func (e *evaluation) matchCode(n record.Match, index uint16) (stream, error) {
	prefix := string(n.Value.CodePrefix())
	if len(prefix) >= keepFrom {
		return e.span(n)
	}
	var values []string
	for low := prefix; ; {
		found := ""
		if err := e.scanIndex(index, low, prefix, func(v []byte, _ uint64) (bool, error) { found = string(v); return false, nil }); err != nil {
			return nil, err
		}
		if found == "" {
			break
		}
		if values = append(values, found); len(values) > e.v.s.plan.union || isCut([]byte(found)) {
			return e.span(n)
		}
		low = string(next([]byte(found)))
	}
	o := &or{}
	for _, v := range values {
		s, err := e.posts(index, v)
		if err != nil {
			return nil, firstError(err, o.close())
		}
		o.parts = append(o.parts, s)
	}
	return o, nil
}

// span is the records with a value in a span of an index. A large one is tested record by record as far as a page needs it, when many records match.
func (e *evaluation) span(x record.Expr) (stream, error) {
	bound := e.v.s.plan.list
	if e.total {
		bound = 0
	}
	s, over, err := e.list(x, bound)
	if err != nil || !over {
		return s, err
	}
	of, err := e.all()
	if err != nil {
		return nil, err
	}
	return &filter{e: e, of: of, test: e.tests(x), other: func() (stream, error) { s, _, err := e.list(x, 0); return s, err }}, nil
}

// list reads a span of an index and keeps the records whose value the node accepts; over tells that the span has more postings than the bound (0 = none).
func (e *evaluation) list(x record.Expr, bound int) (s *set, over bool, err error) {
	name, low, high, err := bounds(x)
	if err != nil {
		return nil, false, err
	}
	index, found := e.v.s.indexNumber(name)
	if !found {
		return &set{}, false, nil
	}
	var pids []uint64
	seen := 0
	err = e.scanIndex(index, low, high, func(v []byte, pid uint64) (bool, error) {
		if seen++; bound > 0 && seen > bound {
			over = true
			return false, nil
		}
		ok, err := e.accepts(x, index, v, pid)
		if ok {
			pids = append(pids, pid)
		}
		return true, err
	})
	return e.newSet(pids), over, err
}

// accepts decides on a posting's value; a value that was cut is looked up whole.
func (e *evaluation) accepts(x record.Expr, index uint16, v []byte, pid uint64) (bool, error) {
	if index == indexTime || !isCut(v) {
		return matches(x, record.Value(v))
	}
	h, err := e.head(pid)
	if err != nil {
		return false, err
	}
	return anyOf(h.of(index), x)
}

func anyOf(values []posting, x record.Expr) (bool, error) {
	for _, p := range values {
		if ok, err := matches(x, p.value); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// drain appends a stream's pids to out and closes it, up to a bound (0 = none) of what is appended; over reports that there was more, and leaves it open.
func (e *evaluation) drain(s stream, out []uint64, bound int) (pids []uint64, over bool, err error) {
	start := len(out)
	for rank := uint64(first); ; {
		got, err := s.seek(rank)
		if err != nil || got == 0 {
			return out, false, firstError(err, s.close())
		}
		if bound > 0 && len(out)-start == bound {
			return out, true, nil
		}
		if err := e.tick(); err != nil {
			return nil, false, firstError(err, s.close())
		}
		out = append(out, e.rank(got))
		rank = got + 1
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
	defer it.Close() //nolint:errcheck // Error has told it
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

// what says what an expression asks, so that a join which appears twice is made once.
func what(x record.Expr) string { return fmt.Sprintf("%#v", x) }
