package healthlake

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	api "github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/test/testbed"
)

// lab is the service over real engines, with the routes mounted as the edge mounts them.
type lab struct {
	*testbed.Engines
	t       testing.TB
	s       *Service
	s3      *testbed.Objects
	mux     *http.ServeMux
	denied  map[string]bool // actions that the policy forbids
	store   string
	entries entries
}

func newLab(t testing.TB) *lab {
	t.Helper()
	return labIn(t, t.TempDir(), testbed.NewObjects())
}

// labIn opens a lab over a folder that may have been used before.
func labIn(t testing.TB, dir string, obj *testbed.Objects) *lab {
	t.Helper()
	l := &lab{Engines: testbed.Open(t, dir), t: t, s3: obj, denied: map[string]bool{}, mux: http.NewServeMux()}
	var err error
	l.s, err = New(l.Ctx, Config{Records: l.Records, Jobs: l.Jobs, Keys: l.Keys, Guard: testbed.KeyPolicy{}, Roles: testbed.Roles(servicePrincipal), Authorizer: l, S3: obj, Audit: &l.entries,
		Account: testbed.Account, Region: testbed.Region, BaseURL: "http://galen.test"})
	if err != nil {
		t.Fatal(err)
	}
	l.Run()
	for _, r := range l.s.Routes() {
		l.mux.HandleFunc(r.Method+" "+r.Pattern, func(w http.ResponseWriter, req *http.Request) {
			if err := r.Handle(w, req); err != nil {
				r.Fail(w, req, err)
			}
		})
	}
	return l
}

// The lab is the policy: what it decides is not this package's.
func (l *lab) Decide(context.Context, *call.Call, authz.Request) authz.Decision {
	return authz.Decision{Allowed: true}
}
func (l *lab) Check(_ context.Context, r authz.Request) error {
	if l.denied[r.Action] {
		return errs.New(errs.Denied, "not authorized to perform: %s", r.Action)
	}
	return nil
}

// create makes an active data store and remembers it.
func (l *lab) create() string {
	l.t.Helper()
	out, err := l.s.CreateFHIRDatastore(l.Ctx, &api.CreateFHIRDatastoreInput{DatastoreTypeVersion: api.FHIRVersionR4, DatastoreName: "ward 7"})
	if err != nil {
		l.t.Fatal(err)
	}
	l.Await("the store is active", func() bool { return l.status(out.DatastoreId) == api.DatastoreStatusActive })
	l.store = out.DatastoreId
	return l.store
}

func (l *lab) status(id string) api.DatastoreStatus {
	l.t.Helper()
	d, err := l.s.DescribeFHIRDatastore(l.Ctx, &api.DescribeFHIRDatastoreInput{DatastoreId: id})
	if err != nil {
		l.t.Fatal(err)
	}
	return d.DatastoreProperties.DatastoreStatus
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
	r := httptest.NewRequest(method, path, strings.NewReader(body)).WithContext(l.Ctx)
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
