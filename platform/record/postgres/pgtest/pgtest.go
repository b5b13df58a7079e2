// Package pgtest starts a real PostgreSQL for tests: a cluster of its own in a temporary folder, with fsync, on a socket that nobody else knows.
//
// The server ends with the test process, also when that is killed. Tests skip when no PostgreSQL is installed (scripts/setup.sh installs it).
package pgtest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Password of the role galen over TCP; the socket trusts.
const Password = "test password/of galen"

// Server is one cluster.
type Server struct {
	dir  string
	bin  string
	port int
	cred *syscall.Credential
	cmd  *exec.Cmd
	hold io.WriteCloser // the server ends when it is told so, or when it is closed
	next atomic.Int64
}

// binaries finds the folder of initdb and postgres; "" when there is none.
func binaries() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	sort.Slice(found, func(i, j int) bool { return version(found[i]) > version(found[j]) })
	if p, err := exec.LookPath("initdb"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil {
			found = append([]string{p}, found...)
		}
	}
	for _, p := range found {
		if _, err := os.Stat(filepath.Join(filepath.Dir(p), "postgres")); err == nil {
			return filepath.Dir(p)
		}
	}
	return ""
}

func version(path string) int {
	n, _ := strconv.Atoi(strings.Split(strings.TrimPrefix(path, "/usr/lib/postgresql/"), "/")[0])
	return n
}

// Start starts a cluster until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := New()
	if errors.Is(err, ErrAbsent) {
		t.Skip("PostgreSQL is not installed: run make test, which installs it")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("PostgreSQL's log (its end):\n%s", s.log())
		}
		s.Close()
	})
	return s
}

var shared struct {
	sync.Mutex
	s *Server
}

// Shared is the cluster of the test process, which ends with it: for tests that leave the server running as it is, each in databases of its own.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.s == nil {
		s, err := New()
		if errors.Is(err, ErrAbsent) {
			t.Skip("PostgreSQL is not installed: run make test, which installs it")
		}
		if err != nil {
			t.Fatal(err)
		}
		shared.s = s
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("PostgreSQL's log (its end):\n%s", shared.s.log())
		}
	})
	return shared.s
}

// ErrAbsent says that no PostgreSQL is installed.
var ErrAbsent = errors.New("pgtest: PostgreSQL is not installed")

// New makes and starts a cluster; Close ends and removes it.
func New() (*Server, error) {
	bin := binaries()
	if bin == "" {
		return nil, ErrAbsent
	}
	dir, err := os.MkdirTemp("", "galenpg") // short: the name of a socket has at most 107 bytes
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, bin: bin}
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		if s.cred, err = other(); err != nil {
			return nil, err
		}
		if err := os.Chown(dir, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte(Password+"\n"), 0o644); err != nil {
		return nil, err
	}
	init := s.command(filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"), "-U", "galen", "-E", "UTF8", "--no-locale", "-A", "trust", "--auth-host=scram-sha-256", "--pwfile", secret, "-N")
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if err := s.Run(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// other is the account that the server runs as when we are root.
func other() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, _ := strconv.Atoi(u.Uid)
			gid, _ := strconv.Atoi(u.Gid)
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("pgtest: there is no account that PostgreSQL could run as")
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "HOME=" + s.dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, Setpgid: true}
	return cmd
}

// guardian runs the server, tells its process id and ends it when it is told to, or when its own input ends because the test process is gone. Then nobody needs the
// cluster any more.
const guardian = `"$@" >>"$LOG" 2>&1 & echo $! >"$PID"; read said; kill -INT "$(cat "$PID")" 2>/dev/null; wait; [ "$said" = stop ] || rm -rf "$HOME"`

