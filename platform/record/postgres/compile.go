package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// compiler turns a query into SQL. A node becomes a condition on a row of galen.record; the text depends on the query's shape alone, values are parameters.
type compiler struct {
	v     *view
	ctx   context.Context
	args  []any
	alias int
}

// arg is a parameter.
func (c *compiler) arg(v any) string {
	c.args = append(c.args, v)
	return fmt.Sprintf("$%d", len(c.args))
}

// name is a fresh alias.
func (c *compiler) name(kind string) string {
	c.alias++
	return fmt.Sprintf("%s%d", kind, c.alias)
}

// over is the kind whose records a condition is about.
type over struct {
	row  string // alias of galen.record
	kind string
	no   int16
}

// live is the condition that a row is a live record of the kind.
func (c *compiler) live(o over) string {
	return fmt.Sprintf("%s.space = %s AND %s.kind = %s AND NOT %s.deleted", o.row, c.arg(c.v.sp.id), o.row, c.arg(o.no), o.row)
}

const (
	always = "true"
	never  = "false"
)

// where is the condition that a node matches a row.
func (c *compiler) where(x record.Expr, o over) (string, error) {
	switch n := x.(type) {
	case nil:
		return always, nil
	case record.And:
		return c.each(n, o, always, " AND ")
	case record.Or:
		if sql, ok, err := c.union(n, o); ok || err != nil {
			return sql, err
		}
		return c.each(n, o, never, " OR ")
	case record.Not:
		sql, err := c.where(n.Expr, o)
		return "NOT (" + sql + ")", err
	case record.IDs:
		digests := make([][]byte, len(n))
		for i, id := range n {
			digests[i] = c.v.sp.veil.id(o.kind, id)
		}
		return fmt.Sprintf("%s.digest = ANY (%s)", o.row, c.arg(digests)), nil
	case record.TimeRange:
		return fmt.Sprintf("%s.at BETWEEN %s AND %s", o.row, c.arg(n.Low), c.arg(n.High)), nil
	case record.Missing:
		no, err := c.v.s.number(c.ctx, c.v.from, n.Index)
		if err != nil || no == 0 {
			return always, err
		}
		return "NOT " + c.exists(o, no, always, c.name("p")), nil
	case record.Join:
		return c.join(n, o)
	case record.JoinBack:
		return c.joinBack(n, o)
	}
	p := c.name("p")
	no, cond, err := c.leaf(x, o, p)
	if err != nil || no == 0 {
		return never, err
	}
	return c.exists(o, no, cond, p), nil
}

// each joins the conditions of several nodes.
func (c *compiler) each(nodes []record.Expr, o over, none, word string) (string, error) {
	if len(nodes) == 0 {
		return none, nil
	}
	parts := make([]string, len(nodes))
	for i, n := range nodes {
		sql, err := c.where(n, o)
		if err != nil {
			return "", err
		}
		parts[i] = "(" + sql + ")"
	}
	return strings.Join(parts, word), nil
}

// postings is the condition that an alias of galen.posting is of an index.
func (c *compiler) postings(o over, no int16, p string) string {
	return fmt.Sprintf("%s.space = %s AND %s.kind = %s AND %s.index = %s", p, c.arg(c.v.sp.id), p, c.arg(o.no), p, c.arg(no))
}

func (c *compiler) exists(o over, no int16, cond, p string) string {
	return fmt.Sprintf("EXISTS (SELECT FROM galen.posting %s WHERE %s AND %s AND %s.pid = %s.pid)", p, c.postings(o, no, p), cond, p, o.row)
}

// union answers an Or of values of indexes by one list of records, which PostgreSQL plans far better than a disjunction.
func (c *compiler) union(n record.Or, o over) (sql string, ok bool, err error) {
	if len(n) < 2 {
		return "", false, nil
	}
	for _, x := range n {
		switch x.(type) {
		case record.Match, record.Prefix, record.Range, record.Contains:
		default:
			return "", false, nil
		}
	}
	var parts []string
	same := map[int16][][]byte{} // whole values to match, by index
	var order []int16
	for _, x := range n {
		if m, isMatch := x.(record.Match); isMatch && len(m.Value) > 0 && len(m.Value) < maxValue && m.Value[0] != 'c' && m.Value[0] != 'y' {
			no, err := c.v.s.number(c.ctx, c.v.from, m.Index)
			if err != nil {
				return "", false, err
			}
			if no != 0 {
				if same[no] == nil {
					order = append(order, no)
				}
				value, _ := c.v.sp.hidden(scope{kind: o.no, index: no}, string(m.Value))
				same[no] = append(same[no], value)
			}
			continue
		}
		p := c.name("p")
		no, cond, err := c.leaf(x, o, p)
		if err != nil {
			return "", false, err
		}
		if no != 0 {
			parts = append(parts, fmt.Sprintf("SELECT %s.pid FROM galen.posting %s WHERE %s AND %s", p, p, c.postings(o, no, p), cond))
		}
	}
	for _, no := range order {
		p := c.name("p")
		parts = append(parts, fmt.Sprintf("SELECT %s.pid FROM galen.posting %s WHERE %s AND %s.value = ANY (%s)", p, p, c.postings(o, no, p), p, c.arg(same[no])))
	}
	if len(parts) == 0 {
		return never, true, nil
	}
	return fmt.Sprintf("%s.pid IN (%s)", o.row, strings.Join(parts, " UNION ALL ")), true, nil
}

