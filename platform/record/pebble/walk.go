package pebble

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/cursor"
)

// errTooFar says that a walk met too few matches.
var errTooFar = errors.New("record: few of the records in this order match")

// walker goes through the first order's index in order, group by group, and keeps the records that match, each at its smallest value, or its largest when
// descending; then come the records that lack the index. A group is one value, or all values that are too long to stand whole in a key and begin alike.
type walker struct {
	e       *evaluation
	q       record.Query
	after   *cursor.Spot
	indexes []uint16 // of the orders; 0 = no record ever had it
	low     string   // the span that matches can be in, when spanned
	high    string
	spanned bool
	pure    bool // the span is all that the query asks for
	tested  int
	out     []cursor.Spot
}

func (e *evaluation) walker(q record.Query, after *cursor.Spot) (*walker, error) {
	w := &walker{e: e, q: q, after: after, indexes: make([]uint16, len(q.Order))}
	for i, o := range q.Order {
		if n, found := e.v.s.indexNumber(o.Index); found && o.Index != "" {
			w.indexes[i] = n
		}
	}
	if !e.v.s.single(q.Kind, q.Order[0].Index) {
		return w, nil
	}
	parts, ok := q.Where.(record.And)
	if !ok {
		parts = record.And{q.Where}
	}
	for _, x := range parts {
		switch x.(type) {
		case record.Range, record.Prefix, record.TimeRange:
		default:
			continue
		}
		name, low, high, err := bounds(x)
		if err != nil {
			return nil, err
		}
		if name == q.Order[0].Index && low != "" {
			w.low, w.high, w.spanned, w.pure = low, high, true, len(parts) == 1
			break
		}
	}
	return w, nil
}

// exact reports whether a walk reads no more than the page: then it needs no look at how many match.
func (w *walker) exact() bool { return w.pure || w.q.Where == nil && w.indexes[0] != 0 }

func (w *walker) walk() ([]cursor.Spot, error) {
	if w.indexes[0] != 0 && (w.after == nil || w.after.Keys[0] != nil) {
		if err := w.groups(); err != nil {
			return nil, err
		}
	}
	if len(w.out) > w.q.Limit || w.spanned {
		return w.out, nil
	}
	return w.lacking()
}

// groups walks the groups of the first order's index.
func (w *walker) groups() error {
	e := w.e
	prefix := indexPrefix(e.v.sp.id, e.no, w.indexes[0])
	with := func(v string) []byte { return append(prefix[:len(prefix):len(prefix)], v...) }
	o := &pebble.IterOptions{LowerBound: with(w.low), UpperBound: with("y")} // the systems of tokens lie behind all entries
	if w.high != "" {
		o.UpperBound = next(with(w.high))
	}
	it, err := e.v.snap.NewIter(o)
	if err != nil {
		return storeError(err)
	}
	defer it.Close() //nolint:errcheck // Error has told it
	desc := w.q.Order[0].Desc
	ok := false
	switch {
	case w.after != nil && desc:
		ok = it.SeekLT(next(with(group(short(record.Value(w.after.Keys[0]))))))
	case w.after != nil:
		ok = it.SeekGE(with(group(short(record.Value(w.after.Keys[0])))))
	case desc:
		ok = it.Last()
	default:
		ok = it.First()
	}
	// In rising order the iterator stands at a group's first posting, but where a page goes on in the middle; in falling order at its last.
	for atFirst := w.after == nil; ok; atFirst = true {
		k := it.Key()
		g := group(string(k[len(prefix) : len(k)-8]))
		if desc {
			last := bytes.Clone(k)
			if ok = it.Prev(); !ok || !bytes.HasPrefix(it.Key(), with(g)) { // alone in its group, as times mostly are
				if p, match, err := w.visit(prefix, last); err != nil {
					return err
				} else if match {
					w.out = append(w.out, p)
				}
				if len(w.out) > w.q.Limit {
					return nil
				}
				continue
			}
			atFirst = false
		}
		if err := w.group(it, prefix, g, atFirst); err != nil || len(w.out) > w.q.Limit {
			return err
		}
		if desc {
			ok = it.SeekLT(with(g))
		} else {
			ok = it.Valid() // just behind the group
		}
	}
	return storeError(it.Error())
}

func group(v string) string { return v[:min(len(v), keepFrom)] }

// visit decides on one posting: whether it is the one that its record is ordered by, behind the cursor, and of a record that matches.
func (w *walker) visit(prefix, k []byte) (p cursor.Spot, match bool, err error) {
	pid := pidAt(k)
	if w.tested++; !w.exact() && w.tested > w.e.v.s.plan.walk {
		return p, false, errTooFar
	}
	h, err := w.e.head(pid)
	if err != nil {
		return p, false, err
	}
	p = w.spot(pid, h)
	if short(record.Value(p.Keys[0])) != string(k[len(prefix):len(k)-8]) || w.after != nil && !before(w.after, &p, w.q.Order) {
		return p, false, nil
	}
	match, err = w.e.test(w.q.Where, pid, h)
	return p, match, err
}

// group adds the matches of one group in their order.
func (w *walker) group(it *pebble.Iterator, prefix []byte, g string, atFirst bool) error {
	from := append(prefix[:len(prefix):len(prefix)], g...)
	all := from
	plain := len(w.q.Order) == 1 && len(g) < keepFrom // then the order within the group is that of the postings
	if plain && w.after != nil && string(w.after.Keys[0]) == g {
		from = binary.BigEndian.AppendUint64(from[:len(from):len(from)], w.after.PID+1)
	}
	var found []cursor.Spot
	for ok := atFirst || it.SeekGE(from); ok && bytes.HasPrefix(it.Key(), all); ok = it.Next() {
		p, match, err := w.visit(prefix, it.Key())
		if err != nil {
			return err
		}
		if !match {
			continue
		}
		if found = append(found, p); plain && len(w.out)+len(found) > w.q.Limit {
			break
		}
		if len(found) >= 4*(w.q.Limit+1) {
			found = w.keep(found)
		}
	}
	w.out = append(w.out, w.keep(found)...)
	return storeError(it.Error())
}

// lacking adds the matches that lack the first order's index.
func (w *walker) lacking() ([]cursor.Spot, error) {
	e := w.e
	e.total = len(w.q.Order) > 1
	s, err := e.eval(w.q.Where)
	if err != nil {
		return nil, err
	}
	if w.indexes[0] != 0 {
		has, err := e.having(w.indexes[0])
		if err != nil {
			return nil, firstError(err, s.close())
		}
		s = &minus{s, has}
	}
	if len(w.q.Order) == 1 {
		rank := uint64(first)
		if w.after != nil && w.after.Keys[0] == nil {
			rank = w.after.PID + 1
		}
		return e.take(s, rank, w.q, w.out)
	}
	pids, _, err := e.drain(s, nil, 0)
	if err != nil {
		return nil, err
	}
	rest, err := e.sortAll(pids, w)
	return append(w.out, rest...), err
}

// pidAt is the pid at the end of a posting's key.
func pidAt(k []byte) uint64 { return binary.BigEndian.Uint64(k[len(k)-8:]) }
