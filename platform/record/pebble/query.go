package pebble

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// maxLimit bounds a page, maxSorted how many matches are sorted in memory.
const (
	maxLimit  = 10_000
	maxSorted = 20_000
)

func joinKey(x record.Expr) string { return fmt.Sprintf("%#v", x) }

func (v *view) evaluation(ctx context.Context, kind string) (*evaluation, error) {
	if v.at != 0 {
		return nil, errs.New(errs.Unsupported, "a past state cannot be searched: restore it into a space first")
	}
	no, err := v.kind(kind)
	return &evaluation{ctx: ctx, v: v, kind: kind, no: no, sets: map[string]*set{}}, err
}

// Count implements record.View.
func (v *view) Count(ctx context.Context, kind string, where record.Expr) (int64, error) {
	e, err := v.evaluation(ctx, kind)
	if err != nil || e.no == 0 {
		return 0, err
	}
	s, err := e.eval(where)
	if err != nil {
		return 0, err
	}
	var n int64
	for pid := uint64(1); ; {
		got, err := s.seek(pid)
		if err != nil || got == 0 {
			return n, firstError(err, s.close())
		}
		if err := e.tick(); err != nil {
			return n, firstError(err, s.close())
		}
		n++
		pid = got + 1
	}
}

// Query implements record.View.
func (v *view) Query(ctx context.Context, q record.Query) (*record.Page, error) {
	e, err := v.evaluation(ctx, q.Kind)
	if err != nil {
		return nil, err
	}
	if q.Limit < 1 || q.Limit > maxLimit {
		return nil, errs.New(errs.Invalid, "a page has between 1 and %d records", maxLimit)
	}
	if len(q.Order) == 1 && q.Order[0] == (record.Order{}) {
		q.Order = nil // by creation is the default
	}
	after, err := decodeCursor(q.After, len(q.Order))
	if err != nil {
		return nil, err
	}
	if e.no == 0 {
		return &record.Page{}, nil
	}
	var found []spot
	switch {
	case len(q.Order) == 0:
		found, err = e.byPID(q, after)
	default:
		found, err = e.sorted(q, after)
	}
	if err != nil {
		return nil, err
	}
	page := &record.Page{}
	if len(found) > q.Limit {
		found = found[:q.Limit]
		last := found[len(found)-1]
		page.Next = encodeCursor(last)
	}
	for _, f := range found {
		h := f.head
		if h == nil {
			if h, err = headOf(v.snap, v.sp.id, e.no, f.pid); err != nil {
				return nil, err
			}
		}
		hit := record.Version{Kind: q.Kind, ID: h.id, PID: f.pid, Version: h.version, Commit: h.commit, Time: time.UnixMicro(h.time).UTC()}
		if !q.IDsOnly {
			if hit.Body, err = bodyOf(v.snap, v.sp, e.no, f.pid, h.id, h.version); err != nil {
				return nil, err
			}
		}
		page.Hits = append(page.Hits, hit)
	}
	return page, nil
}

// spot is where a match stands in the order: its keys, then its pid.
type spot struct {
	keys [][]byte // nil = the record lacks the index: last
	pid  uint64
	head *head
}

// byPID walks in order of creation: one more than the page tells whether there is more.
func (e *evaluation) byPID(q record.Query, after *spot) ([]spot, error) {
	s, err := e.eval(q.Where)
	if err != nil {
		return nil, err
	}
	var out []spot
	pid := uint64(1)
	if after != nil {
		pid = after.pid + 1
	}
	for len(out) <= q.Limit {
		got, err := s.seek(pid)
		if err != nil || got == 0 {
			return out, firstError(err, s.close())
		}
		if err := e.tick(); err != nil {
			return nil, firstError(err, s.close())
		}
		out = append(out, spot{pid: got})
		pid = got + 1
	}
	return out, s.close()
}

