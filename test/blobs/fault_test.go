package blobs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/blob/blobtest"
	"github.com/galen-health/galen/platform/blob/s3"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
)

// road is a proxy in front of a real S3 that does what networks and servers do on bad days.
type road struct {
	*httptest.Server
	mu    sync.Mutex
	fault func(w http.ResponseWriter, r *http.Request, on http.Handler) bool // true: it answered itself
	seen  map[string]int                                                     // requests by method
}

func newRoad(t *testing.T, endpoint string) *road {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	on := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.Out.URL.Scheme, p.Out.URL.Host = u.Scheme, u.Host
		p.Out.Host = p.In.Host
	}, FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }}
	d := &road{}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		fault := d.fault
		if d.seen != nil {
			d.seen[r.Method]++
		}
		d.mu.Unlock()
		if fault == nil || !fault(w, r, on) {
			on.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(d.Server.CloseClientConnections)
	return d
}

// breaks sets what goes wrong from now on, and counts requests anew.
func (d *road) breaks(fault func(w http.ResponseWriter, r *http.Request, on http.Handler) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault, d.seen = fault, map[string]int{}
}

// times lets only the first n requests that match go wrong.
func times(n int, match func(*http.Request) bool, fault func(w http.ResponseWriter, r *http.Request, on http.Handler)) func(http.ResponseWriter, *http.Request, http.Handler) bool {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request, on http.Handler) bool {
		mu.Lock()
		hit := n > 0 && match(r)
		if hit {
			n--
		}
		mu.Unlock()
		if hit {
			fault(w, r, on)
		}
		return hit
	}
}

func method(m string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == m }
}

func completing(r *http.Request) bool { return r.Method == "POST" && r.URL.Query().Has("uploadId") }

func status(code int, body string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body) // the client's reading is what is tested
	}
}

// reset breaks the connection without an answer.
func reset(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }

// lost does what was asked and loses the answer.
func lost(_ http.ResponseWriter, r *http.Request, on http.Handler) {
	on.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// hang never answers.
func hang(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() }

// cut sends a part of the answer's body and breaks off.
func cut(w http.ResponseWriter, r *http.Request, on http.Handler) {
	rec := httptest.NewRecorder()
	on.ServeHTTP(rec, r)
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.Code)
	b := rec.Body.Bytes()
	_, _ = w.Write(b[:len(b)*2/3])
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	panic(http.ErrAbortHandler)
}

// faulty are two stores of the same blobs whose requests go over a road: one that gives up after a time, and one that is patient on a busy machine.
func faulty(t *testing.T, timeout time.Duration) (s, patient *s3.Store, d *road) {
	t.Helper()
	d = newRoad(t, ours(t))
	to, r := target(t, d.URL), ring(t)
	to.Timeout = time.Minute
	patient = open(t, to, r)
	to.Timeout = timeout
	return open(t, to, r), patient, d
}

// What passes by is not noticed: the write is acknowledged once, the bytes come back whole.
func TestPassingFaults(t *testing.T) {
	t.Parallel()
	s, _, d := faulty(t, time.Minute)
	small, large := blobtest.Bytes(1, 10_000), blobtest.Bytes(2, 9<<20)
	any := func(*http.Request) bool { return true }
	for _, c := range []struct {
		name  string
		fault func(http.ResponseWriter, *http.Request, http.Handler) bool
	}{
		{"503 SlowDown", times(3, any, status(503, `<Error><Code>SlowDown</Code><Message>slow</Message></Error>`))},
		{"500", times(3, any, status(500, ""))},
		{"a reset", times(3, any, reset)},
		{"a lost answer to a put", times(2, method("PUT"), lost)},
		{"a lost answer to the completion", times(1, completing, lost)},
		{"a completion that fails with status 200", times(1, completing, status(200, `<?xml version="1.0"?><Error><Code>InternalError</Code><Message>again</Message></Error>`))},
		{"a lost answer to the start of an upload", times(1, func(r *http.Request) bool { return r.Method == "POST" && r.URL.Query().Has("uploads") }, lost)},
		{"answers that break off", times(3, method("GET"), cut)},
	} {
		for _, want := range [][]byte{small, large} {
			d.breaks(c.fault)
			in := put(t, s, want)
			if got, err := all(s, in.ID); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, %d bytes: %d came back, %v", c.name, len(want), len(got), err)
			}
			d.breaks(c.fault)
			if err := s.Delete(t.Context(), in.ID); err != nil {
				t.Errorf("%s: delete: %v", c.name, err)
			}
		}
	}
}

