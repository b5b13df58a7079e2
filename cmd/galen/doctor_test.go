package main

import (
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 700e6, time.UTC)
	for _, c := range []struct {
		server time.Duration
		want   string
	}{{0, ok}, {-29 * time.Second, ok}, {time.Minute, warn}, {-4 * time.Minute, warn}, {6 * time.Minute, fail}, {-24 * time.Hour, fail}} {
		if f := clock(now.Add(c.server).UTC().Format(http.TimeFormat), now); f.state != c.want || f.state != ok && f.do == "" {
			t.Errorf("%v apart: %+v, want %s", c.server, f, c.want)
		}
	}
	if f := clock("", now); f.state != warn {
		t.Errorf("no Date: %+v", f)
	}
}

func TestServer(t *testing.T) {
	for status, want := range map[int]string{200: ok, 503: fail, 404: fail} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/readyz" {
				t.Errorf("asked %s", r.URL.Path)
			}
			w.WriteHeader(status)
		}))
		list, reached := (&doctorCmd{Endpoint: s.URL + "/"}).server(t.Context())
		if list[0].state != want || reached != (status == 200) {
			t.Errorf("%d: %+v, reached %v", status, list, reached)
		}
		s.Close()
		if list, reached := (&doctorCmd{Endpoint: s.URL}).server(t.Context()); list[0].state != fail || reached {
			t.Errorf("nobody listens: %+v, reached %v", list, reached)
		}
	}
}

func TestDataDir(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	data := filepath.Join(dir, "data")
	key := filepath.Join(data, "keys", "root.key")
	for _, err := range []error{os.WriteFile(file, nil, 0o600), os.MkdirAll(filepath.Dir(key), 0o700)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(what, dir string, states ...string) {
		t.Helper()
		list := dataDir(dir)
		if len(list) < len(states) {
			t.Fatalf("%s: %+v", what, list)
		}
		for i, s := range states {
			if list[i].state != s || s != ok && list[i].do == "" {
				t.Errorf("%s: %+v, want %s", what, list[i], s)
			}
		}
	}
	want("no folder", filepath.Join(dir, "none"), warn)
	want("a file", file, fail)
	want("a folder without a root key", data, ok, ok, ok)
	if err := os.WriteFile(key, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	want("a root key beside the data", data, ok, ok, warn)
	for _, err := range []error{os.Chmod(key, 0o644), os.Chmod(data, 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want("rights for others", data, warn, ok, fail)
}

func TestPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if f := port("http://" + l.Addr().String()); f.state != fail || !strings.Contains(f.what, "something listens") || f.do == "" {
		t.Errorf("another's port: %+v", f)
	}
	l.Close()
	if f := port("http://" + l.Addr().String()); f.state != fail || !strings.Contains(f.what, "nothing listens") || f.do == "" {
		t.Errorf("a free port: %+v", f)
	}
	if f := port("not a url"); f.state != fail || f.do == "" {
		t.Errorf("no URL: %+v", f)
	}
}

func TestRootKeyGiven(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	want := func(given, state string) {
		t.Helper()
		t.Setenv("GALEN_ROOT_KEY", given)
		if f := rootKeyGiven(dir); f.state != state || state != ok && f.do == "" || given != "" && strings.Contains(f.what+f.do, given) {
			t.Errorf("%q: %+v, want %s", given, f, state)
		}
	}
	random := base64.StdEncoding.EncodeToString([]byte("0123456789abcdefghijklmnopqrstuv"))
	want("", ok)
	want("short", fail)
	want(base64.StdEncoding.EncodeToString(make([]byte, 32)), warn)
	want(random, ok)
	if err := os.WriteFile(filepath.Join(dir, "keys", "ring.a"), []byte("sealed"), 0o600); err != nil {
		t.Fatal(err)
	}
	want("", fail)
	want(random, ok)
}

func TestRootKeyAt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "root")
	t.Setenv("DOCTORS_ROOT", base64.StdEncoding.EncodeToString([]byte("0123456789abcdefghijklmnopqrstuv")))
	for i, c := range []struct {
		from, text string
		mode       os.FileMode
		want       string
	}{{"file:" + file + ".none", "", 0, fail}, {"file:" + file, "short", 0o600, fail}, {"file:" + file, os.Getenv("DOCTORS_ROOT") + "\n", 0o644, fail}, {"file:" + file, os.Getenv("DOCTORS_ROOT") + "\n", 0o600, ok},
		{"env:DOCTORS_ROOT", "", 0, ok}, {"env:DOCTORS_NONE", "", 0, fail}, {"vault:https://vault/transit/keys/galen", "", 0, ok}} {
		if c.text != "" {
			if err := errors.Join(os.WriteFile(file, []byte(c.text), 0o600), os.Chmod(file, c.mode)); err != nil {
				t.Fatal(err)
			}
		}
		if f := rootKeyAt("", c.from); f.state != c.want || c.want != ok && f.do == "" {
			t.Errorf("%d: %+v, want %s", i, f, c.want)
		}
	}
}

func TestFuture(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "keys", "ring.a")
	for _, err := range []error{os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, nil, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if f := future(dir, time.Now()); f.state != ok {
		t.Errorf("%+v", f)
	}
	if f := future(dir, time.Now().Add(-time.Hour)); f.state != fail || f.do == "" {
		t.Errorf("a clock that is an hour behind: %+v", f)
	}
}

// TestBackEndsThatAreAway: what cannot be reached is a fault with what to do, and no password is printed.
func TestBackEndsThatAreAway(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s3-secret-word")
	for _, f := range []finding{
		recordsAt(t.Context(), "mysql://x"), recordsAt(t.Context(), "postgres://u:pg-secret-word@127.0.0.1:1/db?connect_timeout=1"),
		blobsAt(t.Context(), "file:///x"), blobsAt(t.Context(), "s3://b/p?endpoint=http://127.0.0.1:1"),
	} {
		if f.state != fail || f.do == "" || strings.Contains(f.what+f.do, "secret-word") || strings.Contains(f.what, "\n") {
			t.Errorf("%+v", f)
		}
	}
}
