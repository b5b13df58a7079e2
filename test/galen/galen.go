// Package galen starts the real binary for black-box tests: one server on a free loopback port over a folder of its own, with known root credentials.
package galen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/galen-health/galen/aws/client"
	"github.com/galen-health/galen/aws/sigv4"
)

// Credentials of every server that this package starts.
const (
	AccessKeyID     = "GALENTESTROOTKEY0001"
	SecretAccessKey = "galen-test-root-secret-0123456789abcdef"
	Region          = "us-east-1"
	Account         = "000000000000"
)

// Server is one running binary.
type Server struct {
	t   testing.TB
	Dir string // its data folder
	URL string // http://127.0.0.1:PORT
	// Path is the command's; "" = Binary.
	Path string
	// Under is a command that the process is started by, with its arguments before those of galen: a tracer that makes system calls fail. It must leave
	// galen the child itself.
	Under []string
	args  []string
	env   []string
	cmd   *exec.Cmd
	log   *buffer
	done  chan error
}

// Root is the folder of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Start runs a server over a fresh folder until the test ends. args go to `galen serve` after the usual ones.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := New(t, t.TempDir(), args...)
	s.Run()
	return s
}

// New prepares a server over dir without starting it.
func New(t testing.TB, dir string, args ...string) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	s := &Server{t: t, Dir: dir, URL: "http://" + addr}
	s.args = append([]string{"serve", "--data-dir", dir, "--addr", addr}, args...)
	s.env = append(os.Environ(), "GALEN_ROOT_ACCESS_KEY_ID="+AccessKeyID, "GALEN_ROOT_SECRET_ACCESS_KEY="+SecretAccessKey)
	s.env = append(s.env, RecordsEnv(t, dir)...)
	t.Cleanup(s.Stop)
	return s
}

// Run starts the process and waits until it is ready.
func (s *Server) Run() {
	s.t.Helper()
	s.Launch()
	s.Ready()
}

// Launch starts the process.
func (s *Server) Launch() {
	s.t.Helper()
	s.log = new(buffer)
	path := s.Path
	if path == "" {
		path = Binary(s.t)
	}
	line := append(append(append([]string(nil), s.Under...), path), s.args...)
	s.cmd = exec.Command(line[0], line[1:]...)
	s.cmd.Env = s.env
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan error) { done <- cmd.Wait() }(s.cmd, s.done)
}

// Ready waits until a launched process is ready.
func (s *Server) Ready() {
	s.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		resp, err := http.Get(s.URL + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case err := <-s.done:
			s.cmd = nil
			s.t.Fatalf("galen ended before it was ready: %v\n%s", err, s.log)
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("galen was not ready after a minute\n%s", s.log)
		}
	}
}

// Ended waits for the process to end by itself, at most for d, and reports whether it did.
func (s *Server) Ended(d time.Duration) bool {
	if s.cmd == nil {
		return true
	}
	select {
	case <-s.done:
		s.cmd = nil
		return true
	case <-time.After(d):
		return false
	}
}

// Kill ends the process as a crash would: SIGKILL.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended by itself
	<-s.done
	s.cmd = nil
}

// Stop ends the process gracefully, and shows its log when the test failed.
func (s *Server) Stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		select {
		case <-s.done:
		case <-time.After(30 * time.Second):
			s.t.Errorf("galen did not stop within 30 s of SIGTERM")
			_ = s.cmd.Process.Kill()
			<-s.done
		}
		s.cmd = nil
	}
	if s.t.Failed() && s.log != nil {
		s.t.Logf("galen's log (its end):\n%s", s.log.tail(8<<10))
		s.log = nil
	}
}

// Log returns what the server printed.
func (s *Server) Log() string { return s.log.String() }

