// Package testdata finds the public test data that lies beside the repository and is not part of it.
//
// A machine without that data runs the same tests; those that need it say that they skip.
package testdata

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Root returns the folder of the public test data, or "" when this machine has none: $GALEN_TEST_DATA, else ../shared/data beside
// the repository.
func Root() string {
	if dir := os.Getenv("GALEN_TEST_DATA"); dir != "" {
		return dir
	}
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return ""
	}
	dir := filepath.Join(filepath.Dir(file), "..", "..", "..", "shared", "data")
	if _, err := os.Stat(dir); err != nil {
		return ""
	}
	return dir
}

// Dir returns the path of a file or folder of the test data, and skips the test when it is absent.
func Dir(t testing.TB, name string) string {
	t.Helper()
	root := Root()
	if root == "" {
		t.Skip("public test data is not on this machine (set GALEN_TEST_DATA)")
	}
	p := filepath.Join(root, filepath.FromSlash(name))
	if _, err := os.Stat(p); err != nil {
		t.Skipf("test data %s is not on this machine", name)
	}
	return p
}