// sorted orders by index values. Few matches are sorted in memory; many are met by walking the first order's index, when there is only one order.
func (e *evaluation) sorted(q record.Query, after *spot) ([]spot, error) {
	indexes := make([]uint16, len(q.Order))
	for i, o := range q.Order {
		if o.Index == "" || o.Index == "@time" {
			continue
		}
		n, err := e.v.s.number(o.Index, false)
		if err != nil {
			return nil, err
		}
		indexes[i] = n
	}
	if len(q.Order) == 1 && indexes[0] != 0 && !q.Order[0].Desc && isSpan(q) && e.v.s.single(q.Kind, q.Order[0].Index) {
		if out, ok, err := e.walkSpan(q, indexes[0], after); err != nil || ok {
			return out, err
		}
	}
	s, err := e.eval(q.Where)
	if err != nil {
		return nil, err
	}
	bound := 0
	if len(q.Order) == 1 && indexes[0] != 0 && !q.Order[0].Desc {
		bound = maxSorted
	}
	pids, over, err := e.drain(s, bound)
	if err = firstError(err, s.close()); err != nil {
		return nil, err
	}
	if over {
		return e.walk(q, indexes[0], after)
	}
	best := make([]spot, 0, min(len(pids), 4*(q.Limit+1)))
	for _, pid := range pids {
		if err := e.tick(); err != nil {
			return nil, err
		}
		h, err := headOf(e.v.snap, e.v.sp.id, e.no, pid)
		if err != nil {
			return nil, err
		}
		p := spot{pid: pid, head: h}
		for i, o := range q.Order {
			p.keys = append(p.keys, sortKey(h, pid, indexes[i], o))
		}
		if after != nil && !before(after, &p, q.Order) {
			continue
		}
		if best = append(best, p); len(best) >= 4*(q.Limit+1) {
			best = keepFirst(best, q)
		}
	}
	return keepFirst(best, q), nil
}

// keepFirst keeps the page and one more.
func keepFirst(p []spot, q record.Query) []spot {
	sort.Slice(p, func(i, j int) bool { return before(&p[i], &p[j], q.Order) })
	return p[:min(len(p), q.Limit+1)]
}

// sortKey is the record's smallest value of an index, or its largest when descending; nil when it has none.
func sortKey(h *head, pid uint64, index uint16, o record.Order) []byte {
	switch o.Index {
	case "":
		return binary.BigEndian.AppendUint64(nil, pid)
	case "@time":
		return binary.BigEndian.AppendUint64(nil, uint64(h.time))
	}
	var out []byte
	if index == 0 {
		return nil
	}
	for _, p := range h.entries { // entries are sorted by index and value
		if p.index != index {
			continue
		}
		out = []byte(p.value)
		if !o.Desc {
			break
		}
	}
	return out
}

// before is the order of places.
func before(a, b *spot, orders []record.Order) bool {
	for i, o := range orders {
		x, y := a.keys[i], b.keys[i]
		if x == nil || y == nil {
			if (x == nil) != (y == nil) {
				return y == nil
			}
			continue
		}
		if c := bytes.Compare(x, y); c != 0 {
			return c < 0 != o.Desc
		}
	}
	return a.pid < b.pid
}

// walk goes through an index in order and keeps the records that match, each at its smallest value; then the records that lack the index.
func (e *evaluation) walk(q record.Query, index uint16, after *spot) ([]spot, error) {
	var out []spot
	low := ""
	lacking := after != nil && after.keys[0] == nil
	if after != nil && !lacking {
		low, _ = short(record.Value(after.keys[0]))
	}
	if !lacking {
		err := e.scanIndex(index, low, "", func(v []byte, pid uint64) (bool, error) {
			h, err := headOf(e.v.snap, e.v.sp.id, e.no, pid)
			if err != nil {
				return false, err
			}
			p := spot{pid: pid, head: h, keys: [][]byte{sortKey(h, pid, index, q.Order[0])}}
			if text, _ := short(record.Value(p.keys[0])); text != string(v) || after != nil && !before(after, &p, q.Order) {
				return true, nil
			}
			ok, err := e.test(q.Where, pid, h)
			if ok {
				out = append(out, p)
			}
			return len(out) <= q.Limit, err
		})
		if err != nil {
			return nil, err
		}
	}
	if len(out) > q.Limit {
		return out, nil
	}
	from := uint64(1)
	if lacking {
		from = after.pid + 1
	}
	rest := record.And{record.Missing{Index: q.Order[0].Index}}
	if q.Where != nil {
		rest = append(rest, q.Where)
	}
	s, err := e.eval(rest)
	if err != nil {
		return nil, err
	}
	for len(out) <= q.Limit {
		got, err := s.seek(from)
		if err != nil || got == 0 {
			return out, firstError(err, s.close())
		}
		out = append(out, spot{pid: got, keys: [][]byte{nil}})
		from = got + 1
	}
	return out, s.close()
}

