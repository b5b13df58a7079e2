package backup_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/backup"
	"github.com/galen-health/galen/platform/blob/files"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/pebble"
)

const secret = "Zyxwvut Pseudonymous"

var root = make([]byte, 32)

// stand is a small Galen: keys, records, blobs.
type stand struct {
	dir     string
	keys    *keyring.Ring
	records *pebble.Store
	blobs   *files.Store
}

func kinds() []record.KindDef {
	entries := func(_ string, body []byte) ([]record.Entry, error) {
		return []record.Entry{{Index: "body", Value: record.String(string(body))}}, nil
	}
	return []record.KindDef{{Name: "test.kept", Entries: entries}, {Name: "test.volatile", Entries: entries, Volatile: true}}
}

func (s *stand) open(t *testing.T) {
	t.Helper()
	var err error
	if s.keys, err = keyring.Open(s.dir+"/keys", root, keyring.Config{}); err != nil {
		t.Fatal(err)
	}
	if s.records, err = pebble.Open(s.dir+"/records", s.keys, pebble.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := s.records.Declare(kinds()...); err != nil {
		t.Fatal(err)
	}
	if s.blobs, err = files.Open(s.dir+"/blobs", s.keys); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.blobs.Close(); _ = s.records.Close(); _ = s.keys.Close() })
}

