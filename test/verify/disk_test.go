package verify_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/galen-health/galen/test/galen"
)

// TestFolderThatCannotBeWritten: on a disk that is mounted read-only, without room, or of another user, the server, the verification and the doctor say which of these
// it is and what to do; none of them speaks of damage or of another process, nothing in the folder changes, and afterwards all of it is there.
func TestFolderThatCannotBeWritten(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=900m,mode=755"); err != nil {
		t.Skipf("a disk of the test's own cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(filepath.Dir(disk), 0o755); err != nil { // another user passes here
		t.Fatal(err)
	}
	binary := filepath.Join(disk, "galen")
	copyFile(t, galen.Binary(t), binary)
	dir := filepath.Join(disk, "data")
	g := galen.New(t, dir, "--min-free-bytes", "1")
	g.Run()
	fill(t, g)
	g.Stop()
	before := sums(t, dir)
	for _, c := range []struct {
		what       string
		make, undo func() error
		user       *syscall.Credential
		says       string // by all
		doctor     string
	}{
		{"a read-only disk", func() error { return syscall.Mount("", disk, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "") }, func() error { return syscall.Mount("", disk, "", syscall.MS_REMOUNT, "") }, nil,
			"mounted read-only", "mounted read-only"},
		{"a full disk", func() error { return ballast(disk) }, func() error { return os.Remove(filepath.Join(disk, "ballast")) }, nil, "make room", "make room"},
		{"another user's folder", func() error { return nil }, func() error { return nil }, &syscall.Credential{Uid: 65534, Gid: 65534}, "run as the user who owns it", "run as the user who owns it"},
	} {
		if err := c.make(); err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		for _, args := range [][]string{{"serve", "--data-dir", dir, "--addr", "127.0.0.1:0"}, {"verify", "--data-dir", dir}, {"doctor", "--data-dir", dir}} {
			cmd := exec.Command(binary, args...)
			cmd.Dir, cmd.SysProcAttr = disk, &syscall.SysProcAttr{Credential: c.user}
			cmd.Env = append(os.Environ(), galen.RecordsEnv(t, dir)...)
			b, err := cmd.CombinedOutput()
			if cmd.ProcessState == nil {
				t.Fatal(err)
			}
			status, out := cmd.ProcessState.ExitCode(), string(b)
			says := c.says
			if args[0] == "doctor" {
				says = c.doctor
			}
			if status != 1 || !strings.Contains(out, says) {
				t.Errorf("%s: %s: status %d without %q: %s", c.what, args[0], status, says, out)
			}
			for _, lie := range []string{"held by another", "in use", "from a backup", "copied by half"} {
				if strings.Contains(out, lie) {
					t.Errorf("%s: %s says %q: %s", c.what, args[0], lie, out)
				}
			}
		}
		if err := c.undo(); err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		if after := sums(t, dir); after != before {
			t.Errorf("%s: the folder changed:\n%s\nbecame\n%s", c.what, before, after)
		}
	}
	g.Run()
	readBack(t, g)
	g.Stop()
	if status, out, errOut := verify(t, dir); status != 0 {
		t.Errorf("after all: %s%s", out, errOut)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// ballast takes all the room of a disk.
func ballast(disk string) error {
	f, err := os.Create(filepath.Join(disk, "ballast"))
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // its size is what matters
	var full *fs.PathError
	if _, err = io.Copy(f, zeros{}); errors.As(err, &full) && errors.Is(err, syscall.ENOSPC) {
		return nil
	}
	return err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
