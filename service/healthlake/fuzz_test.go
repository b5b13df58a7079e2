package healthlake

import (
	"net/url"
	"testing"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/standard/fhir"
)

// FuzzResource: a body becomes a stored form that reads as the same resource with the same index entries, or is refused with its issues.
func FuzzResource(f *testing.F) {
	for _, s := range []string{`{"resourceType":"Patient","id":"a","name":[{"family":"F","given":["G"]}],"birthDate":"1970-01-02","identifier":[{"system":"urn:x","value":"1"}]}`,
		`{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.50,"unit":"mg"},"effectivePeriod":{"start":"2024"}}`, `{"resourceType":"Bundle","type":"batch"}`, `{"resourceType":"Patient","birthDate":"x"}`} {
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, whole bool) {
		lvl := structureOnly
		if whole {
			lvl = strict
		}
		_, err := withReader(func(r *reader) (*prepared, error) {
			p, err := r.read(b, "", "fuzz", lvl)
			if err != nil {
				return nil, err
			}
			stored := append([]byte(nil), p.body...)
			n := len(p.entries)
			again, err := r.read(stored, p.typ, "fuzz", minimal)
			if err != nil {
				t.Fatalf("the stored form %q of %q cannot be read: %v", stored, b, err)
			}
			if len(again.entries) != n {
				t.Fatalf("%q has %d index entries, its stored form %d", b, n, len(again.entries))
			}
			return p, nil
		})
		if c := errs.CodeOf(err); err != nil && c != errs.Invalid && c != errs.TooLarge && c != errs.Internal {
			t.Fatalf("%q: %v", b, err)
		}
	})
}

// FuzzSearch: a search becomes a query of the store, or an issue that names the parameter.
func FuzzSearch(f *testing.F) {
	for _, s := range []string{"name:exact=x&birthdate=ge2020", "_has:Observation:patient:code=a|b", "general-practitioner.name=x&identifier=urn:x|", "code-value-quantity=http://loinc.org|1$ge2.50||mg", "_id=a,b&_lastUpdated=lt2020-01-01T00:00:00Z", "name:missing=true"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := url.ParseQuery(s)
		if err != nil {
			return
		}
		for _, typ := range []string{"Patient", "Observation"} {
			q, err := fhir.ParseQuery(typ, v, true)
			if err != nil {
				continue
			}
			_, _ = compile(q.Clauses) // it must only not panic
		}
	})
}
