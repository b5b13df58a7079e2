package healthlake

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

const peter = `{"resourceType":"Patient","active":true,"name":[{"family":"Chalmers","given":["Peter","James"]}],"birthDate":"1974-12-25"}`

func TestAResourceLivesAndDies(t *testing.T) {
	l := newLab(t)
	l.create()
	a := l.want(201, "POST", "/Patient", peter)
	p := a.json(t)
	id := p["id"].(string)
	if loc := a.header.Get("Location"); loc != "http://galen.test/datastore/"+l.store+"/r4/Patient/"+id+"/_history/1" {
		t.Errorf("Location = %s", loc)
	}
	if a.header.Get("ETag") != `W/"1"` || a.header.Get("Last-Modified") == "" {
		t.Errorf("headers = %v", a.header)
	}
	if _, err := time.Parse(time.RFC3339, p["meta"].(map[string]any)["lastUpdated"].(string)); err != nil {
		t.Error(err)
	}
	read := l.want(200, "GET", "/Patient/"+id, "")
	if string(read.body) != string(a.body) {
		t.Errorf("read %s, created %s", read.body, a.body)
	}
	if got := l.want(304, "GET", "/Patient/"+id, "", `If-None-Match: W/"1"`); len(got.body) != 0 {
		t.Errorf("a body with 304: %s", got.body)
	}
	l.want(304, "GET", "/Patient/"+id, "", "If-Modified-Since: "+read.header.Get("Last-Modified"))
	l.want(200, "GET", "/Patient/"+id, "", `If-None-Match: W/"2"`)

	changed := strings.Replace(peter, `"active":true`, `"active":false,"id":"`+id+`"`, 1)
	l.want(412, "PUT", "/Patient/"+id, changed, `If-Match: W/"7"`)
	l.want(412, "PUT", "/Patient/"+id, changed, `If-None-Match: *`)
	u := l.want(200, "PUT", "/Patient/"+id, changed, `If-Match: W/"1"`)
	if u.json(t)["meta"].(map[string]any)["versionId"] != "2" {
		t.Errorf("updated = %s", u.body)
	}
	if v1 := l.want(200, "GET", "/Patient/"+id+"/_history/1", ""); string(v1.body) != string(a.body) {
		t.Errorf("version 1 = %s", v1.body)
	}
	l.want(412, "DELETE", "/Patient/"+id, "", `If-Match: W/"1"`)
	l.want(204, "DELETE", "/Patient/"+id, "")
	l.want(204, "DELETE", "/Patient/"+id, "")
	if got := l.want(410, "GET", "/Patient/"+id, "").issue(t); got != "deleted " {
		t.Errorf("issue = %q", got)
	}
	l.want(410, "GET", "/Patient/"+id+"/_history/3", "")
	l.want(404, "GET", "/Patient/"+id+"/_history/4", "")
	l.want(404, "GET", "/Patient/never", "")
	l.want(404, "DELETE", "/Patient/never", "")
	if got := l.want(200, "GET", "/Patient?_id="+id, "").ids(t, ""); len(got) != 0 {
		t.Errorf("a deleted patient is found: %v", got)
	}
	again := l.want(201, "PUT", "/Patient/"+id, changed)
	if again.json(t)["meta"].(map[string]any)["versionId"] != "4" {
		t.Errorf("revived = %s", again.body)
	}
	h := l.want(200, "GET", "/Patient/"+id+"/_history", "").json(t)
	var steps []string
	for _, e := range h["entry"].([]any) {
		m := e.(map[string]any)
		steps = append(steps, m["request"].(map[string]any)["method"].(string)+" "+m["response"].(map[string]any)["etag"].(string))
	}
	if want := []string{`PUT W/"4"`, `DELETE W/"3"`, `PUT W/"2"`, `POST W/"1"`}; !reflect.DeepEqual(steps, want) {
		t.Errorf("history = %v, want %v", steps, want)
	}
}

func TestPutCreatesUnderTheClientsID(t *testing.T) {
	l := newLab(t)
	l.create()
	l.want(201, "PUT", "/Patient/p-1", strings.Replace(peter, "{", `{"id":"p-1",`, 1))
	if got := l.want(400, "PUT", "/Patient/p-2", strings.Replace(peter, "{", `{"id":"p-1",`, 1)).issue(t); got != "invalid Patient.id" {
		t.Errorf("issue = %q", got)
	}
	l.want(400, "PUT", "/Patient/p-2", peter)
}

func TestPreferences(t *testing.T) {
	l := newLab(t)
	l.create()
	if a := l.want(201, "POST", "/Patient", peter, "Prefer: return=minimal"); len(a.body) != 0 || a.header.Get("Location") == "" {
		t.Errorf("minimal: %s %v", a.body, a.header)
	}
	if a := l.want(201, "POST", "/Patient", peter, "Prefer: return=OperationOutcome"); a.json(t)["resourceType"] != "OperationOutcome" {
		t.Errorf("OperationOutcome: %s", a.body)
	}
}

