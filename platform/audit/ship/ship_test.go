package ship

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key/keyring"
)

// filled is a log of n entries in its tree.
func filled(t *testing.T, n int) *audit.Merkle {
	t.Helper()
	ctx, dir := context.Background(), t.TempDir()
	r, err := keyring.Open(filepath.Join(dir, "keys"), nil, keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	open := func() *audit.Merkle {
		m, err := audit.Open(ctx, audit.Config{Dir: filepath.Join(dir, "audit"), Origin: "galen/000000000000/audit", Ring: r})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := open()
	done := make(chan error, n)
	for i := range n {
		go func() {
			done <- m.Append(ctx, &audit.Entry{ID: "e" + strconv.Itoa(i), Name: "GetObject", Source: "s3.amazonaws.com"})
		}()
	}
	for range n {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(ctx); err != nil {
		t.Fatal(err)
	}
	m = open()
	t.Cleanup(func() { _ = m.Close(ctx) })
	return m
}

func shipper(t *testing.T, m Source, dir, to string) *Shipper {
	t.Helper()
	s, err := New(m, dir, to, "host.example", "log", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func all(t *testing.T, s *Shipper) (sent int) {
	t.Helper()
	for {
		n, err := s.step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return sent
		}
		sent += n
	}
}

var id = regexp.MustCompile(`"eventID":"(e[0-9]+)"`)

// Entries go to a file once and in order, also when the shipper is started anew on the way, and its file is renamed by who rotates it.
func TestFile(t *testing.T) {
	m, dir := filled(t, 600), t.TempDir()
	path := filepath.Join(dir, "audit.jsonl")
	s := shipper(t, m, dir, "file:"+path)
	if n, err := s.step(t.Context()); err != nil || n != 256 {
		t.Fatalf("the first bundle: %d, %v", n, err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if n := all(t, shipper(t, m, dir, "file:"+path)); n != 344 {
		t.Errorf("%d entries after the restart, want 344", n)
	}
	var got []byte
	for _, name := range []string{path + ".1", path} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b...)
	}
	var want []byte
	for at := uint64(0); at < 600; {
		list, err := m.Entries(t.Context(), at)
		if err != nil || len(list) == 0 {
			t.Fatalf("entries from %d: %d, %v", at, len(list), err)
		}
		for _, e := range list {
			want = append(append(want, e...), '\n')
		}
		at += uint64(len(list))
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the files have %d bytes, the log %d, or they differ", len(got), len(want))
	}
}

// collector takes RFC 5424 messages of counted octets.
func collector(t *testing.T, l net.Listener, got chan<- string) {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		return
	}
	defer c.Close() //nolint:errcheck // only read
	for r := bufio.NewReader(c); ; {
		n, err := r.ReadString(' ')
		if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
			return
		}
		size, nerr := strconv.Atoi(strings.TrimSpace(n))
		if err != nil || nerr != nil {
			t.Errorf("a frame begins with %q: %v", n, err)
			return
		}
		b := make([]byte, size)
		if _, err := io.ReadFull(r, b); err != nil {
			t.Error(err)
			return
		}
		got <- string(b)
	}
}

var wellFormed = regexp.MustCompile(`^<(110|108)>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z host\.example galen \d+ GetObject \[entry@32473 number="(\d+)"\] \{.*\}$`)

// A collector that is not there holds nothing up and loses nothing: what it has not had is sent when it is back.
func TestSyslog(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		m, dir := filled(t, 300), t.TempDir()
		address := "127.0.0.1:0"
		if network == "unix" {
			address = filepath.Join(dir, "log")
		}
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		address = l.Addr().String()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		to := "syslog+" + network + ":" + map[string]string{"tcp": "//"}[network] + address
		s := shipper(t, m, dir, to)
		if _, err := s.step(t.Context()); err == nil || s.Next() != 0 {
			t.Errorf("%s: without a collector: %v, next is %d", network, err, s.Next())
		}
		if l, err = net.Listen(network, address); err != nil {
			t.Fatal(err)
		}
		got := make(chan string, 1000)
		go collector(t, l, got)
		if n := all(t, s); n != 300 || s.Next() != 300 {
			t.Errorf("%s: %d entries were sent", network, n)
		}
		seen := map[string]bool{}
		for i := range 300 {
			m := <-got
			f := wellFormed.FindStringSubmatch(m)
			if f == nil || f[2] != fmt.Sprint(i) {
				t.Fatalf("%s: message %d is %s", network, i, m)
			}
			seen[id.FindStringSubmatch(m)[1]] = true
		}
		if len(seen) != 300 {
			t.Errorf("%s: %d entries of 300", network, len(seen))
		}
		if err := errors.Join(s.to.close(), l.Close()); err != nil {
			t.Error(err)
		}
	}
}

func TestReceiversAreNamed(t *testing.T) {
	for _, to := range []string{"", "file:", "syslog+tcp://nowhere", "http://collector", "syslog+unix:"} {
		if _, err := New(nil, t.TempDir(), to, "h", "log", slog.Default()); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v", to, err)
		}
	}
}
