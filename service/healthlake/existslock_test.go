package healthlake

import (
	"slices"
	"testing"

	"github.com/galen-health/galen/standard/fhir/tape"
)

// Two writers share a lock whenever each would have found what the other makes, however their conditions are written.
func TestExistsLocks(t *testing.T) {
	const both = `{"resourceType":"Patient","identifier":[{"system":"a","value":"One"},{"value":"two"}]}`
	var d tape.Doc
	if err := d.Parse([]byte(both), tape.Limits{}); err != nil {
		t.Fatal(err)
	}
	own := identifiersIn(&d, 0)
	if !slices.Equal(own, []string{"One", "two"}) {
		t.Fatalf("identifiers: %q", own)
	}
	if err := d.Parse([]byte(`{"masterIdentifier":{"value":"m"},"identifier":[]}`), tape.Limits{}); err != nil || !slices.Equal(identifiersIn(&d, 0), []string{"m"}) {
		t.Errorf("a master identifier: %v", identifiersIn(&d, 0))
	}
	conditions := []string{"identifier=One", "identifier=a|One", "identifier=a%7COne", "?identifier=a|one&active=true", "identifier=two", "identifier=|two", "identifier=One,three", "identifier=a|",
		`identifier=On\|e`, "family=x", "_id=7", "", "%zz"}
	for _, a := range conditions {
		for _, b := range conditions {
			la, lb := existsLocks("Patient", a, own), existsLocks("Patient", b, own)
			if !slices.ContainsFunc(la, func(l string) bool { return slices.Contains(lb, l) }) {
				t.Errorf("%q and %q share no lock: %v, %v", a, b, la, lb)
			}
		}
	}
	if a, b := existsLocks("Patient", "identifier=1", nil), existsLocks("Patient", "identifier=2", nil); len(a) != 1 || len(b) != 1 || a[0] == b[0] {
		t.Errorf("two patients wait for each other: %v, %v", a, b)
	}
	if a, b := existsLocks("Patient", "family=x", nil), existsLocks("Group", "family=x", nil); len(a) != stripes || slices.Contains(b, a[0]) {
		t.Errorf("%d locks", len(a))
	}
}