// A request that hangs is given up and made again within the time budget.
func TestHangingRequest(t *testing.T) {
	t.Parallel()
	s, patient, d := faulty(t, 10*time.Second)
	in := put(t, patient, blobtest.Bytes(1, 10_000))
	d.breaks(times(1, method("GET"), hang))
	if got, err := all(s, in.ID); err != nil || !bytes.Equal(got, blobtest.Bytes(1, 10_000)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// A dead or slow S3 is a clear error after a bounded number of requests, and nothing is half there; when it is well again, so is the store.
func TestLastingFaults(t *testing.T) {
	t.Parallel()
	s, patient, d := faulty(t, 2*time.Second)
	large := blobtest.Bytes(2, 20<<20)
	in := put(t, patient, large)
	any := func(*http.Request) bool { return true }
	for _, c := range []struct {
		name  string
		fault func(http.ResponseWriter, *http.Request, http.Handler)
		say   string
	}{
		{"dead", reset, "does not"},
		{"hanging", hang, "no answer within 2s"},
		{"503", status(503, ""), "does not serve"},
		{"refusing", status(403, `<Error><Code>SignatureDoesNotMatch</Code><Message>secret things</Message></Error>`), "refuses the credentials of the blob store (SignatureDoesNotMatch)"},
		{"without the bucket", status(404, `<Error><Code>NoSuchBucket</Code></Error>`), `has no bucket "blobs"`},
		{"set to another time", status(403, `<Error><Code>RequestTimeTooSkewed</Code></Error>`), "clock"},
		{"redirecting", func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, "refuses the request"},
		{"no S3", status(200, "<html>hello</html>"), "does not answer as an S3 does"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d.breaks(times(1<<30, any, c.fault))
			var wg sync.WaitGroup
			for what, do := range map[string]func() error{
				"write little": func() error { _, err := s.Put(t.Context(), key.Ref{}, strings.NewReader("x")); return err },
				"write":        func() error { _, err := s.Put(t.Context(), key.Ref{}, bytes.NewReader(large)); return err },
				"read":         func() error { _, err := all(s, in.ID); return err },
				"delete":       func() error { return s.Delete(t.Context(), in.ID) },
				"sweep": func() error {
					_, err := s.Sweep(t.Context(), time.Now().Add(time.Hour), func(blob.ID) (bool, error) { return false, errors.New("asked for a blob that no list named") })
					return err
				},
			} {
				if c.name == "no S3" && what != "read" && !strings.HasPrefix(what, "write") {
					continue // it says that it deleted
				}
				wg.Go(func() {
					err := do()
					if !errs.Is(err, errs.Unavailable) && c.name != "no S3" || err == nil || errors.Is(err, io.EOF) || !strings.Contains(err.Error(), c.say) || strings.Contains(errs.As(err).Message, "secret things") {
						t.Errorf("%s: %v", what, err)
					}
				})
			}
			wg.Wait()
			for m, n := range d.seen {
				if n > 24 {
					t.Errorf("%d requests %s for two operations or three", n, m)
				}
			}
			d.breaks(nil)
			if got, err := all(patient, in.ID); err != nil || !bytes.Equal(got, large) {
				t.Errorf("well again: %v", err)
			}
			seen := 0
			if _, err := patient.Sweep(t.Context(), time.Now().Add(time.Hour), func(id blob.ID) (bool, error) { seen++; return id == in.ID, nil }); err != nil || seen != 1 {
				t.Errorf("%d blobs there, %v", seen, err)
			}
		})
	}
}

// A body that stops coming is cut off after the time budget; the reader's caller does not wait for ever.
func TestBodyThatStops(t *testing.T) {
	t.Parallel()
	s, patient, d := faulty(t, 4*time.Second)
	large := blobtest.Bytes(2, 6<<20)
	in := put(t, patient, large)
	rc, err := s.Open(t.Context(), in.ID, blob.All)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close() //nolint:errcheck // only read
	d.breaks(times(1<<30, method("GET"), func(w http.ResponseWriter, r *http.Request, on http.Handler) {
		rec := httptest.NewRecorder()
		on.ServeHTTP(rec, r)
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes()[:2<<20])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	got, err := io.ReadAll(rc)
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "sent nothing for 4s") || !bytes.HasPrefix(large, got) || len(got) == 0 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if n := d.seen["GET"]; n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// A caller that gives up ends a request at once.
func TestCancel(t *testing.T) {
	t.Parallel()
	s, _, d := faulty(t, time.Minute)
	d.breaks(times(1<<30, method("DELETE"), hang))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := s.Delete(ctx, "00000000000000000000000000000000"); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call: %v", err)
	}
}

// Any changed, cut or exchanged object is an error of its blob, and no byte of it is served.
func TestDamagedObjects(t *testing.T) {
	t.Parallel()
	s, _, d := faulty(t, time.Minute)
	want := blobtest.Bytes(3, 3<<20)
	in := put(t, s, want)
	for name, change := range map[string]func([]byte) []byte{
		"a flipped bit": func(b []byte) []byte { b[len(b)/2] ^= 4; return b },
		"the header":    func(b []byte) []byte { b[100] ^= 1; return b },
	} {
		d.breaks(func(w http.ResponseWriter, r *http.Request, on http.Handler) bool {
			if r.Method != "GET" || r.URL.Query().Has("list-type") {
				return false
			}
			rec := httptest.NewRecorder()
			on.ServeHTTP(rec, r)
			for k, v := range rec.Header() {
				w.Header()[k] = v
			}
			w.WriteHeader(rec.Code)
			_, _ = w.Write(change(rec.Body.Bytes()))
			return true
		})
		got, err := all(s, in.ID)
		if !errs.Is(err, errs.Corrupt) || !bytes.HasPrefix(want, got) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		found := 0
		if n, _, err := s.Verify(t.Context(), func(error) { found++ }); n != 1 || found != 1 || err != nil {
			t.Errorf("%s: verify found %d faults in %d blobs, %v", name, found, n, err)
		}
	}
}

// A prefix belongs to one key ring; a bucket that is not there, or credentials that are refused, are said at the start.
func TestOpening(t *testing.T) {
	t.Parallel()
	endpoint := ours(t)
	to := target(t, endpoint)
	r := ring(t)
	open(t, to, r)
	open(t, to, r) // again, and beside the first
	if _, err := s3.Open(t.Context(), to, ring(t)); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "another key ring") {
		t.Errorf("another's prefix: %v", err)
	}
	for say, change := range map[string]func(*s3.Target){
		"has no bucket":           func(t *s3.Target) { t.Bucket = "nowhere" },
		"refuses the credentials": func(t *s3.Target) { t.SecretAccessKey = "wrong" },
		"does not serve":          func(t *s3.Target) { t.Endpoint, t.Timeout = "http://127.0.0.1:1", time.Second },
	} {
		bad := to
		change(&bad)
		if _, err := s3.Open(t.Context(), bad, r); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), say) {
			t.Errorf("%s: %v", say, err)
		}
	}
}
