package galen

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Versity is a versitygw, another S3 than ours, over a folder of its own; it takes the credentials of this package.
type Versity struct {
	t    testing.TB
	URL  string
	line []string
	cmd  *exec.Cmd
	log  *buffer
}

// StartVersity starts versitygw until the test ends; the test skips where it is not installed.
func StartVersity(t testing.TB) *Versity {
	t.Helper()
	bin := os.Getenv("GALEN_VERSITYGW")
	if bin == "" {
		bin = filepath.Join(Root(), ".cache", "bin", "versitygw")
	}
	if _, err := os.Stat(bin); err != nil {
		t.Skip("versitygw is not installed: run make test, which installs it")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close() //nolint:errcheck // only the port was wanted
	dir := t.TempDir()
	for _, d := range []string{"data", "meta"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	v := &Versity{t: t, URL: "http://" + addr, log: new(buffer)}
	v.line = []string{bin, "--access", AccessKeyID, "--secret", SecretAccessKey, "--region", Region, "--port", addr, "posix", "--sidecar", filepath.Join(dir, "meta"), filepath.Join(dir, "data")}
	t.Cleanup(func() {
		v.Kill()
		if t.Failed() {
			t.Logf("versitygw:\n%s", v.log.tail(4000))
		}
	})
	v.Run()
	return v
}

// Run starts the process and waits until it answers.
func (v *Versity) Run() {
	v.t.Helper()
	v.cmd = exec.Command(v.line[0], v.line[1:]...)
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	v.cmd.Stdout, v.cmd.Stderr = v.log, v.log
	if err := v.cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	for range 400 {
		resp, err := http.Get(v.URL)
		if err == nil {
			resp.Body.Close() //nolint:errcheck // test
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	v.t.Fatalf("versitygw does not answer:\n%s", v.log)
}

// Kill ends the process by SIGKILL.
func (v *Versity) Kill() {
	if v.cmd == nil {
		return
	}
	_ = v.cmd.Process.Kill() // it may have ended by itself
	_ = v.cmd.Wait()
	v.cmd = nil
}
