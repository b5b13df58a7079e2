package operations

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/s3"
)

// receiver is a collector that keeps what it gets.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	paths []string
	spans map[string][]string // by service of the resource: names
	raw   strings.Builder
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	c := &receiver{spans: map[string][]string{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(body)
			if err != nil {
				t.Error(err)
				return
			}
			body = z
		}
		b, err := io.ReadAll(body)
		if err != nil {
			t.Error(err)
		}
		var in collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(b, &in); err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.paths = append(c.paths, r.URL.Path)
		c.raw.Write(b)
		for _, rs := range in.ResourceSpans {
			service := ""
			for _, a := range rs.Resource.Attributes {
				if a.Key == "service.name" {
					service = a.Value.GetStringValue()
				}
			}
			for _, ss := range rs.ScopeSpans {
				for _, s := range ss.Spans {
					c.spans[service] = append(c.spans[service], s.Name)
				}
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// TestTraces: what was done is at the collector when the server has ended, in OTLP; and a collector that is away costs no request.
func TestTraces(t *testing.T) {
	c := newReceiver(t)
	p := start(t, t.TempDir(), "--otlp", c.URL)
	ctx := context.Background()
	if _, err := s3.NewClient(p.client()).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: "traced"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s3.NewClient(p.client()).PutObject(ctx, &s3.PutObjectInput{Bucket: "traced", Key: "k", Body: strings.NewReader("x"), ContentLength: aws.Ptr(int64(1))}); err != nil {
		t.Fatal(err)
	}
	lakes := healthlake.NewClient(p.client())
	made, err := lakes.CreateFHIRDatastore(ctx, &healthlake.CreateFHIRDatastoreInput{DatastoreTypeVersion: healthlake.FHIRVersionR4})
	if err != nil {
		t.Fatal(err)
	}
	p.until("the data store is active", func() bool { // a job makes it so
		d, err := lakes.DescribeFHIRDatastore(ctx, &healthlake.DescribeFHIRDatastoreInput{DatastoreId: made.DatastoreId})
		return err == nil && d.DatastoreProperties.DatastoreStatus == healthlake.DatastoreStatusActive
	})
	p.signal(syscall.SIGTERM)
	p.wait()
	c.mu.Lock()
	got := strings.Join(c.spans["galen"], " ")
	if len(c.paths) == 0 || c.paths[0] != "/v1/traces" {
		t.Errorf("spans came to %v", c.paths)
	}
	c.mu.Unlock()
	for _, want := range []string{"s3.CreateBucket", "authorise", "handle", "audit", "s3.PutObject", "blob.write", "record.update", "job healthlake."} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no span %s among %s", want, got)
		}
	}

	c.Close()
	alone := start(t, t.TempDir(), "--otlp", c.URL)
	if _, err := s3.NewClient(alone.client()).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: "traced"}); err != nil {
		t.Errorf("with no collector: %v", err)
	}
	alone.signal(syscall.SIGTERM)
	if s := alone.wait(); s.ExitCode() != 0 {
		t.Errorf("with no collector the server ended with %v", s)
	}
}

// TestLogs: a line a request in JSON, with who and what and how it ended.
func TestLogs(t *testing.T) {
	p := start(t, t.TempDir())
	ctx := context.Background()
	if _, err := s3.NewClient(p.client()).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: "logged"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s3.NewClient(p.client()).HeadBucket(ctx, &s3.HeadBucketInput{Bucket: "not-there"}); err == nil {
		t.Fatal("a bucket that nobody made is there")
	}
	p.signal(syscall.SIGTERM)
	p.wait()
	type line struct {
		Msg, Service, Operation, Caller, Error, RequestID string
		Status                                            int
		Ms                                                float64
	}
	var got []line
	for text := range strings.Lines(p.log()) {
		if !strings.HasPrefix(text, "{") {
			continue // what is printed at the start for people
		}
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Errorf("%q is no JSON: %v", text, err)
		}
		if l.Msg == "request" {
			got = append(got, l)
		}
	}
	if len(got) != 2 {
		t.Fatalf("%d lines for two requests", len(got))
	}
	const root = "arn:aws:iam::000000000000:root"
	if l := got[0]; l.Service != "s3" || l.Operation != "CreateBucket" || l.Caller != root || l.Status != 200 || l.Error != "" || len(l.RequestID) != 36 || l.Ms <= 0 {
		t.Errorf("%+v", l)
	}
	if l := got[1]; l.Operation != "HeadBucket" || l.Status != 404 || l.Error != "not found" || l.RequestID == got[0].RequestID {
		t.Errorf("%+v", l)
	}
}
