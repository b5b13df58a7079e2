package pebble_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/pebble"
)

// The benchmarks write what a FHIR import writes: bodies of about 1.4 kB with 12 entries. Figures are records per second; they are for people, no
// test asserts them.
//
//	go test -run '^$' -bench . -benchtime 5s ./platform/record/pebble

const (
	benchKind  = "bench.observation"
	benchSpace = record.Space("bench")
)

func openBench(b *testing.B) record.Store {
	b.Helper()
	dir := b.TempDir()
	s, err := pebble.Open(dir+"/records", ring(b, dir+"/keys"), pebble.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() }) //nolint:errcheck // the benchmark is over
	def := record.KindDef{Name: benchKind, Entries: func(string, []byte) ([]record.Entry, error) { return nil, nil }}
	if err := s.Declare(def); err != nil {
		b.Fatal(err)
	}
	if err := s.CreateSpace(context.Background(), benchSpace, key.Ref{}); err != nil {
		b.Fatal(err)
	}
	return s
}

// observation is a record as an import makes it.
func observation(rng *rand.Rand, n int64) record.Put {
	patient := n / 40
	at := time.Unix(1_500_000_000+n*60, 0)
	code := fmt.Sprint(8000 + rng.IntN(300))
	value := rng.Float64() * 200
	body := fmt.Sprintf(`{"resourceType":"Observation","id":"%x","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"%s"}]},"subject":{"reference":"Patient/%d"},"effectiveDateTime":"%s","valueQuantity":{"value":%f,"unit":"mg","system":"http://unitsofmeasure.org","code":"mg"},"text":"%s"}`,
		n, code, patient, at.Format(time.RFC3339), value, filler[rng.IntN(64):][:1000])
	return record.Put{Kind: benchKind, ID: fmt.Sprintf("%08x-%04x", n, rng.IntN(65536)), Body: []byte(body), Expect: record.Absent, Entries: []record.Entry{
		{Index: "code", Value: record.Token("http://loinc.org", code)},
		{Index: "category", Value: record.Token("http://terminology.hl7.org/CodeSystem/observation-category", []string{"laboratory", "vital-signs", "survey"}[rng.IntN(3)])},
		{Index: "status", Value: record.Token("http://hl7.org/fhir/observation-status", "final")},
		{Index: "subject", Value: record.Reference("bench.patient", fmt.Sprint(patient))},
		{Index: "patient", Value: record.Reference("bench.patient", fmt.Sprint(patient))},
		{Index: "encounter", Value: record.Reference("bench.encounter", fmt.Sprint(n/8))},
		{Index: "date", Value: record.Instant(at)},
		{Index: "value", Value: record.Quantity("http://unitsofmeasure.org", "mg", value)},
		{Index: "value-unit", Value: record.Quantity("", "mg", value)},
		{Index: "combo", Value: record.Token("http://loinc.org", code)},
		{Index: "pair", Value: record.Pair(record.Token("http://loinc.org", code), record.Number(value))},
		{Index: "source", Value: record.URI("urn:import:1")},
	}}
}

var filler = func() string {
	rng := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("component referenceRange interpretation coding display system performer Practitioner Organization normal low high mg dL blood serum plasma automated count panel")
	var b strings.Builder
	for b.Len() < 1200 {
		fmt.Fprintf(&b, "%s %d ", words[rng.IntN(len(words))], rng.IntN(1000))
	}
	return b.String()
}()

func load(b *testing.B, s record.Store, from, n int64, writers int) {
	b.Helper()
	var next atomic.Int64
	next.Store(from)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			rng := rand.New(rand.NewPCG(7, uint64(w)))
			for {
				start := next.Add(1000) - 1000
				if start >= from+n {
					return
				}
				_, err := s.Update(context.Background(), benchSpace, nil, func(tx record.Tx) error {
					for i := start; i < min(start+1000, from+n); i++ {
						if _, err := tx.Put(observation(rng, i)); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					b.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
}

func BenchmarkImport(b *testing.B) {
	s := openBench(b)
	b.ResetTimer()
	load(b, s, 0, int64(b.N), 2)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkDurableCreate16(b *testing.B) {
	s := openBench(b)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for w := range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			rng := rand.New(rand.NewPCG(7, uint64(w)))
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					return
				}
				if _, err := s.Update(context.Background(), benchSpace, nil, func(tx record.Tx) error { _, err := tx.Put(observation(rng, n)); return err }); err != nil {
					b.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkQuery(b *testing.B) {
	s := openBench(b)
	load(b, s, 0, 200_000, 2)
	v, err := s.View(context.Background(), benchSpace)
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	patient := func(i int) record.Expr {
		return record.Match{Index: "patient", Value: record.Reference("bench.patient", fmt.Sprint(i*7919%5000))}
	}
	lab := record.Match{Index: "category", Value: record.TokenCode("laboratory")}
	since := record.Range{Index: "date", Low: record.Instant(time.Unix(1_503_000_000, 0))}
	for _, c := range []struct {
		name  string
		where func(i int) record.Expr
		order []record.Order
	}{
		{"page50/code", func(i int) record.Expr {
			return record.Match{Index: "code", Value: record.Token("http://loinc.org", fmt.Sprint(8000+i%300))}
		}, nil},
		{"page50/all", func(int) record.Expr { return nil }, nil},
		{"page50/system", func(int) record.Expr {
			return record.Match{Index: "code", Value: record.TokenSystem("http://loinc.org")}
		}, nil},
		{"page50/patient+since", func(i int) record.Expr { return record.And{patient(i), since} }, nil},
		{"page50/patient,newest", patient, []record.Order{{Index: "date", Desc: true}}},
		{"page50/lab,newest", func(int) record.Expr { return lab }, []record.Order{{Index: "date", Desc: true}}},
		{"page50/lab,updated", func(int) record.Expr { return lab }, []record.Order{{Index: "@time", Desc: true}}},
		{"page50/since", func(int) record.Expr { return since }, nil},
		{"page50/lab+since", func(int) record.Expr { return record.And{lab, since} }, nil},
		{"page50/not-lab", func(int) record.Expr { return record.Not{Expr: lab} }, nil},
		{"page50/newest", func(int) record.Expr { return nil }, []record.Order{{Desc: true}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if _, err := v.Query(context.Background(), record.Query{Kind: benchKind, Where: c.where(i), Order: c.order, Limit: 50}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for _, c := range []struct {
		name  string
		where record.Expr
	}{
		{"count/all", nil}, {"count/lab", lab}, {"count/since", since}, {"count/lab+since", record.And{lab, since}}, {"count/lab,not-final", record.And{lab, record.Not{Expr: record.Match{Index: "status", Value: record.TokenCode("final")}}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var n int64
			for b.Loop() {
				if n, err = v.Count(context.Background(), benchKind, c.where); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n), "matches")
		})
	}
}
