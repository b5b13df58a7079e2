package bench

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galen-health/galen/test/galen"
)

// cut changes a source file, for a measurement only: what stands where a text stood.
type cut struct{ file, at, in string }

// without are builds of the command that lack one part of its safety each, so that what the part costs can be measured. They are made in a temporary folder
// from changed copies of these files; galen itself has no such switch.
var without = []struct {
	what string
	cuts []cut
}{
	{"encryption", []cut{
		{"platform/blob/sealed/segment.go", "cipher.NewGCM(block)", "cipher.AEAD(uncovered{}), error(nil)\n\t_ = block"},
		{"platform/record/seal/seal.go", "return cipher.NewGCM(block)", "_ = block\n\treturn uncovered{}, nil"},
		{"platform/record/pebble/cryptfile.go", "off int64) {\n", "off int64) {\n\tif true {\n\t\tcopy(dst, src)\n\t\treturn\n\t}\n"},
	}},
	{"audit", []cut{{"platform/audit/log.go", "Append(_ context.Context, e *Entry) error {\n", "Append(_ context.Context, e *Entry) error {\n\tif true {\n\t\treturn nil\n\t}\n"}}},
	{"authorisation", []cut{
		{"app/edge/edge.go", "needs []authz.Request) error {\n", "needs []authz.Request) error {\n\tif true {\n\t\treturn nil\n\t}\n"},
		{"app/edge/operation.go", "op *aws.Operation, in any) error {\n", "op *aws.Operation, in any) error {\n\tif true {\n\t\treturn nil\n\t}\n"},
	}},
}

// uncovered is a cipher that covers nothing.
const uncovered = `
type uncovered struct{}

var noTag [16]byte

func (uncovered) NonceSize() int                               { return 12 }
func (uncovered) Overhead() int                                { return 16 }
func (uncovered) Seal(dst, _, plain, _ []byte) []byte          { return append(append(dst, plain...), noTag[:]...) }
func (uncovered) Open(dst, _, b, _ []byte) ([]byte, error)     { return append(dst, b[:len(b)-16]...), nil }
`

// build makes the command without a part.
func build(t *testing.T, cuts []cut) string {
	t.Helper()
	dir := t.TempDir()
	replace := map[string]string{}
	for _, c := range cuts {
		name := filepath.Join(galen.Root(), c.file)
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(b), c.at) != 1 {
			t.Fatalf("%s: %q stands there %d times; the measurement wants it once", c.file, c.at, strings.Count(string(b), c.at))
		}
		changed := strings.Replace(string(b), c.at, c.in, 1)
		if strings.Contains(c.in, "uncovered") {
			changed += uncovered
		}
		replace[name] = filepath.Join(dir, strings.ReplaceAll(c.file, "/", "_"))
		if err := os.WriteFile(replace[name], []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "galen")
	cmd := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", path, "./cmd/galen")
	cmd.Dir = galen.Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}
