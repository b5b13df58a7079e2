package fhir_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/galen-health/galen/test/testdata"
)

// corpus calls f with every JSON file of an archive of the test data.
func corpus(t testing.TB, name string, f func(file string, body []byte)) {
	t.Helper()
	testdata.Tar(t, name, func(path string, body []byte) {
		if base := filepath.Base(path); strings.HasSuffix(base, ".json") && base != "package.json" {
			f(base, body)
		}
	})
}

const (
	r4Examples = "fhir/hl7.fhir.r4-4.0.1.tar.gz"
	synthea    = "fhir/synthea-r4-patients.tar.gz"
)

func testCorpusRoot() string { return testdata.Root() }
