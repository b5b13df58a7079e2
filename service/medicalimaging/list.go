package medicalimaging

import (
	"context"
	"encoding/json"

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

// pageOf says what a page token is for: the operation and everything that was asked.
func pageOf(op string, filter any) (string, error) {
	b, err := json.Marshal(filter)
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "the filter cannot be remembered")
	}
	return op + string(b), nil
}

// list answers one page of a kind of the control space, and the token of the next.
func list[T any](ctx context.Context, s *Service, kind record.Kind[T], where record.And, op string, filter any, token string, limit *int32, add func(*T)) (string, error) {
	of, err := pageOf(op, filter)
	if err != nil {
		return "", err
	}
	after, err := s.pages.Cursor(of, token)
	if err != nil {
		return "", err
	}
	q := record.Query{Kind: kind.Name, After: record.Cursor(after), Limit: 50}
	if len(where) > 0 {
		q.Where = where
	}
	if limit != nil {
		q.Limit = int(*limit)
	}
	next := ""
	err = s.view(ctx, control, func(v record.View) error {
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
