//go:build linux

package duck

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestConfined starts this test again, confined, and lets it try what it may not.
func TestConfined(t *testing.T) {
	if dir := os.Getenv("GALEN_TEST_CONFINED"); dir != "" {
		if err := confine(); err != nil {
			t.Fatal(err)
		}
		if _, err := net.Dial("tcp", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "not permitted") {
			t.Errorf("a socket: %v", err)
		}
		if err := exec.Command("/bin/true").Run(); err == nil {
			t.Error("a program was started")
		}
		if err := os.Remove(filepath.Join(dir, "x")); err == nil {
			t.Error("a file was removed")
		}
		if b, err := os.ReadFile(filepath.Join(dir, "x")); err != nil || string(b) != "kept" {
			t.Errorf("reading failed: %v", err)
		}
		done := make(chan error)
		go func() { // another thread is confined too
			_, err := net.Listen("tcp", "127.0.0.1:0")
			done <- err
		}()
		if err := <-done; err == nil {
			t.Error("another thread has a socket")
		}
		return
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x"), []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestConfined$", "-test.v")
	cmd.Env = append(os.Environ(), "GALEN_TEST_CONFINED="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestConfined") {
		t.Errorf("error %v\n%s", err, out)
	}
}
