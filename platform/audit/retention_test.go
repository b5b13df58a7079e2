package audit_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/pebble"
)

var year0 = time.Date(2019, 1, 1, 0, 0, 0, 0, time.UTC)

// archive is a log with its index; entry i is of day i.
type archive struct {
	t     *testing.T
	dir   string
	ring  *keyring.Ring
	store record.Store
	*audit.Merkle
}

func openArchive(t *testing.T, dir string, r *keyring.Ring) *archive {
	t.Helper()
	a := &archive{t: t, dir: dir, ring: r}
	a.start()
	t.Cleanup(func() { a.stop() })
	return a
}

func (a *archive) start() {
	a.t.Helper()
	var err error
	if a.store, err = pebble.Open(filepath.Join(a.dir, "records"), a.ring, pebble.Options{}); err != nil {
		a.t.Fatal(err)
	}
	if a.Merkle, err = audit.Open(ctx, audit.Config{Dir: a.folder(), Origin: origin, Ring: a.ring, Store: a.store}); err != nil {
		a.t.Fatal(err)
	}
}

func (a *archive) folder() string { return filepath.Join(a.dir, "audit") }

func (a *archive) stop() {
	if a.Merkle == nil {
		return
	}
	if err := a.Close(ctx); err != nil {
		a.t.Error(err)
	}
	if err := a.store.Close(); err != nil {
		a.t.Error(err)
	}
	a.Merkle = nil
}

// add appends days in their order, many at a time.
func (a *archive) add(from, to int) {
	a.t.Helper()
	for i := from; i < to; i++ {
		if err := a.Append(ctx, &audit.Entry{ID: "day" + strconv.Itoa(i), Name: "GetObject", Source: "s3.amazonaws.com", Time: day(i)}); err != nil {
			a.t.Fatal(err)
		}
	}
}

func day(n int) time.Time { return year0.Add(time.Duration(n) * 24 * time.Hour) }

func (a *archive) bundles() (n int) {
	for i := range 20 {
		if _, err := os.Stat(filepath.Join(a.folder(), "log", "tile", "entries", fmt.Sprintf("%03d", i))); err == nil {
			n++
		}
	}
	return n
}