// Env is the environment that points foreign clients at the server.
func (s *Server) Env() []string {
	keep := append(os.Environ(), RecordsEnv(s.t, s.Dir)...)
	return append(keep, "AWS_ACCESS_KEY_ID="+AccessKeyID, "AWS_SECRET_ACCESS_KEY="+SecretAccessKey, "AWS_DEFAULT_REGION="+Region, "AWS_REGION="+Region,
		"AWS_ENDPOINT_URL="+s.URL, "GALEN_ENDPOINT="+s.URL, "AWS_DISABLE_HOST_PREFIX_INJECTION=true", "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")
}

// Exec runs another galen subcommand against the server and returns its standard output.
func (s *Server) Exec(args ...string) (string, error) {
	return s.command(context.Background(), Binary(s.t), args...)
}

// Tool finds a foreign client: in the checkout's virtual environment, then on the PATH; the test skips without it.
func Tool(t testing.TB, name string) string {
	t.Helper()
	venv := filepath.Join(Root(), ".cache", "venv", "bin", name)
	if _, err := os.Stat(venv); err == nil {
		return venv
	}
	if name != "python3" { // the system's own Python lacks the clients' packages
		if p, err := exec.LookPath(name); err == nil {
			return p
		}
	}
	t.Skipf("%s is not installed: run make test, which installs it", name)
	return ""
}

// Python runs a script of test/clients with the virtual environment's Python and returns its output.
func (s *Server) Python(script string, args ...string) string {
	s.t.Helper()
	py := Tool(s.t, "python3")
	out, err := s.command(context.Background(), py, append([]string{filepath.Join(Root(), "test", "clients", script)}, args...)...)
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}

// Node runs a script of test/clients/js; the packages are in .cache/js.
func (s *Server) Node(script string, args ...string) string {
	s.t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		s.t.Skip("node is not installed: run make test, which installs it")
	}
	modules := filepath.Join(Root(), ".cache", "js", "node_modules")
	if _, err := os.Stat(modules); err != nil {
		s.t.Skip("the JavaScript clients are not installed: run make test, which installs them")
	}
	// ES modules resolve from the script's own folder: run a copy beside the packages.
	src, err := os.ReadFile(filepath.Join(Root(), "test", "clients", "js", script))
	if err != nil {
		s.t.Fatal(err)
	}
	run := filepath.Join(filepath.Dir(modules), script)
	if err := os.WriteFile(run, src, 0o644); err != nil {
		s.t.Fatal(err)
	}
	out, err := s.command(context.Background(), node, append([]string{run}, args...)...)
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}

func (s *Server) command(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = s.Env()
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String(), errors.Join(err, errors.New(strings.TrimSpace(errOut.String())))
	}
	return out.String(), nil
}

// buffer keeps a process's output; safe for concurrent use.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *buffer) tail(n int) string {
	s := b.String()
	return s[max(0, len(s)-n):]
}

// Pid is the number of the server process, which runs.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// CPU is the processor time that the server process has used.
func (s *Server) CPU() time.Duration {
	s.t.Helper()
	return ProcessCPU(s.t, s.cmd.Process.Pid)
}

// ProcessCPU is the processor time of a process of ours, from /proc (proc(5): utime and stime in ticks of 10 ms).
func ProcessCPU(t testing.TB, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	var utime, stime int64
	if _, err := fmt.Sscan(f[11]+" "+f[12], &utime, &stime); err != nil {
		t.Fatal(err)
	}
	return time.Duration(utime+stime) * 10 * time.Millisecond
}

// Client calls the server with root's credentials.
func (s *Server) Client() *client.HTTP {
	return &client.HTTP{Base: s.URL, Region: Region, Credentials: sigv4.Credentials{AccessKeyID: AccessKeyID, SecretAccessKey: SecretAccessKey}}
}

// PeakMemory is the most memory in bytes that the server process has held at once (proc(5): VmHWM).
func (s *Server) PeakMemory() int64 {
	s.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); !ok || err != nil {
		s.t.Fatalf("no VmHWM in /proc: %v", err)
	}
	return kib << 10
}
