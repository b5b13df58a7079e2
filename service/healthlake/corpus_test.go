package healthlake

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/galen-health/galen/test/testdata"
)

// corpus calls f with the JSON files of an archive of the test data until it returns false.
func corpus(t testing.TB, name string, f func(file string, body []byte) bool) {
	t.Helper()
	for path, body := range testdata.Files(t, name) {
		if base := filepath.Base(path); strings.HasSuffix(base, ".json") && base != "package.json" && !f(base, body) {
			return
		}
	}
}

const (
	r4Examples = "fhir/hl7.fhir.r4-4.0.1.tar.gz"
	synthea    = "fhir/synthea-r4-patients.tar.gz"
)
