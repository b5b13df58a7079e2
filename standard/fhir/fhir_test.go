package fhir_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/standard/fhir"
	"github.com/galen-health/galen/standard/fhir/tape"
)

func parse(t testing.TB, s string) *tape.Doc {
	t.Helper()
	var d tape.Doc
	if err := d.Parse([]byte(s), tape.Limits{}); err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return &d
}

func TestDatesCoverWhatTheySay(t *testing.T) {
	at := func(s string) int64 {
		x, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return x.UnixMicro()
	}
	for _, c := range []struct{ in, low, next string }{
		{"2020", "2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"},
		{"2020-02", "2020-02-01T00:00:00Z", "2020-03-01T00:00:00Z"},
		{"2019-12", "2019-12-01T00:00:00Z", "2020-01-01T00:00:00Z"},
		{"2020-02-29", "2020-02-29T00:00:00Z", "2020-03-01T00:00:00Z"},
		{"1899-12-31", "1899-12-31T00:00:00Z", "1900-01-01T00:00:00Z"},
		{"2020-02-29T23:30:00-01:00", "2020-03-01T00:30:00Z", "2020-03-01T00:30:01Z"},
		{"2020-02-29T00:00:00.5Z", "2020-02-29T00:00:00.5Z", "2020-02-29T00:00:00.6Z"},
		{"2020-02-29T00:00:00.123456789Z", "2020-02-29T00:00:00.123456Z", "2020-02-29T00:00:00.123457Z"},
		{"2015-02-07T13:28:17+05:45", "2015-02-07T07:43:17Z", "2015-02-07T07:43:18Z"},
	} {
		s, ok := fhir.ParseDate(c.in)
		if !ok || s.Low != at(c.low) || s.High != at(c.next)-1 {
			t.Errorf("%s = %v %v, want [%d, %d]", c.in, s, ok, at(c.low), at(c.next)-1)
		}
	}
	for _, bad := range []string{"", "20", "2020-", "2020-13", "2020-00", "2019-02-29", "2020-01-01T", "2020-01-01T10:00Z", "2020-01-01T10:00:00",
		"2020-01-01T24:00:00Z", "2020-01-01T10:00:00+15:00", "2020-01-01 10:00:00Z", "2020-01-01T10:00:00.Z", "0000", "2020-01-01T10:00:00z"} {
		if s, ok := fhir.ParseDate(bad); ok {
			t.Errorf("%q was taken as %v", bad, s)
		}
	}
}

func TestStoredFormKeepsEveryByteButTheVersion(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC)
	for _, c := range []struct{ in, stored, shown string }{
		{`{ "resourceType" : "Patient", "active": true }`,
			`{"resourceType":"Patient","id":"p","active":true}`,
			`{"resourceType":"Patient","id":"p","meta":{"versionId":"3","lastUpdated":"2026-01-02T03:04:05.006Z"},"active":true}`},
		{`{"active":true,"meta":{"versionId":"9","lastUpdated":"2020-01-01T00:00:00Z","tag":[ {"code":"a"} ]},"resourceType":"Patient","id":"old"}`,
			`{"resourceType":"Patient","id":"p","meta":{"tag":[{"code":"a"}]},"active":true}`,
			`{"resourceType":"Patient","id":"p","meta":{"versionId":"3","lastUpdated":"2026-01-02T03:04:05.006Z","tag":[{"code":"a"}]},"active":true}`},
		{`{"resourceType":"Patient","meta":{"versionId":"9"},"x":1.50,"s":"a\u00e9\"  b"}`,
			`{"resourceType":"Patient","id":"p","x":1.50,"s":"a\u00e9\"  b"}`,
			`{"resourceType":"Patient","id":"p","meta":{"versionId":"3","lastUpdated":"2026-01-02T03:04:05.006Z"},"x":1.50,"s":"a\u00e9\"  b"}`},
	} {
		got := fhir.Store(nil, parse(t, c.in), 0, "p", nil)
		if string(got) != c.stored {
			t.Errorf("stored %s, want %s", got, c.stored)
		}
		if shown := fhir.Present(nil, got, 3, at); string(shown) != c.shown {
			t.Errorf("shown %s, want %s", shown, c.shown)
		}
		if again := fhir.Store(nil, parse(t, c.shown), 0, "p", nil); string(again) != c.stored {
			t.Errorf("storing what was shown gives %s, want %s", again, c.stored)
		}
	}
}

