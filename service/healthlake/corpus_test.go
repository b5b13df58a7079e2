package healthlake

import (
	"archive/tar"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galen-health/galen/test/testdata"
)

// corpus calls f with the JSON files of an archive of the test data until it returns false.
func corpus(t testing.TB, name string, f func(file string, body []byte) bool) {
	t.Helper()
	file, err := os.Open(testdata.Dir(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(h.Name, ".json") || filepath.Base(h.Name) == "package.json" {
			continue
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if !f(filepath.Base(h.Name), b) {
			return
		}
	}
}

const (
	r4Examples = "fhir/hl7.fhir.r4-4.0.1.tar.gz"
	synthea    = "fhir/synthea-r4-patients.tar.gz"
)
