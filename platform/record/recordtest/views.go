package recordtest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

func history(t *testing.T, b Backend) {
	s := start(t, b)
	for _, w := range []string{"a1", "b1", "a2", "c1", "a3"} {
		_, err := put(t, s, w[:1], w, record.Any)
		must(t, err)
	}
	_, err := s.Update(context.Background(), space, nil, func(tx record.Tx) error {
		if _, err := tx.Put(record.Put{Kind: finding, ID: "f", Body: []byte("f1"), Expect: record.Any}); err != nil {
			return err
		}
		_, err := tx.Delete(subject, "b", record.Any)
		return err
	})
	must(t, err)
	v := view(t, s)
	read := func(kind, id string, before uint64, since time.Time) (out []string, last uint64) {
		for ver, err := range v.History(kind, id, before, since) {
			must(t, err)
			body := string(ver.Body)
			if ver.Deleted {
				body = "-" + ver.ID
			}
			out, last = append(out, body), ver.Commit
		}
		return out, last
	}
	if got, _ := read(subject, "a", 0, time.Time{}); !slices.Equal(got, []string{"a3", "a2", "a1"}) {
		t.Errorf("history of a = %v", got)
	}
	all, _ := read(subject, "", 0, time.Time{})
	if !slices.Equal(all, []string{"-b", "a3", "c1", "a2", "b1", "a1"}) {
		t.Errorf("history of the kind = %v", all)
	}
	if got, _ := read("", "", 0, time.Time{}); len(got) != 7 || !slices.Contains(got, "f1") {
		t.Errorf("history of the space = %v", got)
	}
	mid, err := v.GetVersion(subject, "a", 2)
	must(t, err)
	if got, _ := read(subject, "", mid.Commit, time.Time{}); !slices.Equal(got, []string{"b1", "a1"}) {
		t.Errorf("before commit %d: %v", mid.Commit, got)
	}
	if got, _ := read(subject, "", 0, mid.Time); !slices.Equal(got, []string{"-b", "a3", "c1", "a2"}) {
		t.Errorf("since %v: %v", mid.Time, got)
	}
}

func past(t *testing.T, b Backend) {
	s := start(t, b)
	ctx := context.Background()
	_, err := put(t, s, "a", "a1", record.Any)
	must(t, err)
	c, err := s.Update(ctx, space, nil, func(tx record.Tx) error {
		_, err := tx.Put(record.Put{Kind: subject, ID: "b", Body: []byte("b1"), Expect: record.Any})
		return err
	})
	must(t, err)
	_, err = put(t, s, "a", "a2", record.Any)
	must(t, err)
	_, err = put(t, s, "c", "c1", record.Any)
	must(t, err)
	_, err = s.Update(ctx, space, nil, func(tx record.Tx) error { _, err := tx.Delete(subject, "b", record.Any); return err })
	must(t, err)
	v, err := s.ViewAt(ctx, space, c.Time)
	must(t, err)
	defer v.Close()
	for id, want := range map[string]string{"a": "a1", "b": "b1"} {
		if got, err := v.Get(subject, id); err != nil || string(got.Body) != want {
			t.Errorf("%s as of the second commit = %v, %v; want %s", id, got, err, want)
		}
	}
	_, err = v.Get(subject, "c")
	wantCode(t, err, errs.NotFound, "a record of the future")
	var bodies []string
	for ver, err := range v.Scan(subject, 0) {
		must(t, err)
		bodies = append(bodies, string(ver.Body))
	}
	if !slices.Equal(bodies, []string{"a1", "b1"}) {
		t.Errorf("scan of the past = %v", bodies)
	}
	_, err = v.Query(ctx, record.Query{Kind: subject, Limit: 1})
	wantCode(t, err, errs.Unsupported, "a query of the past")
}

func pages(t *testing.T, b Backend) {
	s := start(t, b)
	ctx := context.Background()
	for i := range 60 {
		_, err := put(t, s, fmt.Sprintf("r%02d", i), fmt.Sprint("v", i%7), record.Any)
		must(t, err)
	}
	for _, orders := range [][]record.Order{nil, {{Index: "", Desc: true}}} {
		seen := map[string]int{}
		q := record.Query{Kind: subject, Order: orders, Limit: 7}
		for n := 0; ; n++ {
			v, err := s.View(ctx, space)
			must(t, err)
			p, err := v.Query(ctx, q)
			v.Close()
			must(t, err)
			for _, h := range p.Hits {
				seen[h.ID]++
			}
			if p.Next == "" {
				break
			}
			q.After = p.Next
			_, err = put(t, s, fmt.Sprintf("r%02d", (n*13)%60), "changed", record.Any)
			must(t, err)
			_, err = put(t, s, fmt.Sprintf("new-%v-%d", orders == nil, n), "x", record.Any)
			must(t, err)
		}
		for i := range 60 {
			if id := fmt.Sprintf("r%02d", i); seen[id] != 1 {
				t.Errorf("order %v: %s was seen %d times", orders, id, seen[id])
			}
		}
	}
	v := view(t, s)
	for _, bad := range []record.Cursor{"!", "AAAA", "x"} {
		_, err := v.Query(ctx, record.Query{Kind: subject, Limit: 1, After: bad})
		wantCode(t, err, errs.Invalid, "a foreign page token")
	}
	_, err := v.Query(ctx, record.Query{Kind: subject})
	wantCode(t, err, errs.Invalid, "a page of nothing")
	if p, err := v.Query(ctx, record.Query{Kind: subject, Limit: 2, IDsOnly: true}); err != nil || len(p.Hits) != 2 || p.Hits[0].Body != nil {
		t.Errorf("ids only: %+v, %v", p, err)
	}
}
