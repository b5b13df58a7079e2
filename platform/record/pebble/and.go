package pebble

import (
	"github.com/galen-health/galen/platform/record"
)

// conjunction is an And being planned. What can be met by seeking drives; the rest is listed when that is cheap, and else tested on the records that the
// others leave.
type conjunction struct {
	e     *evaluation
	exact []record.Expr // postings of exact values, ids
	joins []record.Expr
	spans []record.Expr // parts of indexes, and what holds such parts
	nots  []record.Expr // what has no postings of its own
	parts []stream
}

func (c *conjunction) sort(n record.And) {
	for _, x := range n {
		switch t := x.(type) {
		case nil:
		case record.And:
			c.sort(t)
		case record.Join, record.JoinBack:
			c.joins = append(c.joins, x)
		case record.Not, record.Missing:
			c.nots = append(c.nots, x)
		default:
			if c.isExact(x) {
				c.exact = append(c.exact, x)
			} else {
				c.spans = append(c.spans, x)
			}
		}
	}
}

func (c *conjunction) isExact(x record.Expr) bool {
	switch t := x.(type) {
	case record.Match, record.IDs:
		return true
	case record.Or:
		for _, p := range t {
			if !c.isExact(p) {
				return false
			}
		}
		return len(t) <= c.e.v.s.plan.union
	}
	return false
}

func (e *evaluation) and(n record.And) (stream, error) {
	c := &conjunction{e: e}
	c.sort(n)
	s, err := c.plan()
	if err != nil {
		return nil, firstError(err, closeAll(c.parts))
	}
	return s, nil
}

func (c *conjunction) plan() (stream, error) {
	e := c.e
	for _, x := range c.exact {
		if err := c.add(x); err != nil {
			return nil, err
		}
	}
	if len(c.parts) == 0 {
		if err := c.drive(); err != nil {
			return nil, err
		}
	}
	if len(c.spans)+len(c.joins)+len(c.nots) == 0 {
		return &and{c.parts}, nil
	}
	leap := &and{c.parts}
	some, over, err := e.drain(leap, nil, e.v.s.plan.few)
	c.parts = nil // drained and closed, or below
	if err != nil {
		return nil, err
	}
	if !over {
		return &filter{e: e, of: e.newSet(some), test: e.testsAll(c.spans, c.joins, c.nots)}, nil
	}
	c.parts = []stream{&resumed{e.newSet(some), leap}}
	for _, x := range c.joins {
		if err := c.add(x); err != nil {
			return nil, err
		}
	}
	c.joins = nil
	spans := c.spans
	c.spans = nil
	for _, x := range spans {
		if err := c.addIfCheap(x); err != nil {
			return nil, err
		}
	}
	return c.rest(&and{c.parts})
}

// rest puts the negations and the large spans on top of what drives.
func (c *conjunction) rest(of stream) (stream, error) {
	e := c.e
	c.parts = []stream{of}
	var tested []record.Expr
	for _, x := range c.nots {
		if n, ok := x.(record.Not); ok && c.isExact(n.Expr) {
			s, err := e.eval(n.Expr)
			if err != nil {
				return nil, err
			}
			of = &minus{of, s}
			c.parts = []stream{of}
			continue
		}
		tested = append(tested, x)
	}
	if len(tested)+len(c.spans) == 0 {
		return of, nil
	}
	return &filter{e: e, of: of, test: e.testsAll(c.spans, tested)}, nil
}

// add makes x one of those that drive.
func (c *conjunction) add(x record.Expr) error {
	s, err := c.e.eval(x)
	if err == nil {
		c.parts = append(c.parts, s)
	}
	return err
}

// addIfCheap lists x, unless it is large: then it is tested.
func (c *conjunction) addIfCheap(x record.Expr) error {
	e := c.e
	bound := e.v.s.plan.list
	switch x.(type) {
	case record.Or:
		s, err := e.eval(x)
		if err != nil {
			return err
		}
		pids, over, err := e.drain(s, nil, bound)
		switch {
		case err != nil:
			return err
		case over:
			c.spans = append(c.spans, x)
			return s.close()
		}
		c.parts = append(c.parts, e.newSet(pids))
		return nil
	}
	s, over, err := e.list(x, bound)
	if err != nil {
		return err
	}
	if over {
		if !e.total {
			c.spans = append(c.spans, x)
			return nil
		}
		if s, _, err = e.list(x, 0); err != nil { // every match is wanted: to list a posting is far cheaper than to test a record
			return err
		}
	}
	c.parts = append(c.parts, s)
	return nil
}

// drive finds something to begin with when nothing is exact: a span that is cheap, a join, any span, all.
func (c *conjunction) drive() error {
	spans := c.spans
	c.spans = nil
	for i, x := range spans {
		if err := c.addIfCheap(x); err != nil {
			return err
		}
		if len(c.parts) > 0 {
			c.spans = append(c.spans, spans[i+1:]...)
			return nil
		}
	}
	var x record.Expr
	switch {
	case len(c.joins) > 0:
		x, c.joins = c.joins[0], c.joins[1:]
	case len(c.spans) > 0:
		x, c.spans = c.spans[0], c.spans[1:]
	}
	return c.add(x)
}

// tests is the test of one node.
func (e *evaluation) tests(x record.Expr) func(uint64, *head) (bool, error) {
	return func(pid uint64, h *head) (bool, error) { return e.test(x, pid, h) }
}

// testsAll is the test of several; the joins last, as they read other records.
func (e *evaluation) testsAll(lists ...[]record.Expr) func(uint64, *head) (bool, error) {
	var cheap, dear record.And
	for _, l := range lists {
		for _, x := range l {
			switch x.(type) {
			case record.Join, record.JoinBack:
				dear = append(dear, x)
			default:
				cheap = append(cheap, x)
			}
		}
	}
	return e.tests(append(cheap, dear...))
}

// test decides a node on one live record by its entries.
func (e *evaluation) test(x record.Expr, pid uint64, h *head) (bool, error) {
	switch n := x.(type) {
	case nil:
		return true, nil
	case record.And:
		for _, p := range n {
			if ok, err := e.test(p, pid, h); !ok || err != nil {
				return false, err
			}
		}
		return true, nil
	case record.Or:
		for _, p := range n {
			if ok, err := e.test(p, pid, h); ok || err != nil {
				return ok, err
			}
		}
		return false, nil
	case record.Not:
		ok, err := e.test(n.Expr, pid, h)
		return !ok, err
	case record.IDs:
		for _, id := range n {
			if id == h.id {
				return true, nil
			}
		}
		return false, nil
	case record.TimeRange:
		return h.time >= n.Low && h.time <= n.High, nil
	case record.Join:
		return e.testJoin(n, h)
	case record.JoinBack:
		return e.testJoinBack(n, pid, h)
	case record.Missing:
		index, found := e.v.s.indexNumber(n.Index)
		return !found || len(h.of(index)) == 0, nil
	case record.Match:
		return e.testIndex(n.Index, x, h)
	}
	name, _, _, err := bounds(x)
	if err != nil {
		return false, err
	}
	return e.testIndex(name, x, h)
}

func (e *evaluation) testIndex(name string, x record.Expr, h *head) (bool, error) {
	index, found := e.v.s.indexNumber(name)
	if !found {
		return false, nil
	}
	return anyOf(h.of(index), x)
}
