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

// One flipped bit anywhere in the folder is found when the store is opened or verified, or changes nothing that can be read. 300 flips, or
// $GALEN_CRASH_FLIPS.
func TestFlippedBits(t *testing.T) {
	keys := ring(t, t.TempDir()+"/keys")
	whole := vfs.NewCrashableMem()
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
	want, err := dump(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 9))
	atOpen, atVerify, harmless := 0, 0, map[string]int{}
	for range disktest.Rounds(t, disktest.Flips, 300) {
		fs := whole.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
		names := files(t, fs)
		name := names[rng.IntN(len(names))]
		var at int
		rewrite(t, fs, name, func(b []byte) []byte {
			at = rng.IntN(len(b) * 8)
			b[at/8] ^= 1 << (at % 8)
			return b
		})
		s, err := pebble.Open("records", keys, pebble.Options{FS: fs})
		if err != nil {
			atOpen++
			continue
		}
		if err := s.Declare(steps.Def(), counts.Def()); err != nil {
			t.Fatal(err)
		}
		found := 0
		if _, _, err := s.Verify(context.Background(), func(string) { found++ }); err != nil {
			t.Fatalf("%s, bit %d: %v", name, at, err)
		}
		got, err := dump(s)
		switch {
		case found > 0:
			atVerify++
		case err == nil && got == want:
			harmless[strings.Trim(filepath.Base(name), "0123456789.-")]++
		default:
			t.Errorf("%s, bit %d of byte %d: not found, and what is read differs (%v)", name, at%8, at/8, err)
		}
		if err := s.Close(); err != nil && !errs.Is(err, errs.Corrupt) {
			t.Logf("closing: %v", err)
		}
	}
	t.Logf("%d found when opened, %d when verified, harmless %v", atOpen, atVerify, harmless)
	if atOpen+atVerify == 0 || count == 0 {
		t.Error("no flip was found: the test proves nothing")
	}
}

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
