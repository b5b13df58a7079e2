package recordtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/record"
)

const (
	subject = "test.subject"
	finding = "test.finding"
)

// queries is how many random queries a run asks: 20,000, or $GALEN_RECORD_QUERIES.
func queries() int {
	if n, err := strconv.Atoi(os.Getenv("GALEN_RECORD_QUERIES")); err == nil && n > 0 {
		return n
	}
	if testing.Short() {
		return 2_000
	}
	return 20_000
}

// random compares the back end with the naive reference on random data, with changes between the queries.
func random(t *testing.T, b Backend) {
	s := b.open(t)
	defer s.Close()
	ctx := context.Background()
	const space = record.Space("random")
	must(t, s.CreateSpace(ctx, space, ref()))
	rng := rand.New(rand.NewPCG(11, 17))
	g := &generator{Rand: rng, times: []int64{0}}
	naive := NewNaive()
	change := func(n int) {
		_, err := s.Update(ctx, space, nil, func(tx record.Tx) error {
			g.times = append(g.times, tx.Time().UnixMicro())
			for range n {
				kind, id := g.record()
				if rng.IntN(6) == 0 {
					if _, err := tx.Delete(kind, id, record.Any); err == nil {
						naive.Delete(kind, id)
					}
					continue
				}
				e := g.entries(kind)
				if _, err := tx.Put(record.Put{Kind: kind, ID: id, Body: []byte(kind + id), Entries: e, Expect: record.Any}); err != nil {
					return err
				}
				naive.Put(kind, id, tx.Time().UnixMicro(), e)
			}
			return nil
		})
		must(t, err)
	}
	for range 12 {
		change(25)
	}
	total, differences := queries(), 0
	for i := range total {
		if i%40 == 0 {
			change(3)
		}
		kind := []string{subject, finding}[rng.IntN(2)]
		where, orders := g.expr(kind, 3), g.orders()
		want := naive.Query(kind, where, orders)
		got, err := walk(ctx, s, space, record.Query{Kind: kind, Where: where, Order: orders, Limit: 1 + rng.IntN(40)})
		if err != nil {
			t.Fatalf("query %d: %v", i, err)
		}
		if !slices.Equal(got, want) {
			if differences++; differences <= 3 {
				t.Errorf("query %d: kind %s\nwhere %#v\norder %+v\ngot  %v\nwant %v", i, kind, where, orders, got, want)
			}
		}
		if i%7 == 0 {
			v, err := s.View(ctx, space)
			must(t, err)
			n, err := v.Count(ctx, kind, where)
			v.Close()
			if err != nil || n != int64(len(want)) {
				t.Errorf("query %d: count %d, %v; want %d", i, n, err, len(want))
			}
		}
	}
	t.Logf("%d random queries, %d differences", total, differences)
}