func TestConditionalAndIdempotentCreate(t *testing.T) {
	l := newLab(t)
	l.create()
	in := `{"resourceType":"Patient","identifier":[{"system":"http://h","value":"7"}]}`
	first := l.want(201, "POST", "/Patient", in, "If-None-Exist: identifier=http://h|7").json(t)["id"]
	if second := l.want(200, "POST", "/Patient", in, "If-None-Exist: identifier=http://h|7").json(t)["id"]; second != first {
		t.Errorf("the second create made %v beside %v", second, first)
	}
	l.want(201, "POST", "/Patient", in)
	l.want(412, "POST", "/Patient", in, "If-None-Exist: identifier=http://h|7")
	l.want(400, "POST", "/Patient", in, "If-None-Exist: nonsense=1")

	const k = "x-amz-fhir-idempotency-key: 0c6b1f3d-edb2-422b-a0af-a262fb90ed07"
	once := l.want(201, "POST", "/Patient", peter, k).json(t)["id"]
	if dup := l.want(409, "POST", "/Patient", peter, k).json(t); dup["id"] != once || dup["resourceType"] != "Patient" {
		t.Errorf("the duplicate answers %v, want the original %v", dup["id"], once)
	}
	l.want(400, "POST", "/Patient", peter, "x-amz-fhir-idempotency-key: seven")
}

// TestConditionalCreatesRace: many at once make one resource.
func TestConditionalCreatesRace(t *testing.T) {
	l := newLab(t)
	l.create()
	in := `{"resourceType":"Patient","identifier":[{"system":"http://h","value":"7"}]}`
	var wg sync.WaitGroup
	made := make([]int, 16)
	for i := range made {
		wg.Go(func() { made[i] = l.do("POST", "/Patient", in, "If-None-Exist: identifier=http://h|7").status })
	}
	wg.Wait()
	created := 0
	for _, s := range made {
		if s == 201 {
			created++
		} else if s != 200 {
			t.Errorf("status %d", s)
		}
	}
	if n := len(l.want(200, "GET", "/Patient", "").ids(t, "")); created != 1 || n != 1 {
		t.Errorf("%d creates were answered 201 and %d patients are there, want 1", created, n)
	}
}

// TestIfMatchRaces: of many updates of the same version, one wins each round.
func TestIfMatchRaces(t *testing.T) {
	l := newLab(t)
	l.create()
	l.want(201, "PUT", "/Patient/x", `{"resourceType":"Patient","id":"x"}`)
	for round := 1; round <= 10; round++ {
		var wg sync.WaitGroup
		got := make([]int, 8)
		for i := range got {
			wg.Go(func() {
				got[i] = l.do("PUT", "/Patient/x", fmt.Sprintf(`{"resourceType":"Patient","id":"x","language":"l%d-%d"}`, round, i), fmt.Sprintf(`If-Match: W/"%d"`, round)).status
			})
		}
		wg.Wait()
		won := 0
		for _, s := range got {
			if s == 200 {
				won++
			} else if s != 412 {
				t.Errorf("status %d", s)
			}
		}
		if won != 1 {
			t.Fatalf("round %d: %d updates won", round, won)
		}
	}
}

