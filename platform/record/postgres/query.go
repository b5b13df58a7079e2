package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/cursor"
	"github.com/galen-health/galen/platform/span"
)

// maxLimit bounds a page.
const maxLimit = 10_000

func (v *view) compiler(ctx context.Context, kind string) (*compiler, over, error) {
	o := over{row: "r", kind: kind}
	if v.past() {
		return nil, o, errs.New(errs.Unsupported, "a past state cannot be searched: restore it into a space first")
	}
	if err := ctx.Err(); err != nil {
		return nil, o, err
	}
	var err error
	o.no, err = v.s.number(ctx, v.from, kind)
	return &compiler{v: v, ctx: ctx}, o, err
}

// Count implements record.View.
func (v *view) Count(ctx context.Context, kind string, where record.Expr) (n int64, err error) {
	c, o, err := v.compiler(ctx, kind)
	if err != nil || o.no == 0 {
		return 0, err
	}
	sql, err := c.where(where, o)
	if err != nil {
		return 0, err
	}
	live := c.live(o)
	err = v.from.read(ctx, "SELECT count(*) FROM galen.record r WHERE "+live+" AND ("+sql+")", c.args, func(r pgx.Rows) error { return r.Scan(&n) })
	return n, err
}

// Query implements record.View.
func (v *view) Query(ctx context.Context, q record.Query) (_ *record.Page, err error) {
	ctx, part := span.Begin(ctx, "record.query", q.Kind)
	defer func() { part.End(err) }()
	c, o, err := v.compiler(ctx, q.Kind)
	if err != nil {
		return nil, err
	}
	if q.Limit < 1 || q.Limit > maxLimit {
		return nil, errs.New(errs.Invalid, "a page has between 1 and %d records", maxLimit)
	}
	for i, by := range q.Order { // pids are unique: what is ordered by after them changes nothing
		if by.Index == "" {
			q.Order = q.Order[:i+1]
			break
		}
	}
	after, err := cursor.Decode(q.After, len(q.Order))
	if err != nil {
		return nil, err
	}
	if o.no == 0 {
		return &record.Page{}, nil
	}
	sql, err := c.page(q, o, after)
	if err != nil {
		return nil, err
	}
	page := &record.Page{}
	var last cursor.Spot
	more := false
	err = v.from.read(ctx, sql, c.args, func(r pgx.Rows) error {
		if len(page.Hits) == q.Limit {
			more = true
			return nil
		}
		var k kept
		var digest, id []byte
		keys := make([][]byte, len(q.Order))
		into := []any{&digest, &id, &k.pid, &k.version, &k.seq, &k.at, &k.body}
		for i := range keys {
			into = append(into, &keys[i])
		}
		if err := r.Scan(into...); err != nil {
			return err
		}
		if k.body == nil && !q.IDsOnly {
			return corrupt("a version of a record is missing")
		}
		name, err := v.sp.openID(digest, id)
		if err != nil {
			return err
		}
		hit, err := v.tell(q.Kind, o.no, name, &k)
		if err != nil {
			return err
		}
		hit.Deleted = false
		page.Hits = append(page.Hits, *hit)
		last = cursor.Spot{Keys: keys, PID: uint64(k.pid)}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if more {
		page.Next = last.Encode()
	}
	return page, nil
}

// key is an expression that is ordered by; descending ones and those without values come with it.
type orderKey struct {
	sql  string // "" = no record has the index
	desc bool
}

// page is the statement of a page: which records, one more than asked for, and then their bodies.
func (c *compiler) page(q record.Query, o over, after *cursor.Spot) (string, error) {
	rest := q.Where
	spanned, spans, err := c.spansOf(q, o)
	if err != nil {
		return "", err
	}
	if spans != "" {
		rest = without(q.Where, spanned)
	}
	where, err := c.where(rest, o)
	if err != nil {
		return "", err
	}
	from := "galen.record r"
	where = c.live(o) + " AND (" + where + ")"
	keys := make([]orderKey, len(q.Order))
	desc := false // of the pid
	var columns, outer, sort []string
	for i, by := range q.Order {
		k := &keys[i]
		k.desc = by.Desc
		switch by.Index {
		case "":
			desc = by.Desc
		case "@time":
			k.sql = "int8send(r.at)"
		default:
			no, err := c.v.s.number(c.ctx, c.v.from, by.Index)
			if err != nil {
				return "", err
			}
			if no != 0 {
				if i == 0 && spans != "" {
					from = "galen.posting w JOIN galen.record r ON r.space = w.space AND r.kind = w.kind AND r.pid = w.pid"
					where = c.postings(o, no, "w") + " AND " + spans + " AND " + where
					k.sql = walked
					sort = append(sort, "w.value"+direction(by.Desc), "w.rest"+direction(by.Desc))
				} else {
					c.key(k, &from, no, o)
				}
			}
		}
		column := fmt.Sprintf("k%d", i)
		switch {
		case k.sql == "":
			columns = append(columns, "NULL::bytea AS "+column)
		case by.Index == "@time":
			columns = append(columns, k.sql+" AS "+column)
			sort = append(sort, "r.at"+direction(by.Desc))
		default:
			columns = append(columns, k.sql+" AS "+column)
			if k.sql != walked {
				sort = append(sort, k.sql+direction(by.Desc)+" NULLS LAST")
			}
		}
		outer = append(outer, "x."+column)
	}
	sort = append(sort, "r.pid"+direction(desc))
	if after != nil {
		where += " AND (" + c.after(keys, after, desc) + ")"
	}
	list := func(cols []string) string {
		if len(cols) == 0 {
			return ""
		}
		return ", " + strings.Join(cols, ", ")
	}
	inner := fmt.Sprintf("SELECT r.digest, r.id, r.pid, r.version, r.seq, r.at%s FROM %s WHERE %s ORDER BY %s LIMIT %s", list(columns), from, where, strings.Join(sort, ", "), c.arg(q.Limit+1))
	if q.IDsOnly {
		return fmt.Sprintf("SELECT x.digest, x.id, x.pid, x.version, x.seq, x.at, NULL::bytea%s FROM (%s) x", list(outer), inner), nil
	}
	return fmt.Sprintf("SELECT x.digest, x.id, x.pid, x.version, x.seq, x.at, (SELECT v.body FROM galen.version v WHERE v.space = %s AND v.kind = %s AND v.pid = x.pid AND v.version = x.version)%s FROM (%s) x",
		c.arg(c.v.sp.id), c.arg(o.no), list(outer), inner), nil
}

func direction(desc bool) string {
	if desc {
		return " DESC"
	}
	return " ASC"
}

// walked is the key of a query that walks an index of single values, which it asks for a span of: it reads no more of it than the page.
const walked = "w.value || w.rest"

// key joins what a record is ordered by: its smallest value, or its largest when descending.
func (c *compiler) key(k *orderKey, from *string, no int16, o over) {
	a, p := c.name("o"), c.name("p")
	d := direction(k.desc)
	*from += fmt.Sprintf(" LEFT JOIN LATERAL (SELECT %s.value || %s.rest AS k FROM galen.posting %s WHERE %s AND %s.pid = r.pid ORDER BY %s.value%s, %s.rest%s LIMIT 1) %s ON true",
		p, p, p, c.postings(o, no, p), p, p, d, p, d, a)
	k.sql = a + ".k"
}

// spansOf finds the span of the first order's index that every match lies in, if the index has single values: its place among the nodes, and the condition on the
// posting w; "" when there is none.
func (c *compiler) spansOf(q record.Query, o over) (at int, cond string, err error) {
	if len(q.Order) == 0 || !c.v.s.single(q.Kind, q.Order[0].Index) {
		return 0, "", nil
	}
	nodes, ok := q.Where.(record.And)
	if !ok {
		nodes = record.And{q.Where}
	}
	for i, x := range nodes {
		index := ""
		switch n := x.(type) {
		case record.Range:
			index = n.Index
		case record.Prefix:
			index = n.Index
		}
		if index == q.Order[0].Index {
			no, cond, err := c.leaf(x, o, "w")
			if no == 0 {
				cond = ""
			}
			return i, cond, err
		}
	}
	return 0, "", nil
}

// without is a query without one of its nodes, which w answers for.
func without(where record.Expr, at int) record.Expr {
	nodes, ok := where.(record.And)
	if !ok {
		return nil
	}
	return slices.Delete(slices.Clone(nodes), at, at+1)
}

// after is the condition that a record comes after a place.
func (c *compiler) after(keys []orderKey, at *cursor.Spot, desc bool) string {
	op := func(desc bool) string {
		if desc {
			return "<"
		}
		return ">"
	}
	sql := fmt.Sprintf("r.pid %s %s", op(desc), c.arg(int64(at.PID)))
	for i := len(keys) - 1; i >= 0; i-- {
		k, value := keys[i], at.Keys[i]
		switch {
		case k.sql == "": // none has it
		case value == nil:
			sql = fmt.Sprintf("%s IS NULL AND %s", k.sql, sql)
		default:
			a := c.arg(value)
			sql = fmt.Sprintf("(%s %s %s OR %s IS NULL OR %s = %s AND (%s))", k.sql, op(k.desc), a, k.sql, k.sql, a, sql)
			if k.sql == walked { // lets the index begin there
				sql = fmt.Sprintf("w.value %s= %s AND %s", op(k.desc), c.arg(value[:min(len(value), 2*maxValue)]), sql)
			}
		}
	}
	return sql
}
