package healthlake

import (
	"context"
	"encoding/json"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// matches is the filter on a code; none when it is "".
func matches(index, code string) []record.Expr {
	if code == "" {
		return nil
	}
	return []record.Expr{record.Match{Index: index, Value: record.Token("", code)}}
}

// between is the filter on a time, both ends exclusive as their names say; a zero time is no bound.
func between(index string, after, before time.Time) []record.Expr {
	if after.IsZero() && before.IsZero() {
		return nil
	}
	r := record.Range{Index: index, LowOpen: true, HighOpen: true}
	if !after.IsZero() {
		r.Low = record.Period(after, time.Time{})
	}
	if !before.IsZero() {
		r.High = record.Instant(before)
	}
	return []record.Expr{r}
}

// list answers one page of a kind of the control space, and the token of the next.
func list[T any](ctx context.Context, s *Service, kind record.Kind[T], where record.And, op string, filter any, token string, limit *int32, add func(*T)) (string, error) {
	b, err := json.Marshal(filter)
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "the filter cannot be remembered")
	}
	of := op + string(b)
	after, err := s.pages.Cursor(of, token)
	if err != nil {
		return "", err
	}
	q := record.Query{Kind: kind.Name, After: record.Cursor(after), Limit: 100}
	if len(where) > 0 {
		q.Where = where
	}
	if limit != nil {
		q.Limit = int(*limit)
	}
	v, err := s.records.View(ctx, control)
	if err != nil {
		return "", err
	}
	defer v.Close()
	page, err := v.Query(ctx, q)
	if err != nil {
		return "", err
	}
	for i := range page.Hits {
		item, err := kind.Decode(page.Hits[i].Body)
		if err != nil {
			return "", err
		}
		add(item)
	}
	return s.pages.Token(of, string(page.Next)), nil
}
