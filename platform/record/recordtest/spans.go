package recordtest

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// single is a kind whose index "body" has one value a record.
const single = "test.name"

// spans pages through spans of a single index in its own order, as the lists of S3 do, and compares with sorted names.
func spans(t *testing.T, b Backend) {
	s := b.open(t)
	defer s.Close() //nolint:errcheck // test
	must(t, s.CreateSpace(t.Context(), "a", ref()))
	rng := rand.New(rand.NewPCG(5, 6))
	var all []string
	seen := map[string]bool{}
	for len(all) < 400 {
		n := ""
		for range 1 + rng.IntN(4) {
			n += []string{"a", "b/", "\x01", "ä", "/", "z", strings.Repeat("long/", 60)}[rng.IntN(7)]
		}
		if n += fmt.Sprint(rng.IntN(50)); !seen[n] {
			seen[n] = true
			all = append(all, n)
		}
	}
	for i := 0; i < len(all); i += 50 {
		_, err := s.Update(t.Context(), "a", nil, func(tx record.Tx) error {
			for _, n := range all[i : i+50] {
				if _, err := tx.Put(record.Put{Kind: single, ID: n, Body: []byte(n), Expect: record.Any}); err != nil {
					return err
				}
			}
			return nil
		})
		must(t, err)
	}
	sort.Strings(all)
	v, err := s.View(t.Context(), "a")
	must(t, err)
	defer v.Close()
	for range 300 {
		low, high := all[rng.IntN(len(all))], all[rng.IntN(len(all))]
		if rng.IntN(4) == 0 {
			low = low[:rng.IntN(len(low))]
		}
		var where record.Expr = record.Range{Index: "body", Low: record.String(low), LowOpen: true, High: record.String(high), HighOpen: rng.IntN(2) == 0}
		in := func(n string) bool { return n > low && (n < high || n == high && !where.(record.Range).HighOpen) }
		if rng.IntN(3) == 0 {
			where = record.Prefix{Index: "body", Value: record.String(low)}
			in = func(n string) bool { return strings.HasPrefix(n, low) }
		}
		var want, got []string
		for _, n := range all {
			if in(n) {
				want = append(want, n)
			}
		}
		q := record.Query{Kind: single, Where: where, Order: []record.Order{{Index: "body"}}, Limit: 1 + rng.IntN(60)}
		for {
			p, err := v.Query(t.Context(), q)
			must(t, err)
			for _, h := range p.Hits {
				got = append(got, string(h.Body))
			}
			if q.After = p.Next; q.After == "" {
				break
			}
		}
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Fatalf("%#v: got %d names, want %d", where, len(got), len(want))
		}
	}
	_, err = s.Update(t.Context(), "a", nil, func(tx record.Tx) error {
		_, err := tx.Put(record.Put{Kind: single, ID: "two", Body: []byte("x"), Entries: []record.Entry{{Index: "body", Value: record.String("x")}, {Index: "body", Value: record.String("y")}}, Expect: record.Any})
		return err
	})
	wantCode(t, err, errs.Internal, "two values of a single index")
}
