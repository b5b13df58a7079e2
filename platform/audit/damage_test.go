package audit_test

import (
	"bytes"
	"context"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/platform/disk/disktest"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record/pebble"
)

// One flipped bit anywhere in the folder is found by the verification or by the next start. What is left out is where the removal of replaced tiles stands. 300 flips, or
// $GALEN_CRASH_FLIPS.
func TestFlippedBits(t *testing.T) {
	dir := t.TempDir()
	r := ring(t, dir)
	for range 3 { // three lives: partial tiles of three widths
		m := open(t, dir, r)
		fill(t, m, 130)
		closed(t, m)
	}
	whole := filepath.Join(dir, "audit")
	var names []string
	if err := filepath.WalkDir(whole, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(whole, path)
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Size() > 0 && !strings.HasSuffix(rel, "gcState") {
			names = append(names, rel)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	by, n := map[string]int{}, disktest.Rounds(t, disktest.Flips, 300)
	for range n {
		name := names[rand.IntN(len(names))]
		path := filepath.Join(whole, name)
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bit := rand.IntN(len(body) * 8)
		b := bytes.Clone(body)
		b[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = audit.Verify(ctx, whole, "", nil)
		what := "verification"
		if err == nil { // a start changes the folder: on a copy
			what = "start"
			scratch := t.TempDir()
			copyTree(t, whole, filepath.Join(scratch, "audit"))
			var m *audit.Merkle
			if m, err = audit.Open(context.Background(), audit.Config{Dir: filepath.Join(scratch, "audit"), Origin: origin, Ring: r}); err == nil {
				closed(t, m)
				t.Errorf("%s, bit %d of byte %d of %d: not found", name, bit%8, bit/8, len(body))
			}
		}
		by[what]++
		if err := os.WriteFile(path, body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := audit.Verify(ctx, whole, "", nil); err != nil {
		t.Errorf("put back: %v", err)
	}
	t.Logf("%d flipped bits in %d files: found by %v", n, len(names), by)
}

// A tree whose writer's state is gone, or of another tree, is not gone on with.
func TestLostState(t *testing.T) {
	dir := t.TempDir()
	r := ring(t, dir)
	m := open(t, dir, r)
	fill(t, m, 20)
	closed(t, m)
	path := filepath.Join(dir, "audit", "log", ".state", "treeState")
	for what, change := range map[string]func() error{
		"gone": func() error { return os.Remove(path) },
		"of an old day": func() error {
			return os.WriteFile(path, []byte(`{"size":3,"root":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}`), 0o600)
		},
		"of more": func() error {
			return os.WriteFile(path, []byte(`{"size":21,"root":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}`), 0o600)
		},
	} {
		was, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if _, err := audit.Open(ctx, audit.Config{Dir: filepath.Join(dir, "audit"), Origin: origin, Ring: r}); err == nil {
			t.Fatalf("%s: opened", what)
		}
		if _, err := audit.Verify(ctx, filepath.Join(dir, "audit"), "", nil); err == nil {
			t.Errorf("%s: verified", what)
		}
		if err := os.WriteFile(path, was, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	closed(t, open(t, dir, r))
}

// An entry whose file was damaged while the server runs, or before it started, is answered to nobody: neither looked up, nor shipped, nor proven, nor read.
func TestDamagedEntryIsNotAnswered(t *testing.T) {
	dir := t.TempDir()
	r := ring(t, dir)
	store, err := pebble.Open(filepath.Join(dir, "records"), r, pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // test
	m, err := audit.Open(ctx, audit.Config{Dir: filepath.Join(dir, "audit"), Origin: origin, Ring: r, Store: store})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Append(ctx, &audit.Entry{Name: "Marked", Source: "s3.amazonaws.com"}); err != nil {
		t.Fatal(err)
	}
	fill(t, m, 300)
	if err := m.Publish(ctx); err != nil {
		t.Fatal(err)
	}
	whole := filepath.Join(dir, "audit")
	byName := audit.Filter{Name: "Marked"}
	if found, _, err := m.Lookup(ctx, byName, "", 10); err != nil || len(found) != 1 {
		t.Fatalf("whole: %d entries, %v", len(found), err)
	}
	path := filepath.Join(whole, "log", "tile", "entries", "000")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(b, []byte("s3.amazonaws"), []byte("s2.amazonaws"), 1), 0o600); err != nil { // still a good entry by itself
		t.Fatal(err)
	}
	if found, _, err := m.Lookup(ctx, byName, "", 10); !errs.Is(err, errs.Corrupt) {
		t.Errorf("looked up: %+v, %v", found, err)
	}
	if found, err := m.Entries(ctx, 0); !errs.Is(err, errs.Corrupt) {
		t.Errorf("shipped: %d entries, %v", len(found), err)
	}
	if err := audit.Read(ctx, whole, func(uint64, *audit.Entry) error { return nil }); !errs.Is(err, errs.Corrupt) {
		t.Errorf("read: %v", err)
	}
	if _, err := audit.Prove(ctx, whole, 0); !errs.Is(err, errs.Corrupt) {
		t.Errorf("proven: %v", err)
	}
	closed(t, m)
}

// What nobody reads any more is whole or told of too: narrower tiles that wider ones have replaced, the note of their removal, entries of the journal that are in the tree. So is
// what a kill left in the tree ahead of its checkpoint.
func TestDamageOfLeftovers(t *testing.T) {
	dir := t.TempDir()
	r := ring(t, dir)
	m := open(t, dir, r)
	fill(t, m, 40)
	if err := m.Publish(ctx); err != nil {
		t.Fatal(err)
	}
	earlier, err := os.ReadFile(filepath.Join(dir, "audit", "log", "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	fill(t, m, 30)
	if err := m.Publish(ctx); err != nil {
		t.Fatal(err)
	}
	killed := filepath.Join(t.TempDir(), "audit") // as a kill would leave it
	copyTree(t, filepath.Join(dir, "audit"), killed)
	closed(t, m)
	if err := os.WriteFile(filepath.Join(killed, "log", ".state", "gcState"), []byte(`{"fromSize":40}`), 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := func(file, says string, change func([]byte)) {
		t.Helper()
		path := filepath.Join(killed, file)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := audit.Verify(ctx, killed, "", nil); err != nil {
			t.Fatalf("before: %v", err)
		}
		c := bytes.Clone(b)
		change(c)
		if err := os.WriteFile(path, c, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := audit.Verify(ctx, killed, "", nil); !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", file, err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	last := func(b []byte) { b[len(b)-1] ^= 4 }
	damaged("log/tile/0/000.p/40", "wider one has replaced it", last)
	damaged("log/tile/entries/000.p/40", "wider one has replaced it", last)
	damaged("log/.state/gcState", "gcState", func(b []byte) { b[2] ^= 1 })
	damaged("log/.state/gcState", "gcState", func(b []byte) { b[len(b)-3] ^= 8 }) // 40 becomes <0
	damaged("journal/0000000000000001", "of the journal", func(b []byte) { b[100] ^= 1 })
	if err := os.WriteFile(filepath.Join(killed, "log", "checkpoint"), earlier, 0o600); err != nil {
		t.Fatal(err)
	}
	damaged("log/tile/entries/000.p/70", "of 70 entries, 30 of them not under a checkpoint", last)
}
