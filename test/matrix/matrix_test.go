package matrix

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/galen-health/galen/app/edge"
	"github.com/galen-health/galen/aws"
	s3api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/httproute"
)

var update = flag.Bool("update", false, "rewrite testdata/matrix.txt; review the difference")

// row is one operation or route.
type row struct {
	name     string // "s3 PutObject", "GET /fhir/{datastoreId}/{type}"
	action   string // "s3:PutObject"
	readOnly bool
	needs    func(*principal) ([]authz.Request, error)
}

// The marks of a cell.
const (
	allowed = '✔'
	refused = '·'
	free    = '-' // nothing needs to be allowed
)

// free operations need no permission before they run, each for a reason of its contract.
var freely = map[string]string{
	"sts GetCallerIdentity":         "AWS documents that no permission is needed",
	"sts GetSessionToken":           "it gives the caller nothing new",
	"sts AssumeRoleWithWebIdentity": "it is decided while it runs, when the token has been verified",
	"s3 DeleteObjects":              "each object is decided for itself while it runs",

	"GET /.well-known/openid-configuration":                           "discovery is public",
	"GET /.well-known/oauth-authorization-server":                     "discovery is public",
	"GET /fhir/{datastoreId}/.well-known/smart-configuration":         "discovery is public",
	"GET /datastore/{datastoreId}/r4/.well-known/smart-configuration": "discovery is public",
	"GET /oauth2/jwks":   "public keys are public",
	"POST /oauth2/token": "the client proves who it is in the request",
}

func (h *hospital) rows() (out []row) {
	for _, op := range h.app.Operations() {
		out = append(out, row{name: op.Service.Signing + " " + op.Name, action: op.Service.Signing + ":" + op.Name, readOnly: op.ReadOnly, needs: func(p *principal) ([]authz.Request, error) {
			return h.app.Needs(call.With(h.root, p.call), op, h.input(op))
		}})
	}
	for _, rt := range h.app.Routes() {
		out = append(out, row{name: rt.Method + " " + rt.Pattern, action: rt.Action, readOnly: rt.ReadOnly, needs: func(p *principal) ([]authz.Request, error) {
			if rt.Open {
				return nil, nil
			}
			return []authz.Request{edge.RouteNeed(&rt, requestOf(&rt))}, nil
		}})
	}
	slices.SortStableFunc(out, func(a, b row) int { return strings.Compare(a.name, b.name) })
	return out
}

var placeholder = regexp.MustCompile(`\{([A-Za-z]+)(\.\.\.)?\}`)

// values fill the placeholders of routes.
var values = map[string]string{"datastoreId": ward, "type": "Observation", "id": "o1", "vid": "1", "compartment": "Patient", "rest": "x", "study": "1.2.3", "series": "1.2.3.4", "instance": "1.2.3.4.5", "frames": "1", "bulk": "abc"}

func requestOf(rt *httproute.Route) *http.Request {
	path := strings.TrimSuffix(rt.Pattern, "{$}")
	names := placeholder.FindAllStringSubmatch(path, -1)
	for _, m := range names {
		v, ok := values[m[1]]
		if !ok {
			v = "x1"
		}
		path = strings.Replace(path, m[0], v, 1)
	}
	if rt.Name == "ExplainAccess" {
		path += "?who=arn:aws:iam::" + account + ":user/nobody"
	}
	r := httptest.NewRequest(rt.Method, path, nil)
	for _, m := range names {
		v, ok := values[m[1]]
		if !ok {
			v = "x1"
		}
		r.SetPathValue(m[1], v)
	}
	return r
}

// members are plausible values of the inputs' members, by name.
func (h *hospital) members(op *aws.Operation) map[string]any {
	m := map[string]any{
		"DatastoreId": ward, "ImageSetId": strings.Repeat("3", 32), "SourceImageSetId": strings.Repeat("3", 32), "JobId": strings.Repeat("4", 32),
		"Bucket": bucket, "Key": "records/a.json", "CopySource": bucket + "/records/a.json", "UploadId": "u1",
		"KeyId": h.keyID, "SourceKeyId": h.keyID, "DestinationKeyId": h.keyID, "TargetKeyId": h.keyID, "AliasName": "alias/ward", "CiphertextBlob": h.sealed, "GrantId": h.grant.GrantId,
		"UserName": "nurse", "GroupName": "staff", "RoleName": "clinic", "RoleArn": "arn:aws:iam::" + account + ":role/clinic", "PolicyArn": "arn:aws:iam::" + account + ":policy/care", "PolicyName": "care", "VersionId": "v1",
		"PolicySourceArn": "arn:aws:iam::" + account + ":user/nobody", "RoleSessionName": "shift", "SequenceStoreId": "1234567890", "ReferenceStoreId": "1234567890", "Id": "1234567890", "Name": "ward", "DestinationName": "ward",
		"DomainId": "hai-ward", "SubscriptionId": "sub-ward", "MedicalScribeJobName": "visit", "EventBusName": "default", "Rule": "r1", "WorkGroup": "primary",
		"OpenIDConnectProviderArn": "arn:aws:iam::" + account + ":oidc-provider/login.example.org", "Url": "https://login.example.org", "WebIdentityToken": "x.y.z",
	}
	arn := "arn:aws:" + op.Service.Signing + ":" + region + ":" + account + ":"
	switch op.Service.Signing {
	case "healthlake":
		arn += "datastore/fhir/" + ward
	case "medical-imaging":
		arn += "datastore/" + ward
	case "omics":
		arn += "sequenceStore/1234567890"
	case "health-agent":
		arn += "domain/hai-ward"
	case "events":
		arn += "rule/r1"
	case "transcribe":
		arn += "medical-scribe-job/visit"
	case "athena":
		arn += "workgroup/primary"
	}
	m["ResourceARN"], m["ResourceArn"] = arn, arn
	switch {
	case op.Service.Signing == "s3":
		delete(m, "VersionId")
	case op.Name == "ReEncrypt", op.Name == "Decrypt":
		delete(m, "KeyId")
	case op.Name == "RetireGrant":
		delete(m, "GrantToken")
	}
	return m
}