// leaf is a node of one index: the index's number, and the condition on the posting p. 0 = no record ever had the index.
func (c *compiler) leaf(x record.Expr, o over, p string) (no int16, cond string, err error) {
	index := ""
	switch n := x.(type) {
	case record.Match:
		index = n.Index
	case record.Prefix:
		index = n.Index
	case record.Contains:
		index = n.Index
	case record.Range:
		index = n.Index
	default:
		return 0, "", errs.New(errs.Internal, "the query has a node of an unknown type %T", x)
	}
	if no, err = c.v.s.number(c.ctx, c.v.from, index); err != nil || no == 0 {
		return 0, "", err
	}
	s := scope{kind: o.no, index: no}
	switch n := x.(type) {
	case record.Match:
		if n.Value == "" {
			return 0, "", errs.New(errs.Internal, "a Match on index %s has no value", index)
		}
		switch n.Value[0] {
		case 'c':
			return no, c.begins(p, s, string(n.Value.CodePrefix())), nil
		case 'y':
			s.index = -no
			return -no, c.equals(p, s, systemOf(n.Value)), nil
		}
		return no, c.equals(p, s, string(n.Value)), nil
	case record.Prefix:
		if len(n.Value) < 3 {
			return 0, "", errs.New(errs.Internal, "a Prefix on index %s has no value", index)
		}
		return no, c.begins(p, s, string(n.Value.Stem())), nil
	case record.Contains:
		cond, err = c.contains(p, s, n.Text)
		return no, cond, err
	}
	return no, c.between(p, s, x.(record.Range)), nil
}

// equals is the condition that a posting has a value.
func (c *compiler) equals(p string, s scope, v string) string {
	value, rest := c.v.sp.hidden(s, v)
	if len(v) < maxValue { // no longer value begins so: it would have maxValue bytes
		return fmt.Sprintf("%s.value = %s", p, c.arg(value))
	}
	return fmt.Sprintf("%s.value = %s AND %s.rest = %s", p, c.arg(value), p, c.arg(rest))
}

// begins is the condition that a posting's value begins so.
func (c *compiler) begins(p string, s scope, v string) string {
	value, rest := c.v.sp.hidden(s, v)
	if len(rest) > 0 {
		return fmt.Sprintf("%s.value = %s AND %s", p, c.arg(value), c.spans(p+".rest", rest))
	}
	return c.spans(p+".value", value)
}

// spans is the condition that bytes begin so.
func (c *compiler) spans(column string, prefix []byte) string {
	if end := beyond(prefix); end != nil {
		return fmt.Sprintf("%s >= %s AND %s < %s", column, c.arg(prefix), column, c.arg(end))
	}
	return fmt.Sprintf("%s >= %s", column, c.arg(prefix))
}

// order is the condition that a posting's value is on one side of another ("<", "<=", ">", ">=").
func (c *compiler) order(p string, s scope, op, v string) string {
	value, rest := c.v.sp.hidden(s, v)
	if len(v) < maxValue {
		return fmt.Sprintf("%s.value %s %s", p, op, c.arg(value))
	}
	return fmt.Sprintf("(%s.value, %s.rest) %s (%s, %s)", p, p, op, c.arg(value), c.arg(rest))
}

