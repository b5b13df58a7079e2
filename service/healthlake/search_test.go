package healthlake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"reflect"
	"sort"
	"strings"
	"testing"

	"github.com/galen-health/galen/standard/fhir"
	"github.com/galen-health/galen/standard/fhir/fhirtest"
	"github.com/galen-health/galen/standard/fhir/tape"
)

// definitions reads the published search parameters, by resource type.
func definitions(t testing.TB) map[string][]fhirtest.Definition {
	out := map[string][]fhirtest.Definition{}
	corpus(t, r4Examples, func(name string, body []byte) bool {
		if !strings.HasPrefix(name, "SearchParameter-") {
			return true
		}
		var d fhirtest.Definition
		if json.Unmarshal(body, &d) != nil || d.Expression == "" || d.Type == "composite" || d.Type == "special" || d.Code == "_id" || d.Code == "_lastUpdated" ||
			strings.Contains(d.Expression, "[0]") || strings.Contains(d.Expression, ".exists()") || d.Code == "part-agree" {
			return true
		}
	bases:
		for _, b := range d.Base {
			for i, o := range out[b] { // some are published twice: the one that allows more is the one served
				if o.Code == d.Code {
					if len(d.Target) > len(o.Target) {
						out[b][i] = d
					}
					continue bases
				}
			}
			out[b] = append(out[b], d)
		}
		return true
	})
	return out
}

// population is what a search test runs over: resources as they are stored, decoded, by type and id.
type population map[string]map[string]fhirtest.Resource

// populate fills the store with HL7's examples and some of Synthea's patients.
func (l *lab) populate(perType, bundles int) population {
	l.t.Helper()
	count := map[string]int{}
	var entries []string
	flush := func() {
		if len(entries) > 0 {
			l.want(200, "POST", "/", transaction(entries...))
			entries = entries[:0]
		}
	}
	var d tape.Doc
	var c fhir.Checker
	seen := map[string]bool{}
	corpus(l.t, r4Examples, func(name string, body []byte) bool {
		if d.Parse(body, tape.Limits{}) != nil || len(body) > 200_000 {
			return true
		}
		r, issues := c.Check(&d, 0, "")
		if len(issues) > 0 || !fhir.IsID(r.ID) || count[r.Type] >= perType || r.Type == "Bundle" || seen[r.Type+"/"+r.ID] || hasConditionalReference(&d) {
			return true
		}
		count[r.Type]++
		seen[r.Type+"/"+r.ID] = true
		if entries = append(entries, entry("", string(body), "PUT", r.Type+"/"+r.ID)); len(entries) == 100 {
			flush()
		}
		return true
	})
	flush()
	if bundles == 0 {
		return l.everything()
	}
	corpus(l.t, synthea, func(_ string, body []byte) bool {
		l.want(200, "POST", "/", string(body))
		bundles--
		return bundles > 0
	})
	return l.everything()
}

// everything reads the whole store through the engine.
func (l *lab) everything() population {
	l.t.Helper()
	all := population{}
	v, err := l.Records.View(l.Ctx, space(l.store))
	if err != nil {
		l.t.Fatal(err)
	}
	defer v.Close()
	for _, typ := range fhir.ResourceTypes() {
		all[typ] = map[string]fhirtest.Resource{}
		for ver, err := range v.Scan(kindOf(typ), 0) {
			if err != nil {
				l.t.Fatal(err)
			}
			dec := json.NewDecoder(bytes.NewReader(ver.Body))
			dec.UseNumber()
			var r map[string]any
			if err := dec.Decode(&r); err != nil {
				l.t.Fatal(err)
			}
			all[typ][ver.ID] = r
		}
	}
	return all
}

// find searches through all pages and returns the ids of the matches.
func (l *lab) find(typ, query string) []string {
	l.t.Helper()
	var out []string
	for url := "/" + typ + "?" + query + "&_count=100"; url != ""; {
		a := l.want(200, "GET", url, "")
		for _, id := range a.ids(l.t, "match") {
			out = append(out, strings.TrimPrefix(id, typ+"/"))
		}
		url = a.next(l.t)
	}
	return out
}

func sorted(l []string) []string { sort.Strings(l); return l }