// input fills an operation's input with what it would plausibly hold.
func (h *hospital) input(op *aws.Operation) any {
	in := reflect.New(op.In)
	members := h.members(op)
	for i := range op.In.NumField() {
		f := in.Elem().Field(i)
		v, ok := members[op.In.Field(i).Name]
		if !ok {
			continue
		}
		if val := reflect.ValueOf(v); val.Type().AssignableTo(f.Type()) {
			f.Set(val)
		}
	}
	if e := in.Elem().FieldByName("Entries"); op.Name == "PutEvents" && e.IsValid() { // events have a bus each
		e.Set(reflect.MakeSlice(e.Type(), 1, 1))
	}
	return in.Interface()
}

// cell decides one row for one principal.
func (h *hospital) cell(r row, p *principal) rune {
	needs, err := r.needs(p)
	if err != nil {
		h.t.Fatalf("%s for the %s: the input is not plausible: %v", r.name, p.name, err)
	}
	if len(needs) == 0 {
		return free
	}
	dir := p.dir
	if dir == nil {
		dir = h.app.Directory()
	}
	e := authz.New(dir, account, region)
	for _, n := range needs {
		if !e.Decide(h.root, p.call, n).Allowed {
			return refused
		}
	}
	return allowed
}

// TestMatrix prints every cell and holds the picture to the reviewed one, and every cell to the rules.
func TestMatrix(t *testing.T) {
	h := build(t)
	var b strings.Builder
	b.WriteString("# Who may what: made by `go test ./test/matrix -update`, reviewed by people.\n# ✔ allowed  · refused  - no permission is needed before it runs\n#\n")
	for _, p := range h.principals {
		fmt.Fprintf(&b, "# %s  %s\n", p.letter, p.name)
	}
	rows := h.rows()
	if len(h.principals) < 12 || len(rows) < 300 {
		t.Errorf("%d principals, %d rows: the matrix is too small", len(h.principals), len(rows))
	}
	b.WriteString("\n")
	for _, p := range h.principals {
		b.WriteString(p.letter)
	}
	b.WriteString("  columns\n")
	cells, allows := 0, 0
	for _, r := range rows {
		for _, p := range h.principals {
			c := h.cell(r, p)
			b.WriteRune(c)
			cells++
			switch c {
			case free:
				if freely[r.name] == "" {
					t.Errorf("%s needs no permission, and no reason is known", r.name)
				}
			case allowed:
				allows++
				if why := forbidden(p, r); why != "" {
					t.Errorf("unexpected allow: %s, %s: %s", r.name, p.name, why)
				}
			}
		}
		b.WriteString("  " + r.name + "\n")
	}
	t.Logf("%d rows, %d principals, %d cells, %d allows", len(rows), len(h.principals), cells, allows)
	golden := filepath.Join("testdata", "matrix.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, string(want), b.String())
}

// TestDeletionsAreDecidedOneByOne: DeleteObjects asks for nothing before it runs, so it has to ask while it runs.
func TestDeletionsAreDecidedOneByOne(t *testing.T) {
	h := build(t)
	s3 := s3api.NewClient(h.app.Invoker())
	for _, p := range h.principals {
		may := p.letter == "r" || p.letter == "a"
		out, err := s3.DeleteObjects(call.With(h.root, p.call), &s3api.DeleteObjectsInput{Bucket: bucket, Delete: &s3api.Delete{Objects: []s3api.ObjectIdentifier{{Key: "records/a.json"}}}})
		if err != nil {
			if may {
				t.Errorf("%s: %v", p.name, err)
			}
			continue
		}
		if (len(out.Errors) == 0) != may || !may && out.Errors[0].Code != "AccessDenied" {
			t.Errorf("%s: errors %+v, deleted %+v", p.name, out.Errors, out.Deleted)
		}
	}
}

// compare tells rows that are new, gone or changed.
func compare(t *testing.T, want, got string) {
	if want == got {
		return
	}
	lines := func(s string) map[string]string {
		m := map[string]string{}
		for _, l := range strings.Split(s, "\n") {
			cells, name, ok := strings.Cut(l, "  ")
			if !ok {
				cells, name = l, l
			}
			m[name] = cells
		}
		return m
	}
	reviewed, now := lines(want), lines(got)
	for name, cells := range now {
		if old, ok := reviewed[name]; !ok {
			t.Errorf("%s has no reviewed row: run with -update and review it", name)
		} else if old != cells {
			t.Errorf("%s was %s, is %s", name, old, cells)
		}
	}
	for name := range reviewed {
		if _, ok := now[name]; !ok {
			t.Errorf("%s is in the reviewed matrix and not in the build", name)
		}
	}
}
