package page

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// Request is what a list operation was asked.
type Request struct {
	Operation string
	Asked     any    // all that decides what is listed, besides the operation; a token works for the same again
	Where     Filter // nil = all records of the kind
	Token     string // "" = the first page
	Limit     *int32 // how many at the most; the contract bounds it
	Usual     int    // how many without a limit; 0 = 100
}

// List gives one page of a kind's records, in the order of their creation, and the token of the next page, which is "" after the last.
func List[T any](ctx context.Context, t Tokens, kind record.Kind[T], r Request, item func(*T)) (next string, err error) {
	of, err := Of(r.Operation, r.Asked)
	if err != nil {
		return "", err
	}
	after, err := t.Cursor(of, r.Token)
	if err != nil {
		return "", err
	}
	q := record.Query{Kind: kind.Name, After: record.Cursor(after), Limit: cmp.Or(r.Usual, 100)}
	if len(r.Where) > 0 {
		q.Where = record.And(r.Where)
	}
	if r.Limit != nil {
		q.Limit = int(*r.Limit)
	}
	v, err := t.records.View(ctx, t.space)
	if err != nil {
		return "", err
	}
	defer v.Close()
	page, err := v.Query(ctx, q)
	if err != nil {
		return "", err
	}
	for i := range page.Hits {
		x, err := kind.Decode(page.Hits[i].Body)
		if err != nil {
			return "", err
		}
		item(x)
	}
	return t.Token(of, string(page.Next)), nil
}

// Of says what a token is for: the operation and all that was asked.
func Of(operation string, asked any) (string, error) {
	b, err := json.Marshal(asked)
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "what was asked cannot be remembered")
	}
	return operation + string(b), nil
}

// Filter gathers the conditions of a list; the zero value has none.
type Filter record.And

// Is keeps records whose index has this code; "" keeps all.
func (f Filter) Is(index, code string) Filter {
	if code == "" {
		return f
	}
	return append(f, record.Match{Index: index, Value: record.Token("", code)})
}

// OneOf keeps records whose index has one of these codes; none keeps all.
func (f Filter) OneOf(index string, codes []string) Filter {
	if len(codes) == 0 {
		return f
	}
	var or record.Or
	for _, c := range codes {
		or = append(or, record.Match{Index: index, Value: record.Token("", c)})
	}
	return append(f, or)
}

// Between keeps records after and before, both ends exclusive as their names in the contracts say (CreatedAfter, CreatedBefore); a zero time is no bound.
func (f Filter) Between(index string, after, before time.Time) Filter {
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
	return append(f, r)
}
