package galen

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

var build struct {
	once sync.Once
	path string
	err  error
}

// Binary is the command as the tree has it when a test process first asks, or $GALEN_BIN.
func Binary(t testing.TB) string {
	t.Helper()
	build.once.Do(func() {
		if build.path = os.Getenv("GALEN_BIN"); build.path == "" {
			build.path, build.err = own()
		}
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.path
}

// own builds the command in .cache/test, where the next process finds it up to date, and gives this process a name of its own for it: a server that is
// started again is then the same, whatever is built meanwhile. Names of processes that have ended go.
func own() (path string, err error) {
	dir := filepath.Join(Root(), ".cache", "test")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close() // and with it the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	built := filepath.Join(dir, "galen")
	cmd := exec.Command("go", "build", "-o", built, "./cmd/galen")
	cmd.Dir = Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	others, err := filepath.Glob(filepath.Join(dir, "[0-9]*", "galen"))
	if err != nil {
		return "", err
	}
	for _, name := range others {
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil && syscall.Kill(pid, 0) != nil {
			if err := os.RemoveAll(filepath.Dir(name)); err != nil {
				return "", err
			}
		}
	}
	path = filepath.Join(dir, strconv.Itoa(os.Getpid()), "galen")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	_ = os.Remove(path) // of an earlier process with this number
	return path, os.Link(built, path)
}
