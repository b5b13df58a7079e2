package app

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/galen-health/galen/platform/errs"
)

// A data folder may be a disk of its own: what lies in it and is not ours (lost+found is root's) is none of our business, what is ours must be writable.
func TestCheckWritable(t *testing.T) {
	if os.Getenv("GALEN_TEST_OTHER_USER") == "" && os.Getuid() == 0 {
		asNobody(t)
		return
	}
	dir := t.TempDir()
	for _, name := range []string{"keys", "lost+found"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	closed := func(name string, mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, name), 0o700) })
	}
	closed("lost+found", 0)
	if err := CheckWritable(dir); err != nil {
		t.Errorf("beside a folder of another's: %v", err)
	}
	closed("keys", 0)
	if err := CheckWritable(dir); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), filepath.Join(dir, "keys")) {
		t.Errorf("with a folder of ours that is closed: %v", err)
	}
	if err := CheckFolder(Config{DataDir: filepath.Join(dir, "new", "one")}); err != nil {
		t.Errorf("one that is still to be made: %v", err)
	}
	closed("", 0o500)
	if err := CheckFolder(Config{DataDir: filepath.Join(dir, "new")}); !errs.Is(err, errs.Denied) {
		t.Errorf("one that cannot be made: %v", err)
	}
}

// asNobody runs the same test as a user whom permissions hold.
func asNobody(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	self := filepath.Join(dir, "app.test")
	b, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{os.WriteFile(self, b, 0o755), os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o777)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	p, err := os.StartProcess(self, []string{self, "-test.run=^" + t.Name() + "$"}, &os.ProcAttr{Dir: dir, Env: append(os.Environ(), "GALEN_TEST_OTHER_USER=1", "TMPDIR="+dir), Files: []*os.File{nil, os.Stdout, os.Stderr},
		Sys: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := p.Wait(); err != nil || !s.Success() {
		t.Errorf("as another user: %v, %v", s, err)
	}
}