func (a *archive) indexed() {
	a.t.Helper()
	if err := a.Publish(ctx); err != nil {
		a.t.Fatal(err)
	}
	for range 200 {
		if _, lag := a.Lag(); lag < 256 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	a.t.Fatal("the index does not follow")
}

// Retention drops whole bundles of old entries, and every proof of the rest, earlier checkpoints and the ones to come hold as before.
func TestRetention(t *testing.T) {
	dir := t.TempDir()
	a := openArchive(t, dir, ring(t, dir))
	a.add(0, 1000)
	if err := a.Publish(ctx); err != nil {
		t.Fatal(err)
	}
	before, err := audit.Checkpoint(a.folder())
	if err != nil {
		t.Fatal(err)
	}
	a.indexed()
	for _, c := range []struct {
		before        time.Time
		most, dropped uint64
	}{
		{day(255), 9999, 0}, // the youngest of the first bundle is not older
		{day(300), 255, 0},  // a receiver lacks it
		{day(600), 300, 256},
		{day(600), 9999, 256},
		{day(600), 9999, 0},
	} {
		if n, err := a.Retain(ctx, c.before, c.most); err != nil || n != c.dropped {
			t.Fatalf("before %s, at most to %d: %d, %v", c.before.Format(time.DateOnly), c.most, n, err)
		}
	}
	if a.First() != 512 || a.bundles() != 1 { // the third is full, the fourth is not
		t.Errorf("it begins at %d, %d full bundles are there", a.First(), a.bundles())
	}
	check := func(after string) {
		t.Helper()
		if _, err := a.Entries(ctx, 511); !errs.Is(err, errs.Gone) {
			t.Errorf("%s: a dropped entry: %v", after, err)
		}
		if list, err := a.Entries(ctx, 512); err != nil || len(list) != 256 || !bytes.Contains(list[0], []byte(`"day512"`)) {
			t.Errorf("%s: the first kept: %d, %v", after, len(list), err)
		}
		for id, want := range map[string]int{"day511": 0, "day0": 0, "day512": 1, "day999": 1} {
			if found, _, err := a.Lookup(ctx, audit.Filter{ID: id}, "", 10); err != nil || len(found) != want {
				t.Errorf("%s: %s: %d, %v", after, id, len(found), err)
			}
		}
		all := 0
		for next := ""; ; {
			var found []audit.Entry
			var err error
			if found, next, err = a.Lookup(ctx, audit.Filter{Source: "s3.amazonaws.com"}, next, 100); err != nil {
				t.Fatal(err)
			}
			if all += len(found); next == "" {
				break
			}
		}
		if all != 488 {
			t.Errorf("%s: %d entries are found, want 488", after, all)
		}
		if found, _, err := a.Lookup(ctx, audit.Filter{Name: "DropAuditEntries"}, "", 10); err != nil || len(found) != 2 || found[0].Parameters["firstKept"] != "512" || found[0].Parameters["dropped"] != "256" {
			t.Errorf("%s: the log says of its own retention: %v, %v", after, found, err)
		}
		if err := a.Publish(ctx); err != nil {
			t.Fatal(err)
		}
		r, err := audit.Verify(ctx, a.folder(), "", before)
		if err != nil || r.Dropped != 512 || !r.Before.Equal(day(600)) {
			t.Errorf("%s: %+v, %v", after, r, err)
		}
		verifier, err := audit.Verifier(a.folder())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []uint64{512, 700, 999} {
			p, err := audit.Prove(ctx, a.folder(), n)
			if err != nil {
				t.Fatal(err)
			}
			if e, err := p.Check(verifier); err != nil || e.ID != fmt.Sprint("day", n) {
				t.Errorf("%s: the proof of %d: %v, %v", after, n, e, err)
			}
		}
		if _, err := audit.Prove(ctx, a.folder(), 3); !errs.Is(err, errs.Gone) {
			t.Errorf("%s: a proof of a dropped entry: %v", after, err)
		}
		p, err := audit.ProveContinues(ctx, a.folder(), before)
		if err == nil {
			_, err = p.Check(verifier)
		}
		if err != nil {
			t.Errorf("%s: the earlier checkpoint: %v", after, err)
		}
		first := uint64(1 << 40)
		if err := audit.Read(ctx, a.folder(), func(at uint64, e *audit.Entry) error {
			first = min(first, at)
			return nil
		}); err != nil || first != 512 {
			t.Errorf("%s: reading begins at %d, %v", after, first, err)
		}
	}
	check("dropped")
	a.stop()
	a.start()
	check("after a restart")
	a.stop()
	if err := os.RemoveAll(filepath.Join(dir, "records")); err != nil {
		t.Fatal(err)
	}
	a.start()
	check("with the index made anew")
}

// What retention dropped is told from what somebody removed, and nobody but the log can say that it was retention.
func TestRetentionIsNoExcuse(t *testing.T) {
	dir := t.TempDir()
	a := openArchive(t, dir, ring(t, dir))
	a.add(0, 800)
	a.indexed()
	if n, err := a.Retain(ctx, day(300), 9999); err != nil || n != 256 {
		t.Fatal(n, err)
	}
	a.stop()
	other := t.TempDir()
	b := openArchive(t, other, ring(t, other))
	b.add(0, 800)
	b.indexed()
	if n, err := b.Retain(ctx, day(600), 9999); err != nil || n != 512 {
		t.Fatal(n, err)
	}
	b.stop()
	bundle := func(n string) string { return filepath.Join("log", "tile", "entries", n) }
	tried := 0
	for what, change := range map[string]func(folder string) error{
		"a kept bundle is removed": func(f string) error { return os.Remove(filepath.Join(f, bundle("001"))) },
		"the note is removed":      func(f string) error { return os.Remove(filepath.Join(f, "retention")) },
		"another log's note": func(f string) error {
			raw, err := os.ReadFile(filepath.Join(b.folder(), "retention"))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(f, "retention"), raw, 0o600)
		},
		"the checkpoint as the note": func(f string) error {
			raw, err := audit.Checkpoint(f)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(f, "retention"), raw, 0o600)
		},
		"a later beginning in the note": func(f string) error {
			raw, err := os.ReadFile(filepath.Join(f, "retention"))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(f, "retention"), bytes.Replace(raw, []byte("\n256\n"), []byte("\n512\n"), 1), 0o600); err != nil {
				return err
			}
			return os.Remove(filepath.Join(f, bundle("001")))
		},
		"a dropped bundle with other entries": func(f string) error {
			raw, err := os.ReadFile(filepath.Join(f, bundle("001")))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(f, bundle("000")), raw, 0o600)
		},
		"a leaf before the beginning": func(f string) error {
			path := filepath.Join(f, "log", "tile", "0", "000")
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			raw[77] ^= 1
			return os.WriteFile(path, raw, 0o600)
		},
	} {
		folder := filepath.Join(t.TempDir(), "audit")
		copyTree(t, a.folder(), folder)
		if r, err := audit.Verify(ctx, folder, "", nil); err != nil || r.Dropped != 256 {
			t.Fatal(r, err)
		}
		if err := change(folder); err != nil {
			t.Fatal(err)
		}
		if _, err := audit.Verify(ctx, folder, "", nil); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%s: %v", what, err)
		}
		tried++
	}
	raw, err := os.ReadFile(filepath.Join(a.folder(), "retention"))
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "audit")
	copyTree(t, a.folder(), folder)
	step := 7
	if os.Getenv("GALEN_FLIPS") != "" {
		step = 1
	}
	for bit := 0; bit < 8*len(raw); bit += step {
		bad := bytes.Clone(raw)
		bad[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(filepath.Join(folder, "retention"), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := audit.Verify(ctx, folder, "", nil); !errs.Is(err, errs.Corrupt) {
			t.Fatalf("bit %d of the note: %v", bit, err)
		}
		tried++
	}
	t.Logf("%d changes, all found", tried)
}

// A kill between the note and the removal, or amid it, leaves what the next run removes, and a log that is whole.
func TestRetentionIsKilled(t *testing.T) {
	dir := t.TempDir()
	a := openArchive(t, dir, ring(t, dir))
	a.add(0, 1100)
	a.indexed()
	if err := a.Publish(ctx); err != nil {
		t.Fatal(err)
	}
	whole := filepath.Join(t.TempDir(), "audit")
	copyTree(t, a.folder(), whole)
	if n, err := a.Retain(ctx, day(800), 9999); err != nil || n != 768 {
		t.Fatal(n, err)
	}
	a.stop()
	for _, left := range [][]string{{"000", "001", "002"}, {"001", "002"}, {"002"}} { // they go from the oldest on
		for _, n := range left {
			b, err := os.ReadFile(filepath.Join(whole, "log", "tile", "entries", n))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(a.folder(), "log", "tile", "entries", n), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if r, err := audit.Verify(ctx, a.folder(), "", nil); err != nil || r.Dropped != 768 {
			t.Errorf("with %s left: %+v, %v", strings.Join(left, " "), r, err)
		}
		a.start()
		if n, err := a.Retain(ctx, day(800), 9999); err != nil || n != 0 || a.bundles() != 1 {
			t.Errorf("with %s left: %d dropped, %d full bundles, %v", strings.Join(left, " "), n, a.bundles(), err)
		}
		a.stop()
	}
}
