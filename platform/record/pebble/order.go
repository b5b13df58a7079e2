package pebble

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/cursor"
)

// sorted orders by index values. Few matches are sorted in memory; many are met by walking the first order's index; when that meets too few, all are sorted.
func (e *evaluation) sorted(q record.Query, after *cursor.Spot) ([]cursor.Spot, error) {
	w, err := e.walker(q, after)
	if err != nil {
		return nil, err
	}
	if w.exact() {
		return w.walk()
	}
	s, err := e.eval(q.Where)
	if err != nil {
		return nil, err
	}
	pids, over, err := e.drain(s, nil, e.v.s.plan.sort)
	if err != nil {
		return nil, err
	}
	if !over {
		return e.sortAll(pids, w)
	}
	if err := s.close(); err != nil {
		return nil, err
	}
	out, err := w.walk()
	if !errors.Is(err, errTooFar) {
		return out, err
	}
	e.total = true
	if s, err = e.eval(q.Where); err != nil {
		return nil, err
	}
	if pids, _, err = e.drain(s, pids[:0], 0); err != nil {
		return nil, err
	}
	return e.sortAll(pids, w)
}

// sortAll reads all matches and keeps the page.
func (e *evaluation) sortAll(pids []uint64, w *walker) ([]cursor.Spot, error) {
	var best []cursor.Spot
	for _, pid := range pids {
		h, err := e.head(pid)
		if err != nil {
			return nil, err
		}
		p := w.spot(pid, h)
		if w.after != nil && !before(w.after, &p, w.q.Order) {
			continue
		}
		if best = append(best, p); len(best) >= 4*(w.q.Limit+1) {
			best = w.keep(best)
		}
	}
	return w.keep(best), nil
}

// keep sorts and keeps the page and one more.
func (w *walker) keep(p []cursor.Spot) []cursor.Spot {
	slices.SortFunc(p, func(a, b cursor.Spot) int {
		switch {
		case before(&a, &b, w.q.Order):
			return -1
		case before(&b, &a, w.q.Order):
			return 1
		}
		return 0
	})
	return p[:min(len(p), w.q.Limit+1)]
}

// spot is where a record stands in the order.
func (w *walker) spot(pid uint64, h *head) cursor.Spot {
	p := cursor.Spot{PID: pid, Keys: make([][]byte, len(w.q.Order))}
	for i, o := range w.q.Order {
		p.Keys[i] = sortKey(h, pid, w.indexes[i], o)
	}
	return p
}

// sortKey is the record's smallest value of an index, or its largest when descending; nil when it has none.
func sortKey(h *head, pid uint64, index uint16, o record.Order) []byte {
	switch {
	case o.Index == "":
		return binary.BigEndian.AppendUint64(nil, pid)
	case index == indexTime:
		return []byte(timeValue(h.time))
	case index == 0:
		return nil
	}
	values := h.of(index)
	switch {
	case len(values) == 0:
		return nil
	case o.Desc:
		return []byte(values[len(values)-1].value)
	}
	return []byte(values[0].value)
}

// before is the order of places.
func before(a, b *cursor.Spot, orders []record.Order) bool {
	for i, o := range orders {
		x, y := a.Keys[i], b.Keys[i]
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
	return a.PID < b.PID
}