func TestReferencesAreRewrittenWhereTheyAreReferences(t *testing.T) {
	in := `{"resourceType":"Observation","identifier":[{"value":"urn:uuid:a"}],"subject":{"reference":"urn:uuid:a"},"note":[{"text":"urn:uuid:a"}],"extension":[{"url":"http://x","valueUri":"urn:uuid:a"}]}`
	got := string(fhir.Store(nil, parse(t, in), 0, "1", func(s string) (string, bool) { return "Patient/7", s == "urn:uuid:a" }))
	want := `{"resourceType":"Observation","id":"1","identifier":[{"value":"urn:uuid:a"}],"subject":{"reference":"Patient/7"},"note":[{"text":"urn:uuid:a"}],"extension":[{"url":"http://x","valueUri":"Patient/7"}]}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestStoringTheExamplesKeepsTheirMeaning(t *testing.T) {
	var d, again tape.Doc
	corpus(t, r4Examples, func(file string, body []byte) {
		if err := d.Parse(body, tape.Limits{}); err != nil {
			t.Fatal(err)
		}
		stored := fhir.Store(nil, &d, 0, d.StrAt(0, "id"), nil)
		if err := again.Parse(stored, tape.Limits{}); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		var want, got map[string]any
		if json.Unmarshal(body, &want) != nil || json.Unmarshal(stored, &got) != nil {
			t.Fatal(file)
		}
		for _, m := range []map[string]any{want, got} {
			if meta, ok := m["meta"].(map[string]any); ok {
				delete(meta, "versionId")
				delete(meta, "lastUpdated")
				if len(meta) == 0 {
					delete(m, "meta")
				}
			}
			if m["id"] == nil {
				m["id"] = ""
			}
		}
		if !reflect.DeepEqual(want, got) {
			t.Errorf("%s changed when stored", file)
		}
	})
}

func TestQueries(t *testing.T) {
	for _, c := range []struct {
		typ, q string
		want   func(*fhir.Query) bool
	}{
		{"Patient", "name=pe%5C,ter,ann", func(q *fhir.Query) bool {
			return len(q.Clauses[0].Values) == 2 && q.Clauses[0].Values[0].Text == "pe,ter"
		}},
		{"Patient", "name:exact=X", func(q *fhir.Query) bool { return q.Clauses[0].Modifier == "exact" }},
		{"Observation", "code=http://loinc.org|8480-6,|a,http://x|,b", func(q *fhir.Query) bool {
			v := q.Clauses[0].Values
			return v[0].System == "http://loinc.org" && v[0].Code == "8480-6" && !v[1].AnySystem && v[1].System == "" && v[2].AnyCode && v[3].AnySystem
		}},
		{"Observation", "date=ge2020-01&date=lt2021", func(q *fhir.Query) bool {
			return len(q.Clauses) == 2 && q.Clauses[0].Values[0].Prefix == "ge" && q.Clauses[1].Values[0].Prefix == "lt"
		}},
		{"Observation", "value-quantity=5.40|http://unitsofmeasure.org|mg", func(q *fhir.Query) bool {
			v := q.Clauses[0].Values[0]
			return v.Number == 5.4 && v.Low == 5.395 && v.High == 5.405 && v.Code == "mg"
		}},
		{"Observation", "value-quantity=gt5", func(q *fhir.Query) bool {
			v := q.Clauses[0].Values[0]
			return v.Prefix == "gt" && v.Number == 5 && v.AnyCode
		}},
		{"RiskAssessment", "probability=1e2", func(q *fhir.Query) bool {
			v := q.Clauses[0].Values[0]
			return v.Low == 95 && v.High == 105
		}},
		{"Observation", "subject=Patient/1,2,http://x/Patient/3", func(q *fhir.Query) bool {
			v := q.Clauses[0].Values
			return v[0].System == "Patient" && v[1].System == "" && v[1].Code == "2" && v[2].Text == "http://x/Patient/3"
		}},
		{"Observation", "subject:Patient=1", func(q *fhir.Query) bool { return q.Clauses[0].Values[0].System == "Patient" }},
		{"Observation", "patient=1", func(q *fhir.Query) bool { v := q.Clauses[0].Values[0]; return v.System == "" && v.Code == "1" }},
		{"Observation", "subject:Patient.name=x", func(q *fhir.Query) bool {
			ch := q.Clauses[0].Chain
			return len(ch) == 1 && ch[0].Type == "Patient" && ch[0].Param.Code == "name"
		}},
		{"Observation", "subject.name=x", func(q *fhir.Query) bool {
			var types []string
			for _, c := range q.Clauses[0].Chain {
				types = append(types, c.Type)
			}
			return strings.Join(types, " ") == "Patient Location" // of Group, Device, Patient, Location: those with a name
		}},
		{"Observation", "encounter.subject:Patient.organization.name=x", func(q *fhir.Query) bool {
			c := q.Clauses[0].Chain[0].Chain[0].Chain[0]
			return c.Type == "Organization" && c.Param.Code == "name"
		}},
		{"Patient", "_has:Observation:patient:code=1", func(q *fhir.Query) bool {
			h := q.Clauses[0].Has
			return h.Param.Code == "patient" && h.Clause.Param.Code == "code" && h.Clause.Type == "Observation"
		}},
		{"Patient", "_has:Observation:patient:_has:AuditEvent:entity:agent=x", func(q *fhir.Query) bool {
			return q.Clauses[0].Has.Clause.Has.Clause.Type == "AuditEvent"
		}},
		{"Observation", "code-value-quantity=http://loinc.org|1$ge2", func(q *fhir.Query) bool {
			p := q.Clauses[0].Values[0].Parts
			return p[0].Code == "1" && p[1].Prefix == "ge" && p[1].Number == 2
		}},
		{"Patient", "_sort=-birthdate,family&_count=7&_total=accurate&_summary=count&page=z", func(q *fhir.Query) bool {
			return q.Sort[0].Desc && q.Sort[1].Param.Code == "family" && q.Count == 7 && q.Total == "accurate" && q.Summary == "count" && q.Page == "z"
		}},
		{"Patient", "_elements=name,birthDate", func(q *fhir.Query) bool { return len(q.Elements) == 2 }},
		{"MedicationRequest", "_include=MedicationRequest:medication:Medication&_include:iterate=Medication:*&_revinclude=Provenance:target", func(q *fhir.Query) bool {
			return q.Include[0].Target == "Medication" && q.Include[1].Iterate && q.Include[1].Param == nil && q.RevInclude[0].Source == "Provenance"
		}},
		{"Patient", "birthdate:missing=true", func(q *fhir.Query) bool { return q.Clauses[0].Values[0].Missing }},
		{"Patient", "general-practitioner:identifier=http://s|1", func(q *fhir.Query) bool { return q.Clauses[0].Values[0].System == "http://s" }},
	} {
		v, err := url.ParseQuery(c.q)
		if err != nil {
			t.Fatal(err)
		}
		q, err := fhir.ParseQuery(c.typ, v, false)
		if err != nil {
			t.Errorf("%s?%s: %v", c.typ, c.q, err)
		} else if !c.want(q) {
			t.Errorf("%s?%s became %+v", c.typ, c.q, q)
		}
	}
}

func TestWrongQueriesSayWhichParameter(t *testing.T) {
	for _, c := range []struct{ typ, q, expr string }{
		{"Patient", "nome=x", "http.nome"}, {"Patient", "name:below=x", "http.name:below"}, {"Patient", "birthdate=19", "http.birthdate"},
		{"Patient", "gender=", "http.gender"}, {"Observation", "value-quantity=5|mg", "http.value-quantity"}, {"Observation", "value-quantity=x", "http.value-quantity"},
		{"Observation", "subject:Medication=1", "http.subject:Medication"}, {"Observation", "code.name=1", "http.code.name"},
		{"Observation", "subject:Patient.nome=1", "http.nome"}, {"Patient", "_has:Observation:code:x=1", "http._has:Observation:code:x"},
		{"Patient", "_has:Medication:x=1", "http._has:Medication:x"}, {"Patient", "_sort=nome", "http._sort"}, {"Patient", "_count=-1", "http._count"},
		{"Patient", "_include=Patient:name", "http._include"}, {"Patient", "_summary=x", "http._summary"}, {"Patient", "_elements=foo", "http._elements"},
		{"Observation", "code-value-quantity=1", "http.code-value-quantity"}, {"Observation", "code-value-quantity:missing=true", "http.code-value-quantity:missing"},
		{"Observation", "value-quantity=1e999999999", "http.value-quantity"}, {"Patient", "_elements=name&_summary=true", "http._elements"},
	} {
		v, _ := url.ParseQuery(c.q)
		_, err := fhir.ParseQuery(c.typ, v, false)
		issues, ok := err.(fhir.Issues)
		if !ok || issues[0].Expression != c.expr {
			t.Errorf("%s?%s: %v, want an issue at %s", c.typ, c.q, err, c.expr)
		}
	}
	v, _ := url.ParseQuery("nome=x&gender=male")
	if q, err := fhir.ParseQuery("Patient", v, true); err != nil || len(q.Clauses) != 1 || len(q.Ignored) != 1 {
		t.Errorf("lenient: %+v, %v; want the unknown parameter ignored", q, err)
	}
}

func TestFold(t *testing.T) {
	for in, want := range map[string]string{"Éva  Müller ": "eva muller", "PETER": "peter", "ok": "ok", "a\tb": "a b", "ﬁne": "fine", "": ""} {
		if got := fhir.Fold(in); got != want {
			t.Errorf("Fold(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestLinesAreBounded(t *testing.T) {
	in := "{\"a\":1}\n\n  {\"b\":2}\r\n" + strings.Repeat("x", 700_000) + "\n{\"c\":3}"
	var got []string
	for l, err := range fhir.Lines(strings.NewReader(in), 100) {
		if err != nil {
			t.Fatal(err)
		}
		if l.Long {
			got = append(got, "long")
		} else {
			got = append(got, string(l.Body)+" "+string(in[l.Offset:l.Offset+1]))
		}
	}
	if want := []string{`{"a":1} {`, `{"b":2}  `, "long", `{"c":3} {`}; !reflect.DeepEqual(got, want) {
		t.Errorf("lines = %q, want %q", got, want)
	}
}

func TestBundlesAndStatementsAreFHIR(t *testing.T) {
	at := time.Unix(1700000000, 0)
	stored := []byte(`{"resourceType":"Patient","id":"a","active":true}`)
	var out bytes.Buffer
	b := fhir.NewBundleWriter(&out, "searchset", 1, at, fhir.Link{Relation: "self", URL: "http://h/Patient?name=\"x\""})
	b.Entry("http://h/Patient/a", func(dst []byte) []byte { return fhir.Present(dst, stored, 1, at) }, "match", fhir.Response{})
	b.Entry("", nil, "", fhir.Response{Method: "DELETE", URL: "Patient/b", Status: "204 No Content", ETag: fhir.ETag(2), LastModified: at})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string][]byte{
		"bundle":     out.Bytes(),
		"outcome":    fhir.Outcome(fhir.Issue{Severity: "error", Code: "invalid", Diagnostics: "a \"b\"", Expression: "Patient.name"}),
		"statement":  fhir.CapabilityStatement(fhir.Capability{URL: "http://h", Software: "Galen", Version: "1", Date: at, Interactions: []string{"read"}, SystemInteractions: []string{"batch"}, Operations: map[string][]string{"": {"validate"}}, SMART: &fhir.SMARTEndpoints{Authorize: "http://h/a", Token: "http://h/t"}}),
		"subset":     fhir.Subset(nil, parse(t, `{"resourceType":"Patient","id":"a","meta":{"versionId":"1","tag":[{"code":"x"}]},"active":true,"birthDate":"2020"}`), 0, func(e string) bool { return e == "active" }),
		"no outcome": fhir.Outcome(),
	} {
		var ch fhir.Checker
		if _, issues := ch.Check(parse(t, string(body)), 0, ""); len(issues) > 0 {
			t.Errorf("%s: %v\n%.300s", name, issues, body)
		}
		if name == "subset" && (bytes.Contains(body, []byte("birthDate")) || !bytes.Contains(body, []byte("SUBSETTED")) || !bytes.Contains(body, []byte(`"active":true`))) {
			t.Errorf("subset = %s", body)
		}
	}
}

func FuzzCheck(f *testing.F) {
	n := 0
	if len(testCorpusRoot()) > 0 {
		corpus(f, r4Examples, func(_ string, body []byte) {
			if n++; n%97 == 0 && len(body) < 20_000 {
				f.Add(body)
			}
		})
	}
	f.Add([]byte(`{"resourceType":"Patient","name":[{"given":["a"]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var d tape.Doc
		if d.Parse(b, tape.Limits{Bytes: 1 << 20, Nodes: 50_000}) != nil {
			return
		}
		c := fhir.Checker{Extract: true}
		r, issues := c.Check(&d, 0, "")
		if len(issues) > 0 {
			return
		}
		// What passes keeps passing, with the same index entries, in stored form and as presented.
		stored := fhir.Store(nil, &d, 0, "x", nil)
		shown := fhir.Present(nil, stored, 1, time.Unix(0, 0))
		want := len(r.Entries)
		for _, form := range [][]byte{stored, shown} {
			var d2 tape.Doc
			if err := d2.Parse(form, tape.Limits{}); err != nil {
				t.Fatalf("%v in %s", err, form)
			}
			r2, issues := c.Check(&d2, 0, r.Type)
			if len(issues) > 0 || len(r2.Entries) != want {
				t.Fatalf("%v, %d entries, want %d: %s", issues, len(r2.Entries), want, form)
			}
		}
	})
}

func FuzzParseQuery(f *testing.F) {
	f.Add("name:exact=x&birthdate=ge2020&_sort=-birthdate")
	f.Add("_has:Observation:patient:code=a|b&general-practitioner.name=x")
	f.Add("code-value-quantity=http://loinc.org|1$ge2.50||mg")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := url.ParseQuery(s)
		if err != nil {
			return
		}
		for _, typ := range []string{"Patient", "Observation"} {
			if q, err := fhir.ParseQuery(typ, v, true); err == nil && q.Type != typ {
				t.Fatal("the query lost its type")
			} else if err != nil && len(err.(fhir.Issues)) == 0 {
				t.Fatal("an error without an issue")
			}
		}
	})
}
