package app

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/errs"
)

func TestReadiness(t *testing.T) {
	var logged strings.Builder
	r := newReadiness(slog.New(slog.NewTextHandler(&logged, nil)))
	now := time.Now()
	r.now = func() time.Time { return now }
	get := func(query string) (int, string) {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz"+query, nil))
		return w.Code, w.Body.String()
	}
	expect := func(query string, status int, body string) {
		t.Helper()
		if gotStatus, got := get(query); gotStatus != status || got != body {
			t.Errorf("%d %q, want %d %q", gotStatus, got, status, body)
		}
	}
	expect("", 503, "starting\n")

	var fault atomic.Pointer[errs.Error]
	var asked atomic.Int64
	r.enter(serving, check{"records", func(context.Context) error {
		asked.Add(1)
		if f := fault.Load(); f != nil {
			return f
		}
		return nil
	}}, check{"blobs", func(context.Context) error { return nil }})
	expect("", 200, "ready\n")
	expect("?verbose", 200, "ready\nrecords: ok\nblobs: ok\n")
	if n := asked.Load(); n != 1 {
		t.Errorf("the engine was asked %d times within a moment", n)
	}

	fault.Store(errs.New(errs.Exhausted, "the disk of /srv/data is full"))
	now = now.Add(askAgain)
	expect("", 503, "not ready\nrecords: exhausted\n")
	expect("?verbose", 503, "not ready\nrecords: exhausted\nblobs: ok\n")
	now = now.Add(askAgain)
	expect("", 503, "not ready\nrecords: exhausted\n")
	if n := strings.Count(logged.String(), "/srv/data is full"); n != 1 {
		t.Errorf("the fault was logged %d times:\n%s", n, logged.String())
	}
	fault.Store(nil)
	now = now.Add(askAgain)
	expect("", 200, "ready\n")
	if !strings.Contains(logged.String(), "ready again") {
		t.Error("nothing tells that it is ready again")
	}

	r.enter(draining)
	expect("", 503, "draining\n")
	r.enter(serving)
	expect("", 503, "draining\n")
}

// TestReadinessOfAnEngineThatHangs: it counts as unreachable, and the answer comes.
func TestReadinessOfAnEngineThatHangs(t *testing.T) {
	hangs := check{"records", func(ctx context.Context) error { <-make(chan struct{}); return nil }}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := askOne(ctx, hangs); !errs.Is(err, errs.Timeout) {
		t.Errorf("%v", err)
	}
}
