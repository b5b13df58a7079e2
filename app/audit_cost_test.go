package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/galen-health/galen/aws/client"
	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/aws/sigv4"
	"github.com/galen-health/galen/platform/audit"
)

// dropped is an audit log that keeps nothing, in force while off is set.
type dropped struct {
	audit.Log
	off *atomic.Bool
}

func (d dropped) Append(ctx context.Context, e *audit.Entry) error {
	if d.off.Load() {
		return nil
	}
	return d.Log.Append(ctx, e)
}

// direct brings requests to a handler without a socket, so that what is measured is the server.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	r.RequestURI, r.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:9"
	if r.Host == "" {
		r.Host = r.URL.Host
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

// TestAuditCost measures one server with audit and without, turn by turn: 16 callers, medians of the rounds. GALEN_BENCH=1 asks for it.
func TestAuditCost(t *testing.T) {
	if os.Getenv("GALEN_BENCH") == "" {
		t.Skip("a measurement (GALEN_BENCH=1)")
	}
	ctx := t.Context()
	var off atomic.Bool
	cfg := Config{DataDir: t.TempDir(), Addr: "127.0.0.1:0", Account: "000000000000", Region: "us-east-1", RootAccessKeyID: "bench", RootSecretAccessKey: "bench-secret-bench-secret",
		DrainTimeout: time.Second,
		Load:         Load{MaxRequests: 4096, MaxBodyMemory: 1 << 30}}
	a, err := build(ctx, cfg, "bench", slog.New(slog.DiscardHandler), func(l audit.Log) audit.Log { return dropped{l, &off} })
	if err != nil {
		t.Fatal(err)
	}
	run, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- a.Serve(run) }()
	defer func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	h := &client.HTTP{Base: "http://127.0.0.1:8484", Region: cfg.Region, Client: &http.Client{Transport: direct{a.edge}},
		Credentials: sigv4.Credentials{AccessKeyID: cfg.RootAccessKeyID, SecretAccessKey: cfg.RootSecretAccessKey}}
	lake := healthlake.NewClient(h)
	made, err := lake.CreateFHIRDatastore(ctx, &healthlake.CreateFHIRDatastoreInput{DatastoreTypeVersion: healthlake.FHIRVersionR4})
	if err != nil {
		t.Fatal(err)
	}
	for state := healthlake.DatastoreStatus(""); state != healthlake.DatastoreStatusActive; time.Sleep(20 * time.Millisecond) {
		d, err := lake.DescribeFHIRDatastore(ctx, &healthlake.DescribeFHIRDatastoreInput{DatastoreId: made.DatastoreId})
		if err != nil {
			t.Fatal(err)
		}
		state = d.DatastoreProperties.DatastoreStatus
	}
	fhir := func(method, path, body string) error {
		status, b, err := h.Send(ctx, "healthlake", method, "/datastore/"+made.DatastoreId+"/r4/"+path, map[string]string{"Content-Type": "application/fhir+json"}, bytes.NewReader([]byte(body)), 1<<20)
		if err == nil && status >= 300 {
			err = fmt.Errorf("%s %s: status %d: %.300s", method, path, status, b)
		}
		return err
	}
	const patient = `{"resourceType":"Patient","id":"p%d","name":[{"family":"Bench","given":["Ada"]}],"birthDate":"1970-01-01","gender":"female"}`
	objects := s3.NewClient(h)
	if _, err := objects.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: "cost"}); err != nil {
		t.Fatal(err)
	}
	object := bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
	for i := range 16 {
		if err := fhir("PUT", fmt.Sprintf("Patient/p%d", i), fmt.Sprintf(patient, i)); err != nil {
			t.Fatal(err)
		}
		if _, err := objects.PutObject(ctx, &s3.PutObjectInput{Bucket: "cost", Key: strconv.Itoa(i), Body: bytes.NewReader(object)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, load := range []struct {
		what string
		n    int
		fn   func(i int) error
	}{
		{"FHIR read", 10000, func(i int) error { return fhir("GET", fmt.Sprintf("Patient/p%d", i%16), "") }},
		{"FHIR create", 4000, func(int) error {
			return fhir("POST", "Observation", `{"resourceType":"Observation","status":"final","code":{"text":"bench"},"subject":{"reference":"Patient/p0"}}`)
		}},
		{"FHIR update", 4000, func(i int) error {
			return fhir("PUT", fmt.Sprintf("Patient/u%d", i), fmt.Sprintf(`{"resourceType":"Patient","id":"u%d","gender":"female"}`, i))
		}},
		{"blob read of 256 KiB", 1000, func(i int) error {
			out, err := objects.GetObject(ctx, &s3.GetObjectInput{Bucket: "cost", Key: strconv.Itoa(i % 16)})
			if err != nil {
				return err
			}
			defer out.Body.Close()
			_, err = io.Copy(io.Discard, out.Body)
			return err
		}},
	} {
		var rate, work [2][]float64 // requests a second, requests a second of processor time; [1] is without audit
		for round := range 10 {
			without := round & 1
			off.Store(without == 1)
			runtime.GC()
			began, used := time.Now(), processorTime(t)
			crowd(t, 16, load.n, load.fn)
			rate[without] = append(rate[without], float64(load.n)/time.Since(began).Seconds())
			work[without] = append(work[without], float64(load.n)/(processorTime(t)-used).Seconds())
		}
		off.Store(false)
		for i, figures := range [][2][]float64{rate, work} {
			on, out := median(figures[0]), median(figures[1])
			t.Logf("| %s, per second%s | %.0f with audit | %.0f without | %.1f %% less |", load.what, []string{"", " of processor time"}[i], on, out, 100*(1-on/out))
		}
	}
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func crowd(t *testing.T, callers, n int, fn func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := c; i < n; i += callers {
				if err := fn(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func median(list []float64) float64 {
	sort.Float64s(list)
	return list[len(list)/2]
}