// isSpan reports whether the query asks for a span of the very index that it orders by, as the lists of S3 do.
func isSpan(q record.Query) bool {
	switch n := q.Where.(type) {
	case record.Range:
		return n.Index == q.Order[0].Index && n.Head == "" && (n.Low != "" || n.High != "")
	case record.Prefix:
		return n.Index == q.Order[0].Index && len(n.Value) > 2
	}
	return false
}

// single reports whether records of a kind have at most one value of an index.
func (s *Store) single(kind, index string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	def := s.kinds[kind]
	return def != nil && slices.Contains(def.Single, index)
}

// walkSpan is walk for such a query over single values: it reads no more than the page. It gives up (false) at a value that was cut, since
// the order of the postings is not the order of the records there.
func (e *evaluation) walkSpan(q record.Query, index uint16, after *spot) (out []spot, ok bool, err error) {
	low, high := bounds(q.Where)
	from := low
	if after != nil {
		if after.keys[0] == nil {
			return nil, false, nil
		}
		if a, _ := short(record.Value(after.keys[0])); a > from {
			from = a
		}
	}
	ok = true
	err = e.scanIndex(index, from, high, func(v []byte, pid uint64) (bool, error) {
		h, err := headOf(e.v.snap, e.v.sp.id, e.no, pid)
		if err != nil {
			return false, err
		}
		p := spot{pid: pid, head: h, keys: [][]byte{sortKey(h, pid, index, q.Order[0])}}
		if isCut(v) {
			ok = false
			return false, nil
		}
		if after != nil && !before(after, &p, q.Order) {
			return true, nil
		}
		matched, err := e.test(q.Where, pid, h)
		if matched {
			out = append(out, p)
		}
		return len(out) <= q.Limit, err
	})
	return out, ok, err
}

// A cursor is base64 of: pid, then for each order a flag and the value.
func encodeCursor(p spot) record.Cursor {
	b := binary.AppendUvarint(nil, p.pid)
	b = binary.AppendUvarint(b, uint64(len(p.keys)))
	for _, k := range p.keys {
		if k == nil {
			b = append(b, 0)
			continue
		}
		b = append(b, 1)
		b = binary.AppendUvarint(b, uint64(len(k)))
		b = append(b, k...)
	}
	return record.Cursor(base64.RawURLEncoding.EncodeToString(b))
}

func decodeCursor(c record.Cursor, orders int) (*spot, error) {
	if c == "" {
		return nil, nil
	}
	bad := errs.New(errs.Invalid, "the page token is not one of this query")
	b, err := base64.RawURLEncoding.DecodeString(string(c))
	if err != nil {
		return nil, bad
	}
	r := &reader{b: b}
	p := &spot{pid: r.uvarint()}
	n := r.uvarint()
	if n != uint64(orders) {
		return nil, bad
	}
	for range n {
		if r.byte() == 0 {
			p.keys = append(p.keys, nil)
			continue
		}
		p.keys = append(p.keys, append([]byte{}, r.bytes(r.uvarint())...))
	}
	if r.bad || len(r.b) != 0 {
		return nil, bad
	}
	return p, nil
}