// TestSearchAgreesWithANaiveReading runs thousands of searches over every parameter of every type and compares with the published
// expressions evaluated over the stored JSON.
func TestSearchAgreesWithANaiveReading(t *testing.T) {
	l := newLab(t)
	l.create()
	all := l.populate(12, 2)
	defs := definitions(t)
	rng := rand.New(rand.NewPCG(1, 2))
	queries, hits, params, wrong := 0, 0, 0, 0
	for _, typ := range fhir.ResourceTypes() {
		if len(all[typ]) == 0 {
			continue
		}
		for _, d := range append(append(append([]fhirtest.Definition(nil), defs[typ]...), defs["Resource"]...), defs["DomainResource"]...) {
			pool := map[fhirtest.Query]bool{}
			for _, r := range all[typ] {
				for _, q := range d.Queries(r) {
					pool[q] = true
				}
				if len(pool) > 400 {
					break
				}
			}
			if len(pool) > 2 {
				params++
			}
			var list []fhirtest.Query
			for q := range pool {
				list = append(list, q)
			}
			sort.Slice(list, func(i, j int) bool { return list[i].String() < list[j].String() })
			rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			for _, q := range list[:min(len(list), 14)] {
				want := []string{}
				for id, r := range all[typ] {
					if d.Matches(r, q.Modifier, q.Value) {
						want = append(want, id)
					}
				}
				got := sorted(l.find(typ, q.String()))
				queries++
				hits += len(want)
				if sorted(want); len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
					if wrong++; wrong < 40 {
						t.Errorf("%s?%s (%s): found %d %.200v, want %d %.200v", typ, q, d.Type, len(got), got, len(want), want)
					}
				}
			}
		}
	}
	t.Logf("%d queries over %d parameters with values, %d hits, %d wrong", queries, params, hits, wrong)
}

