package fhir_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/galen-health/galen/standard/fhir"
	"github.com/galen-health/galen/standard/fhir/tape"
)

func TestSameParameters(t *testing.T) {
	for _, c := range [][3]string{
		{"Observation", "patient", "[subject] Patient"}, {"Observation", "combo-code", "[code component-code] "},
		{"Observation", "combo-code-value-quantity", "[code-value-quantity component-code-value-quantity] "},
		{"Observation", "subject", "[] "}, {"Patient", "phonetic", "[name] "}, {"Condition", "patient", "[subject] Patient"}, {"Patient", "_tag", "[] "},
		{"Person", "patient", "[link] Patient"},
	} {
		p := fhir.LookupParam(c[0], c[1])
		var same []string
		for _, s := range p.Same {
			same = append(same, s.Code)
			if len(s.Same) > 0 {
				t.Errorf("%s %s is the same as %s, which itself is the same as another", c[0], c[1], s.Code)
			}
		}
		if got := fmt.Sprint(same, " ", p.SameTarget); got != c[2] {
			t.Errorf("%s %s is the same as %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

// TestSameMeansSame: for every example, what a parameter has is what its Same have together.
func TestSameMeansSame(t *testing.T) {
	var d tape.Doc
	c := fhir.Checker{Extract: true}
	n := 0
	corpus(t, r4Examples, func(file string, body []byte) {
		if wrong[file] != "" || d.Parse(body, tape.Limits{}) != nil {
			return
		}
		r, _ := c.Check(&d, 0, "")
		for _, p := range fhir.Params(r.Type) {
			if len(p.Same) == 0 {
				continue
			}
			got, want := map[string]bool{}, map[string]bool{}
			for _, e := range r.Entries {
				set := got
				if e.Param != p {
					if e.Param != p.Same[0] && (len(p.Same) < 2 || e.Param != p.Same[1]) {
						continue
					}
					if set = want; p.SameTarget != "" && (e.Kind != fhir.ReferenceEntry || e.System != p.SameTarget) {
						continue
					}
				} else if p.SameTarget != "" && e.Kind != fhir.ReferenceEntry {
					continue
				}
				e.Param = nil
				for k := range e.Parts {
					e.Parts[k].Param = nil
				}
				set[fmt.Sprintf("%+v", e)] = true
				n++
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %s has %v, its same have %v", file, p.Code, got, want)
			}
		}
	})
	t.Logf("%d entries compared", n)
}

func TestSingleParameters(t *testing.T) {
	for code, want := range map[string]bool{"birthdate": true, "death-date": true, "name": false, "_lastUpdated": false} {
		if got := fhir.LookupParam("Patient", code).Single; got != want {
			t.Errorf("Patient %s: single is %v, want %v", code, got, want)
		}
	}
	if !fhir.LookupParam("Observation", "date").Single || fhir.LookupParam("CarePlan", "activity-date").Single || fhir.LookupParam("Encounter", "location-period").Single {
		t.Error("single is wrong for a choice or a repeating element")
	}
	var d tape.Doc
	c := fhir.Checker{Extract: true}
	corpus(t, r4Examples, func(file string, body []byte) {
		if wrong[file] != "" || d.Parse(body, tape.Limits{}) != nil {
			return
		}
		n := map[*fhir.Param]int{}
		r, _ := c.Check(&d, 0, "")
		for _, e := range r.Entries {
			if n[e.Param]++; e.Param.Single && n[e.Param] > 1 {
				t.Errorf("%s has two values of %s", file, e.Param.Code)
			}
		}
	})
}
