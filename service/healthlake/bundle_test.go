package healthlake

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/galen-health/galen/standard/fhir"
	"github.com/galen-health/galen/standard/fhir/tape"
)

func transaction(entries ...string) string {
	return `{"resourceType":"Bundle","type":"transaction","entry":[` + strings.Join(entries, ",") + `]}`
}

func batch(entries ...string) string {
	return strings.Replace(transaction(entries...), "transaction", "batch", 1)
}

// entry makes a Bundle entry; resource may be "", extra are more members of the request.
func entry(fullURL, resource, method, url string, extra ...string) string {
	e := fmt.Sprintf(`{"fullUrl":%q,`, fullURL)
	if fullURL == "" {
		e = "{"
	}
	if resource != "" {
		e += `"resource":` + resource + `,`
	}
	e += fmt.Sprintf(`"request":{"method":%q,"url":%q`, method, url)
	for _, x := range extra {
		e += "," + x
	}
	return e + "}}"
}

type bundleResponse struct {
	Type  string
	Entry []struct {
		Resource json.RawMessage
		Response struct {
			Status, Location, Etag string
			Outcome                json.RawMessage
		}
	}
}

func (l *lab) post(body string, headers ...string) bundleResponse {
	l.t.Helper()
	var b bundleResponse
	if err := json.Unmarshal(l.want(200, "POST", "/", body, headers...).body, &b); err != nil {
		l.t.Fatal(err)
	}
	return b
}

func TestSyntheaBundlesGoInAndComeBack(t *testing.T) {
	l := newLab(t)
	l.create()
	files, resources := 0, 0
	corpus(t, synthea, func(file string, body []byte) bool {
		var in struct {
			Entry []struct {
				FullURL  string
				Resource map[string]any
			}
		}
		if err := json.Unmarshal(body, &in); err != nil {
			t.Fatal(err)
		}
		out := l.post(string(body))
		if len(out.Entry) != len(in.Entry) || out.Type != "transaction-response" {
			t.Fatalf("%s: %d entries answered, want %d", file, len(out.Entry), len(in.Entry))
		}
		at := map[string]string{}
		for i, e := range out.Entry {
			if e.Response.Status != "201 Created" || e.Response.Etag != `W/"1"` {
				t.Fatalf("%s: entry %d: %+v", file, i, e.Response)
			}
			ref, _, _ := strings.Cut(e.Response.Location, "/_history")
			at[in.Entry[i].FullURL] = ref
		}
		for i := 0; i < len(in.Entry); i += 37 { // what is read back is what went in, with references to where things are now
			got := l.want(200, "GET", "/"+at[in.Entry[i].FullURL], "").json(t)
			delete(got, "meta")
			delete(got, "id")
			want := in.Entry[i].Resource
			delete(want, "meta")
			delete(want, "id")
			w, _ := json.Marshal(want)
			for from, to := range at {
				w = []byte(strings.ReplaceAll(string(w), `"reference":"`+from+`"`, `"reference":"`+to+`"`))
			}
			if g, _ := json.Marshal(got); string(g) != string(w) {
				t.Fatalf("%s entry %d:\ngot  %.500s\nwant %.500s", file, i, g, w)
			}
		}
		files++
		resources += len(in.Entry)
		return files < 6
	})
	t.Logf("%d bundles, %d resources", files, resources)
	if n := l.want(200, "GET", "/Patient?_summary=count", "").json(t)["total"]; n != float64(files) {
		t.Errorf("%v patients, want %d", n, files)
	}
}

