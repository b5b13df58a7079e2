package edge

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws/sigv4"
)

// BenchmarkRoad is what the road itself costs a call: route, signature, decoding, validation, authorisation, encoding. The methods do nothing, the audit log is a
// slice.
func BenchmarkRoad(b *testing.B) {
	for name, c := range map[string]struct{ service, method, target, op, body string }{
		"awsJson":  {"healthlake", "POST", "/", "HealthLake.DescribeFHIRDatastore", `{"DatastoreId":"` + strings.Repeat("a", 32) + `"}`},
		"restJson": {"omics", "GET", "/tags/arn%3Aaws%3Aomics%3Aus-east-1%3A000000000000%3Arun%2F1", "", ""},
		"restXml":  {"s3", "GET", "/bucket/some/key", "", ""},
		"route":    {"healthlake", "GET", "/datastore/x/r4/Patient/1", "", ""},
	} {
		b.Run(name, func(b *testing.B) {
			h := newHarness(b, testRoute())
			h.journal.forget = true
			r := httptest.NewRequest(c.method, "http://galen.example"+c.target, nil)
			if c.op != "" {
				r.Header.Set("X-Amz-Target", c.op)
			}
			r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(c.body)), nil }
			r.Body = io.NopCloser(strings.NewReader(c.body))
			if err := sigv4.Sign(r, root, c.service, region, time.Now()); err != nil {
				b.Fatal(err)
			}
			r.ContentLength = int64(len(c.body))
			b.ReportAllocs()
			for b.Loop() {
				r.Body = io.NopCloser(strings.NewReader(c.body))
				w := &sink{h: http.Header{}}
				h.edge.ServeHTTP(w, r)
				if w.status != 200 {
					b.Fatalf("%d %s", w.status, w.b.String())
				}
			}
		})
	}
}

type sink struct {
	h      http.Header
	status int
	b      bytes.Buffer
}

func (s *sink) Header() http.Header         { return s.h }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(b []byte) (int, error) { return s.b.Write(b) }
