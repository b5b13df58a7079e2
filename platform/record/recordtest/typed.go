package recordtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

type book struct {
	Title string
	Shelf string
	Added time.Time
}

var books = record.Kind[book]{Name: "test.book", Indexes: record.Indexes[book]{
	record.ByString("title", func(b *book) string { return b.Title }),
	record.ByToken("shelf", func(b *book) string { return b.Shelf }),
	record.ByTime("added", func(b *book) time.Time { return b.Added }),
}}

// typed: control-plane records as Go values, changed and listed by pages.
func typed(t *testing.T, b Backend) {
	s := start(t, b)
	ctx := context.Background()
	must(t, s.Declare(books.Def()))
	for i := range 25 {
		_, err := s.Update(ctx, space, nil, func(tx record.Tx) error {
			return books.Create(tx, fmt.Sprint(i), &book{fmt.Sprintf("t%02d", i), []string{"a", "b"}[i%2], time.Unix(int64(i), 0)})
		})
		must(t, err)
	}
	_, err := s.Update(ctx, space, nil, func(tx record.Tx) error {
		wantCode(t, books.Create(tx, "3", &book{}), errs.Conflict, "creating a book twice")
		_, err := books.Change(tx, "3", func(b *book) error { b.Shelf = "a"; return nil })
		return err
	})
	must(t, err)
	v := view(t, s)
	got, version, err := books.Get(v, "3")
	if err != nil || version != 2 || got.Shelf != "a" || got.Title != "t03" {
		t.Errorf("book 3 = %+v, version %d, %v", got, version, err)
	}
	onA := record.Query{Where: record.Match{Index: "shelf", Value: record.Token("", "a")}, Order: []record.Order{{Index: "added", Desc: true}}, Limit: 4}
	n, last := 0, time.Unix(100, 0)
	for it, err := range books.All(record.Ask(ctx, v), onA) {
		must(t, err)
		if it.Value.Shelf != "a" || !it.Value.Added.Before(last) || it.Version < 1 || it.ID == "" {
			t.Errorf("%+v after %v", it, last)
		}
		last = it.Value.Added
		n++
	}
	if n != 14 {
		t.Errorf("%d books on the shelf, want 14", n)
	}
	_, err = s.Update(ctx, space, nil, func(tx record.Tx) error {
		items, next, err := books.Page(tx.Query, onA)
		if err != nil || len(items) != 4 || next == "" || items[0].ID != "24" {
			t.Errorf("a page in a batch: %+v, %q, %v", items, next, err)
		}
		return nil
	})
	must(t, err)
}