// walk reads all pages of a query on one view.
func walk(ctx context.Context, s record.Store, space record.Space, q record.Query) ([]string, error) {
	v, err := s.View(ctx, space)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	ids := []string{}
	for {
		p, err := v.Query(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, h := range p.Hits {
			if string(h.Body) != h.Kind+h.ID {
				return nil, fmt.Errorf("the body of %s is %q", h.ID, h.Body)
			}
			ids = append(ids, h.ID)
		}
		if p.Next == "" {
			return ids, nil
		}
		q.After = p.Next
	}
}

// generator makes records, entries and expressions over small vocabularies, so that they meet.
type generator struct {
	*rand.Rand
	times []int64 // of commits
}

// micros is the time of a commit, or next to it.
func (g *generator) micros() int64 { return g.times[g.IntN(len(g.times))] + int64(g.IntN(3)-1) }

func (g *generator) record() (kind, id string) {
	if g.IntN(3) == 0 {
		return subject, fmt.Sprintf("s%02d", g.IntN(40))
	}
	return finding, fmt.Sprintf("f%03d", g.IntN(120))
}

func (g *generator) token() (string, string) {
	return []string{"", "sys", "urn:x"}[g.IntN(3)], []string{"a", "b", "c\x00d", "ab", ""}[g.IntN(5)]
}

func (g *generator) text() string {
	s := []string{"", "al", "alpha", "alphabet", "beta", "be\x00ta", "ü"}[g.IntN(7)]
	if g.IntN(8) == 0 {
		s += strings.Repeat("long ", 250+g.IntN(2)) + s
	}
	return s
}

func (g *generator) when() time.Time { return time.Unix(int64(g.IntN(20)-10), 0) }

func (g *generator) period() record.Value {
	a := g.when()
	switch g.IntN(6) {
	case 0:
		return record.Period(time.Time{}, a)
	case 1:
		return record.Period(a, time.Time{})
	case 2:
		return record.Instant(a)
	}
	return record.Period(a, a.Add(time.Duration(g.IntN(10))*time.Second))
}

func (g *generator) number() float64 { return float64(g.IntN(21)-10) / 2 }

func (g *generator) entries(kind string) []record.Entry {
	out := []record.Entry{}
	add := func(index string, v record.Value) {
		for n := g.IntN(3); n > 0; n-- {
			out = append(out, record.Entry{Index: index, Value: v})
		}
	}
	for range 1 + g.IntN(2) {
		sys, code := g.token()
		add("code", record.Token(sys, code))
		add("name", record.String(g.text()))
		add("when", g.period())
		add("size", record.Number(g.number()))
		add("link", record.URI(g.text()))
		add("dose", record.Quantity(sys, code, g.number()))
	}
	if kind == finding && g.IntN(4) > 0 {
		out = append(out, record.Entry{Index: "subject", Value: record.Reference(subject, fmt.Sprintf("s%02d", g.IntN(45)))})
	}
	return out
}

func (g *generator) expr(kind string, depth int) record.Expr {
	if depth == 0 || g.IntN(3) > 0 {
		return g.leaf(kind, depth)
	}
	switch g.IntN(3) {
	case 0:
		return record.Not{Expr: g.expr(kind, depth-1)}
	case 1:
		out := record.Or{}
		for range g.IntN(6) {
			out = append(out, g.expr(kind, depth-1))
		}
		return out
	}
	out := record.And{}
	for range g.IntN(4) {
		out = append(out, g.expr(kind, depth-1))
	}
	return out
}

func (g *generator) leaf(kind string, depth int) record.Expr {
	sys, code := g.token()
	switch g.IntN(18) {
	case 0:
		return record.Match{Index: "code", Value: record.Token(sys, code)}
	case 1:
		return record.Match{Index: "code", Value: record.TokenCode(code)}
	case 2:
		return record.Match{Index: "code", Value: record.TokenSystem(sys)}
	case 3:
		return record.Match{Index: "name", Value: record.String(g.text())}
	case 4:
		return record.Prefix{Index: "name", Value: record.String(g.text())}
	case 5:
		return record.Contains{Index: "name", Text: []string{"", "l", "pha", "\x00", "zzz", "long al"}[g.IntN(6)]}
	case 6:
		r := record.Range{Index: "when", LowOpen: g.IntN(2) == 0, HighOpen: g.IntN(2) == 0}
		if g.IntN(2) == 0 {
			r.Low = record.Instant(g.when())
		}
		if g.IntN(2) == 0 {
			r.High = record.Instant(g.when())
		}
		if g.IntN(2) == 0 {
			r.EndLow = record.Instant(g.when())
		}
		if g.IntN(2) == 0 {
			r.EndHigh = record.Instant(g.when())
		}
		return r
	case 7:
		r := record.Range{Index: "size", LowOpen: g.IntN(2) == 0, HighOpen: g.IntN(2) == 0, Low: record.Number(g.number())}
		if g.IntN(2) == 0 {
			r.High = record.Number(g.number())
		}
		return r
	case 8:
		r := record.Range{Index: "dose", Head: record.Token(sys, code), HighOpen: g.IntN(2) == 0, High: record.Number(g.number())}
		if g.IntN(2) == 0 {
			r.Low = record.Number(g.number())
		}
		return r
	case 9:
		return record.Missing{Index: []string{"code", "name", "never", "subject"}[g.IntN(4)]}
	case 10:
		out := record.IDs{"nobody"}
		for range g.IntN(4) {
			_, id := g.record()
			out = append(out, id)
		}
		return out
	case 11:
		return record.Prefix{Index: "link", Value: record.URI(g.text())}
	case 13:
		return record.TimeRange{Low: g.micros(), High: g.micros()}
	case 14:
		r := record.Range{Index: []string{"name", "link"}[g.IntN(2)], LowOpen: g.IntN(2) == 0, HighOpen: g.IntN(2) == 0}
		make := record.String
		if r.Index == "link" {
			make = record.URI
		}
		if g.IntN(3) > 0 {
			r.Low = make(g.text())
		}
		if g.IntN(3) > 0 {
			r.High = make(g.text())
		}
		return r
	case 12:
		return record.Match{Index: "dose", Value: record.Quantity(sys, code, g.number())}
	}
	if depth > 0 && kind == finding {
		return record.Join{Index: "subject", Kind: subject, Where: g.expr(subject, depth-1)}
	}
	if depth > 0 {
		return record.JoinBack{Index: "subject", Kind: finding, Where: g.expr(finding, depth-1)}
	}
	return record.Match{Index: "subject", Value: record.Reference(subject, fmt.Sprintf("s%02d", g.IntN(45)))}
}

func (g *generator) orders() []record.Order {
	var out []record.Order
	for range g.IntN(3) {
		out = append(out, record.Order{Index: []string{"", "@time", "name", "size", "when", "never"}[g.IntN(6)], Desc: g.IntN(2) == 0})
	}
	return out
}
