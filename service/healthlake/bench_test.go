package healthlake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/galen-health/galen/standard/fhir"
	"github.com/galen-health/galen/standard/fhir/tape"
)

// cpu is the processor time of this process so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func syntheaBundles(b *testing.B) (bodies []string, resources int) {
	corpus(b, synthea, func(_ string, body []byte) bool {
		var d tape.Doc
		if err := d.Parse(body, tape.Limits{}); err != nil {
			b.Fatal(err)
		}
		resources += len(fhir.ParseBundle(&d).Entries)
		bodies = append(bodies, string(body))
		return true
	})
	return bodies, resources
}

// BenchmarkTransactionBundles posts the 49 Synthea bundles, one after the other, through the FHIR interaction (no network, no signature).
func BenchmarkTransactionBundles(b *testing.B) {
	bodies, resources := syntheaBundles(b)
	l := newLab(b)
	l.create()
	b.ResetTimer()
	start := cpu()
	for range b.N {
		for _, body := range bodies {
			if a := l.do("POST", "/", body); a.status != 200 {
				b.Fatalf("%d %.300s", a.status, a.body)
			}
		}
	}
	n := float64(resources * b.N)
	b.ReportMetric(n/b.Elapsed().Seconds(), "resources/s")
	b.ReportMetric((cpu()-start).Seconds()/n*1000, "CPU-s/1000res")
}

// BenchmarkImport imports the same resources as NDJSON, each time under fresh ids.
func BenchmarkImport(b *testing.B) {
	l := newLab(b)
	l.create()
	var nd bytes.Buffer
	n := 0
	corpus(b, synthea, func(_ string, body []byte) bool {
		var in struct {
			Entry []struct{ Resource json.RawMessage }
		}
		if err := json.Unmarshal(body, &in); err != nil {
			b.Fatal(err)
		}
		for _, e := range in.Entry {
			var d tape.Doc
			if err := d.Parse(e.Resource, tape.Limits{}); err != nil {
				b.Fatal(err)
			}
			nd.Write(fhir.Store(nil, &d, 0, fmt.Sprintf("ROUND-%d", n), nil))
			nd.WriteByte('\n')
			n++
		}
		return true
	})
	for range b.N {
		b.StopTimer()
		l.s3.Put("in/all.ndjson", bytes.ReplaceAll(nd.Bytes(), []byte(`"id":"ROUND-`), []byte(`"id":"`+newID()[:8]+`-`)))
		b.StartTimer()
		start := cpu()
		p := l.importEnd(l.startImport("s3://in/all.ndjson"))
		if p.JobStatus != "COMPLETED" {
			b.Fatal(p.JobStatus, p.Message)
		}
		b.ReportMetric((cpu()-start).Seconds()/float64(n)*1000, "CPU-s/1000res")
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "resources/s")
}

// BenchmarkReads are reads and searches over the 49 patients.
func BenchmarkReads(b *testing.B) {
	bodies, _ := syntheaBundles(b)
	l := newLab(b)
	l.create()
	for _, body := range bodies {
		l.want(200, "POST", "/", body)
	}
	patients := l.find("Patient", "")
	for name, url := range map[string]func(i int) string{
		"read":    func(i int) string { return "/Patient/" + patients[i%len(patients)] },
		"subject": func(i int) string { return "/Observation?_count=50&subject=Patient/" + patients[i%len(patients)] },
		"code":    func(i int) string { return "/Observation?_count=50&code=http://loinc.org%7C8302-2&date=ge2015" },
		"chain":   func(i int) string { return "/Observation?_count=50&code=8302-2&patient.gender=female" },
	} {
		b.Run(name, func(b *testing.B) {
			start := cpu()
			for i := range b.N {
				if a := l.do("GET", url(i), ""); a.status != 200 {
					b.Fatalf("%d %s", a.status, a.body)
				}
			}
			b.ReportMetric((cpu()-start).Seconds()/float64(b.N)*1000, "CPU-s/1000req")
		})
	}
}
