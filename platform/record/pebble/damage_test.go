package pebble_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galen-health/galen/platform/disk/disktest"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/pebble"
)

// files are the files of a store's folder in memory.
func files(t *testing.T, fs vfs.FS) (names []string) {
	t.Helper()
	for _, dir := range []string{"records", "records/db"} {
		list, err := fs.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range list {
			path := dir + "/" + n
			if info, err := fs.Stat(path); err == nil && !info.IsDir() && info.Size() > 0 {
				names = append(names, path)
			}
		}
	}
	return names
}

func rewrite(t *testing.T, fs vfs.FS, path string, change func([]byte) []byte) {
	t.Helper()
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, info.Size())
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	f.Close() //nolint:errcheck // only read
	b = change(b)
	if f, err = fs.Create(path, vfs.WriteCategoryUnspecified); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// worked is a disk with a store that went through the workload, as a graceful end leaves it, or as SIGKILL at that moment does; and all that could be read.
func worked(t *testing.T, keys key.Ring, graceful bool) (whole *vfs.MemFS, want string) {
	t.Helper()
	whole = vfs.NewCrashableMem()
	s := openOn(t, whole, keys)
	ctx, stop := context.WithCancel(context.Background())
	count := 0
	if err := work(ctx, s, func(w, n int) {
		if w == 0 {
			if count = n; n == 120 {
				stop()
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	if count < 120 {
		t.Fatalf("only %d steps were made", count)
	}
	want, err := dump(s)
	if err != nil {
		t.Fatal(err)
	}
	disk := whole
	if !graceful {
		whole = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return whole, want
}

// flipOne flips one bit of a clone and says what became of it: "files" (found by the files' checksums), "open", "verify", or "" when nothing found it; then got is
// what can be read.
func flipOne(t *testing.T, whole *vfs.MemFS, keys key.Ring, rng *rand.Rand) (name string, at, size int, found, got string) {
	t.Helper()
	fs := whole.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
	names := files(t, fs)
	name = names[rng.IntN(len(names))]
	rewrite(t, fs, name, func(b []byte) []byte {
		at, size = rng.IntN(len(b)*8), len(b)
		b[at/8] ^= 1 << (at % 8)
		return b
	})
	faults := 0
	if _, err := pebble.VerifyFiles(fs, "records", func(string) { faults++ }); err != nil {
		t.Fatalf("%s, bit %d: %v", name, at, err)
	}
	s, err := pebble.Open("records", keys, pebble.Options{FS: fs})
	if err != nil {
		if faults > 0 {
			return name, at, size, "files", ""
		}
		return name, at, size, "open", ""
	}
	if err := s.Declare(steps.Def(), counts.Def()); err != nil {
		t.Fatal(err)
	}
	inside := 0
	if _, _, err := s.Verify(context.Background(), func(string) { inside++ }); err != nil {
		t.Fatalf("%s, bit %d: %v", name, at, err)
	}
	got, err = dump(s)
	if err != nil {
		got = err.Error()
	}
	switch {
	case faults > 0:
		found = "files"
	case inside > 0:
		found = "verify"
	}
	if err := s.Close(); err != nil && !errs.Is(err, errs.Corrupt) {
		t.Logf("closing: %v", err)
	}
	return name, at, size, found, got
}

// One flipped bit anywhere in the folder that a graceful end left is found by a verification, wherever it is. 300 flips, or $GALEN_CRASH_FLIPS.
func TestFlippedBits(t *testing.T) {
	keys := ring(t, t.TempDir()+"/keys")
	whole, want := worked(t, keys, true)
	rng := rand.New(rand.NewPCG(1, 9))
	by, of := map[string]int{}, map[string]int{}
	n := disktest.Rounds(t, disktest.Flips, 300)
	for range n {
		name, at, _, found, got := flipOne(t, whole, keys, rng)
		by[found]++
		of[kindOf(name)]++
		if found == "" {
			t.Errorf("%s, bit %d of byte %d: not found; what is read is the same: %v", name, at%8, at/8, got == want)
		}
	}
	t.Logf("%d flipped bits in %v: found %v", n, of, by)
}

// After SIGKILL the log and the manifest in use have no checksum of their own yet. A flip in them is found too, or it is behind what was written and changes
// nothing: no acknowledged commit is ever gone in silence. 300 flips, or $GALEN_CRASH_FLIPS.
func TestFlippedBitsAfterKill(t *testing.T) {
	keys := ring(t, t.TempDir()+"/keys")
	whole, want := worked(t, keys, false)
	rng := rand.New(rand.NewPCG(2, 9))
	by, harmless := map[string]int{}, map[string]int{}
	n := disktest.Rounds(t, disktest.Flips, 300)
	for range n {
		name, at, size, found, got := flipOne(t, whole, keys, rng)
		by[found]++
		if found == "" {
			harmless[kindOf(name)]++
			if got != want {
				t.Errorf("%s, bit %d of byte %d of %d: not found, and what is read differs", name, at%8, at/8, size)
			}
		}
	}
	t.Logf("%d flipped bits: found %v; not found and without effect, by file: %v", n, by, harmless)
}

// kindOf is a file's name without its number.
func kindOf(name string) string { return strings.Trim(filepath.Base(name), "0123456789.-") }

// Nothing that was written can be read from the disk: bodies, ids, index values, messages, names of spaces.
func TestNothingInTheClear(t *testing.T) {
	const canary = "CanaryOfSmith"
	dir := t.TempDir()
	s, err := pebble.Open(dir+"/records", ring(t, dir+"/keys"), pebble.Options{}.MemTable(64<<10))
	if err != nil {
		t.Fatal(err)
	}
	if err := declare(s); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if err := s.CreateSpace(ctx, canary, key.Ref{}); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if _, err := s.Update(ctx, canary, nil, func(tx record.Tx) error {
			tx.Emit(canary, []byte(canary))
			return steps.Put(tx, fmt.Sprint(canary, i), &step{Text: strings.Repeat(canary, 40)})
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	seen := 0
	err = filepath.Walk(dir+"/records", func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		seen++
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte("Smith")) || strings.Contains(path, "Smith") {
			t.Errorf("%s holds what was written in the clear", path)
		}
		return err
	})
	if err != nil || seen < 4 {
		t.Errorf("%d files, %v", seen, err)
	}
}

// A folder of a newer format, or one without its key, is refused with a reason, and left as it is.
func TestMarker(t *testing.T) {
	keys := ring(t, t.TempDir()+"/keys")
	fs := vfs.NewMem()
	if err := openOn(t, fs, keys).Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		change func([]byte) []byte
		want   errs.Code
	}{
		{func(b []byte) []byte { b[9]++; return b }, errs.Unsupported},
		{func(b []byte) []byte { b[0]++; return b }, errs.Corrupt},
		{func(b []byte) []byte { return b[:5] }, errs.Corrupt},
		{func(b []byte) []byte { b[len(b)-1]++; return b }, errs.Invalid},
	} {
		var was []byte
		rewrite(t, fs, "records/KEY", func(b []byte) []byte { was = bytes.Clone(b); return c.change(b) })
		if _, err := pebble.Open("records", keys, pebble.Options{FS: fs}); !errs.Is(err, c.want) {
			t.Errorf("opening with another marker: %v, want %v", err, c.want)
		}
		rewrite(t, fs, "records/KEY", func([]byte) []byte { return was })
	}
	if err := fs.Rename("records/KEY", "away"); err != nil {
		t.Fatal(err)
	}
	if _, err := pebble.Open("records", keys, pebble.Options{FS: fs}); !errs.Is(err, errs.Corrupt) {
		t.Errorf("opening without the key file: %v", err)
	}
	if err := fs.Rename("away", "records/KEY"); err != nil {
		t.Fatal(err)
	}
	if err := openOn(t, fs, keys).Close(); err != nil {
		t.Fatal(err)
	}
}

// fullFS tells that a disk is full when it is told so.
type fullFS struct {
	vfs.FS
	left uint64
}

func (f *fullFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: f.left, TotalBytes: 1 << 40}, nil
}

// On a disk with little room new versions are refused, while reading, deleting and purging go on; with room again, so does writing.
func TestLittleRoom(t *testing.T) {
	fs := &fullFS{FS: vfs.NewMem(), left: 1 << 40}
	s := openOn(t, fs, ring(t, t.TempDir()+"/keys"))
	defer s.Close() //nolint:errcheck // test
	put := func(id string) error {
		_, err := s.Update(context.Background(), workSpace, nil, func(tx record.Tx) error { return steps.Put(tx, id, &step{}) })
		return err
	}
	for _, id := range []string{"a", "b"} {
		if err := put(id); err != nil {
			t.Fatal(err)
		}
	}
	fs.left = 1000
	time.Sleep(pebble.LookEvery + time.Millisecond)
	if err := put("c"); !errs.Is(err, errs.Exhausted) {
		t.Errorf("writing on a full disk: %v", err)
	}
	if _, err := s.Update(context.Background(), workSpace, nil, func(tx record.Tx) error {
		if _, err := tx.Delete(steps.Name, "a", record.Any); err != nil {
			return err
		}
		return tx.Purge(steps.Name, "b")
	}); err != nil {
		t.Errorf("deleting on a full disk: %v", err)
	}
	fs.left = 1 << 40
	time.Sleep(pebble.LookEvery + time.Millisecond)
	if err := put("c"); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// Damage in the log's last block looks like the torn end that a crash leaves; the tail tells them apart. Removing the tail is how an operator goes on without.
func TestTail(t *testing.T) {
	keys := ring(t, t.TempDir()+"/keys")
	whole, _ := worked(t, keys, false)
	last := ""
	for _, name := range files(t, whole) {
		if strings.HasSuffix(name, ".log") && name > last {
			last = name
		}
	}
	rewrite(t, whole, last, func(b []byte) []byte { return b[:len(b)-40] })
	_, err := pebble.Open("records", keys, pebble.Options{FS: whole})
	if !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), "was acknowledged") || !strings.Contains(err.Error(), "TAIL") {
		t.Fatalf("a log that lost its end: %v", err)
	}
	if err := whole.Remove("records/TAIL"); err != nil {
		t.Fatal(err)
	}
	s, err := pebble.Open("records", keys, pebble.Options{FS: whole})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Declare(steps.Def(), counts.Def()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Verify(context.Background(), func(f string) { t.Error(f) }); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
