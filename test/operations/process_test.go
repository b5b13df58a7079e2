package operations

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/galen-health/galen/aws/client"
	"github.com/galen-health/galen/aws/sigv4"
	"github.com/galen-health/galen/test/galen"
)

// process is a server that the test may signal and outlive.
type process struct {
	t     *testing.T
	Addr  string
	Admin string // address of the operator's listener
	cmd   *exec.Cmd
	mu    sync.Mutex
	out   bytes.Buffer
	ended chan struct{}
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// launch starts the binary without waiting for it to be ready.
func launch(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	p := &process{t: t, Addr: freeAddr(t), Admin: freeAddr(t), ended: make(chan struct{})}
	p.cmd = exec.Command(galen.Binary(t), append([]string{"serve", "--data-dir", dir, "--addr", p.Addr, "--admin-addr", p.Admin}, args...)...)
	p.cmd.Env = append(os.Environ(), "GALEN_ROOT_ACCESS_KEY_ID="+galen.AccessKeyID, "GALEN_ROOT_SECRET_ACCESS_KEY="+galen.SecretAccessKey)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.ended) }() // how it ended is in ProcessState
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.ended
		if t.Failed() {
			t.Logf("the server's log:\n%s", p.log())
		}
	})
	return p
}

// start is launch, and waiting for readiness.
func start(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	p := launch(t, dir, args...)
	p.until("the server is ready", func() bool { status, _ := p.admin("/readyz"); return status == http.StatusOK })
	return p
}

// admin asks the operator's listener; status 0 = it does not answer.
func (p *process) admin(path string) (status int, body string) {
	resp, err := http.Get("http://" + p.Admin + path)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Error(err)
	}
	return resp.StatusCode, string(b)
}

func (p *process) until(what string, fn func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(time.Minute); !fn(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("never: %s", what)
		}
	}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// wait returns how the process ended.
func (p *process) wait() *os.ProcessState {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		p.t.Fatal("the server does not end")
	}
	return p.cmd.ProcessState
}

func (p *process) client() *client.HTTP {
	return &client.HTTP{Base: "http://" + p.Addr, Region: galen.Region, Credentials: sigv4.Credentials{AccessKeyID: galen.AccessKeyID, SecretAccessKey: galen.SecretAccessKey}}
}

// slowBody gives its first bytes at once, the rest when it is let go.
type slowBody struct {
	first *strings.Reader
	letGo chan struct{}
	rest  *strings.Reader
}

func (s *slowBody) Read(p []byte) (int, error) {
	if s.first.Len() > 0 {
		return s.first.Read(p)
	}
	<-s.letGo
	return s.rest.Read(p)
}

// stop ends the server as an operator does.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if s := p.wait(); s.ExitCode() != 0 {
		p.t.Fatalf("the server ended with %v", s)
	}
}
