package healthlake

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
)

// lab is a service over a real record engine, with the routes mounted as the edge mounts them.
type lab struct {
	t       testing.TB
	s       *Service
	records record.Store
	jobs    *job.Engine
	s3      *objects
	mux     *http.ServeMux
	denied  map[string]bool // actions that the policy forbids
	ctx     context.Context
	store   string
	stop    func()
}

func newLab(t testing.TB) *lab {
	t.Helper()
	records, keys := openRecords(t)
	return labOver(t, records, keys, &objects{body: map[string][]byte{}})
}

func labOver(t testing.TB, records record.Store, keys *keyring.Ring, obj *objects) *lab {
	t.Helper()
	l := &lab{t: t, records: records, s3: obj, denied: map[string]bool{}, mux: http.NewServeMux()}
	ctx, cancel := context.WithCancel(context.Background())
	l.ctx = call.With(ctx, &call.Call{Principal: call.Principal{Kind: call.Root, ARN: "arn:aws:iam::000000000000:root"}})
	var err error
	if l.jobs, err = job.New(records, job.Config{Exclusive: true, Rescan: 50 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	l.s, err = New(l.ctx, Config{Records: records, Jobs: l.jobs, Keys: keys, Guard: guard{}, Roles: l, Authorizer: l, S3: obj,
		Account: "000000000000", Region: "us-east-1", BaseURL: "http://galen.test"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { l.jobs.Run(ctx); close(done) }()
	l.stop = sync.OnceFunc(func() {
		stop, end := context.WithTimeout(context.Background(), 20*time.Second)
		defer end()
		_ = l.jobs.Stop(stop)
		cancel()
		<-done
	})
	t.Cleanup(l.stop)
	for _, r := range l.s.Routes() {
		l.mux.HandleFunc(r.Method+" "+r.Pattern, func(w http.ResponseWriter, req *http.Request) {
			if err := r.Handle(w, req); err != nil {
				r.Fail(w, req, err)
			}
		})
	}
	return l
}

// The lab is the policy and the roles: what they decide is not this package's.
func (l *lab) Decide(context.Context, *call.Call, authz.Request) authz.Decision {
	return authz.Decision{Allowed: true}
}
func (l *lab) Check(_ context.Context, r authz.Request) error {
	if l.denied[r.Action] {
		return errs.New(errs.Denied, "not authorized to perform: %s", r.Action)
	}
	return nil
}
func (l *lab) Pass(_ context.Context, role, _ string) error {
	if strings.Contains(role, "forbidden") {
		return errs.New(errs.Denied, "not authorized to perform: iam:PassRole")
	}
	return nil
}
func (l *lab) As(ctx context.Context, _, _, _ string) (context.Context, error) { return ctx, nil }

// create makes an active data store and remembers it.
func (l *lab) create() string {
	l.t.Helper()
	out, err := l.s.CreateFHIRDatastore(l.ctx, &api.CreateFHIRDatastoreInput{DatastoreTypeVersion: api.FHIRVersionR4, DatastoreName: "ward 7"})
	if err != nil {
		l.t.Fatal(err)
	}
	l.await("the store is active", func() bool { return l.status(out.DatastoreId) == api.DatastoreStatusActive })
	l.store = out.DatastoreId
	return l.store
}

func (l *lab) status(id string) api.DatastoreStatus {
	l.t.Helper()
	d, err := l.s.DescribeFHIRDatastore(l.ctx, &api.DescribeFHIRDatastoreInput{DatastoreId: id})
	if err != nil {
		l.t.Fatal(err)
	}
	return d.DatastoreProperties.DatastoreStatus
}

// await waits for work that goes on by itself. The bound is only there to end a test that hangs.
func (l *lab) await(what string, ok func() bool) {
	l.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("never: %s", what)
		}
	}
}

// answer of a FHIR interaction.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) json(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(a.body, &m); err != nil {
		t.Fatalf("%v in %.200s", err, a.body)
	}
	return m
}

// issue is the first issue's code and expression.
func (a answer) issue(t testing.TB) string {
	t.Helper()
	var o struct {
		ResourceType string
		Issue        []struct {
			Code       string
			Expression []string
		}
	}
	if err := json.Unmarshal(a.body, &o); err != nil || o.ResourceType != "OperationOutcome" || len(o.Issue) == 0 {
		t.Fatalf("not an OperationOutcome: %.300s", a.body)
	}
	return o.Issue[0].Code + " " + strings.Join(o.Issue[0].Expression, " ")
}

// ids of the resources in a Bundle with a search mode, as Type/id.
func (a answer) ids(t testing.TB, mode string) []string {
	t.Helper()
	var b struct {
		Entry []struct {
			Resource struct{ ResourceType, ID string }
			Search   struct{ Mode string }
		}
	}
	if err := json.Unmarshal(a.body, &b); err != nil || a.status != 200 {
		t.Fatalf("%d %v: %.300s", a.status, err, a.body)
	}
	out := []string{}
	for _, e := range b.Entry {
		if mode == "" || e.Search.Mode == mode {
			out = append(out, e.Resource.ResourceType+"/"+e.Resource.ID)
		}
	}
	return out
}

