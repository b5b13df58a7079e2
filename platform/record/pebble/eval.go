package pebble

import (
	"strings"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// small is how many matches of a node are looked at before it counts as large.
const small = 2048

// eval turns a node into a stream.
func (e *evaluation) eval(x record.Expr) (stream, error) {
	switch n := x.(type) {
	case nil:
		return e.all()
	case record.And:
		return e.and(n)
	case record.Or:
		o := &or{}
		for _, p := range n {
			s, err := e.eval(p)
			if err != nil {
				return nil, firstError(err, o.close())
			}
			o.parts = append(o.parts, s)
		}
		return o, nil
	case record.Not:
		of, err := e.all()
		if err != nil {
			return nil, err
		}
		s, err := e.eval(n.Expr)
		if err != nil {
			return nil, firstError(err, of.close())
		}
		return &minus{of, s}, nil
	case record.Missing, record.TimeRange:
		of, err := e.all()
		if err != nil {
			return nil, err
		}
		return &filter{of, e, func(pid uint64, h *head) (bool, error) { return e.test(x, pid, h) }}, nil
	case record.IDs:
		var pids []uint64
		for _, id := range n {
			pid, h, err := lookup(e.v.snap, e.v.sp.id, e.no, id)
			if err != nil {
				return nil, err
			}
			if h != nil && !h.deleted {
				pids = append(pids, pid)
			}
		}
		return newSet(pids), nil
	case record.Join, record.JoinBack:
		s, err := e.joined(x)
		if err != nil {
			return nil, err
		}
		return &set{pids: s.pids}, nil
	}
	return e.indexed(x)
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// indexed evaluates the nodes that read one index.
func (e *evaluation) indexed(x record.Expr) (stream, error) {
	name, ok := indexName(x)
	if !ok {
		return nil, errs.New(errs.Internal, "the query has a node of an unknown type %T", x)
	}
	index, err := e.v.s.number(name, false)
	if err != nil {
		return nil, err
	}
	if index == 0 {
		return &set{}, nil
	}
	if m, ok := x.(record.Match); ok {
		switch m.Value[0] {
		case 'c': // any system: the values of one code lie side by side
			prefix := "t" + string(m.Value[1:len(m.Value)-2]) // without the empty second part
			if len(prefix) > keepFrom {
				return e.collect(x, index, prefix[:keepFrom], prefix[:keepFrom])
			}
			var values []string
			if err := e.scanIndexValues(index, prefix, func(v string) { values = append(values, v) }); err != nil {
				return nil, err
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
		case 'y': // any code of a system: reads the index once
			return e.collect(x, index, "t", "t")
		}
		v, _ := short(m.Value)
		return e.posts(index, v)
	}
	low, high := bounds(x)
	return e.collect(x, index, low, high)
}

// scanIndexValues calls fn once for every distinct value with a prefix, seeking from value to value.
func (e *evaluation) scanIndexValues(index uint16, prefix string, fn func(string)) error {
	low := prefix
	for {
		found := ""
		if err := e.scanIndex(index, low, prefix, func(v []byte, _ uint64) (bool, error) { found = string(v); return false, nil }); err != nil {
			return err
		}
		if found == "" {
			return nil
		}
		fn(found)
		up := next([]byte(found))
		if up == nil {
			return nil
		}
		low = string(up)
	}
}

// collect reads a span of an index and keeps the pids whose value the node accepts.
func (e *evaluation) collect(x record.Expr, index uint16, low, high string) (stream, error) {
	var pids []uint64
	err := e.scanIndex(index, low, high, func(v []byte, pid uint64) (bool, error) {
		ok, err := e.accepts(x, index, v, pid)
		if ok {
			pids = append(pids, pid)
		}
		return true, err
	})
	return newSet(pids), err
}

// accepts decides on a posting's value; a value that was cut is looked up whole.
func (e *evaluation) accepts(x record.Expr, index uint16, v []byte, pid uint64) (bool, error) {
	if !isCut(v) {
		return matches(x, record.Value(v))
	}
	h, err := headOf(e.v.snap, e.v.sp.id, e.no, pid)
	if err != nil {
		return false, err
	}
	return anyEntry(h, index, func(v record.Value) (bool, error) { return matches(x, v) })
}

func anyEntry(h *head, index uint16, fn func(record.Value) (bool, error)) (bool, error) {
	for _, p := range h.entries {
		if p.index == index {
			if ok, err := fn(p.value); ok || err != nil {
				return ok, err
			}
		}
	}
	return false, nil
}

func indexName(x record.Expr) (string, bool) {
	switch n := x.(type) {
	case record.Match:
		return n.Index, len(n.Value) > 0
	case record.Prefix:
		return n.Index, len(n.Value) > 2
	case record.Contains:
		return n.Index, true
	case record.Range:
		return n.Index, true
	case record.Missing:
		return n.Index, true
	}
	return "", false
}

// bounds is the span of an index that a node can match in.
func bounds(x record.Expr) (low, high string) {
	switch n := x.(type) {
	case record.Prefix:
		p := string(n.Value[:len(n.Value)-2]) // without its end
		if len(p) > keepFrom {
			p = p[:keepFrom]
		}
		return p, p
	case record.Contains:
		return "s", "s"
	case record.Range:
		if n.Head != "" {
			head := string(record.Pair(n.Head, ""))
			if len(head) > keepFrom {
				return head[:keepFrom], head[:keepFrom]
			}
			low, high = head+startOf(n.Low), head
			if n.High != "" {
				high = head + highOf(n.High)
			}
			return low, high
		}
		low, high = clip(startOf(n.Low)), clip(highOf(n.High))
		if low == "" && high != "" {
			low = high[:1]
		}
		if high == "" && low != "" {
			high = low[:1]
		}
		if low == "" && high == "" {
			switch {
			case n.EndLow != "":
				return string(n.EndLow[:1]), string(n.EndLow[:1])
			case n.EndHigh != "":
				return string(n.EndHigh[:1]), string(n.EndHigh[:1])
			}
		}
	}
	return low, high
}

// clip makes a bound one that values which were cut are not outside of.
func clip(v string) string { return v[:min(len(v), keepFrom)] }

// startOf and highOf: a Period bound compares by its start only.
func startOf(v record.Value) string {
	if len(v) == 17 && v[0] == 'p' {
		return string(v[:9])
	}
	return string(v)
}

func highOf(v record.Value) string { return startOf(v) }

// matches decides a node of one index on one whole value.
func matches(x record.Expr, v record.Value) (bool, error) {
	switch n := x.(type) {
	case record.Match:
		switch n.Value[0] {
		case 'c':
			return v[0] == 't' && strings.HasPrefix(string(v[1:]), string(n.Value[1:len(n.Value)-2])), nil
		case 'y':
			return v[0] == 't' && strings.HasSuffix(string(v), string(n.Value[3:])) && systemOf(v) == string(n.Value[3:]), nil
		}
		return v == n.Value, nil
	case record.Prefix:
		return strings.HasPrefix(string(v), string(n.Value[:len(n.Value)-2])), nil
	case record.Contains:
		if v[0] != 's' {
			return false, nil
		}
		t, err := textOf(v)
		return strings.Contains(t, n.Text), err
	case record.Range:
		return inRange(n, v), nil
	}
	return false, nil
}

// systemOf is the escaped second part of a token, with its end.
func systemOf(v record.Value) string {
	s := string(v[1:])
	for i := 0; i+1 < len(s); i++ {
		if s[i] == 0 {
			if s[i+1] == 1 {
				return s[i+2:]
			}
			i++
		}
	}
	return ""
}

func inRange(n record.Range, v record.Value) bool {
	if n.Head != "" {
		head := string(record.Pair(n.Head, ""))
		if !strings.HasPrefix(string(v), head) {
			return false
		}
		v = v[len(head):]
	}
	for _, b := range []record.Value{n.Low, n.High, n.EndLow, n.EndHigh} {
		if b != "" && (len(v) == 0 || v[0] != b[0]) {
			return false
		}
	}
	start := record.Value(startOf(v))
	if low := record.Value(startOf(n.Low)); low != "" && (start < low || n.LowOpen && start == low) {
		return false
	}
	if high := record.Value(startOf(n.High)); high != "" && (start > high || n.HighOpen && start == high) {
		return false
	}
	if n.EndLow != "" || n.EndHigh != "" {
		if len(v) != 17 {
			return false
		}
		end := v[9:]
		if n.EndLow != "" && end < n.EndLow[9:] || n.EndHigh != "" && end > n.EndHigh[9:] {
			return false
		}
	}
	return true
}

// and chooses what drives: exact postings leapfrog; what is dear to list (ranges with many matches, negations, absences) is tested on the records
// that the others leave.
func (e *evaluation) and(n record.And) (stream, error) {
	if len(n) == 0 {
		return e.all()
	}
	a := &and{}
	var dear []record.Expr
	fail := func(err error) (stream, error) { return nil, firstError(err, a.close()) }
	for _, x := range n {
		switch t := x.(type) {
		case record.Not, record.Missing, record.TimeRange:
			dear = append(dear, x)
			continue
		case record.Range, record.Prefix, record.Contains, record.Or:
			s, over, err := e.cheaply(t)
			if err != nil {
				return fail(err)
			}
			if over {
				dear = append(dear, x)
				continue
			}
			a.parts = append(a.parts, s)
			continue
		}
		s, err := e.eval(x)
		if err != nil {
			return fail(err)
		}
		a.parts = append(a.parts, s)
	}
	if len(a.parts) == 0 { // nothing cheap: the first that can be listed drives
		for i, x := range dear {
			switch x.(type) {
			case record.Range, record.Prefix, record.Contains, record.Or:
				s, err := e.eval(x)
				if err != nil {
					return fail(err)
				}
				a.parts, dear = append(a.parts, s), append(dear[:i:i], dear[i+1:]...)
			}
			if len(a.parts) > 0 {
				break
			}
		}
		if len(a.parts) == 0 {
			s, err := e.all()
			if err != nil {
				return fail(err)
			}
			a.parts = append(a.parts, s)
		}
	}
	if len(dear) == 0 {
		return a, nil
	}
	return &filter{a, e, func(pid uint64, h *head) (bool, error) {
		for _, x := range dear {
			if ok, err := e.test(x, pid, h); !ok || err != nil {
				return false, err
			}
		}
		return true, nil
	}}, nil
}

// cheaply lists a node unless it has more than small matches.
func (e *evaluation) cheaply(x record.Expr) (stream, bool, error) {
	if _, isOr := x.(record.Or); isOr {
		s, err := e.eval(x)
		if err != nil {
			return nil, false, err
		}
		pids, over, err := e.drain(s, small)
		if err = firstError(err, s.close()); err != nil || over {
			return nil, over, err
		}
		return newSet(pids), false, nil
	}
	name, ok := indexName(x)
	if !ok {
		return nil, false, errs.New(errs.Internal, "the query has a node without an index")
	}
	index, err := e.v.s.number(name, false)
	if err != nil || index == 0 {
		return &set{}, false, err
	}
	low, high := bounds(x)
	var pids []uint64
	seen, over := 0, false
	err = e.scanIndex(index, low, high, func(v []byte, pid uint64) (bool, error) {
		if seen++; seen > 4*small || len(pids) > small {
			over = true
			return false, nil
		}
		ok, err := e.accepts(x, index, v, pid)
		if ok {
			pids = append(pids, pid)
		}
		return true, err
	})
	return newSet(pids), over, err
}

// test decides a node on one record by its entries.
func (e *evaluation) test(x record.Expr, pid uint64, h *head) (bool, error) {
	switch n := x.(type) {
	case nil:
		return !h.deleted, nil
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
	case record.Join, record.JoinBack:
		s, err := e.joined(x)
		if err != nil {
			return false, err
		}
		return s.has(pid), nil
	}
	name, ok := indexName(x)
	if !ok {
		return false, errs.New(errs.Internal, "the query has a node of an unknown type %T", x)
	}
	index, err := e.v.s.number(name, false)
	if err != nil {
		return false, err
	}
	if _, missing := x.(record.Missing); missing {
		has, err := anyEntry(h, index, func(record.Value) (bool, error) { return true, nil })
		return !has || index == 0, err
	}
	if index == 0 {
		return false, nil
	}
	return anyEntry(h, index, func(v record.Value) (bool, error) { return matches(x, v) })
}

// joined lists a join once and remembers it. Expressions are compared by what they say, so a node that appears twice is listed once.
func (e *evaluation) joined(x record.Expr) (*set, error) {
	k := joinKey(x)
	if s := e.sets[k]; s != nil {
		return s, nil
	}
	var pids []uint64
	var err error
	switch n := x.(type) {
	case record.Join:
		pids, err = e.join(n)
	case record.JoinBack:
		pids, err = e.joinBack(n)
	}
	if err != nil {
		return nil, err
	}
	s := newSet(pids)
	e.sets[k] = s
	return s, nil
}

// inner evaluates a join's other side.
func (e *evaluation) inner(kind string, where record.Expr, fn func(ie *evaluation, pid uint64, h *head) error) error {
	no, err := e.v.kind(kind)
	if err != nil || no == 0 {
		return err
	}
	ie := &evaluation{ctx: e.ctx, v: e.v, kind: kind, no: no, sets: map[string]*set{}}
	s, err := ie.eval(where)
	if err != nil {
		return err
	}
	for pid := uint64(1); ; {
		got, err := s.seek(pid)
		if err != nil || got == 0 {
			return firstError(err, s.close())
		}
		if err := e.tick(); err != nil {
			return firstError(err, s.close())
		}
		h, err := headOf(e.v.snap, e.v.sp.id, no, got)
		if err == nil {
			err = fn(ie, got, h)
		}
		if err != nil {
			return firstError(err, s.close())
		}
		pid = got + 1
	}
}

func (e *evaluation) join(n record.Join) ([]uint64, error) {
	index, err := e.v.s.number(n.Index, false)
	if err != nil || index == 0 {
		return nil, err
	}
	var pids []uint64
	err = e.inner(n.Kind, n.Where, func(_ *evaluation, _ uint64, h *head) error {
		v, _ := short(record.Reference(n.Kind, h.id))
		s, err := e.posts(index, v)
		if err != nil {
			return err
		}
		found, _, err := e.drain(s, 0)
		pids = append(pids, found...)
		return firstError(err, s.close())
	})
	return pids, err
}

func (e *evaluation) joinBack(n record.JoinBack) ([]uint64, error) {
	index, err := e.v.s.number(n.Index, false)
	if err != nil || index == 0 {
		return nil, err
	}
	var pids []uint64
	err = e.inner(n.Kind, n.Where, func(_ *evaluation, _ uint64, h *head) error {
		_, err := anyEntry(h, index, func(v record.Value) (bool, error) {
			kind, id, ok := reference(v)
			if !ok || kind != e.kind {
				return false, nil
			}
			pid, target, err := lookup(e.v.snap, e.v.sp.id, e.no, id)
			if err == nil && target != nil && !target.deleted {
				pids = append(pids, pid)
			}
			return false, err
		})
		return err
	})
	return pids, err
}

// reference reads a Reference value back.
func reference(v record.Value) (kind, id string, ok bool) {
	if len(v) == 0 || v[0] != 'r' {
		return "", "", false
	}
	second := systemOf(v)
	first := string(v[1 : len(v)-len(second)])
	unescape := func(s string) string {
		return strings.ReplaceAll(strings.TrimSuffix(s, "\x00\x01"), "\x00\xff", "\x00")
	}
	return unescape(second), unescape(first), true
}