func TestWrongInputIsAnsweredWithAnOutcome(t *testing.T) {
	l := newLab(t)
	l.create()
	for _, c := range []struct {
		status             int
		method, path, body string
		issue              string
		headers            []string
	}{
		{400, "POST", "/Patient", `{"resourceType":"Patient","birthDate":"x"}`, "value Patient.birthDate", nil},
		{400, "POST", "/Patient", `{"resourceType":"Patient","active":true,"active":false}`, "structure ", nil},
		{400, "POST", "/Patient", `{"resourceType":"Patient"`, "structure ", nil},
		{400, "POST", "/Patient", `{"resourceType":"Observation","status":"final","code":{"text":"x"}}`, "invalid ", nil},
		{404, "POST", "/Patience", peter, "not-found ", nil},
		{404, "GET", "/Patient/$everything", "", "not-found ", nil},
		{404, "GET", "/Patient/1/2/3/4", "", "not-found ", nil},
		{404, "PUT", "/Patient", peter, "not-found ", nil},
		{501, "PATCH", "/Patient/1", `[]`, "not-supported ", nil},
		{415, "POST", "/Patient", `<Patient xmlns="http://hl7.org/fhir"/>`, "not-supported ", []string{"Content-Type: application/fhir+xml"}},
		{415, "POST", "/Patient", peter, "not-supported ", []string{"Content-Encoding: gzip"}},
		{406, "GET", "/Patient/1", "", "not-supported ", []string{"Accept: application/fhir+xml"}},
		{406, "GET", "/Patient?_format=xml", "", "not-supported ", nil},
		{400, "GET", "/Patient?nome=x", "", "not-supported http.nome", nil},
		{400, "GET", "/Patient?_count=0", "", "invalid http._count", nil},
		{400, "GET", "/Patient?_count=101", "", "invalid http._count", nil},
		{400, "GET", "/Patient?page=AAAA", "", "invalid ", nil},
		{400, "POST", "/", `{"resourceType":"Bundle","type":"collection"}`, "invalid Bundle.type", nil},
		{400, "POST", "/", `{"resourceType":"Patient"}`, "invalid ", nil},
		{400, "POST", "/Patient", peter, "invalid ", []string{"x-amzn-healthlake-fhir-validation-level: none"}},
		{413, "POST", "/Patient", `{"resourceType":"Patient","language":"` + strings.Repeat("x", maxResource) + `"}`, "too-long ", nil},
		{404, "GET", "http://galen.test/datastore/0123456789abcdef0123456789abcdef/r4/Patient", "", "not-found ", nil},
	} {
		a := l.do(c.method, c.path, c.body, c.headers...)
		if got := a.issue(t); a.status != c.status || got != c.issue {
			t.Errorf("%s %s %.60s: %d %q, want %d %q", c.method, c.path, c.body, a.status, got, c.status, c.issue)
		}
	}
	l.want(200, "GET", "/Patient?_format=json", "")
	l.want(200, "GET", "/Patient", "", "Accept: application/fhir+json;fhirVersion=4.0, */*;q=0.1")
}

func TestMinimalValidationStoresAndTells(t *testing.T) {
	l := newLab(t)
	l.create()
	a := l.want(201, "POST", "/Patient", `{"resourceType":"Patient","birthDate":"long ago","gender":"male"}`, "x-amzn-healthlake-fhir-validation-level: minimal")
	if a.header.Get("x-amzn-healthlake-validation-issues") != "true" {
		t.Error("the validation issues are not announced")
	}
	if n := len(l.want(200, "GET", "/Patient?gender=male", "").ids(t, "")); n != 1 {
		t.Errorf("found %d, want 1", n)
	}
}

func TestHistoriesPageThroughWholeCommits(t *testing.T) {
	l := newLab(t)
	l.create()
	var entries []string
	for i := range 25 {
		entries = append(entries, fmt.Sprintf(`{"resource":{"resourceType":"Patient","id":"p%d"},"request":{"method":"PUT","url":"Patient/p%d"}}`, i, i))
	}
	l.want(200, "POST", "/", `{"resourceType":"Bundle","type":"transaction","entry":[`+strings.Join(entries, ",")+`]}`)
	l.want(201, "PUT", "/Observation/o", `{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"}}`)
	for _, c := range []struct {
		path string
		want int
	}{{"/Patient/_history?_count=10", 25}, {"/_history?_count=7", 26}, {"/Observation/_history", 1}} {
		seen := map[string]bool{}
		pages := 0
		for url := c.path; url != ""; pages++ {
			a := l.want(200, "GET", url, "")
			for _, id := range a.ids(t, "") {
				if seen[id] {
					t.Errorf("%s: %s twice", c.path, id)
				}
				seen[id] = true
			}
			url = a.next(t)
			if pages > 30 {
				t.Fatal("the pages do not end")
			}
		}
		if len(seen) != c.want {
			t.Errorf("%s: %d versions, want %d", c.path, len(seen), c.want)
		}
	}
	l.want(404, "GET", "/Patient/none/_history", "")
	if got := l.want(200, "GET", "/_history?_since=2100-01-01T00:00:00Z", "").ids(t, ""); len(got) != 0 {
		t.Errorf("history since the future: %v", got)
	}
}

func TestTheRouteTable(t *testing.T) {
	s := &Service{cfg: Config{Account: "1", Region: "r"}}
	seen := map[string]bool{}
	for _, r := range s.Routes() {
		k := r.Method + " " + r.Pattern
		if seen[k] || r.Action == "" || r.Resource == nil || r.Fail == nil || r.Handle == nil || r.Name == "" || (!strings.HasPrefix(r.Action, "healthlake:") && r.Action != auditAction) {
			t.Errorf("route %s is wrong", k)
		}
		seen[k] = true
		if (r.MaxBody == 0) != (r.Method == http.MethodGet || r.Method == http.MethodDelete) {
			t.Errorf("route %s: MaxBody = %d", k, r.MaxBody)
		}
		req, _ := http.NewRequest("GET", "/", nil)
		req.SetPathValue("datastoreId", "d")
		if arn := r.Resource(req); arn != "arn:aws:healthlake:r:1:datastore/fhir/d" {
			t.Errorf("route %s: resource %s", k, arn)
		}
	}
}

