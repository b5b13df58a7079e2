package omics

import (
	"context"
	"encoding/json"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// filter gathers the conditions of a list.
type filter struct{ all record.And }

// is keeps records with exactly this code; "" keeps all.
func (f *filter) is(index, code string) *filter {
	if code != "" {
		f.all = append(f.all, record.Match{Index: index, Value: record.Token("", code)})
	}
	return f
}

// between keeps records after and before; zero times are no bounds.
func (f *filter) between(index string, after, before time.Time) *filter {
	if after.IsZero() && before.IsZero() {
		return f
	}
	r := record.Range{Index: index, LowOpen: true, HighOpen: true}
	if !after.IsZero() {
		r.Low = record.Instant(after)
	}
	if !before.IsZero() {
		r.High = record.Instant(before)
	}
	f.all = append(f.all, r)
	return f
}

// ids keeps records with these ids; none keeps all.
func (f *filter) ids(index string, ids []string) *filter {
	if len(ids) > 0 {
		var or record.Or
		for _, id := range ids {
			or = append(or, record.Match{Index: index, Value: record.Token("", id)})
		}
		f.all = append(f.all, or)
	}
	return f
}

// list answers one page of a kind and the token of the next.
func list[T any](ctx context.Context, s *Service, kind record.Kind[T], f *filter, op string, request any, token string, limit *int32, add func(*T)) (string, error) {
	b, err := json.Marshal(request)
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "the filter cannot be remembered")
	}
	of := op + string(b)
	after, err := s.pages.Cursor(of, token)
	if err != nil {
		return "", err
	}
	q := record.Query{Kind: kind.Name, After: record.Cursor(after), Limit: 100}
	if len(f.all) > 0 {
		q.Where = f.all
	}
	if limit != nil {
		q.Limit = int(*limit)
	}
	next := ""
	err = s.view(ctx, func(v record.View) error {
		page, err := v.Query(ctx, q)
		if err != nil {
			return err
		}
		for i := range page.Hits {
			item, err := kind.Decode(page.Hits[i].Body)
			if err != nil {
				return err
			}
			add(item)
		}
		next = s.pages.Token(of, string(page.Next))
		return nil
	})
	return next, err
}

// empty reports whether no record of a kind has this code.
func empty(tx record.Tx, kind, index, code string, more ...record.Expr) (bool, error) {
	where := append(record.And{record.Match{Index: index, Value: record.Token("", code)}}, more...)
	p, err := tx.Query(record.Query{Kind: kind, Where: where, Limit: 1, IDsOnly: true})
	return err == nil && len(p.Hits) == 0, err
}

// count counts the records of a kind up to a bound.
func count(tx record.Tx, kind string, most int) (int, error) {
	p, err := tx.Query(record.Query{Kind: kind, Limit: most, IDsOnly: true})
	if err != nil {
		return 0, err
	}
	return len(p.Hits), nil
}
