package asset_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/galen-health/galen/platform/asset"
)

func TestDir(t *testing.T) {
	root := t.TempDir()
	part := filepath.Join(root, ".cache", "part")
	deep := filepath.Join(root, "a", "b")
	for _, d := range []string{part, deep} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(deep)
	if got := asset.Dir("GALEN_TEST_PART", "part", "probe"); got != filepath.Join(".cache", "part") {
		t.Errorf("without the file: %s", got)
	}
	if err := os.WriteFile(filepath.Join(part, "probe"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := asset.Dir("GALEN_TEST_PART", "part", "probe"), filepath.Join(filepath.Dir(filepath.Dir(wd)), ".cache", "part"); got != want {
		t.Errorf("two folders below: %s, want %s", got, want)
	}
	t.Setenv("GALEN_TEST_PART", "/elsewhere")
	if got := asset.Dir("GALEN_TEST_PART", "part", "probe"); got != "/elsewhere" {
		t.Errorf("with the variable: %s", got)
	}
}
