package testdata

import (
	"archive/tar"
	"compress/gzip"
	"io"
	"os"
	"testing"
)

// Tar calls fn with every regular file of a gzipped tar archive of the test data, in its order; the test skips when the archive is absent.
func Tar(t testing.TB, name string, fn func(path string, body []byte)) {
	t.Helper()
	f, err := os.Open(Dir(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read from
	z, err := gzip.NewReader(f)
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
		if h.Typeflag != tar.TypeReg {
			continue
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		fn(h.Name, b)
	}
}
