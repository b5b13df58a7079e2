package record

import (
	"context"
	"iter"
	"time"
)

// Item is one typed record of a page.
type Item[T any] struct {
	ID      string
	Version int64
	Time    time.Time // of the commit
	Value   *T
}

// Asker answers queries: tx.Query is one, Ask makes one of a View.
type Asker func(Query) (*Page, error)

// Ask is a View as an Asker.
func Ask(ctx context.Context, v View) Asker {
	return func(q Query) (*Page, error) { return v.Query(ctx, q) }
}

// Page reads one typed page; the query's Kind need not be set. The cursor is "" after the last page.
func (k Kind[T]) Page(ask Asker, q Query) ([]Item[T], Cursor, error) {
	q.Kind, q.IDsOnly = k.Name, false
	page, err := ask(q)
	if err != nil {
		return nil, "", err
	}
	items := make([]Item[T], len(page.Hits))
	for i := range page.Hits {
		h := &page.Hits[i]
		v, err := k.Decode(h.Body)
		if err != nil {
			return nil, "", err
		}
		items[i] = Item[T]{ID: h.ID, Version: h.Version, Time: h.Time, Value: v}
	}
	return items, page.Next, nil
}

// allPage is how many records All reads at a time when the query does not say.
const allPage = 500

// All reads the typed records of all pages. With an Asker of one View they are one consistent state.
func (k Kind[T]) All(ask Asker, q Query) iter.Seq2[Item[T], error] {
	if q.Limit == 0 {
		q.Limit = allPage
	}
	return func(yield func(Item[T], error) bool) {
		for {
			items, next, err := k.Page(ask, q)
			if err != nil {
				yield(Item[T]{}, err)
				return
			}
			for _, it := range items {
				if !yield(it, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			q.After = next
		}
	}
}
