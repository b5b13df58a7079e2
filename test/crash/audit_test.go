package crash_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/galen-health/galen/test/galen"
)

// The folder of the audit log goes, cannot be written or answers with errors while the server runs: nothing is served without an entry, the server goes on to say so, and
// after the fault and a restart all that was acknowledged is there.
func TestFailingAuditFolder(t *testing.T) {
	rename := func(from, to string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		fault, mend func(t *testing.T, dir string)
	}{
		"the folder is moved away":      {rename("audit", "aside"), rename("aside", "audit")},
		"the tree is moved away":        {rename("audit/log", "aside"), rename("aside", "audit/log")},
		"the tree's state is moved":     {rename("audit/log/.state/treeState", "aside"), rename("aside", "audit/log/.state/treeState")},
		"it becomes read-only":          {readOnly, writable},
		"its disk is full":              {full, func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "audit", "ballast")) }},
		"the lock answers with EIO":     {nil, func(*testing.T, string) {}},
		"the process has no more files": {nil, func(*testing.T, string) {}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			g := galen.New(t, dir, "--log-level", "error")
			g.Run()
			l := newLoad(t, g)
			g.Stop()
			if strings.HasPrefix(name, "it") { // its disk
				disk(t, filepath.Join(dir, "audit"))
			}
			g.Run()
			undo := func() {}
			switch {
			case strings.Contains(name, "EIO"):
				undo = attached(t, g, "EIO")
			case c.fault != nil:
				c.fault(t, dir)
			default:
				undo = attached(t, g, "EMFILE")
			}
			w := &l.writers[1] // objects
			passing := strings.Contains(name, "no more files")
			for end := time.Now().Add(8 * time.Second); ; time.Sleep(20 * time.Millisecond) {
				w.tried = w.acked + 1
				err := w.write(t.Context(), w.tried)
				if err != nil {
					if passing {
						t.Errorf("what passes is a fault: %v", err)
					}
					break
				}
				w.acked = w.tried
				if time.Now().After(end) {
					if !passing {
						t.Error("writes go on")
					}
					break
				}
			}
			if g.Ended(time.Millisecond) {
				t.Fatalf("the server ended:\n%s", g.Log())
			}
			ready := func() int {
				resp, err := http.Get(g.URL + "/readyz")
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close() //nolint:errcheck // only the status is wanted
				return resp.StatusCode
			}
			if !passing {
				if status := ready(); status != http.StatusServiceUnavailable {
					t.Errorf("readyz: %d", status)
				}
				if b, err := l.send(t.Context(), "healthlake", "GET", "/datastore/"+l.fhir+"/r4/Patient", "", nil, 503); err != nil {
					t.Errorf("a read without an entry: %v %s", err, b)
				}
				if !strings.Contains(g.Log(), "audit") || strings.Contains(g.Log(), "panic") {
					t.Errorf("the log does not say it:\n%s", g.Log())
				}
			}
			undo()
			g.Stop()
			c.mend(t, dir)
			g.Run()
			if status := ready(); status != http.StatusOK {
				t.Errorf("readyz after the fault: %d", status)
			}
			w.acked = w.check(t, w.acked, w.tried)
			g.Stop()
			verified(t, g)
		})
	}
}

// disk puts a folder onto a small disk of its own.
func disk(t *testing.T, dir string) {
	t.Helper()
	aside := filepath.Join(t.TempDir(), "aside")
	copied(t, dir, aside)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := os.CopyFS(dir, os.DirFS(aside)); err != nil {
		t.Fatal(err)
	}
}

// readOnly lets a folder be opened for reading only, as a disk does after errors.
func readOnly(t *testing.T, dir string) {
	t.Helper()
	audit := filepath.Join(dir, "audit")
	if err := syscall.Mount(audit, audit, "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("", audit, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
}

func writable(t *testing.T, dir string) {
	t.Helper()
	if err := syscall.Unmount(filepath.Join(dir, "audit"), syscall.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
}

func full(t *testing.T, dir string) {
	t.Helper()
	fill(t, filepath.Join(dir, "audit", "ballast"), 100_000)
}

func remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}

// attached makes each opening of the audit tree's lock fail from now on, until undone.
func attached(t *testing.T, g *galen.Server, fault string) (undo func()) {
	t.Helper()
	injecting(t, "openat", "error="+fault, "1") // skips where processes cannot be traced
	cmd := exec.Command("strace", "-f", "-qq", "-o", os.DevNull, "-p", strconv.Itoa(g.Pid()), "-P", filepath.Join(g.Dir, "audit", "log", ".state", "treeState.lock"), "-e", "trace=openat", "-e", "inject=openat:error="+fault)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond) // it attaches
	done := false
	undo = func() {
		if done {
			return
		}
		done = true
		_ = cmd.Process.Signal(os.Interrupt) // it lets the process go
		_ = cmd.Wait()
	}
	t.Cleanup(undo)
	return undo
}