func newStand(t *testing.T) *stand {
	s := &stand{dir: t.TempDir()}
	s.open(t)
	if err := s.records.CreateSpace(t.Context(), "space", key.Ref{}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stand) put(t *testing.T, kind, id, body string) time.Time {
	t.Helper()
	c, err := s.records.Update(t.Context(), "space", nil, func(tx record.Tx) error {
		_, err := tx.Put(record.Put{Kind: kind, ID: id, Body: []byte(body), Expect: record.Any})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return c.Time
}

// fill puts many records in one commit.
func (s *stand) fill(t *testing.T, n int, more string) {
	t.Helper()
	if _, err := s.records.Update(t.Context(), "space", nil, func(tx record.Tx) error {
		for i := range n {
			if _, err := tx.Put(record.Put{Kind: "test.kept", ID: fmt.Sprint(i), Body: []byte(strings.Repeat(fmt.Sprint(i), 50) + more), Expect: record.Any}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func (s *stand) blob(t *testing.T, body string) string {
	t.Helper()
	in, err := s.blobs.Put(t.Context(), key.Ref{}, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return string(in.ID)
}

func (s *stand) source() backup.Source {
	return backup.Source{Ring: s.keys, Records: s.records, Blobs: backup.ReadFolder(s.dir + "/blobs"), Files: func(_ context.Context, fn func(string, []byte) error) error {
		return fn("audit/log", []byte(secret))
	}}
}

func take(t *testing.T, s *stand, dir string) backup.Report {
	t.Helper()
	place, err := backup.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer place.Close()
	rep, err := backup.Take(t.Context(), s.source(), place)
	if err != nil || len(rep.Faults) > 0 {
		t.Fatal(err, rep.Faults)
	}
	return rep
}

// restore gives the records of a time in an empty store.
func restore(t *testing.T, dir string, at time.Time) *stand {
	t.Helper()
	place := backup.ReadFolder(dir)
	point, older, sealed, err := backup.Choose(t.Context(), place, at)
	if err != nil {
		t.Fatal(err)
	}
	s := &stand{dir: t.TempDir()}
	if err := os.MkdirAll(s.dir+"/keys", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, n := range keyring.Files() {
		if err := os.WriteFile(filepath.Join(s.dir, "keys", n), sealed, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.open(t)
	b, err := backup.Open(t.Context(), place, s.keys, point, older, at)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.records.Import(t.Context(), s.keys.Regardless(), b.Items(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := s.blobs.Close(); err != nil {
		t.Fatal(err)
	}
	to, err := backup.OpenFolder(s.dir + "/blobs")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Blobs(t.Context(), to, func(backup.Progress) {}); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	if s.blobs, err = files.Open(s.dir+"/blobs", s.keys); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.records.Verify(t.Context(), func(f string) { t.Error(f) }); err != nil {
		t.Error(err)
	}
	return s
}

// state is every live record.
func (s *stand) state(t *testing.T) string {
	t.Helper()
	v, err := s.records.View(t.Context(), "space")
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	var b strings.Builder
	for _, kind := range []string{"test.kept", "test.volatile"} {
		for r, err := range v.Scan(kind, 0) {
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s=%s@%d ", r.ID, r.Body, r.Version)
		}
	}
	return b.String()
}

func TestPointInTime(t *testing.T) {
	s, dir := newStand(t), t.TempDir()
	s.put(t, "test.kept", "a", "1")
	s.put(t, "test.volatile", "v", "1")
	s.put(t, "test.volatile", "w", "1")
	first := s.put(t, "test.kept", "purged", "1")
	take(t, s, dir)
	s.put(t, "test.kept", "a", "2")
	s.put(t, "test.kept", "b", "1")
	between := s.put(t, "test.volatile", "w", "2")
	s.put(t, "test.kept", "a", "3")
	s.put(t, "test.volatile", "v", "2")
	s.put(t, "test.volatile", "new", "1")
	if _, err := s.records.Update(t.Context(), "space", nil, func(tx record.Tx) error {
		if _, err := tx.Delete("test.kept", "b", record.Any); err != nil {
			return err
		}
		return tx.Purge("test.kept", "purged")
	}); err != nil {
		t.Fatal(err)
	}
	take(t, s, dir)
	for _, c := range []struct {
		what string
		at   time.Time
		want string
	}{
		{"the newest", time.Time{}, "a=3@3 v=2@2 w=2@2 new=1@1 "},
		{"between", between, "a=2@2 purged=1@1 b=1@1 v=1@1 w=2@2 "},
		{"the first backup", first, "a=1@1 purged=1@1 v=1@1 w=1@1 "},
		{"before the first backup", first.Add(-time.Microsecond), "a=1@1 v=1@1 w=1@1 "},
	} {
		if got := restore(t, dir, c.at).state(t); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
	if _, _, _, err := backup.Choose(t.Context(), backup.ReadFolder(dir), time.Now().Add(time.Hour)); !errs.Is(err, errs.OutOfRange) {
		t.Errorf("a time after the newest backup: %v", err)
	}
}

func TestIncremental(t *testing.T) {
	s, dir := newStand(t), t.TempDir()
	s.fill(t, 3000, secret)
	s.blob(t, secret)
	one := take(t, s, dir)
	s.put(t, "test.kept", "17", "changed")
	s.blob(t, "second")
	two := take(t, s, dir)
	if one.NewBlobs != 1 || two.NewBlobs != 1 || two.Count.Blobs != 2 || two.Written*4 > one.Written || two.Count.Versions != one.Count.Versions+1 {
		t.Errorf("first %+v, then %+v", one, two)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte("Zyxwvut")) || bytes.Contains(b, []byte("test.kept")) {
			t.Errorf("%s is in the clear", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := restore(t, dir, time.Time{}).state(t); got != s.state(t) {
		t.Error("the restored state is another")
	}
}

// Every file of a backup is missed and every flipped bit found.
func TestDamage(t *testing.T) {
	s, dir := newStand(t), t.TempDir()
	s.fill(t, 300, "")
	s.blob(t, secret)
	take(t, s, dir)
	check := func() (faults []string) {
		_, _, err := backup.Check(t.Context(), backup.ReadFolder(dir), s.keys, func(f string) { faults = append(faults, f) }, func(backup.Progress) {})
		if err != nil {
			faults = append(faults, err.Error())
		}
		return faults
	}
	if faults := check(); len(faults) > 0 {
		t.Fatal(faults)
	}
	seen := map[string]int{}
	place := backup.ReadFolder(dir)
	if err := place.List(t.Context(), "", func(name string) error {
		class, _, _ := strings.Cut(name, "/")
		seen[class]++
		path := filepath.Join(dir, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i := 0; i < len(whole); i += 1 + len(whole)/11 {
			b := bytes.Clone(whole)
			b[i] ^= 1 << (i % 8)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				return err
			}
			if len(check()) == 0 {
				t.Errorf("%s: a flipped bit in byte %d is not found", name, i)
			}
		}
		if err := os.WriteFile(path, whole[:len(whole)-1], 0o600); err != nil {
			return err
		}
		if len(check()) == 0 {
			t.Errorf("%s: a missing last byte is not found", name)
		}
		if err := os.Remove(path); err != nil {
			return err
		}
		if class != "points" && len(check()) == 0 { // a point that is gone is a backup that was never made
			t.Errorf("%s: that it is gone is not found", name)
		}
		return os.WriteFile(path, whole, 0o600)
	}); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 4 {
		t.Errorf("classes of files: %v", seen)
	}
	if faults := check(); len(faults) > 0 {
		t.Errorf("after all was put back: %v", faults)
	}
}

// A backup that is cut off anywhere leaves no point, and the next one goes on from it.
func TestCutOff(t *testing.T) {
	s, dir := newStand(t), t.TempDir()
	s.fill(t, 3000, "")
	for i := range 20 {
		s.blob(t, fmt.Sprint(i))
	}
	for cut := range 8 {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		src := s.source()
		src.Progress = func(backup.Progress) {
			if n++; n > cut {
				cancel()
			}
		}
		place, err := backup.OpenFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		_, err = backup.Take(ctx, src, place)
		cancel()
		if cerr := place.Close(); cerr != nil {
			t.Fatal(cerr)
		}
		if err == nil {
			break
		}
		if _, _, _, err := backup.Choose(t.Context(), place, time.Time{}); !errs.Is(err, errs.NotFound) {
			t.Fatalf("a backup that was cut off counts: %v", err)
		}
	}
	take(t, s, dir)
	if got := restore(t, dir, time.Time{}).state(t); got != s.state(t) {
		t.Error("the restored state is another")
	}
}

func TestRefusals(t *testing.T) {
	s, other := newStand(t), newStand(t)
	s.put(t, "test.kept", "a", "1")
	other.put(t, "test.kept", "a", "1")
	dir, stray := t.TempDir(), t.TempDir()
	take(t, s, dir)
	if err := os.WriteFile(stray+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		s    *stand
		dir  string
		says string
	}{"another server's backup": {other, dir, "another server's keys"}, "a folder with other files": {s, stray, "is not empty"}} {
		place, err := backup.OpenFolder(c.dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := backup.Take(t.Context(), c.s.source(), place); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := backup.OpenFolder(c.dir); !errs.Is(err, errs.Conflict) {
			t.Errorf("a second process: %v", err)
		}
		if err := place.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
