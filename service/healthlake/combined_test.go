package healthlake

import (
	"math/rand/v2"
	"net/url"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/galen-health/galen/standard/fhir"
	"github.com/galen-health/galen/standard/fhir/fhirtest"
)

// TestCombinedSearchesAgreeWithANaiveReading joins random searches by AND, OR, chains and reverse chains.
func TestCombinedSearchesAgreeWithANaiveReading(t *testing.T) {
	l := newLab(t)
	l.create()
	all := l.populate(8, 3)
	defs := definitions(t)
	rng := rand.New(rand.NewPCG(3, 5))
	types := []string{"Observation", "Encounter", "Condition", "Patient", "Claim", "Procedure", "MedicationRequest", "Organization", "Practitioner", "DiagnosticReport", "Immunization", "CarePlan"}
	sort.Strings(types)

	ids := map[string][]string{}
	for _, typ := range types {
		for id := range all[typ] {
			ids[typ] = append(ids[typ], id)
		}
		sort.Strings(ids[typ])
	}
	// pick a search that some resource of the type suggests.
	pick := func(typ string) (fhirtest.Definition, fhirtest.Query) {
		for {
			d := defs[typ][rng.IntN(len(defs[typ]))]
			if d.Type == "uri" && strings.Contains(d.Expression, "resolve()") {
				continue
			}
			qs := d.Queries(all[typ][ids[typ][rng.IntN(len(ids[typ]))]])
			if len(qs) > 2 {
				return d, qs[rng.IntN(len(qs))]
			}
		}
	}
	set := func(typ string, match func(id string, r fhirtest.Resource) bool) map[string]bool {
		out := map[string]bool{}
		for id, r := range all[typ] {
			if match(id, r) {
				out[id] = true
			}
		}
		return out
	}
	// references from a type by a parameter: id → Type/id.
	refs := func(d fhirtest.Definition, r fhirtest.Resource) map[string]bool {
		out := map[string]bool{}
		for _, f := range r.Eval(d.Expression) {
			for _, w := range fhirtest.Words("reference", f) {
				out[w] = true
			}
		}
		return out
	}
	references := func(typ string) []fhirtest.Definition {
		var out []fhirtest.Definition
		for _, d := range defs[typ] {
			if p := fhir.LookupParam(typ, d.Code); d.Type == "reference" && p != nil && !p.Canonical {
				out = append(out, d)
			}
		}
		return out
	}
	check := func(typ, query string, want map[string]bool) {
		t.Helper()
		got := map[string]bool{}
		for _, id := range l.find(typ, query) {
			if got[id] {
				t.Errorf("%s?%s finds %s twice", typ, query, id)
			}
			got[id] = true
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s?%s: found %d, want %d", typ, query, len(got), len(want))
		}
	}
	counts := map[string]int{}
	hits := map[string]int{}
	for range 4000 {
		typ := types[rng.IntN(len(types))]
		d1, q1 := pick(typ)
		d2, q2 := pick(typ)
		kind := []string{"and", "or", "chain", "has"}[rng.IntN(4)]
		var want map[string]bool
		var query, on string
		switch kind {
		case "and":
			on, query = typ, q1.String()+"&"+q2.String()
			want = set(typ, func(_ string, r fhirtest.Resource) bool {
				return d1.Matches(r, q1.Modifier, q1.Value) && d2.Matches(r, q2.Modifier, q2.Value)
			})
		case "or":
			qs := d1.Queries(all[typ][ids[typ][rng.IntN(len(ids[typ]))]])
			q2 = qs[rng.IntN(len(qs))]
			if q2.Modifier != q1.Modifier || q1.Modifier == "missing" || q1.Modifier == "not" {
				continue
			}
			_, v2, _ := strings.Cut(q2.String(), "=")
			on, query = typ, q1.String()+","+v2
			want = set(typ, func(_ string, r fhirtest.Resource) bool {
				return d1.Matches(r, q1.Modifier, q1.Value) || d1.Matches(r, q1.Modifier, q2.Value)
			})
		case "chain": // some other type that refers to this one
			on = types[rng.IntN(len(types))]
			rs := references(on)
			if len(rs) == 0 {
				continue
			}
			d := rs[rng.IntN(len(rs))]
			if p := fhir.LookupParam(on, d.Code); p.Targets != nil && !slices.Contains(p.Targets, typ) || p.SameTarget != "" && p.SameTarget != typ {
				continue
			}
			targets := set(typ, func(_ string, r fhirtest.Resource) bool { return d1.Matches(r, q1.Modifier, q1.Value) })
			query = url.QueryEscape(d.Code) + ":" + typ + "." + q1.String()
			want = set(on, func(_ string, r fhirtest.Resource) bool {
				for ref := range refs(d, r) {
					if rt, id, _ := strings.Cut(ref, "/"); rt == typ && targets[id] {
						return true
					}
				}
				return false
			})
		case "has":
			rs := references(typ)
			if len(rs) == 0 {
				continue
			}
			d := rs[rng.IntN(len(rs))]
			on = types[rng.IntN(len(types))]
			if p := fhir.LookupParam(typ, d.Code); p.Targets != nil && !slices.Contains(p.Targets, on) || p.SameTarget != "" && p.SameTarget != on {
				continue
			}
			pointed := map[string]bool{}
			for _, r := range all[typ] {
				if d1.Matches(r, q1.Modifier, q1.Value) {
					for ref := range refs(d, r) {
						pointed[ref] = true
					}
				}
			}
			query = "_has:" + typ + ":" + d.Code + ":" + q1.String()
			want = set(on, func(id string, _ fhirtest.Resource) bool { return pointed[on+"/"+id] })
		}
		counts[kind]++
		hits[kind] += len(want)
		check(on, query, want)
	}
	for _, kind := range []string{"and", "or", "chain", "has"} {
		t.Logf("%s: %d searches, %d hits", kind, counts[kind], hits[kind])
		if counts[kind] < 50 || hits[kind] == 0 {
			t.Errorf("%s was hardly tried", kind)
		}
	}
}
