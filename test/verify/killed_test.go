package verify_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galen-health/galen/test/galen"
)

// The last bytes of what a killed server left in the journal of its audit log are a MAC, which the log's key alone can check: damage of it is told like any other.
func TestEndOfJournal(t *testing.T) {
	g := galen.Start(t)
	fill(t, g)
	g.Kill()
	path := find(t, filepath.Join(g.Dir, "audit", "journal"), `/\d{16}$`)[0]
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if status, out, errOut := verify(t, g.Dir); status != 0 {
		t.Fatalf("after a kill: %s%s", out, errOut)
	}
	b[len(bytes.TrimRight(b, "\x00"))-1] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, out, _ := verify(t, g.Dir); status != 1 || !strings.Contains(out, "audit: the journal of the audit log end") {
		t.Errorf("a flipped bit in the last MAC: status %d, %s", status, out)
	}
}

// Keys that came back from an older backup than the data lack those that were made since: what is under them is told of, all of it, and is not taken for data whose key was
// deleted.
func TestOlderKeys(t *testing.T) {
	g := galen.Start(t)
	g.Stop()
	older := map[string][]byte{}
	for _, name := range []string{"ring.a", "ring.b"} {
		b, err := os.ReadFile(filepath.Join(g.Dir, "keys", name))
		if err != nil {
			t.Fatal(err)
		}
		older[name] = b
	}
	g.Run()
	fill(t, g) // the FHIR data store has a key of its own
	g.Stop()
	whole := map[string][]byte{}
	for name, b := range older {
		path := filepath.Join(g.Dir, "keys", name)
		now, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		whole[name] = now
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	status, out, errOut := verify(t, g.Dir)
	if status != 1 || !strings.Contains(out, "data key does not open") || !strings.Contains(out, "\nblobs: ") || !strings.Contains(errOut, "faults in ") {
		t.Errorf("with older keys: status %d\n%s%s", status, out, errOut)
	}
	for name, b := range whole {
		if err := os.WriteFile(filepath.Join(g.Dir, "keys", name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if status, out, errOut := verify(t, g.Dir); status != 0 {
		t.Errorf("put back: %s%s", out, errOut)
	}
}