func TestChainsIncludesAndComposites(t *testing.T) {
	l := newLab(t)
	l.create()
	for _, r := range []string{
		`{"resourceType":"Organization","id":"o1","name":"Good Health"}`,
		`{"resourceType":"Organization","id":"o2","name":"Bad Health","partOf":{"reference":"Organization/o1"}}`,
		`{"resourceType":"Patient","id":"p1","name":[{"family":"Ömer"}],"gender":"male","birthDate":"1970-01","managingOrganization":{"reference":"Organization/o1"}}`,
		`{"resourceType":"Patient","id":"p2","name":[{"family":"Berg"}],"gender":"female","birthDate":"1980","managingOrganization":{"reference":"Organization/o2"}}`,
		`{"resourceType":"Patient","id":"p3","deceasedBoolean":true}`,
		`{"resourceType":"Group","id":"g1","type":"person","actual":true}`,
		`{"resourceType":"Observation","id":"b1","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},"subject":{"reference":"Patient/p1"},"valueQuantity":{"value":120,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"},"effectiveDateTime":"2020-05-05"}`,
		`{"resourceType":"Observation","id":"b2","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8462-4"}]},"subject":{"reference":"Patient/p2"},"valueQuantity":{"value":80.0,"system":"http://unitsofmeasure.org","code":"mm[Hg]"}}`,
		`{"resourceType":"Observation","id":"b3","status":"final","code":{"coding":[{"code":"bp"}]},"subject":{"reference":"Group/g1"},"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},"valueQuantity":{"value":140,"unit":"mmHg"}},{"code":{"coding":[{"system":"http://loinc.org","code":"8462-4"}]},"valueQuantity":{"value":90,"unit":"mmHg"}}]}`,
		`{"resourceType":"Observation","id":"b4","status":"final","code":{"coding":[{"code":"c4"}]},"valueString":"Positive result","subject":{"identifier":{"system":"http://mrn","value":"77"}}}`,
		`{"resourceType":"Encounter","id":"e1","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/p1"}}`,
		`{"resourceType":"Observation","id":"b5","status":"final","code":{"text":"y","coding":[{"code":"c5"}]},"encounter":{"reference":"Encounter/e1"},"valueDateTime":"2021-03-04"}`,
	} {
		var m struct{ ResourceType, ID string }
		_ = json.Unmarshal([]byte(r), &m)
		l.want(201, "PUT", "/"+m.ResourceType+"/"+m.ID, r)
	}
	for _, c := range []struct{ typ, query, want string }{
		{"Observation", "subject:Patient.name=omer", "b1"},
		{"Observation", "patient.gender=female", "b2"},
		{"Observation", "subject:Patient.organization.name=good", "b1"},
		{"Observation", "subject:Patient.organization.partof.name=good", "b2"},
		{"Observation", "encounter.patient.family=omer", "b5"},
		{"Patient", "_has:Observation:patient:code=http://loinc.org|8480-6", "p1"},
		{"Patient", "_has:Encounter:patient:_has:Observation:encounter:status=final", "p1"},
		{"Organization", "_has:Patient:organization:gender=male", "o1"},
		{"Patient", "organization=Organization/o1,Organization/o2", "p1 p2"},
		{"Patient", "deceased=true", "p3"}, {"Patient", "deceased=false", "p1 p2"},
		{"Observation", "subject=p1", "b1"}, {"Observation", "subject=g1", "b3"}, {"Observation", "patient=g1", ""},
		{"Observation", "subject:identifier=http://mrn|77", "b4"}, {"Observation", "subject:missing=true", "b5"}, {"Observation", "patient:missing=true", "b3 b4 b5"},
		{"Observation", "code-value-quantity=http://loinc.org|8480-6$gt100", "b1"}, {"Observation", "code-value-quantity=8480-6$lt100", ""},
		{"Observation", "code-value-quantity=8480-6$120||mmHg", "b1"}, {"Observation", "code-value-quantity=8480-6$120|http://unitsofmeasure.org|mm[Hg]", "b1"},
		{"Observation", "code-value-quantity=8480-6$120||kg", ""},
		{"Observation", "component-code-value-quantity=8480-6$gt130", "b3"}, {"Observation", "component-code-value-quantity=8480-6$lt100", ""},
		{"Observation", "combo-code-value-quantity=http://loinc.org|8480-6$ge120", "b1 b3"}, {"Observation", "combo-code=8462-4", "b2 b3"},
		{"Observation", "code-value-string=c4$pos", "b4"}, {"Observation", "code-value-string=c4$neg", ""}, {"Observation", "value-string=posit", "b4"},
		{"Observation", "code-value-date=c5$2021-03", "b5"}, {"Observation", "code-value-date=c5$gt2021-03", ""}, {"Observation", "code-value-date=c5$ge2020", "b5"}, {"Observation", "code-value-date=c4$ge2020", ""},
		{"Observation", "_id=b1,b3,none", "b1 b3"}, {"Observation", "_id:not=b1,b2,b3,b4", "b5"}, {"Observation", "_lastUpdated=gt2020-01-01&code:text=y", "b5"}, {"Observation", "_lastUpdated=lt2020", ""},
		{"Patient", "gender=http://hl7.org/fhir/administrative-gender|male", "p1"}, {"Patient", "gender=|male", "p1"}, {"Patient", "gender:not=male", "p2 p3"},
		{"Patient", "birthdate=1970", "p1"}, {"Patient", "birthdate=1980-01", ""}, {"Patient", "birthdate=ge1970-01-15", "p1 p2"},
	} {
		got := strings.Join(sorted(l.find(c.typ, strings.NewReplacer("|", "%7C", "$", "%24", "[", "%5B", "]", "%5D").Replace(c.query))), " ")
		if got != c.want {
			t.Errorf("%s?%s found %q, want %q", c.typ, c.query, got, c.want)
		}
	}
	for _, c := range []struct{ query, match, include string }{
		{"Observation?_id=b1&_include=Observation:subject", "[Observation/b1]", "[Patient/p1]"},
		{"Observation?_id=b1&_include=Observation:subject:Group", "[Observation/b1]", "[]"},
		{"Observation?_id=b1&_include=Observation:patient&_include:iterate=Patient:organization", "[Observation/b1]", "[Organization/o1 Patient/p1]"},
		{"Observation?_id=b2&_include=*&_include:iterate=Patient:organization&_include:iterate=Organization:partof", "[Observation/b2]", "[Organization/o1 Organization/o2 Patient/p2]"},
		{"Patient?_id=p1&_revinclude=Observation:patient&_revinclude=Encounter:*", "[Patient/p1]", "[Encounter/e1 Observation/b1]"},
		{"Organization?_id=o1&_revinclude=Patient:organization&_revinclude:iterate=Observation:subject", "[Organization/o1]", "[Observation/b1 Patient/p1]"},
	} {
		a := l.want(200, "GET", "/"+c.query, "")
		if got := fmt.Sprint(a.ids(t, "match")); got != c.match {
			t.Errorf("%s: matches %s, want %s", c.query, got, c.match)
		}
		if got := fmt.Sprint(sorted(a.ids(t, "include"))); got != c.include {
			t.Errorf("%s: includes %s, want %s", c.query, got, c.include)
		}
	}
	for query, want := range map[string]string{
		"_sort=birthdate": "[p1 p2 p3]", "_sort=-birthdate": "[p2 p1 p3]", "_sort=family": "[p2 p1 p3]", "_sort=-gender,birthdate": "[p1 p2 p3]",
		"_sort=-_id": "[p3 p2 p1]", "_sort=-_lastUpdated": "[p3 p2 p1]",
	} {
		if got := fmt.Sprint(l.find("Patient", query)); got != want {
			t.Errorf("%s = %s, want %s", query, got, want)
		}
	}
	// POST searches take the form and the URL together.
	a := l.want(200, "POST", "/Patient/_search?gender=male", "family=omer", "Content-Type: application/x-www-form-urlencoded")
	if got := fmt.Sprint(a.ids(t, "match")); got != "[Patient/p1]" {
		t.Errorf("_search found %s", got)
	}
	l.want(415, "POST", "/Patient/_search", "family=omer", "Content-Type: text/plain")
	s := l.want(200, "GET", "/Patient?_id=p1&_elements=gender&_total=accurate", "").json(t)
	r := s["entry"].([]any)[0].(map[string]any)["resource"].(map[string]any)
	if r["gender"] != "male" || r["name"] != nil || s["total"] != 1.0 || !strings.Contains(fmt.Sprint(r["meta"]), "SUBSETTED") {
		t.Errorf("_elements: %v", s)
	}
	if lenient := l.want(200, "GET", "/Patient?nome=x&gender=male", "", "Prefer: handling=lenient"); len(lenient.ids(t, "match")) != 1 || bytes.Contains(lenient.body, []byte("nome")) {
		t.Errorf("lenient: %s", lenient.body)
	}
}

