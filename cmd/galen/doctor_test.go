package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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
	want("a folder without a root key", data, ok, ok)
	if err := os.WriteFile(key, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	want("a root key beside the data", data, ok, warn)
	for _, err := range []error{os.Chmod(key, 0o644), os.Chmod(data, 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want("rights for others", data, warn, fail)
}
