package recordtest

import (
	"bytes"
	"context"

	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// Exported takes an export into memory.
type Exported struct{ Items []any }

// Begin implements record.Exporter.
func (x *Exported) Begin(p record.ExportPoint) error { x.Items = append(x.Items, p); return nil }

// Space implements record.Exporter. Numbers of spaces are a back end's own.
func (x *Exported) Space(s record.ExportSpace) error {
	s.Life = 0
	x.Items = append(x.Items, s)
	return nil
}

// Record implements record.Exporter.
func (x *Exported) Record(r record.ExportRecord) error {
	r.Versions = slices.Clone(r.Versions)
	for i := range r.Versions {
		r.Versions[i].Body = bytes.Clone(r.Versions[i].Body)
	}
	x.Items = append(x.Items, r)
	return nil
}

// Message implements record.Exporter.
func (x *Exported) Message(m record.Message) error {
	m.Body = bytes.Clone(m.Body)
	x.Items = append(x.Items, m)
	return nil
}

// Next gives what was taken, as Import asks for it.
func (x *Exported) Next() func() (any, error) {
	n := 0
	return func() (any, error) {
		if n == len(x.Items) {
			return nil, io.EOF
		}
		n++
		return x.Items[n-1], nil
	}
}

func export(t *testing.T, b Backend, s record.Store) *Exported {
	t.Helper()
	x := &Exported{}
	must(t, s.(record.Portable).Export(t.Context(), b.Keys, x))
	return x
}

// Portable carries a random store from one back end to another and back end's verification, queries and further commits find nothing amiss.
func Portable(t *testing.T, from, to Backend) {
	a := from.open(t)
	defer a.Close() //nolint:errcheck // test
	spaces := []record.Space{"a", "b", "gone"}
	for _, s := range spaces {
		must(t, a.CreateSpace(t.Context(), s, ref()))
	}
	rng := rand.New(rand.NewPCG(5, 7))
	kinds := []string{subject, finding, "test.lease"}
	for i := range 300 {
		_, err := a.Update(t.Context(), spaces[rng.IntN(3)], nil, func(tx record.Tx) error {
			for n := range 1 + i%7 {
				kind, id := kinds[rng.IntN(3)], fmt.Sprint(rng.IntN(60))
				var err error
				switch rng.IntN(9) {
				case 0:
					_, err = tx.Delete(kind, id, record.Any)
				case 1:
					if n == 0 {
						err = tx.Purge(kind, id)
					}
				default:
					_, err = tx.Put(record.Put{Kind: kind, ID: id, Body: fmt.Appendf(nil, "%s %d %d", id, i, n), Expect: record.Any})
				}
				if err != nil && !errs.Is(err, errs.NotFound) && !errs.Is(err, errs.Gone) && !errs.Is(err, errs.Invalid) {
					return err
				}
			}
			tx.Emit("topic", fmt.Appendf(nil, "message %d", i))
			return nil
		})
		must(t, err)
	}
	must(t, a.Trim(t.Context(), 100))
	must(t, a.DropSpace(t.Context(), "gone"))
	if _, err := a.Update(t.Context(), "a", nil, func(tx record.Tx) error { // views show a dropped space until the next commit at the latest
		_, err := tx.Put(record.Put{Kind: subject, ID: "last", Body: []byte("last"), Expect: record.Any})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	have := export(t, from, a)

	b := to.open(t)
	must(t, b.(record.Portable).Import(t.Context(), to.Keys, have.Next()))
	same := func(when string) {
		t.Helper()
		got := export(t, to, b)
		if len(got.Items) != len(have.Items) {
			t.Fatalf("%s: %d things, want %d", when, len(got.Items), len(have.Items))
		}
		for i := range got.Items {
			if g, h := got.Items[i], have.Items[i]; !reflect.DeepEqual(g, h) {
				t.Fatalf("%s: %+v, want %+v", when, g, h)
			}
		}
	}
	same("after the import")
	wantCode(t, b.(record.Portable).Import(t.Context(), to.Keys, have.Next()), errs.Conflict, "an import into a store that is not empty")
	must(t, b.Close())
	b = to.open(t)
	defer func() { must(t, b.Close()) }()
	same("after it was opened again")

	v := b.(interface {
		record.Store
		verifier
	})
	records, unreadable, err := v.Verify(t.Context(), func(f string) { t.Errorf("verification: %s", f) })
	if err != nil || records == 0 || unreadable != 0 {
		t.Errorf("verification: %d records, %d unreadable, %v", records, unreadable, err)
	}
	compareViews(t, a, b)
	one, err := a.Update(t.Context(), "a", nil, func(tx record.Tx) error { tx.Emit("after", nil); return nil })
	must(t, err)
	two, err := b.Update(t.Context(), "a", nil, func(tx record.Tx) error { tx.Emit("after", nil); return nil })
	must(t, err)
	if one.Seq != two.Seq {
		t.Errorf("the next commit is %d, want %d", two.Seq, one.Seq)
	}
	wantCode(t, b.(record.Portable).Import(t.Context(), to.Keys, func() (any, error) { return nil, io.EOF }), errs.Conflict, "an import into a store that serves")
}

// compareViews asks both the same.
func compareViews(t *testing.T, a, b record.Store) {
	t.Helper()
	for _, kind := range []string{subject, finding, "test.lease"} {
		for _, q := range []record.Query{{Kind: kind, Limit: 1000}, {Kind: kind, Limit: 1000, Order: []record.Order{{Index: "@time", Desc: true}}}, {Kind: kind, Limit: 1000, Where: record.Prefix{Index: "body", Value: record.String("3")}, Order: []record.Order{{Index: "body"}}}} {
			var hits [2][]record.Version
			for i, s := range []record.Store{a, b} {
				v, err := s.View(t.Context(), "a")
				must(t, err)
				page, err := v.Query(t.Context(), q)
				v.Close()
				must(t, err)
				hits[i] = page.Hits
			}
			if len(hits[0]) == 0 || !reflect.DeepEqual(hits[0], hits[1]) {
				t.Errorf("%+v: %d hits, want %d", q, len(hits[1]), len(hits[0]))
			}
		}
	}
}

type verifier interface {
	Verify(ctx context.Context, fault func(string)) (records, unreadable int64, err error)
}

var errStopped = errors.New("stopped")

// PortableCut lets an import end early: nothing of it may be taken for a whole.
func PortableCut(t *testing.T, from, to Backend) {
	a := from.open(t)
	defer a.Close() //nolint:errcheck // test
	must(t, a.CreateSpace(t.Context(), space, ref()))
	for i := range 20 {
		_, err := put(t, a, fmt.Sprint(i), "x", record.Any)
		must(t, err)
	}
	have := export(t, from, a)
	b := to.open(t)
	defer b.Close() //nolint:errcheck // test
	n, next := 0, have.Next()
	err := b.(record.Portable).Import(t.Context(), to.Keys, func() (any, error) {
		if n++; n > 10 {
			return nil, errStopped
		}
		return next()
	})
	if !errors.Is(err, errStopped) {
		t.Errorf("an import that was cut off: %v", err)
	}
	if list, err := b.Spaces(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("it left the spaces %v, %v", list, err)
	}
}