func TestATransactionHappensWholeOrNotAtAll(t *testing.T) {
	l := newLab(t)
	l.create()
	l.want(201, "PUT", "/Patient/old", `{"resourceType":"Patient","id":"old"}`)
	good := entry("urn:uuid:1", `{"resourceType":"Patient","language":"en"}`, "POST", "Patient")
	for name, c := range map[string]struct {
		bad   string
		code  int
		issue string
	}{
		"invalid resource":      {entry("", `{"resourceType":"Patient","gender":"x"}`, "POST", "Patient"), 400, "code-invalid Bundle.entry[1].resource.gender"},
		"stale version":         {entry("", `{"resourceType":"Patient","id":"old"}`, "PUT", "Patient/old", `"ifMatch":"W/\"9\""`), 412, "conflict Bundle.entry[1]"},
		"delete of nothing":     {entry("", "", "DELETE", "Patient/none"), 404, "not-found Bundle.entry[1]"},
		"unknown type":          {entry("", "", "DELETE", "Patience/none"), 400, "invalid Bundle.entry[1].request.url"},
		"resource missing":      {entry("", "", "POST", "Patient"), 400, "invalid Bundle.entry[1].resource"},
		"other type in url":     {entry("", `{"resourceType":"Patient"}`, "POST", "Observation"), 400, "invalid Bundle.entry[1].resource"},
		"same resource twice":   {entry("", `{"resourceType":"Patient","id":"z"}`, "PUT", "Patient/z") + "," + entry("", "", "DELETE", "Patient/z"), 400, "duplicate Bundle.entry[1]"},
		"dangling condition":    {entry("", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient?identifier=none"}}`, "POST", "Observation"), 412, "conflict Bundle.entry[1]"},
		"patch":                 {entry("", `{"resourceType":"Patient"}`, "PATCH", "Patient/old"), 400, "invalid Bundle.entry[1].request.method"},
		"envelope out of order": {`{"request":{"method":"DELETE"}}`, 400, "required Bundle.entry[1].request.url"},
	} {
		a := l.do("POST", "/", transaction(good, c.bad))
		if got := a.issue(t); a.status != c.code || got != c.issue {
			t.Errorf("%s: %d %q, want %d %q: %.300s", name, a.status, got, c.code, c.issue, a.body)
		}
		if ids := l.want(200, "GET", "/Patient", "").ids(t, ""); len(ids) != 1 {
			t.Fatalf("%s: something was written: %v", name, ids)
		}
	}
}

func TestATransactionResolvesReferencesAndConditions(t *testing.T) {
	l := newLab(t)
	l.create()
	known := l.want(201, "POST", "/Practitioner", `{"resourceType":"Practitioner","identifier":[{"system":"http://npi","value":"42"}]}`).json(t)["id"].(string)
	obs := `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"urn:uuid:aaaaaaaa-0000-4000-8000-000000000001"},"performer":[{"reference":"Practitioner?identifier=http://npi|42"}]}`
	body := transaction(
		entry("urn:uuid:aaaaaaaa-0000-4000-8000-000000000002", obs, "POST", "Observation"),
		entry("urn:uuid:aaaaaaaa-0000-4000-8000-000000000001", `{"resourceType":"Patient","identifier":[{"value":"p"}]}`, "POST", "Patient", `"ifNoneExist":"identifier=p"`),
		entry("", "", "GET", "Practitioner/"+known),
		entry("", "", "GET", "Patient?identifier=p"),
		entry("", "", "DELETE", "Device?identifier=none"),
		entry("", `{"resourceType":"Organization","identifier":[{"value":"o"}]}`, "PUT", "Organization?identifier=o"),
	)
	var patient, org string
	for round := range 2 {
		b := l.post(body)
		statuses := []string{}
		for _, e := range b.Entry {
			statuses = append(statuses, e.Response.Status)
		}
		want := "[201 Created 201 Created 200 OK 200 OK 204 No Content 201 Created]"
		if round == 1 {
			want = "[201 Created 200 OK 200 OK 200 OK 204 No Content 200 OK]"
		}
		if fmt.Sprint(statuses) != want {
			t.Errorf("round %d: %v, want %s", round, statuses, want)
		}
		ref := func(i int) string { r, _, _ := strings.Cut(b.Entry[i].Response.Location, "/_history"); return r }
		if round == 1 && (ref(1) != patient || ref(5) != org) {
			t.Errorf("round 2 is about %s and %s, not %s and %s", ref(1), ref(5), patient, org)
		}
		patient, org = ref(1), ref(5)
		o := l.want(200, "GET", "/"+ref(0), "").json(t)
		subject := o["subject"].(map[string]any)["reference"]
		performer := o["performer"].([]any)[0].(map[string]any)["reference"]
		if subject != patient || performer != "Practitioner/"+known {
			t.Errorf("references = %v, %v; want %s, Practitioner/%s", subject, performer, patient, known)
		}
		if n := len(answer{200, nil, b.Entry[3].Resource}.ids(t, "match")); n != 1 {
			t.Errorf("the search in the transaction finds %d patients", n)
		}
	}
}

func TestABatchGoesOnAfterFailures(t *testing.T) {
	l := newLab(t)
	l.create()
	b := l.post(batch(
		entry("", `{"resourceType":"Patient","gender":"x"}`, "POST", "Patient"),
		entry("", `{"resourceType":"Patient","id":"a"}`, "PUT", "Patient/a"),
		entry("", "", "GET", "Patient/none"),
		entry("", "", "PATCH", "Patient/a"),
	), "Prefer: return=representation")
	got := ""
	for _, e := range b.Entry {
		got += e.Response.Status + ";"
	}
	if want := "400 Bad Request;201 Created;404 Not Found;400 Bad Request;"; got != want {
		t.Errorf("statuses = %s, want %s", got, want)
	}
	if b.Entry[0].Response.Outcome == nil || !strings.Contains(string(b.Entry[1].Resource), `"id":"a"`) {
		t.Errorf("entries = %+v", b.Entry)
	}
}

func TestABundleIsNoWayAroundThePolicy(t *testing.T) {
	l := newLab(t)
	l.create()
	l.denied["healthlake:DeleteResource"] = true
	if a := l.do("POST", "/", transaction(entry("", `{"resourceType":"Patient"}`, "POST", "Patient"), entry("", "", "DELETE", "Patient/a"))); a.status != 403 || a.issue(t) != "forbidden " {
		t.Errorf("%d %s", a.status, a.body)
	}
	if ids := l.want(200, "GET", "/Patient", "").ids(t, ""); len(ids) != 0 {
		t.Error("something was written")
	}
}

// FuzzParseOperation: whatever a Bundle says, an operation is refused with the entry's expression or is complete.
func FuzzParseOperation(f *testing.F) {
	f.Add(transaction(entry("urn:uuid:1", `{"resourceType":"Patient","id":"a"}`, "PUT", "Patient/a", `"ifMatch":"W/\"1\""`)))
	f.Add(transaction(entry("", "", "DELETE", "Patient?identifier=a|b"), entry("", "", "GET", "Patient/1/_history/2")))
	f.Add(batch(entry("", `{"resourceType":"Patient"}`, "POST", "Patient", `"ifNoneExist":"a=b"`)))
	f.Fuzz(func(t *testing.T, body string) {
		var d tape.Doc
		if d.Parse([]byte(body), tape.Limits{Bytes: 1 << 16}) != nil {
			return
		}
		c := fhir.Checker{Shallow: true}
		if _, issues := c.Check(&d, 0, "Bundle"); len(issues) > 0 {
			return
		}
		b := fhir.ParseBundle(&d)
		for i := range b.Entries {
			op, issue := parseOperation(&d, &b.Entries[i], i, "http://galen.test/fhir/x")
			switch {
			case issue != nil:
				if !strings.HasPrefix(issue.Expression, fmt.Sprintf("Bundle.entry[%d]", i)) {
					t.Fatalf("issue at %q", issue.Expression)
				}
			case op.method == "GET":
			case !fhir.IsResourceType(op.typ) || op.id == "" && op.query == "" || op.method != "DELETE" && op.node < 0:
				t.Fatalf("incomplete: %+v", op)
			}
		}
	})
}
