package crash_test

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/disk/disktest"
	"github.com/galen-health/galen/test/galen"
)

// harmless are the files whose damage changes nothing, with the reason why; the test fails on any other flip that is not found.
var harmless = map[string]string{
	"audit/log/.state/gcState":     "where the removal of replaced partial tiles goes on: a wrong one removes nothing that is part of the log",
	"audit/log/tile/N/N.p/N":       "a partial tile that a longer one has replaced is read by nobody, and removed within minutes",
	"audit/log/tile/entries/N.p/N": "as above",
}

var numbers = regexp.MustCompile(`[0-9a-f]{32}|[0-9]+`)

// kindOf is a file's path without numbers and ids.
func kindOf(path string) string { return numbers.ReplaceAllString(path, "N") }

// One flipped bit anywhere in a data folder is found by galen verify: a file of a random kind, a random bit of it. 12 flips, or $GALEN_CRASH_FLIPS.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	g := galen.New(t, t.TempDir(), "--log-level", "error")
	g.Run()
	l := newLoad(t, g)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	l.run(ctx, t)
	cancel()
	g.Stop()
	verified(t, g)
	byKind := map[string][]string{}
	if err := filepath.WalkDir(g.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(g.Dir, path)
		if err != nil {
			return err
		}
		if info, err := d.Info(); err == nil && info.Size() > 0 {
			byKind[kindOf(rel)] = append(byKind[kindOf(rel)], rel)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for k := range byKind {
		kinds = append(kinds, k)
	}
	verify := func(dir string) (string, error) {
		out, err := exec.Command(galen.Binary(t), "verify", "--data-dir", dir).CombinedOutput()
		return string(out), err
	}
	whole := filepath.Join(t.TempDir(), "whole")
	if err := os.CopyFS(whole, os.DirFS(g.Dir)); err != nil {
		t.Fatal(err)
	}
	if out, err := verify(whole); err != nil {
		t.Fatalf("an unchanged copy: %v\n%s", err, out)
	}
	found, silent := 0, map[string]int{}
	n := disktest.Rounds(t, disktest.Flips, 12)
	scratch := t.TempDir()
	for i := range n {
		dir := filepath.Join(scratch, fmt.Sprint(i))
		if err := os.CopyFS(dir, os.DirFS(g.Dir)); err != nil {
			t.Fatal(err)
		}
		of := byKind[kinds[rng(i, len(kinds))]]
		name := of[rand.IntN(len(of))]
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		bit := rand.IntN(len(b) * 8)
		b[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := verify(dir)
		if strings.Contains(out, "goroutine ") {
			t.Errorf("%s, bit %d of byte %d of %d: %s", name, bit%8, bit/8, len(b), out)
		}
		switch {
		case err != nil:
			found++
		case harmless[kindOf(name)] != "":
			silent[kindOf(name)]++
		default:
			t.Errorf("%s, bit %d of byte %d of %d: not found", name, bit%8, bit/8, len(b))
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d flipped bits in files of %d kinds: %d found, without effect %v", n, len(kinds), found, silent)
}

// rng takes each kind in turn and then any.
func rng(i, n int) int {
	if i < n {
		return i
	}
	return rand.IntN(n)
}