func (a answer) next(t testing.TB) string {
	t.Helper()
	var b struct {
		Link []struct{ Relation, URL string }
	}
	if err := json.Unmarshal(a.body, &b); err != nil {
		t.Fatal(err)
	}
	for _, l := range b.Link {
		if l.Relation == "next" {
			return l.URL
		}
	}
	return ""
}

// do calls a FHIR interaction below the store's root, or at an absolute URL. headers are "Name: value".
func (l *lab) do(method, path, body string, headers ...string) answer {
	l.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = "http://galen.test/datastore/" + l.store + "/r4" + path
	}
	r := httptest.NewRequest(method, path, strings.NewReader(body)).WithContext(l.ctx)
	if body != "" {
		r.Header.Set("Content-Type", "application/fhir+json")
	}
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	l.mux.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.Bytes()}
}

// want calls an interaction and fails the test on another status.
func (l *lab) want(status int, method, path, body string, headers ...string) answer {
	l.t.Helper()
	a := l.do(method, path, body, headers...)
	if a.status != status {
		l.t.Fatalf("%s %s: status %d, want %d: %.400s", method, path, a.status, status, a.body)
	}
	return a
}

// events lists the detail types in the outbox, with the resources' last part taken off.
func (l *lab) events() []string {
	l.t.Helper()
	var out []string
	msgs, err := l.records.Outbox(l.ctx, 0, 10_000)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, m := range msgs {
		var e struct {
			DetailType string `json:"detail-type"`
		}
		if m.Topic == "event" && json.Unmarshal(m.Body, &e) == nil {
			out = append(out, e.DetailType)
		}
	}
	return out
}

// guard is the key policy: it forbids one key.
type guard struct{}

func (guard) MayUse(_ context.Context, u key.Use) (string, error) {
	if u.Key == "forbidden" {
		return "", errs.New(errs.Denied, "not authorized to perform: %s", u.Action)
	}
	return u.Key, nil
}

// objects is S3 as far as the jobs use it.
type objects struct {
	gone map[string]bool // listed, and not there when they are read
	s3.Unimplemented
	mu     sync.Mutex
	body   map[string][]byte // bucket/key
	onPut  func(key string) error
	ranges []string
	dir    string // "" = in memory only; else every object is a file here too, for tests that kill the process
}

// objectsIn keeps objects as files, so that they outlive the process.
func objectsIn(t testing.TB, dir string) *objects {
	o := &objects{body: map[string][]byte{}, dir: dir}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".tmp") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		key, err := url.PathUnescape(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		o.body[key] = b
	}
	return o
}

func (o *objects) keep(key string, b []byte) error {
	if o.dir == "" {
		return nil
	}
	path := filepath.Join(o.dir, url.PathEscape(key))
	if err := os.WriteFile(path+".tmp", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

func etag(b []byte) string { s := md5.Sum(b); return `"` + hex.EncodeToString(s[:]) + `"` }

func (o *objects) ListObjectsV2(_ context.Context, in *s3.ListObjectsV2Input) (*s3.ListObjectsV2Output, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var keys []string
	for k := range o.body {
		if strings.HasPrefix(k, in.Bucket+"/"+in.Prefix) && k > in.Bucket+"/"+in.ContinuationToken {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	out := &s3.ListObjectsV2Output{IsTruncated: aws.Ptr(len(keys) > 3)}
	for _, k := range keys[:min(3, len(keys))] { // small pages, so that paging is used
		key := strings.TrimPrefix(k, in.Bucket+"/")
		out.Contents = append(out.Contents, s3.Object{Key: key, Size: aws.Ptr(int64(len(o.body[k]))), ETag: etag(o.body[k])})
		out.NextContinuationToken = key
	}
	return out, nil
}

func (o *objects) GetObject(_ context.Context, in *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b, ok := o.body[in.Bucket+"/"+in.Key]
	if !ok || o.gone[in.Bucket+"/"+in.Key] {
		return nil, errs.Named(errs.NotFound, "NoSuchKey", "no such key")
	}
	if in.IfMatch != "" && in.IfMatch != etag(b) {
		return nil, errs.New(errs.Precondition, "changed")
	}
	if in.Range != "" {
		o.ranges = append(o.ranges, in.Range)
		var from int
		if _, err := fmt.Sscanf(in.Range, "bytes=%d-", &from); err != nil {
			return nil, err
		}
		b = b[from:]
	}
	return &s3.GetObjectOutput{Body: io.NopCloser(bytes.NewReader(b))}, nil
}

func (o *objects) PutObject(_ context.Context, in *s3.PutObjectInput) (*s3.PutObjectOutput, error) {
	b, err := io.ReadAll(in.Body)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.onPut != nil {
		if err := o.onPut(in.Key); err != nil {
			return nil, err
		}
	}
	o.body[in.Bucket+"/"+in.Key] = b
	return &s3.PutObjectOutput{}, o.keep(in.Bucket+"/"+in.Key, b)
}