// between is the condition of a Range.
func (c *compiler) between(p string, s scope, n record.Range) string {
	head := ""
	if n.Head != "" {
		head = string(record.Pair(n.Head, ""))
	}
	typed := head // what every value of the range begins with: its head, and the type of the bounds
	for _, b := range []record.Value{n.Low, n.High, n.EndLow, n.EndHigh} {
		if b == "" {
			continue
		}
		if len(typed) > len(head) && typed[len(head)] != b[0] {
			return never
		}
		typed = head + string(b[:1])
	}
	var parts []string
	if typed != "" {
		parts = append(parts, c.begins(p, s, typed))
	}
	bound := func(v record.Value, open bool, whole, opened, start, startOpen string) {
		if v == "" {
			return
		}
		if period := periodOf(v); period != v || v[0] == 'w' { // compares whole
			op := whole
			if open {
				op = opened
			}
			parts = append(parts, c.order(p, s, op, head+string(v)))
			return
		}
		// A period compares by its start: all values that begin with it are equal to the bound.
		prefix, op := c.v.sp.veil.hide(s, head+string(v[:9])), start
		if open {
			op = startOpen
		}
		if op == ">" || op == "<=" {
			end := beyond(prefix)
			switch {
			case end == nil && op == ">":
				parts = append(parts, never)
				return
			case end == nil:
				return
			case op == ">":
				op = ">="
			default:
				op = "<"
			}
			prefix = end
		}
		parts = append(parts, fmt.Sprintf("%s.value %s %s", p, op, c.arg(prefix)))
	}
	bound(n.Low, n.LowOpen, ">=", ">", ">=", ">")
	bound(n.High, n.HighOpen, "<=", "<", "<=", "<")
	ends := s
	ends.part = ofEnd
	for _, e := range []struct {
		v  record.Value
		op string
	}{{n.EndLow, ">="}, {n.EndHigh, "<="}} {
		if e.v != "" {
			parts = append(parts, fmt.Sprintf("length(%s.part) IN (%d, %d) AND substring(%s.part FOR %d) %s %s", p, endSize, endSize+sumSize, p, endSize, e.op, c.arg(c.v.sp.veil.hide(ends, string(e.v[9:])))))
		}
	}
	if len(parts) == 0 {
		return always
	}
	return strings.Join(parts, " AND ")
}

// contains lists the records with a text that contains another: the texts are shown here, for the database cannot read them.
func (c *compiler) contains(p string, s scope, text string) (string, error) {
	inner := &compiler{v: c.v, ctx: c.ctx}
	cond := fmt.Sprintf("%s AND %s", inner.postings(over{no: s.kind}, s.index, p), inner.begins(p, s, "s"))
	pids := []int64{}
	var last string
	matched := false
	err := c.v.from.read(c.ctx, fmt.Sprintf("SELECT %s.value || %s.rest, %s.pid FROM galen.posting %s WHERE %s ORDER BY %s.value, %s.rest", p, p, p, p, cond, p, p), inner.args, func(r pgx.Rows) error {
		var hidden []byte
		var pid int64
		if err := r.Scan(&hidden, &pid); err != nil {
			return err
		}
		if string(hidden) != last {
			plain, ok := c.v.sp.veil.show(s, hidden)
			t, isText := record.Value(plain).Text()
			if !ok || !isText {
				return corrupt("an index value cannot be read")
			}
			last, matched = string(hidden), strings.Contains(t, text)
		}
		if matched {
			pids = append(pids, pid)
		}
		return nil
	})
	slices.Sort(pids)
	return fmt.Sprintf("%s.pid = ANY (%s)", p, c.arg(slices.Compact(pids))), err
}

// join follows the references of an index to records of another kind.
func (c *compiler) join(n record.Join, o over) (string, error) {
	no, err := c.v.s.number(c.ctx, c.v.from, n.Index)
	if err != nil || no == 0 {
		return never, err
	}
	t := over{row: c.name("r"), kind: n.Kind}
	if t.no, err = c.v.s.number(c.ctx, c.v.from, n.Kind); err != nil || t.no == 0 {
		return never, err
	}
	sql, err := c.where(n.Where, t)
	p := c.name("p")
	return fmt.Sprintf("EXISTS (SELECT FROM galen.posting %s JOIN galen.record %s ON %s AND %s.digest = %s.target WHERE %s AND %s.pid = %s.pid AND (%s))",
		p, t.row, c.live(t), t.row, p, c.postings(o, no, p), p, o.row, sql), err
}

// joinBack follows the references of records of another kind to this one.
func (c *compiler) joinBack(n record.JoinBack, o over) (string, error) {
	no, err := c.v.s.number(c.ctx, c.v.from, n.Index)
	if err != nil || no == 0 {
		return never, err
	}
	t := over{row: c.name("r"), kind: n.Kind}
	if t.no, err = c.v.s.number(c.ctx, c.v.from, n.Kind); err != nil || t.no == 0 {
		return never, err
	}
	sql, err := c.where(n.Where, t)
	p := c.name("p")
	return fmt.Sprintf("EXISTS (SELECT FROM galen.posting %s JOIN galen.record %s ON %s AND %s.pid = %s.pid WHERE %s AND %s.target = %s.digest AND (%s))",
		p, t.row, c.live(t), t.row, p, c.postings(t, no, p), p, o.row, sql), err
}
