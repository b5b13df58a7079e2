package verify_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/galen-health/galen/test/galen"
)

// sums are the files of a folder and what is in them.
func sums(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s %x\n", path, sha256.Sum256(body))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// tool runs the binary on a data folder with more in its environment.
func tool(t *testing.T, dir string, env []string, args ...string) (status int, out string) {
	t.Helper()
	cmd := exec.Command(galen.Binary(t), args...)
	cmd.Env = append(append(os.Environ(), galen.RecordsEnv(t, dir)...), env...)
	b, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

// A data folder that cannot be served is told what is wrong with it and what to do, by the server, the verification and the doctor; nothing in it changes, and when
// the reason is gone all of it is there.
func TestBadFolder(t *testing.T) {
	g := galen.Start(t)
	fill(t, g)
	serve := []string{"serve", "--data-dir", g.Dir, "--addr", "127.0.0.1:0"}
	doctor := []string{"doctor", "--data-dir", g.Dir}
	if status, out := tool(t, g.Dir, nil, serve...); status != 1 || !strings.Contains(out, "held by another process") && !strings.Contains(out, "in use") {
		t.Errorf("a second server: %d %s", status, out)
	}
	if _, out := tool(t, g.Dir, nil, doctor...); !strings.Contains(out, "a server has it open") {
		t.Errorf("the doctor beside a server: %s", out)
	}
	g.Stop()
	path := func(name string) string { return filepath.Join(g.Dir, name) }
	aside := func(name string) func() func() {
		return func() func() {
			to := filepath.Join(t.TempDir(), "aside")
			if err := os.Rename(path(name), to); err != nil {
				t.Fatal(err)
			}
			return func() {
				if err := os.Rename(to, path(name)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	newer := func(names ...string) func() func() {
		return func() func() {
			var undo []func()
			for _, n := range names {
				b, err := os.ReadFile(path(n))
				if err != nil {
					t.Fatal(err)
				}
				c := append([]byte(nil), b...)
				c[9]++ // the format
				if err := os.WriteFile(path(n), c, 0o600); err != nil {
					t.Fatal(err)
				}
				undo = append(undo, func() {
					if err := os.WriteFile(path(n), b, 0o600); err != nil {
						t.Fatal(err)
					}
				})
			}
			return func() {
				for _, fn := range undo {
					fn()
				}
			}
		}
	}
	newerAudit := func() func() {
		b, err := os.ReadFile(path("audit/signer.json"))
		if err != nil {
			t.Fatal(err)
		}
		c := regexp.MustCompile(`"format": *1`).ReplaceAll(b, []byte(`"format": 2`))
		if bytes.Equal(b, c) {
			t.Fatalf("no format in %s", b)
		}
		write := func(b []byte) {
			if err := os.WriteFile(path("audit/signer.json"), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(c)
		return func() { write(b) }
	}
	same := func() func() { return func() {} }
	for _, c := range []struct {
		what string
		make func() func()
		env  []string
		says string
	}{
		{"keys of a newer version", newer("keys/ring.a", "keys/ring.b"), nil, "newer version of Galen"},
		{"records of a newer version", newer("records/KEY"), nil, "use the version that wrote"},
		{"an audit log of a newer version", newerAudit, nil, "use the version that wrote"},
		{"another root key", same, []string{"GALEN_ROOT_KEY=" + strings.Repeat("A", 43) + "="}, "root key"},
		{"a root key that is none", same, []string{"GALEN_ROOT_KEY=x"}, "32 bytes in base64"},
		{"no keys", aside("keys"), nil, "copied by half"},
		{"no key of the records", aside("records/KEY"), nil, "copied by half"},
		{"no database", aside("records/db"), nil, "copied by half"},
		{"no records", aside("records"), nil, "copied by half"},
		{"no blobs", aside("blobs"), nil, "copied by half"},
		{"no audit log", aside("audit"), nil, "copied by half"},
	} {
		if !inFolder() && (strings.Contains(c.what, "records") || c.what == "no database") {
			continue
		}
		undo := c.make()
		before := sums(t, g.Dir)
		for _, args := range [][]string{serve, {"verify", "--data-dir", g.Dir}, doctor} {
			status, out := tool(t, g.Dir, c.env, args...)
			if status != 1 || !strings.Contains(out, c.says) {
				t.Errorf("%s: %s: status %d, %s", c.what, args[0], status, out)
			}
		}
		if after := sums(t, g.Dir); after != before {
			t.Errorf("%s: the folder changed:\n%s\nbecame\n%s", c.what, before, after)
		}
		undo()
		if t.Failed() {
			return
		}
	}
	g.Run()
	readBack(t, g)
	g.Stop()
	if status, out, errOut := verify(t, g.Dir); status != 0 {
		t.Errorf("after all was put back: %s%s", out, errOut)
	}
}
