package fhir_test

import (
	"testing"

	"github.com/galen-health/galen/standard/fhir"
)

// FuzzText: the short forms of the standard, as they stand in headers and queries.
func FuzzText(f *testing.F) {
	for _, s := range []string{`W/"3"`, "3", "2024", "2024-01", "2024-01-02", "2024-01-02T03:04Z", "2024-01-02T03:04:05.678+14:00", "0000", "9999-12-31T23:59:60Z", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if v, ok := fhir.ParseETag(s); ok {
			if back, ok := fhir.ParseETag(fhir.ETag(v)); !ok || back != v {
				t.Fatalf("%q is version %d, which reads as %d", s, v, back)
			}
		}
		if d, ok := fhir.ParseDate(s); ok && d.High < d.Low {
			t.Fatalf("%q ends before it begins: %+v", s, d)
		}
	})
}
