package pebble

import (
	"github.com/cockroachdb/pebble/v2"

	"github.com/galen-health/galen/platform/record"
)

// join is a Join or JoinBack as far as it was worked out: the whole set, or what single records were found to be.
type join struct {
	inner  *evaluation // over the other kind
	set    *set        // nil = not listed
	known  map[string]bool
	tested int
}

// joinOf finds or begins the work on a join.
func (e *evaluation) joinOf(x record.Expr, kind string) (*join, error) {
	k := what(x)
	if j := e.joins[k]; j != nil {
		return j, nil
	}
	inner, err := e.v.evaluation(e.ctx, kind)
	if err != nil {
		return nil, err
	}
	j := &join{inner: inner, known: map[string]bool{}}
	e.joins[k] = j
	return j, nil
}

// joined lists a join once.
func (e *evaluation) joined(x record.Expr) (*join, error) {
	var kind string
	var list func(*join) ([]uint64, error)
	switch n := x.(type) {
	case record.Join:
		kind, list = n.Kind, func(j *join) ([]uint64, error) { return e.listTo(n, j) }
	case record.JoinBack:
		kind, list = n.Kind, func(j *join) ([]uint64, error) { return e.listBack(n, j) }
	}
	j, err := e.joinOf(x, kind)
	if err != nil || j.set != nil {
		return j, err
	}
	j.inner.total = true
	pids, err := list(j)
	if err != nil {
		return nil, err
	}
	j.set = e.newSet(pids)
	return j, nil
}

// matchesOf lists the records of the join's other side with their entries.
func (j *join) matchesOf(where record.Expr, fn func(h *head) error) error {
	if j.inner.no == 0 {
		return nil
	}
	s, err := j.inner.eval(where)
	if err != nil {
		return err
	}
	for rank := uint64(first); ; {
		got, err := s.seek(rank)
		if err != nil || got == 0 {
			return firstError(err, s.close())
		}
		h, err := j.inner.head(j.inner.rank(got))
		if err == nil {
			err = fn(h)
		}
		if err != nil {
			return firstError(err, s.close())
		}
		rank = got + 1
	}
}

// listTo lists the records whose references in an index point to a match.
func (e *evaluation) listTo(n record.Join, j *join) (pids []uint64, err error) {
	index, found := e.v.s.indexNumber(n.Index)
	if !found {
		return nil, nil
	}
	prefix := indexPrefix(e.v.sp.id, e.no, index)
	it, err := e.v.snap.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: next(prefix)})
	if err != nil {
		return nil, storeError(err)
	}
	defer it.Close() //nolint:errcheck // Error has told it
	err = j.matchesOf(n.Where, func(h *head) error {
		k := append(prefix[:len(prefix):len(prefix)], short(record.Reference(n.Kind, h.id))...)
		for ok := it.SeekGE(k); ok && len(it.Key()) == len(k)+8 && string(it.Key()[:len(k)]) == string(k); ok = it.Next() {
			if err := e.tick(); err != nil {
				return err
			}
			pids = append(pids, pidAt(it.Key()))
		}
		return storeError(it.Error())
	})
	return pids, err
}

// listBack lists the records that the references of a match point to.
func (e *evaluation) listBack(n record.JoinBack, j *join) (pids []uint64, err error) {
	index, found := e.v.s.indexNumber(n.Index)
	if !found {
		return nil, nil
	}
	seen := map[string]bool{}
	err = j.matchesOf(n.Where, func(h *head) error {
		for _, p := range h.of(index) {
			kind, id, ok := p.value.Target()
			if !ok || kind != e.kind || seen[id] {
				continue
			}
			seen[id] = true
			d, err := find(e.v.snap, e.v.sp.id, e.no, id)
			if err != nil {
				return err
			}
			if d != nil && !d.deleted {
				pids = append(pids, d.pid)
			}
		}
		return nil
	})
	return pids, err
}

// meets tests one record of the other side.
func (j *join) meets(where record.Expr, id string) (bool, error) {
	e := j.inner
	d, err := find(e.v.snap, e.v.sp.id, e.no, id)
	if err != nil || d == nil || d.deleted {
		return false, err
	}
	h, err := e.head(d.pid)
	if err != nil {
		return false, err
	}
	return e.test(where, d.pid, h)
}

// testJoin follows the references of one record.
func (e *evaluation) testJoin(n record.Join, h *head) (bool, error) {
	j, err := e.joinOf(n, n.Kind)
	if err != nil {
		return false, err
	}
	index, found := e.v.s.indexNumber(n.Index)
	if !found || j.inner.no == 0 {
		return false, nil
	}
	for _, p := range h.of(index) {
		kind, id, ok := p.value.Target()
		if !ok || kind != n.Kind {
			continue
		}
		good, known := j.known[id]
		if !known {
			if good, err = j.meets(n.Where, id); err != nil {
				return false, err
			}
			j.known[id] = good
		}
		if good {
			return true, nil
		}
	}
	return false, nil
}

// testJoinBack looks for a match that points to one record. When many records are tested, the join is listed after all.
func (e *evaluation) testJoinBack(n record.JoinBack, pid uint64, h *head) (bool, error) {
	j, err := e.joinOf(n, n.Kind)
	if err != nil {
		return false, err
	}
	if j.tested++; j.tested > e.v.s.plan.few && j.set == nil {
		if _, err := e.joined(n); err != nil {
			return false, err
		}
	}
	if j.set != nil {
		return j.set.has(e.rank(pid)), nil
	}
	if j.inner.no == 0 {
		return false, nil
	}
	s, err := j.inner.and(record.And{record.Match{Index: n.Index, Value: record.Reference(e.kind, h.id)}, n.Where})
	if err != nil {
		return false, err
	}
	got, err := s.seek(first)
	return got != 0, firstError(err, s.close())
}
