package disk_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/disk"
	"github.com/galen-health/galen/platform/disk/disktest"
)

// disks are the same folder on every kind of disk.
func disks(t *testing.T) map[string]disk.FS {
	t.Helper()
	real, err := disk.Open(filepath.Join(t.TempDir(), "a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := real.Close(); err != nil {
			t.Error(err)
		}
	})
	return map[string]disk.FS{"folder": real, "memory": disktest.NewMem(), "fault": &disktest.Fault{FS: disktest.NewMem()}}
}

func TestFilesAndFolders(t *testing.T) {
	for name, d := range disks(t) {
		t.Run(name, func(t *testing.T) {
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			must(d.Mkdir("x"))
			must(d.Mkdir("x"))
			f, err := d.Create("x/one")
			must(err)
			if _, err := d.Create("x/one"); !errors.Is(err, fs.ErrExist) {
				t.Errorf("a taken name: %v", err)
			}
			_, err = f.Write([]byte("hello"))
			must(err)
			_, err = f.WriteAt([]byte("J"), 0)
			must(err)
			must(disk.Sync(f))
			must(f.Close())
			must(d.Rename("x/one", "x/two"))
			must(disk.SyncDir(d, "x"))
			must(disk.Replace(d, "three", []byte("3")))
			must(disk.Replace(d, "three", []byte("4")))
			for name, want := range map[string]string{"x/two": "Jello", "three": "4"} {
				if b, err := disk.ReadFile(d, name, 10); err != nil || string(b) != want {
					t.Errorf("%s = %q, %v", name, b, err)
				}
			}
			if _, err := disk.ReadFile(d, "x/two", 4); err == nil {
				t.Error("a file over the limit was read")
			}
			names, err := d.List(".")
			must(err)
			sort.Strings(names)
			if strings.Join(names, " ") != "three x" {
				t.Errorf("names = %v", names)
			}
			if st, err := d.Stat("x/two"); err != nil || st.Size() != 5 {
				t.Errorf("stat = %v, %v", st, err)
			}
			must(d.Remove("x/two"))
			if _, err := d.Open("x/two"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a removed file: %v", err)
			}
			if err := d.Remove("x/two"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("removed twice: %v", err)
			}
		})
	}
}

// No name and no link leads out of the folder.
func TestNothingLeadsOut(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	inside := filepath.Join(outside, "inside")
	d, err := disk.Open(inside)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close() //nolint:errcheck // test
	if err := os.Symlink(outside, filepath.Join(inside, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../secret", "link/secret", filepath.Join(outside, "secret"), "x/../../secret"} {
		if _, err := d.Open(name); err == nil {
			t.Errorf("%s was opened", name)
		}
		if _, err := d.Create(name + "2"); err == nil {
			t.Errorf("%s was made", name)
		}
		if err := d.Remove(name); err == nil {
			t.Errorf("%s was removed", name)
		}
		if err := d.Rename("LOCK", name); err == nil {
			t.Errorf("something was renamed to %s", name)
		}
	}
	if b, err := os.ReadFile(filepath.Join(outside, "secret")); err != nil || string(b) != "x" {
		t.Errorf("outside: %q, %v", b, err)
	}
}

func TestOneHolder(t *testing.T) {
	dir := t.TempDir()
	d, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := disk.Open(dir); err == nil {
		t.Error("two hold the folder")
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if d, err = disk.Open(dir); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestFailedSyncsAreKnown(t *testing.T) {
	f := &disktest.Fault{FS: disktest.NewMem(), Ops: disktest.Syncs, Err: syscall.EIO}
	for n := 1; n <= 2; n++ {
		f.Arm(n)
		if err := disk.Replace(f, "x", []byte("x")); !disk.IsSync(err) || !errors.Is(err, syscall.EIO) {
			t.Errorf("sync %d: %v", n, err)
		}
	}
	f.Ops = disktest.Write
	f.Arm(1)
	if err := disk.Replace(f, "x", []byte("x")); err == nil || disk.IsSync(err) {
		t.Errorf("a failed write: %v", err)
	}
}

// A folder whose lock file cannot be opened is not one that another process holds.
func TestLockThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "LOCK"), 0o700); err != nil {
		t.Fatal(err)
	}
	if d, err := disk.Open(dir); err == nil || errors.Is(err, disk.ErrHeld) {
		t.Errorf("opened: %v, %v", d, err)
	}
	if _, err := disk.Hold(dir, time.Hour); err == nil || errors.Is(err, disk.ErrHeld) {
		t.Errorf("held: %v", err)
	}
	if held, err := disk.Held(dir); held || err == nil {
		t.Errorf("is it held: %v, %v", held, err)
	}
}
