package events_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	api "github.com/galen-health/galen/aws/events"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/event"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record/pebble"
	"github.com/galen-health/galen/platform/safedial"
	"github.com/galen-health/galen/service/events"
)

// account is the directory: root, and one role that events may assume.
type account struct{}

func (account) Credential(context.Context, string, string) (authz.Credential, error) {
	return authz.Credential{}, errs.New(errs.Unauthenticated, "none")
}

func (account) Policies(context.Context, call.Principal) ([]authz.Policy, string, error) {
	return nil, "", nil
}

func (account) Role(_ context.Context, arn string) (authz.Role, error) {
	if arn != roleARN {
		return authz.Role{}, errs.New(errs.NotFound, "no role")
	}
	return authz.Role{ARN: arn, ID: "AROA1", Name: "deliver", Account: acct, Trust: `{"Statement":{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sts:AssumeRole"}}`}, nil
}

// bucket is as much of S3 as a queue needs; it notes under whom it is called.
type bucket struct {
	s3.Unimplemented
	mu      sync.Mutex
	objects map[string]string
	who     string
}

func (b *bucket) PutObject(ctx context.Context, in *s3.PutObjectInput) (*s3.PutObjectOutput, error) {
	body, err := io.ReadAll(in.Body)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if in.Bucket != "queue" {
		return nil, errs.Named(errs.NotFound, "NoSuchBucket", "no bucket")
	}
	b.objects[in.Key], b.who = string(body), call.From(ctx).Principal.ARN
	return &s3.PutObjectOutput{}, nil
}

type fixture struct {
	*events.Service
	bucket *bucket
	dir    string
	stop   func()
}

func open(t *testing.T, dir string) *fixture {
	t.Helper()
	ring, err := keyring.Open(dir+"/keys", nil, keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	store, err := pebble.Open(dir+"/records", ring, pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	bus, err := event.New(ctx, store, event.Config{Account: acct, Region: region})
	if err != nil {
		t.Fatal(err)
	}
	dial, err := safedial.New([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{bucket: &bucket{objects: map[string]string{}}, dir: dir}
	eval := authz.New(account{}, acct, region)
	f.Service, err = events.New(ctx, events.Config{Account: acct, Region: region, Dir: dir + "/events", Dial: dial, S3: f.bucket, Roles: authz.NewRoles(eval, account{}), Backoff: func(int) time.Duration { return 5 * time.Millisecond }}, store, bus)
	if err != nil {
		t.Fatal(err)
	}
	run, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := bus.Run(run); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		if err := f.Run(run); err != nil {
			t.Error(err)
		}
	})
	var once sync.Once
	f.stop = func() {
		once.Do(func() {
			cancel()
			wg.Wait()
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			_ = store.Close()
			_ = ring.Close()
		})
	}
	t.Cleanup(f.stop)
	return f
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantName(t *testing.T, err error, name string) {
	t.Helper()
	if e := errs.As(err); e == nil || e.Name != name {
		t.Errorf("error = %v, want %s", err, name)
	}
}

func (f *fixture) rule(t *testing.T, name, pattern string, targets ...api.Target) {
	t.Helper()
	must[*api.PutRuleOutput](t)(f.PutRule(ctx, &api.PutRuleInput{Name: name, EventPattern: pattern}))
	must[*api.PutTargetsOutput](t)(f.PutTargets(ctx, &api.PutTargetsInput{Rule: name, Targets: targets}))
}

func (f *fixture) put(t *testing.T, source, detail string) string {
	t.Helper()
	out := must[*api.PutEventsOutput](t)(f.PutEvents(ctx, &api.PutEventsInput{Entries: []api.PutEventsRequestEntry{{Source: source, DetailType: "Test", Detail: detail, Resources: []string{"arn:r"}}}}))
	if *out.FailedEntryCount != 0 {
		t.Fatalf("entry failed: %+v", out.Entries)
	}
	return out.Entries[0].EventId
}

func fileARN(name string) string {
	return "arn:galen:events:" + region + ":" + acct + ":file/" + name
}

// lines reads a file log.
func (f *fixture) lines(t *testing.T, name string) (out []map[string]any) {
	t.Helper()
	file, err := os.Open(filepath.Join(f.dir, "events", name+".ndjson"))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for s := bufio.NewScanner(file); s.Scan(); {
		var m map[string]any
		if json.Unmarshal(s.Bytes(), &m) == nil {
			out = append(out, m)
		}
	}
	return out
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// hook is a webhook that answers what it is told to.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	got    []string
	heads  []http.Header
	query  []string
	answer func(n int) int
}

func newHook(t *testing.T, answer func(n int) int) *hook {
	h := &hook{answer: answer}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.got, h.heads, h.query = append(h.got, string(b)), append(h.heads, r.Header), append(h.query, r.URL.RawQuery)
		w.WriteHeader(h.answer(len(h.got)))
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) bodies() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.got...)
}