// TestPagesStayWholeUnderWrites: what was there from beginning to end is on exactly one page, whatever is written in between.
func TestPagesStayWholeUnderWrites(t *testing.T) {
	l := newLab(t)
	l.create()
	var entries []string
	for i := range 60 {
		entries = append(entries, entry("", fmt.Sprintf(`{"resourceType":"Patient","id":"p%02d","birthDate":"19%02d"}`, i, (i*37)%60+10), "PUT", fmt.Sprintf("Patient/p%02d", i)))
	}
	l.want(200, "POST", "/", transaction(entries...))
	late := 0
	for _, sort := range []string{"", "&_sort=birthdate", "&_sort=-_id"} {
		seen := map[string]int{}
		for url := "/Patient?_count=7" + sort; url != ""; {
			a := l.want(200, "GET", url, "")
			for _, id := range a.ids(t, "match") {
				seen[id]++
			}
			l.want(201, "POST", "/Patient", `{"resourceType":"Patient","birthDate":"1900"}`)
			late++
			l.want(201, "PUT", fmt.Sprintf("/Patient/late%d", late), fmt.Sprintf(`{"resourceType":"Patient","id":"late%d","birthDate":"1990"}`, late))
			l.want(200, "PUT", "/Patient/p05", fmt.Sprintf(`{"resourceType":"Patient","id":"p05","birthDate":"%d"}`, 1900+late))
			if late > 500 {
				t.Fatal("the pages do not end")
			}
			url = a.next(t)
		}
		for i := range 60 {
			if id := fmt.Sprintf("Patient/p%02d", i); seen[id] != 1 && i != 5 {
				t.Errorf("sort %q: %s is on %d pages", sort, id, seen[id])
			}
		}
		if sort == "" && seen["Patient/p05"] != 1 {
			t.Errorf("an updated patient is on %d pages", seen["Patient/p05"])
		}
	}
	a := l.want(200, "GET", "/Patient?_count=7", "")
	u, err := url.Parse(a.next(t))
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("birthdate", "1990")
	u.RawQuery = q.Encode()
	if got := l.do("GET", u.String(), ""); got.status != 400 {
		t.Errorf("the page token of another search: %d", got.status)
	}
}

func TestAPatientsEverything(t *testing.T) {
	l := newLab(t)
	l.create()
	all := l.populate(0, 2)
	for id := range all["Patient"] {
		ref := "Patient/" + id
		want := map[string]bool{ref: true}
		for typ, resources := range all { // whatever refers to the patient at all, in Synthea's data, is in the compartment
			for rid, r := range resources {
				if b, _ := json.Marshal(r); bytes.Contains(b, []byte(`"reference":"`+ref+`"`)) {
					want[typ+"/"+rid] = true
				}
			}
		}
		got := map[string]bool{}
		for url := "/" + ref + "/$everything?_count=37"; url != ""; {
			a := l.want(200, "GET", url, "")
			for _, m := range a.ids(t, "match") {
				if got[m] {
					t.Errorf("%s twice", m)
				}
				got[m] = true
			}
			url = a.next(t)
		}
		if len(want) < 50 || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: everything has %d resources, want %d", ref, len(got), len(want))
		}
		obs := l.want(200, "GET", "/"+ref+"/Observation?_total=accurate&code=8302-2", "").json(t)["total"]
		same := l.want(200, "GET", "/Observation?_total=accurate&code=8302-2&subject="+ref, "").json(t)["total"]
		if obs != same || obs == 0.0 {
			t.Errorf("%s: %v observations in the compartment, %v by subject", ref, obs, same)
		}
		for _, id := range l.want(200, "GET", "/"+ref+"/$everything?_type=Encounter", "").ids(t, "match")[1:] {
			if !strings.HasPrefix(id, "Encounter/") {
				t.Errorf("_type=Encounter brings %s", id)
			}
		}
	}
	l.want(404, "GET", "/Patient/none/$everything", "")
	l.want(404, "GET", "/Medication/x/Observation", "")
}
