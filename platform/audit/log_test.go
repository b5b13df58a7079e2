package audit_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/platform/disk/disktest"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key/keyring"
)

var ctx = context.Background()

const origin = "galen/000000000000/audit"

func ring(t testing.TB, dir string) *keyring.Ring {
	t.Helper()
	r, err := keyring.Open(filepath.Join(dir, "keys"), nil, keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func open(t testing.TB, dir string, r *keyring.Ring) *audit.Merkle {
	t.Helper()
	m, err := audit.Open(ctx, audit.Config{Dir: filepath.Join(dir, "audit"), Origin: origin, Ring: r})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func fill(t testing.TB, m *audit.Merkle, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := w; i < n; i += 16 {
				if err := m.Append(ctx, &audit.Entry{Name: fmt.Sprintf("Op%d", i), Source: "s3.amazonaws.com"}); err != nil {
					t.Errorf("Append %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
}

func closed(t testing.TB, m *audit.Merkle) {
	t.Helper()
	if err := m.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestAppendAndVerify(t *testing.T) {
	dir := t.TempDir()
	r := ring(t, dir)
	m := open(t, dir, r)
	fill(t, m, 700)
	closed(t, m)
	v, err := audit.Verifier(filepath.Join(dir, "audit"))
	if err != nil {
		t.Fatal(err)
	}
	rep, err := audit.Verify(ctx, filepath.Join(dir, "audit"), v, nil)
	if err != nil || rep.Size != 700 || rep.Origin != origin {
		t.Fatalf("Verify = %+v, %v, want 700 entries", rep, err)
	}
	old, err := audit.Checkpoint(filepath.Join(dir, "audit"))
	if err != nil {
		t.Fatal(err)
	}
	m = open(t, dir, r)
	fill(t, m, 20)
	closed(t, m)
	rep, err = audit.Verify(ctx, filepath.Join(dir, "audit"), v, old)
	if err != nil || rep.Size != 720 {
		t.Fatalf("Verify after more = %+v, %v, want 720 entries that continue the first 700", rep, err)
	}
	if _, err := audit.Verify(ctx, filepath.Join(dir, "audit"), strings.Replace(v, "+", "+0", 1), nil); !errs.Is(err, errs.Corrupt) {
		t.Errorf("Verify with another key: %v", err)
	}
}

// copyTree copies a folder.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// Every byte of the log's entries and tiles is covered: flipping it, removing its file or cutting it off is found.
func TestTamperingIsFound(t *testing.T) {
	dir := t.TempDir()
	m := open(t, dir, ring(t, dir))
	fill(t, m, 300)
	closed(t, m)
	whole := filepath.Join(dir, "audit")
	earlier := t.TempDir()
	copyTree(t, whole, earlier)
	var files []string
	err := filepath.WalkDir(filepath.Join(whole, "log"), func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.Contains(p, ".state") {
			rel, _ := filepath.Rel(whole, p)
			files = append(files, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// Partial tiles and bundles that a later one replaced are not part of the log of this size.
	part := map[string]bool{"log/checkpoint": true, "log/tile/0/000": true, "log/tile/0/001.p/44": true, "log/tile/1/000.p/1": true, "log/tile/entries/000": true, "log/tile/entries/001.p/44": true}
	seen := 0
	for _, f := range files {
		if !part[f] {
			continue
		}
		seen++
		body, err := os.ReadFile(filepath.Join(whole, f))
		if err != nil {
			t.Fatal(err)
		}
		step := max(1, len(body)/23)
		for name, change := range map[string]func(at int) []byte{
			"flipped": func(at int) []byte { b := bytes.Clone(body); b[at] ^= 1; return b },
			"cut":     func(at int) []byte { return body[:at] },
			"removed": func(int) []byte { return nil },
		} {
			for at := 0; at < len(body); at += step {
				b := change(at)
				if b == nil {
					err = os.Remove(filepath.Join(whole, f))
				} else {
					err = os.WriteFile(filepath.Join(whole, f), b, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
				if _, err := audit.Verify(ctx, whole, "", nil); !errs.Is(err, errs.Corrupt) {
					t.Errorf("%s %s at %d: Verify says %v", f, name, at, err)
				}
				if name == "removed" {
					break
				}
			}
			if err := os.WriteFile(filepath.Join(whole, f), body, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if seen != len(part) {
		t.Errorf("only %d of the %d files of the log were there: %v", seen, len(part), files)
	}
	if _, err := audit.Verify(ctx, whole, "", nil); err != nil {
		t.Errorf("put back: %v", err)
	}
}

// A folder that is taken back to an earlier state is whole in itself; an earlier checkpoint kept elsewhere shows it.
func TestRollbackIsFound(t *testing.T) {
	dir := t.TempDir()
	r := ring(t, dir)
	m := open(t, dir, r)
	fill(t, m, 10)
	closed(t, m)
	old := filepath.Join(t.TempDir(), "audit")
	copyTree(t, filepath.Join(dir, "audit"), old)
	m = open(t, dir, r)
	fill(t, m, 10)
	closed(t, m)
	kept, err := audit.Checkpoint(filepath.Join(dir, "audit"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Verify(ctx, old, "", kept); !errs.Is(err, errs.Corrupt) {
		t.Errorf("the rolled back log: %v", err)
	}
	// Rolled back and grown again with other entries: same size, another history.
	again, err := audit.Open(ctx, audit.Config{Dir: old, Origin: origin, Ring: r})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		fill(t, again, 15)
	}
	closed(t, again)
	if rep, err := audit.Verify(ctx, old, "", nil); err != nil || rep.Size != 40 {
		t.Errorf("the forked log alone: %+v, %v", rep, err)
	}
	if _, err := audit.Verify(ctx, old, "", kept); !errs.Is(err, errs.Corrupt) {
		t.Errorf("the forked log: %v", err)
	}
}

func TestSigningKey(t *testing.T) {
	dir := t.TempDir()
	r := ring(t, dir)
	closed(t, open(t, dir, r))
	sealed, err := os.ReadFile(filepath.Join(dir, "audit", "signer.json"))
	if err != nil || bytes.Contains(sealed, []byte("PRIVATE+KEY")) {
		t.Errorf("the signing key at rest: %s, %v", sealed, err)
	}
	other := t.TempDir()
	if _, err := audit.Open(ctx, audit.Config{Dir: filepath.Join(dir, "audit"), Origin: origin, Ring: ring(t, other)}); err == nil {
		t.Error("opened under another key ring")
	}
	if err := os.Remove(filepath.Join(dir, "audit", "signer.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Open(ctx, audit.Config{Dir: filepath.Join(dir, "audit"), Origin: origin, Ring: r}); !errs.Is(err, errs.Corrupt) {
		t.Errorf("without its key: %v", err)
	}
}

func TestEntriesAreBounded(t *testing.T) {
	dir := t.TempDir()
	m := open(t, dir, ring(t, dir))
	defer closed(t, m)
	many := map[string]string{}
	for i := range 1000 {
		many[fmt.Sprint(i)] = strings.Repeat("é", 10_000)
	}
	if err := m.Append(ctx, &audit.Entry{Name: "x", UserAgent: strings.Repeat("é", 100_000), Parameters: many, Resources: make([]string, 1000)}); err != nil {
		t.Errorf("an entry with long texts: %v", err)
	}
	if err := m.Append(ctx, &audit.Entry{Name: strings.Repeat("x", 100_000)}); !errs.Is(err, errs.TooLarge) {
		t.Errorf("an entry with a long name: %v", err)
	}
}

// TestAppender is the child of TestKill: it appends and prints each acknowledged entry until it is killed.
func TestAppender(t *testing.T) {
	dir := os.Getenv("AUDIT_DIR")
	if dir == "" {
		t.Skip("runs as a child of TestKill")
	}
	m := open(t, dir, ring(t, dir))
	var wg sync.WaitGroup
	var mu sync.Mutex
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				if err := m.Append(ctx, &audit.Entry{ID: id, Name: "Op"}); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				fmt.Println("ack " + id)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// Entries that were acknowledged before kill -9 are in the log, which goes on and verifies. 6 kills, or $GALEN_CRASH_KILLS; a folder lives through 20.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	kills := disktest.Rounds(t, disktest.Kills, 6)
	for done := 0; done < kills; done += 20 {
		killed(t, min(20, kills-done))
	}
}

// killed kills the appenders of one folder.
func killed(t *testing.T, kills int) {
	dir := t.TempDir()
	acked := map[string]bool{}
	for range kills {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestAppender$")
		cmd.Env = append(os.Environ(), "AUDIT_DIR="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		s := bufio.NewScanner(out)
		for n := 0; s.Scan(); {
			if id, ok := strings.CutPrefix(s.Text(), "ack "); ok {
				acked[id] = true
				if n++; n == 1+rand.IntN(300) || n == 300 { // at any moment, often early
					_ = cmd.Process.Kill()
				}
			}
		}
		_ = cmd.Wait()
	}
	r := ring(t, dir)
	closed(t, open(t, dir, r))
	rep, err := audit.Verify(ctx, filepath.Join(dir, "audit"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	var found int
	err = audit.Read(ctx, filepath.Join(dir, "audit"), func(_ uint64, e *audit.Entry) error {
		if acked[e.ID] {
			found++
		}
		return nil
	})
	if err != nil || found != len(acked) || len(acked) < kills {
		t.Errorf("of %d acknowledged entries %d are among the %s in the log (%v)", len(acked), found, strconv.FormatUint(rep.Size, 10), err)
	}
	t.Logf("%d kills: %d acknowledged, %d in the log, 0 lost", kills, len(acked), rep.Size)
}

// A copy of the folder that was taken while the log ran is what kill -9 leaves: its journal has what the tree lacks, and nothing of it is lost.
func TestJournalIsTakenUp(t *testing.T) {
	dir := t.TempDir()
	r := ring(t, dir)
	m := open(t, dir, r)
	fill(t, m, 40)
	killed := filepath.Join(t.TempDir(), "audit")
	copyTree(t, filepath.Join(dir, "audit"), killed)
	closed(t, m)
	rep, err := audit.Verify(ctx, killed, "", nil)
	if err != nil || rep.Size+uint64(rep.Waiting) != 40 || rep.Waiting == 0 {
		t.Errorf("as it was killed: %+v, %v; want 40 entries, some waiting", rep, err)
	}
	names, err := filepath.Glob(filepath.Join(killed, "journal", "0*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("the journal is %v, %v", names, err)
	}
	whole, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	b := bytes.Clone(whole)
	b[100] ^= 1
	if err := os.WriteFile(names[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Verify(ctx, killed, "", nil); !errs.Is(err, errs.Corrupt) {
		t.Errorf("a damaged journal verifies: %v", err)
	}
	if err := os.WriteFile(names[0], whole, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err = audit.Open(ctx, audit.Config{Dir: killed, Origin: origin, Ring: r})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, m, 3)
	closed(t, m)
	if rep, err := audit.Verify(ctx, killed, "", nil); err != nil || rep.Size != 43 || rep.Waiting != 0 {
		t.Errorf("taken up: %+v, %v; want 43 entries", rep, err)
	}
}
