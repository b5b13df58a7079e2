package pebble

import (
	"context"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/cursor"
	"github.com/galen-health/galen/platform/span"
)

// maxLimit bounds a page.
const maxLimit = 10_000

// Count implements record.View.
func (v *view) Count(ctx context.Context, kind string, where record.Expr) (n int64, err error) {
	e, err := v.evaluation(ctx, kind)
	if err != nil || e.no == 0 {
		return 0, err
	}
	defer func() { err = firstError(err, e.close()) }()
	e.total = true
	s, err := e.eval(where)
	if err != nil {
		return 0, err
	}
	if in, ok := s.(*set); ok {
		return int64(len(in.ranks)), nil
	}
	for rank := uint64(first); ; n++ {
		got, err := s.seek(rank)
		if err != nil || got == 0 {
			return n, firstError(err, s.close())
		}
		if err := e.tick(); err != nil {
			return 0, firstError(err, s.close())
		}
		rank = got + 1
	}
}

// Query implements record.View.
func (v *view) Query(ctx context.Context, q record.Query) (page *record.Page, err error) {
	ctx, part := span.Begin(ctx, "record.query", q.Kind)
	defer func() { part.End(err) }()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e, err := v.evaluation(ctx, q.Kind)
	if err != nil {
		return nil, err
	}
	defer func() { err = firstError(err, e.close()) }()
	if q.Limit < 1 || q.Limit > maxLimit {
		return nil, errs.New(errs.Invalid, "a page has between 1 and %d records", maxLimit)
	}
	for i, o := range q.Order { // pids are unique: what is ordered by after them changes nothing
		if o.Index == "" {
			q.Order = q.Order[:i+1]
			break
		}
	}
	after, err := cursor.Decode(q.After, len(q.Order))
	if err != nil {
		return nil, err
	}
	if e.no == 0 {
		return &record.Page{}, nil
	}
	var found []cursor.Spot
	switch {
	case len(q.Order) == 0:
		found, err = e.byPID(q, after)
	case q.Order[0].Index == "":
		e.desc = q.Order[0].Desc
		found, err = e.byPID(q, after)
	default:
		found, err = e.sorted(q, after)
	}
	if err != nil {
		return nil, err
	}
	return e.page(q, found)
}

// page reads the bodies of what was found, which is one more than the page when there is more.
func (e *evaluation) page(q record.Query, found []cursor.Spot) (*record.Page, error) {
	page := &record.Page{}
	if len(found) > q.Limit {
		found = found[:q.Limit]
		page.Next = found[len(found)-1].Encode()
	}
	if len(found) > 0 {
		page.Hits = make([]record.Version, 0, len(found))
	}
	for _, f := range found {
		hit, err := e.hit(f.PID, !q.IDsOnly)
		if err != nil {
			return nil, err
		}
		page.Hits = append(page.Hits, *hit)
	}
	return page, nil
}

func micros(at int64) time.Time { return time.UnixMicro(at).UTC() }

// byPID walks in order of creation, or against it.
func (e *evaluation) byPID(q record.Query, after *cursor.Spot) ([]cursor.Spot, error) {
	s, err := e.eval(q.Where)
	if err != nil {
		return nil, err
	}
	rank := uint64(first)
	if after != nil {
		rank = e.rank(after.PID) + 1
	}
	return e.take(s, rank, q, nil)
}

// take appends what a stream has until there is one more than a page, and closes it.
func (e *evaluation) take(s stream, rank uint64, q record.Query, out []cursor.Spot) ([]cursor.Spot, error) {
	for len(out) <= q.Limit {
		got, err := s.seek(rank)
		if err != nil {
			return nil, firstError(err, s.close())
		}
		if got == 0 {
			break
		}
		if err := e.tick(); err != nil {
			return nil, firstError(err, s.close())
		}
		out = append(out, cursor.Spot{PID: e.rank(got), Keys: make([][]byte, len(q.Order))})
		rank = got + 1
	}
	return out, s.close()
}
