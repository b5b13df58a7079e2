package app

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/galen-health/galen/platform/audit"
)

// A flood of unsigned requests leaves few entries, and none of it is lost: what has no entry of its own is counted by the time the server has ended.
func TestFloodOfStrangers(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	a, err := New(ctx, Config{DataDir: dir, Addr: "127.0.0.1:0", Account: "000000000000", Region: "us-east-1", Load: Load{MaxRequests: 4096, FailureRate: 1, FailureBurst: 500}}, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	run, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- a.Serve(run) }()
	const flood = 1500
	slowed := 0
	c := &http.Client{Transport: direct{a.edge}}
	for range flood {
		r, err := c.Get("http://127.0.0.1/bucket/key")
		if err != nil {
			t.Fatal(err)
		}
		if r.StatusCode != http.StatusForbidden {
			slowed++
		}
	}
	stop()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	own, counted := 0, 0
	if err := audit.Read(context.Background(), filepath.Join(dir, "audit"), func(_ uint64, e *audit.Entry) error {
		switch {
		case e.Name == "RefusedRequests":
			n, err := strconv.Atoi(e.Parameters["requests"])
			counted += n
			return err
		case e.Principal == "":
			own++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if own < 200 || own > 400 || own+counted != flood { // 200 at once, and one a second
		t.Errorf("%d requests: %d entries, %d counted", flood, own, counted)
	}
	if slowed < flood-500-200 {
		t.Errorf("%d of %d were told to slow down", slowed, flood)
	}
	t.Logf("%d requests: %d entries, %d counted, %d told to slow down", flood, own, counted, slowed)
}
