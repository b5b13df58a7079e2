package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/pebble"
	"github.com/galen-health/galen/platform/record/postgres"
	"github.com/galen-health/galen/platform/record/postgres/pgtest"
)

const (
	recordKind = "bench.observation"
	recordsIn  = record.Space("bench")
)

// observation is a record as an import of FHIR makes it: about 1.2 kB with 8 entries.
func observation(n int64) record.Put {
	rng := rand.New(rand.NewPCG(7, uint64(n)))
	code, value, patient, at := fmt.Sprint(8000+rng.IntN(300)), rng.Float64()*200, fmt.Sprint(n/40), time.Unix(1_500_000_000+n*60, 0)
	body := fmt.Appendf(nil, `{"resourceType":"Observation","id":"%x","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"%s"}]},"subject":{"reference":"Patient/%s"},"valueQuantity":{"value":%f},"note":"`, n, code, patient, value)
	for len(body) < 1200 {
		body = fmt.Appendf(body, "%s %d ", []string{"serum", "plasma", "automated", "normal", "panel", "count"}[rng.IntN(6)], rng.IntN(1000))
	}
	return record.Put{Kind: recordKind, ID: fmt.Sprintf("%08x", n), Body: append(body, `"}`...), Expect: record.Absent, Entries: []record.Entry{
		{Index: "code", Value: record.Token("http://loinc.org", code)},
		{Index: "category", Value: record.Token("http://terminology.hl7.org/CodeSystem/observation-category", []string{"laboratory", "vital-signs", "survey"}[rng.IntN(3)])},
		{Index: "status", Value: record.Token("http://hl7.org/fhir/observation-status", "final")},
		{Index: "patient", Value: record.Reference("bench.patient", patient)},
		{Index: "encounter", Value: record.Reference("bench.encounter", fmt.Sprint(n/8))},
		{Index: "date", Value: record.Instant(at)},
		{Index: "value", Value: record.Quantity("http://unitsofmeasure.org", "mg", value)},
		{Index: "pair", Value: record.Pair(record.Token("http://loinc.org", code), record.Number(value))},
	}}
}

// backend is a store and how many records it has.
type backend struct {
	record.Store
	n int64
}

func newBackend(t *testing.T, s record.Store, err error) *backend {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Declare(record.KindDef{Name: recordKind, Entries: func(string, []byte) ([]record.Entry, error) { return nil, nil }}); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateSpace(t.Context(), recordsIn, key.Ref{}); err != nil {
		t.Fatal(err)
	}
	return &backend{Store: s}
}

// write makes n more records in batches, by so many writers, and returns how many a second.
func (b *backend) write(t *testing.T, n, batch int64, writers int) float64 {
	t.Helper()
	from, began := b.n, time.Now()
	b.n += n
	var next atomic.Int64
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for {
				start := from + next.Add(batch) - batch
				if start >= from+n {
					return
				}
				if _, err := b.Update(t.Context(), recordsIn, nil, func(tx record.Tx) error {
					for i := start; i < min(start+batch, from+n); i++ {
						if _, err := tx.Put(observation(i)); err != nil {
							return err
						}
					}
					return nil
				}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(n) / time.Since(began).Seconds()
}

// read asks for a second, on four connections, and returns how many answers a second there were.
func (b *backend) read(t *testing.T, ask func(ctx context.Context, v record.View, i int) error) float64 {
	t.Helper()
	var n atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for w := range 4 {
		wg.Go(func() {
			for i := w; time.Since(began) < time.Second; i += 4 {
				v, err := b.View(t.Context(), recordsIn)
				if err == nil {
					err = ask(t.Context(), v, i)
					v.Close()
				}
				if err != nil {
					t.Error(err)
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(n.Load()) / time.Since(began).Seconds()
}

// TestRecords measures the records in PostgreSQL beside those in the data folder: the same records, the same calls, turn by turn. The records are GALEN_BENCH_RECORDS
// (100,000); a PostgreSQL as the tests start it, on a socket.
func TestRecords(t *testing.T) {
	asked(t)
	total, err := strconv.ParseInt(os.Getenv("GALEN_BENCH_RECORDS"), 10, 64)
	if err != nil {
		total = 100_000
	}
	keys, err := keyring.Open(t.TempDir(), make([]byte, 32), keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keys.Close() })
	server := pgtest.Start(t)
	s, err := postgres.Open(t.Context(), server.Database(t), keys, postgres.Options{})
	db := newBackend(t, s, err)
	p, err := pebble.Open(t.TempDir(), keys, pebble.Options{})
	folder := newBackend(t, p, err)
	turns := func(what, unit string, measure func(*backend) float64) {
		t.Helper()
		var in, out []float64
		for range rounds {
			in, out = append(in, measure(db)), append(out, measure(folder))
		}
		row(t, what, unit, median(in), "in the data folder", median(out))
	}
	turns("records in PostgreSQL: import, batches of 1,000, 2 writers", "records/s", func(b *backend) float64 { return b.write(t, total/rounds, 1000, 2) })
	turns("durable creates one by one, 16 writers", "records/s", func(b *backend) float64 { return b.write(t, 1000, 1, 16) })
	turns("durable creates one by one, 1 writer", "records/s", func(b *backend) float64 { return b.write(t, 100, 1, 1) })
	if db.n != folder.n {
		t.Fatalf("%d and %d records", db.n, folder.n)
	}
	turns("get by id", "answers/s", func(b *backend) float64 {
		return b.read(t, func(_ context.Context, v record.View, i int) error {
			_, err := v.Get(recordKind, fmt.Sprintf("%08x", int64(i)*7919%b.n))
			return err
		})
	})
	lab := record.Match{Index: "category", Value: record.TokenCode("laboratory")}
	for _, q := range []struct {
		what  string
		where func(i int) record.Expr
		order []record.Order
	}{
		{"50 of a code", func(i int) record.Expr {
			return record.Match{Index: "code", Value: record.Token("http://loinc.org", fmt.Sprint(8000+i%300))}
		}, nil},
		{"a patient's newest 50", func(i int) record.Expr {
			return record.Match{Index: "patient", Value: record.Reference("bench.patient", fmt.Sprint(int64(i)*7919%(db.n/40)))}
		}, []record.Order{{Index: "date", Desc: true}}},
		{"the newest 50 of a third", func(int) record.Expr { return lab }, []record.Order{{Index: "date", Desc: true}}},
	} {
		turns(q.what, "answers/s", func(b *backend) float64 {
			return b.read(t, func(ctx context.Context, v record.View, i int) error {
				_, err := v.Query(ctx, record.Query{Kind: recordKind, Where: q.where(i), Order: q.order, Limit: 50})
				return err
			})
		})
	}
	turns("count of a third", "answers/s", func(b *backend) float64 {
		return b.read(t, func(ctx context.Context, v record.View, _ int) error {
			_, err := v.Count(ctx, recordKind, lab)
			return err
		})
	})
}
