package testdata

import (
	"archive/tar"
	"compress/gzip"
	"io"
	"iter"
	"os"
	"testing"
)

// Tar calls fn with every regular file of a gzipped tar archive of the test data, in its order; the test skips when the archive is absent.
func Tar(t testing.TB, name string, fn func(path string, body []byte)) {
	t.Helper()
	for path, body := range Files(t, name) {
		fn(path, body)
	}
}

// Files are those that Tar tells of, for who does not need all of them.
func Files(t testing.TB, name string) iter.Seq2[string, []byte] {
	t.Helper()
	archive := Dir(t, name)
	return func(yield func(string, []byte) bool) {
		t.Helper()
		f, err := os.Open(archive)
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
			if !yield(h.Name, b) {
				return
			}
		}
	}
}