func TestMetadataIsACapabilityStatement(t *testing.T) {
	l := newLab(t)
	l.create()
	m := l.want(200, "GET", "/metadata", "").json(t)
	rest := m["rest"].([]any)[0].(map[string]any)
	if m["resourceType"] != "CapabilityStatement" || m["fhirVersion"] != "4.0.1" || len(rest["resource"].([]any)) != 146 {
		t.Errorf("metadata = %v %v with %d resources", m["resourceType"], m["fhirVersion"], len(rest["resource"].([]any)))
	}
	l.want(200, "GET", "http://galen.test/fhir/"+l.store+"/metadata", "")
}

func TestValidateSaysWhatCreateWould(t *testing.T) {
	l := newLab(t)
	l.create()
	wrong := `{"resourceType":"Patient","birthDate":"x"}`
	for _, body := range []string{wrong, `{"resourceType":"Parameters","parameter":[{"name":"mode","valueCode":"create"},{"name":"resource","resource":` + wrong + `}]}`} {
		if got := l.want(200, "POST", "/Patient/$validate", body).issue(t); got != "value Patient.birthDate" {
			t.Errorf("issue = %q", got)
		}
	}
	if got := l.want(200, "POST", "/Patient/$validate", peter).issue(t); got != "informational " {
		t.Errorf("issue = %q", got)
	}
	l.want(400, "POST", "/Patient/$validate", `{"resourceType":"Parameters","parameter":[{"name":"mode"}]}`)
	if ids := l.want(200, "GET", "/Patient", "").ids(t, ""); len(ids) != 0 {
		t.Error("validation stored something")
	}
}

func TestConditionalUpdateAndDelete(t *testing.T) {
	l := newLab(t)
	l.create()
	with := func(members string) string {
		return `{"resourceType":"Patient",` + members + `"identifier":[{"system":"http://h","value":"7"}]}`
	}
	first := l.want(201, "PUT", "/Patient?identifier=http://h%7C7", with("")).json(t)["id"].(string)
	second := l.want(200, "PUT", "/Patient?identifier=http://h%7C7", with(`"gender":"male",`)).json(t)
	if second["id"] != first || second["meta"].(map[string]any)["versionId"] != "2" {
		t.Errorf("the update is %v, want version 2 of %s", second, first)
	}
	if got := l.want(400, "PUT", "/Patient?identifier=http://h%7C7", with(`"id":"other",`)).issue(t); got != "invalid Patient.id" {
		t.Errorf("issue = %q", got)
	}
	if got := l.want(201, "PUT", "/Patient?identifier=none", `{"resourceType":"Patient","id":"mine"}`).json(t)["id"]; got != "mine" {
		t.Errorf("created %v, want its own id", got)
	}
	l.want(400, "PUT", "/Patient?identifier=none", `{"resourceType":"Patient","gender":"x"}`)
	l.want(400, "PUT", "/Patient?nome=none", with(""))
	l.want(201, "POST", "/Patient", with(""))
	l.want(412, "PUT", "/Patient?identifier=http://h%7C7", with(""))
	l.want(412, "DELETE", "/Patient?identifier=http://h%7C7", "")
	l.want(204, "DELETE", "/Patient?_id="+first, "")
	l.want(410, "GET", "/Patient/"+first, "")
	l.want(204, "DELETE", "/Patient?identifier=none", "")
	l.want(404, "DELETE", "/Patient", "")
}

// R4 operation-patient-everything: with _since come the resources that changed after it, and the patient is one of them.
func TestEverythingSince(t *testing.T) {
	l := newLab(t)
	l.create()
	l.want(201, "PUT", "/Patient/p", `{"resourceType":"Patient","id":"p"}`)
	l.want(201, "PUT", "/Observation/o", `{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p"}}`)
	time.Sleep(2 * time.Millisecond) // lastUpdated has milliseconds
	l.want(200, "PUT", "/Patient/p", `{"resourceType":"Patient","id":"p","active":true}`)
	changed := func(ref string) string {
		return l.want(200, "GET", "/"+ref, "").json(t)["meta"].(map[string]any)["lastUpdated"].(string)
	}
	for since, want := range map[string]string{changed("Observation/o"): "[Patient/p Observation/o]", changed("Patient/p"): "[Patient/p]", "2100-01-01T00:00:00Z": "[]"} {
		if got := fmt.Sprint(l.want(200, "GET", "/Patient/p/$everything?_since="+since, "").ids(t, "match")); got != want {
			t.Errorf("since %s: %s, want %s", since, got, want)
		}
	}
}
