package healthlake

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/standard/fhir"
	"github.com/galen-health/galen/standard/fhir/tape"
	"github.com/galen-health/galen/test/testbed"
)

// entries is the lab's audit log; nothing is in it but what a test appends.
type entries struct{ log *audit.Merkle }

func (e *entries) Lookup(ctx context.Context, f audit.Filter, after string, limit int) ([]audit.Entry, string, error) {
	return e.log.Lookup(ctx, f, after, limit)
}

const ward = "0123456789abcdef0123456789abcdef"

var morning = time.Date(2026, 6, 1, 8, 0, 0, 0, time.UTC)

// audited is a lab whose log has the given entries about the ward's data store, a minute apart, and one about another.
func audited(t *testing.T, list ...audit.Entry) *lab {
	t.Helper()
	l := newLab(t)
	var err error
	l.entries.log, err = audit.Open(l.Ctx, audit.Config{Dir: filepath.Join(t.TempDir(), "audit"), Origin: "galen/test", Ring: l.Keys, Store: l.Records})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.entries.log.Close(context.Background()) })
	list = append(list, audit.Entry{ID: "elsewhere", Name: "ReadResource", Resources: []string{l.s.arn(strings.Repeat("f", 32))}})
	for i, e := range list {
		if e.Time.IsZero() {
			e.Time = morning.Add(time.Duration(i) * time.Minute)
		}
		if e.Resources == nil {
			e.Resources = []string{l.s.arn(ward)}
		}
		e.Source, e.Account, e.Region = "healthlake.amazonaws.com", testbed.Account, testbed.Region
		if err := l.entries.log.Append(l.Ctx, &e); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func about(id, name, typ, resource, failure string) audit.Entry {
	return audit.Entry{ID: id, Name: name, Action: "healthlake:" + name, Principal: "arn:aws:iam::000000000000:user/" + map[bool]string{true: "nurse", false: "doctor"}[len(id)%2 == 0], Kind: "IAMUser", AccessKeyID: "AKIA" + strings.ToUpper(id),
		SourceIP: "192.0.2.7", UserAgent: "ward/1", RequestID: "r-" + id, ReadOnly: !strings.HasPrefix(name, "Create"), Error: failure, Policy: "arn:aws:iam::000000000000:policy/ward", Parameters: map[string]string{"datastoreId": ward, "resourceType": typ, "resourceId": resource}}
}

func day() []audit.Entry {
	return []audit.Entry{
		about("e0", "CreateResource", "Patient", "p1", ""),
		about("e1", "ReadResource", "Patient", "p1", ""),
		about("e22", "ReadResource", "Patient", "p2", "Forbidden"),
		about("e3", "SearchWithGet", "Observation", "", ""),
		about("e44", "ReadResource", "Observation", "o1", "Internal Server Error"),
		about("e5", "StartFHIRExportJob", "", "", ""),
		{ID: "e6", Name: "Unknown"},
	}
}

func (l *lab) audit(t *testing.T, path string) answer {
	t.Helper()
	return l.do("GET", "http://galen.test/datastore/"+ward+"/audit/r4"+path, "")
}

// Every event is an AuditEvent as R4 wants it, whatever the entry lacks.
func TestAuditEventsAreValid(t *testing.T) {
	list := append(day(), audit.Entry{ID: "least", Name: "Unknown"}, audit.Entry{ID: "x", Principal: "pharmacy@example.org", Kind: "WebIdentityUser", Via: "omics.amazonaws.com", SourceIP: "::1", Name: "DeleteFHIRDatastore", Error: "ConflictException"})
	for _, e := range list {
		b, err := json.Marshal(auditEventOf(&e))
		if err != nil {
			t.Fatal(err)
		}
		var doc tape.Doc
		if err := doc.Parse(b, tape.Limits{}); err != nil {
			t.Fatal(err)
		}
		var c fhir.Checker
		if _, issues := c.Check(&doc, 0, "AuditEvent"); len(issues) > 0 {
			t.Errorf("%s %s: %v in %s", e.ID, e.Name, issues, b)
		}
	}
}

// The mapping says what the entry says.
func TestAuditEventMapping(t *testing.T) {
	e := about("e22", "ReadResource", "Patient", "p2", "Forbidden")
	e.Time, e.Resources = morning, []string{"arn:aws:healthlake:us-east-1:000000000000:datastore/fhir/" + ward}
	a := auditEventOf(&e)
	if a.Type.Code != "rest" || a.Subtype[0].Code != "read" || a.Action != "R" || a.Outcome != "4" || a.OutcomeDesc != "Forbidden" || a.Recorded != "2026-06-01T08:00:00.000000Z" {
		t.Errorf("the event is %+v", a)
	}
	if u := a.Agent[0]; !u.Requestor || u.Who.Identifier.Value != e.Principal || u.AltID != e.AccessKeyID || !slices.Equal(u.Policy, []string{e.Policy}) {
		t.Errorf("the user is %+v", u)
	}
	if c := a.Agent[1]; c.Type.Coding[0].Code != "110152" || c.Network.Address != "192.0.2.7" || c.Requestor {
		t.Errorf("the client of a read, its destination, is %+v", c)
	}
	if n := a.Entity[0]; n.What.Reference != "Patient/p2" || n.Role.Code != "1" {
		t.Errorf("the patient is %+v", n)
	}
	if n := a.Entity[1]; n.What.Identifier.Value != e.Resources[0] {
		t.Errorf("the data store is %+v", n)
	}
	for _, c := range []struct{ name, action, failure, outcome string }{{"SearchWithGet", "E", "", "0"}, {"CreateResource", "C", "Bad Request", "4"}, {"UpdateResource", "U", "Service Unavailable", "8"}, {"DeleteFHIRDatastore", "D", "InternalServerException", "8"},
		{"DescribeFHIRDatastore", "R", "ThrottlingException", "4"}, {"TagResource", "U", "", "0"}} {
		a := auditEventOf(&audit.Entry{ID: "x", Name: c.name, Error: c.failure, ReadOnly: c.name[0] == 'S' || c.name[2] == 's'})
		if a.Action != c.action || a.Outcome != c.outcome {
			t.Errorf("%s with %q is action %s, outcome %s", c.name, c.failure, a.Action, a.Outcome)
		}
	}
}

func TestAuditSearch(t *testing.T) {
	l := audited(t, day()...)
	arn := func(who string) string { return url.QueryEscape("arn:aws:iam::000000000000:user/" + who) }
	for query, want := range map[string]string{
		"":                                     "e6 e5 e44 e3 e22 e1 e0",
		"?_sort=-date&_count=3":                "e6 e5 e44",
		"?entity=Patient/p1":                   "e1 e0",
		"?patient=p2":                          "e22",
		"?patient=Patient/p1&action=R":         "e1",
		"?entity=Patient/p1,Observation/o1":    "e44 e1 e0",
		"?agent=" + arn("nurse"):               "e5 e3 e1 e0",
		"?agent:identifier=" + arn("doctor"):   "e44 e22",
		"?agent-name=doc":                      "e44 e22",
		"?action=E":                            "e6 e5 e3",
		"?action:not=R":                        "e6 e5 e3 e0",
		"?outcome=4":                           "e22",
		"?outcome=4,8":                         "e44 e22",
		"?subtype=search-type":                 "e3",
		"?subtype=urn:galen:operation|Unknown": "e6",
		"?type=110106":                         "e5",
		"?altid=AKIAE1":                        "e1",
		"?address=192.0.2.7&date=lt2026-06-01T08:02:00Z":         "e1 e0",
		"?date=2026-06-01T08:02":                                 "e22",
		"?date=ge2026-06-01T08:04:00Z":                           "e6 e5 e44",
		"?date=gt2026-06-01T08:02&date=le2026-06-01T08:04":       "e44 e3",
		"?date=2026-06-02":                                       "",
		"?policy=arn:aws:iam::000000000000:policy/ward&action=C": "e0",
		"?_id=e3":        "e3",
		"?_id=elsewhere": "",
		"?entity:identifier=" + url.QueryEscape(l.s.arn(ward)) + "&outcome=8": "e44",
	} {
		got := []string{}
		for _, id := range l.audit(t, "/AuditEvent"+query).ids(t, "match") {
			got = append(got, strings.TrimPrefix(id, "AuditEvent/"))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s finds %v, want %s", query, got, want)
		}
	}
	if a := l.do("POST", "http://galen.test/datastore/"+ward+"/audit/r4/AuditEvent/_search", "patient=p1", "Content-Type: application/x-www-form-urlencoded"); len(a.ids(t, "match")) != 2 {
		t.Errorf("the same in a form: %d %s", a.status, a.body)
	}
	for _, query := range []string{"?_summary=count", "?_total=accurate", "?_sort=date", "?_include=AuditEvent:entity", "?agent.name=x", "?action:missing=true", "?ward=7", "?date=yesterday", "?_count=0", "?source=x", "?page=e30"} {
		if a := l.audit(t, "/AuditEvent"+query); a.status != 400 {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
}

// A page goes on where the one before ended, and its token is of its own search only.
func TestAuditPages(t *testing.T) {
	var many []audit.Entry
	for i := range 700 {
		many = append(many, about(fmt.Sprint("n", i), "ReadResource", "Patient", fmt.Sprint("p", i%7), ""))
	}
	l := audited(t, many...)
	seen := map[string]bool{}
	pages := 0
	for next := "http://galen.test/datastore/" + ward + "/audit/r4/AuditEvent?patient=p3&_count=30"; next != ""; pages++ {
		a := l.do("GET", next, "")
		for _, id := range a.ids(t, "match") {
			if seen[id] {
				t.Errorf("%s came twice", id)
			}
			seen[id] = true
		}
		if next = a.next(t); next != "" && pages == 0 {
			u, err := url.Parse(next)
			if err != nil {
				t.Fatal(err)
			}
			if a := l.audit(t, "/AuditEvent?patient=p4&_count=30&page="+u.Query().Get("page")); a.status != 400 {
				t.Errorf("another search's token: %d", a.status)
			}
		}
	}
	if len(seen) != 100 || pages != 4 {
		t.Errorf("%d events in %d pages, want 100 in 4", len(seen), pages)
	}
}

func TestAuditRead(t *testing.T) {
	l := audited(t, day()...)
	if a := l.audit(t, "/AuditEvent/e22"); a.status != 200 || a.json(t)["id"] != "e22" || a.header.Get("ETag") != `W/"1"` {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, path := range []string{"/AuditEvent/elsewhere", "/AuditEvent/none", "/AuditEvent/" + strings.Repeat("x", 65), "/Patient/p1", "/AuditEvent/e1/_history"} {
		if a := l.audit(t, path); a.status != 404 {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	m := l.audit(t, "/metadata").json(t)
	r := m["rest"].([]any)[0].(map[string]any)["resource"].([]any)[0].(map[string]any)
	if n := len(r["searchParam"].([]any)); r["type"] != "AuditEvent" || n != len(auditParams)+1 { // and date
		t.Errorf("%d parameters: %v", n, r)
	}
}

// AuditEvents that users write are resources as any other; the view has none of them, nor they any of the view's.
func TestOwnAuditEventsStay(t *testing.T) {
	l := audited(t, day()...)
	l.create()
	b, err := json.Marshal(auditEventOf(&day()[1]))
	if err != nil {
		t.Fatal(err)
	}
	if a := l.do("PUT", "http://galen.test/datastore/"+l.store+"/r4/AuditEvent/e1", string(b)); a.status != 201 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := l.do("GET", "http://galen.test/datastore/"+l.store+"/r4/AuditEvent?entity=Patient/p1", ""); len(a.ids(t, "match")) != 1 {
		t.Errorf("in the data store: %s", a.body)
	}
	if a := l.do("GET", "http://galen.test/datastore/"+l.store+"/audit/r4/AuditEvent", ""); len(a.ids(t, "match")) != 0 {
		t.Errorf("in the log of a data store that nobody called: %s", a.body)
	}
}

func FuzzAuditSearch(f *testing.F) {
	for _, s := range []string{"date=ge2026&entity=Patient/1", "agent:identifier=a|b&action:not=R", "patient=1,2&_sort=-date", "subtype=x|&date=ap2026-01-01"} {
		f.Add(s)
	}
	list := day()
	f.Fuzz(func(t *testing.T, query string) {
		params, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		s, err := readAuditSearch(params)
		if err != nil {
			return
		}
		for i := range list {
			_ = s.filter.Where(&list[i])
		}
	})
}