// Run starts the server of a cluster that was stopped or crashed, and waits until it answers.
func (s *Server) Run() error {
	deadline := time.Now().Add(60 * time.Second)
	for {
		cmd := s.command("/bin/sh", "-c", guardian, "sh", filepath.Join(s.bin, "postgres"), "-D", filepath.Join(s.dir, "data"), "-p", fmt.Sprint(s.port), "-k", s.dir,
			"-c", "listen_addresses=127.0.0.1", "-c", "max_connections=300", "-c", "shared_buffers=64MB", "-c", "fsync=on", "-c", "max_wal_size=256MB", "-c", "autovacuum_naptime=10s")
		cmd.Env = append(cmd.Env, "LOG="+filepath.Join(s.dir, "log"), "PID="+filepath.Join(s.dir, "pid"))
		hold, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		_ = os.Remove(filepath.Join(s.dir, "pid")) // of the last run
		if err := cmd.Start(); err != nil {
			return err
		}
		s.cmd, s.hold = cmd, hold
		for time.Now().Before(deadline) {
			if s.answers() == nil {
				return nil
			}
			if pid := s.pid(); pid != 0 && ended(pid) { // after a crash the last server's children may still be there: again
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		s.Stop()
		if time.Now().After(deadline) {
			return fmt.Errorf("PostgreSQL does not start\n%s", s.log())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *Server) pid() int {
	b, _ := os.ReadFile(filepath.Join(s.dir, "pid"))
	n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return n
}

// ended reports whether a process is gone, or waits for its parent to notice (proc(5): state Z).
func ended(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.HasPrefix(string(b[strings.LastIndexByte(string(b), ')')+1:]), " Z")
}

func (s *Server) answers() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	return c.Close(ctx)
}

// Stop ends the server as an operator does: sessions are cut off, data is written.
func (s *Server) Stop() {
	if s.hold != nil {
		_, _ = io.WriteString(s.hold, "stop\n") // it may have ended
		s.hold.Close()
		_ = s.cmd.Wait() // its end is all that matters
		s.hold = nil
	}
}

// Crash kills the server with all its sessions, as a power cut would but for what the system has cached.
func (s *Server) Crash() {
	if pid := s.pid(); pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL) // its sessions notice, and end
	}
	s.Stop()
}

// Close ends the server and removes the cluster.
func (s *Server) Close() {
	if pid := s.pid(); pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGQUIT) // at once: nobody reads its files again
	}
	s.Stop()
	_ = os.RemoveAll(s.dir) // a temporary folder
}

func (s *Server) log() string {
	b, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(b[max(0, len(b)-4<<10):])
}

// URL names a database by the socket, as the owner of everything.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres:///%s?host=%s&port=%d&user=galen", database, s.dir, s.port)
}

// Address is where the server listens on the loopback.
func (s *Server) Address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// Database makes an empty database and returns its URL.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	return s.copyOf(t, "template1")
}

// Clone makes a database that is a copy of another, which nobody may be connected to.
func (s *Server) Clone(t testing.TB, of string) string {
	t.Helper()
	u, err := url.Parse(of)
	if err != nil {
		t.Fatal(err)
	}
	return s.copyOf(t, strings.TrimPrefix(u.Path, "/"))
}

func (s *Server) copyOf(t testing.TB, template string) string {
	t.Helper()
	name := fmt.Sprintf("galen_%d_%d", os.Getpid(), s.next.Add(1))
	s.Exec(t, "postgres", "CREATE DATABASE "+name+" TEMPLATE "+template)
	return s.URL(name)
}

// Exec runs statements in a database.
func (s *Server) Exec(t testing.TB, database, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	at := database
	if !strings.Contains(at, ":") {
		at = s.URL(database)
	}
	c, err := pgx.Connect(ctx, at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx) //nolint:errcheck // test
	if _, err := c.Exec(ctx, sql); err != nil {
		t.Fatal(err)
	}
}

// Grep stops the server and looks through all of the cluster's files, its write-ahead log and its log among them, for a text as it is and in hexadecimal, in both
// cases of letters. It tells how often each file has it; the server runs again afterwards.
func (s *Server) Grep(t testing.TB, database, text string) map[string]int {
	t.Helper()
	s.Exec(t, database, "CHECKPOINT")
	s.Stop()
	defer func() {
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
	}()
	found := map[string]int{}
	wanted := []string{strings.ToLower(text), hex.EncodeToString([]byte(text))}
	if err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		low := strings.ToLower(string(b))
		for _, w := range wanted {
			if n := strings.Count(low, w); n > 0 {
				found[strings.TrimPrefix(path, s.dir)] += n
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

// Own gives a folder to the account that the server runs as.
func (s *Server) Own(t testing.TB, dir string) {
	t.Helper()
	if s.cred == nil {
		return // it is our own
	}
	if err := os.Chown(dir, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
		t.Fatal(err)
	}
}
