package fhir_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/galen-health/galen/standard/fhir"
	"github.com/galen-health/galen/standard/fhir/fhirtest"
	"github.com/galen-health/galen/standard/fhir/tape"
)

func entryWord(e fhir.Entry) (string, bool) {
	switch e.Kind {
	case fhir.TokenEntry:
		return e.Code, e.Code != ""
	case fhir.StringEntry, fhir.URIEntry, fhir.URLEntry:
		return e.Text, true
	case fhir.ReferenceEntry:
		return e.System + "/" + e.Code, true
	case fhir.NumberEntry, fhir.QuantityEntry:
		return e.Number, true
	}
	return "", false
}

// TestExtractionAgreesWithThePublishedExpressions compares, for every example, every parameter's index words with the naive ones.
func TestExtractionAgreesWithThePublishedExpressions(t *testing.T) {
	type definition struct {
		Code, Type, Expression string
		Base                   []string
	}
	defs := map[string][]definition{}
	corpus(t, r4Examples, func(name string, body []byte) {
		if !strings.HasPrefix(name, "SearchParameter-") {
			return
		}
		var p definition
		if json.Unmarshal(body, &p) != nil || p.Expression == "" || p.Type == "composite" || p.Type == "date" || p.Type == "special" ||
			strings.Contains(p.Expression, "[0]") || strings.Contains(p.Expression, ".exists()") {
			return
		}
		for _, b := range p.Base {
			defs[b] = append(defs[b], p)
		}
	})
	var d tape.Doc
	c := fhir.Checker{Extract: true}
	compared, values := 0, 0
	compare := func(file string, body []byte) {
		if wrong[file] != "" || d.Parse(body, tape.Limits{}) != nil {
			return
		}
		r, issues := c.Check(&d, 0, "")
		if len(issues) > 0 {
			t.Fatalf("%s: %v", file, issues)
		}
		got := map[string]map[string]bool{}
		for _, e := range r.Entries {
			if w, ok := entryWord(e); ok {
				if got[e.Param.Code] == nil {
					got[e.Param.Code] = map[string]bool{}
				}
				got[e.Param.Code][w] = true
			}
		}
		dec := json.NewDecoder(strings.NewReader(string(body)))
		dec.UseNumber()
		var resource map[string]any
		if err := dec.Decode(&resource); err != nil {
			t.Fatal(err)
		}
		want := map[string]map[string]bool{}
		for _, p := range defs[r.Type] {
			for _, f := range fhirtest.Resource(resource).Eval(p.Expression) {
				for _, w := range fhirtest.Words(p.Type, f) {
					if want[p.Code] == nil {
						want[p.Code] = map[string]bool{}
					}
					want[p.Code][w] = true
				}
			}
		}
		for _, p := range defs[r.Type] {
			compared++
			for w := range want[p.Code] {
				values++
				if !got[p.Code][w] {
					t.Errorf("%s: %s %s lacks %q", file, p.Code, p.Type, w)
				}
			}
			for w := range got[p.Code] {
				if !want[p.Code][w] && p.Type != "date" {
					t.Errorf("%s: %s %s has %q, which %s does not find", file, p.Code, p.Type, w, p.Expression)
				}
			}
		}
	}
	n := 0
	corpus(t, r4Examples, func(file string, body []byte) { compare(file, body) })
	corpus(t, synthea, func(file string, body []byte) {
		if n++; n%10 != 0 {
			return
		}
		var b struct {
			Entry []struct{ Resource json.RawMessage }
		}
		if err := json.Unmarshal(body, &b); err != nil {
			t.Fatal(err)
		}
		for _, e := range b.Entry {
			compare(file, e.Resource)
		}
	})
	t.Logf("%d parameters of resources compared, %d values", compared, values)
}
