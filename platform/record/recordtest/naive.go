// Package recordtest is the definition of what package record means: a suite that every back end passes, and a naive reference that every back end
// agrees with.
package recordtest

import (
	"sort"
	"strings"

	"github.com/galen-health/galen/platform/record"
)

// Naive keeps live records in maps and answers queries by looking at every record. It shares nothing with a back end but the canonical values.
type Naive struct {
	kinds map[string]map[string]*item
	pid   uint64
}

type item struct {
	id      string
	pid     uint64
	time    int64
	entries []record.Entry
}

// NewNaive returns an empty reference.
func NewNaive() *Naive { return &Naive{kinds: map[string]map[string]*item{}} }

// Put writes a record; pids count up in the order of creation.
func (n *Naive) Put(kind, id string, time int64, entries []record.Entry) {
	m := n.kinds[kind]
	if m == nil {
		m = map[string]*item{}
		n.kinds[kind] = m
	}
	it := m[id]
	if it == nil {
		n.pid++
		it = &item{id: id, pid: n.pid}
		m[id] = it
	}
	it.time, it.entries = time, entries
}

// Delete removes a record but keeps its pid for when it comes back.
func (n *Naive) Delete(kind, id string) {
	if it := n.kinds[kind][id]; it != nil {
		it.entries, it.time = nil, -1
	}
}

// Query returns the ids that match, in order.
func (n *Naive) Query(kind string, where record.Expr, orders []record.Order) []string {
	var found []*item
	for _, it := range n.kinds[kind] {
		if it.time >= 0 && n.test(kind, it, where) {
			found = append(found, it)
		}
	}
	sort.Slice(found, func(i, j int) bool {
		for _, o := range orders {
			a, aok := orderKey(found[i], o)
			b, bok := orderKey(found[j], o)
			switch {
			case aok != bok:
				return aok
			case !aok || a == b:
				continue
			case o.Desc:
				return a > b
			}
			return a < b
		}
		return found[i].pid < found[j].pid
	})
	ids := make([]string, len(found))
	for i, it := range found {
		ids[i] = it.id
	}
	return ids
}

func orderKey(it *item, o record.Order) (string, bool) {
	if o.Index == "" {
		return string(record.Number(float64(it.pid))), true
	}
	if o.Index == "@time" {
		return string(record.PeriodMicros(it.time, it.time)), true
	}
	best, ok := "", false
	for _, e := range it.entries {
		if v := string(e.Value); e.Index == o.Index && (!ok || !o.Desc && v < best || o.Desc && v > best) {
			best, ok = v, true
		}
	}
	return best, ok
}

func (n *Naive) test(kind string, it *item, x record.Expr) bool {
	any := func(index string, fn func(record.Value) bool) bool {
		for _, e := range it.entries {
			if e.Index == index && fn(e.Value) {
				return true
			}
		}
		return false
	}
	switch q := x.(type) {
	case nil:
		return true
	case record.And:
		for _, p := range q {
			if !n.test(kind, it, p) {
				return false
			}
		}
		return true
	case record.Or:
		for _, p := range q {
			if n.test(kind, it, p) {
				return true
			}
		}
		return false
	case record.Not:
		return !n.test(kind, it, q.Expr)
	case record.IDs:
		for _, id := range q {
			if id == it.id {
				return true
			}
		}
		return false
	case record.TimeRange:
		return it.time >= q.Low && it.time <= q.High
	case record.Missing:
		return !any(q.Index, func(record.Value) bool { return true })
	case record.Match:
		return any(q.Index, func(v record.Value) bool { return matchValue(q.Value, v) })
	case record.Prefix:
		want := strings.TrimSuffix(string(q.Value), "\x00\x01")
		return any(q.Index, func(v record.Value) bool { return strings.HasPrefix(string(v), want) })
	case record.Contains:
		return any(q.Index, func(v record.Value) bool {
			return v[0] == 's' && strings.Contains(strings.ReplaceAll(strings.TrimSuffix(string(v[1:]), "\x00\x01"), "\x00\xff", "\x00"), q.Text)
		})
	case record.Range:
		return any(q.Index, func(v record.Value) bool { return rangeValue(q, v) })
	case record.Join:
		return any(q.Index, func(v record.Value) bool {
			for _, target := range n.kinds[q.Kind] {
				if target.time >= 0 && v == record.Reference(q.Kind, target.id) && n.test(q.Kind, target, q.Where) {
					return true
				}
			}
			return false
		})
	case record.JoinBack:
		for _, source := range n.kinds[q.Kind] {
			if source.time < 0 || !n.test(q.Kind, source, q.Where) {
				continue
			}
			for _, e := range source.entries {
				if e.Index == q.Index && e.Value == record.Reference(kind, it.id) {
					return true
				}
			}
		}
		return false
	}
	return false
}

// parts takes a two-part value apart by its escapes.
func parts(v string) (first, second string) {
	for i := 0; i+1 < len(v); i++ {
		if v[i] == 0 && v[i+1] == 1 {
			return v[:i], strings.TrimSuffix(v[i+2:], "\x00\x01")
		}
		if v[i] == 0 {
			i++
		}
	}
	return v, ""
}

func matchValue(want, v record.Value) bool {
	switch want[0] {
	case 'c':
		a, _ := parts(string(want[1:]))
		b, _ := parts(string(v[1:]))
		return v[0] == 't' && a == b
	case 'y':
		_, a := parts(string(want[1:]))
		_, b := parts(string(v[1:]))
		return v[0] == 't' && a == b
	}
	return want == v
}

func rangeValue(q record.Range, v record.Value) bool {
	if q.Head != "" {
		head := record.Pair(q.Head, "")
		if !strings.HasPrefix(string(v), string(head)) {
			return false
		}
		v = v[len(head):]
	}
	start := func(x record.Value) record.Value {
		if len(x) == 17 && x[0] == 'p' {
			return x[:9]
		}
		return x
	}
	ok := true
	if q.Low != "" {
		ok = ok && v[0] == q.Low[0] && (start(v) > start(q.Low) || !q.LowOpen && start(v) == start(q.Low))
	}
	if q.High != "" {
		ok = ok && v[0] == q.High[0] && (start(v) < start(q.High) || !q.HighOpen && start(v) == start(q.High))
	}
	if q.EndLow != "" {
		ok = ok && len(v) == 17 && v[0] == 'p' && v[9:] >= q.EndLow[9:]
	}
	if q.EndHigh != "" {
		ok = ok && len(v) == 17 && v[0] == 'p' && v[9:] <= q.EndHigh[9:]
	}
	return ok
}
