package app

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/platform/audit/ship"
	"github.com/galen-health/galen/platform/key/keyring"
)

func TestRetentionIsRead(t *testing.T) {
	for s, want := range map[string]time.Duration{"": 0, "0": 0, "90d": 90 * 24 * time.Hour, "400d": 400 * 24 * time.Hour, "7y": 7 * 366 * 24 * time.Hour, "100y": 100 * 366 * 24 * time.Hour} {
		if got, err := parseRetention(s); err != nil || got != want {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	for s, word := range map[string]string{"89d": "90 days", "1d": "90 days", "7": "years", "y": "years", "-7y": "years", "0d": "years", "101y": "years", "99999d": "years", "2160h": "years", "7yy": "years", "99999999999999999999y": "years"} {
		if _, err := parseRetention(s); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// The clock goes on: what is too old goes, at most once an hour, and never before its receivers have it.
func TestRetentionTicks(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	ring, err := keyring.Open(filepath.Join(dir, "keys"), nil, keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close() //nolint:errcheck // nothing was written
	log, err := audit.Open(ctx, audit.Config{Dir: filepath.Join(dir, "audit"), Origin: "galen/test", Ring: ring})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close(ctx) //nolint:errcheck // the test is over
	begin := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	done := make(chan error)
	for i := range 600 {
		go func() {
			done <- log.Append(ctx, &audit.Entry{Name: "GetObject", Time: begin.Add(time.Duration(i) * time.Second)})
		}()
	}
	for range 600 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Publish(ctx); err != nil {
		t.Fatal(err)
	}
	s, err := ship.New(log, filepath.Join(dir, "shipped"), "file:"+filepath.Join(dir, "copy"), "h", "log", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	now := begin.Add(100 * 24 * time.Hour)
	r := retention{keep: 365 * 24 * time.Hour, log: log, receivers: []*ship.Shipper{s}, now: func() time.Time { return now }, out: slog.New(slog.DiscardHandler)}
	tick := func(want uint64, why string) {
		t.Helper()
		if err := r.tick(ctx); err != nil || log.First() != want {
			t.Errorf("%s: the log begins at %d, want %d; %v", why, log.First(), want, err)
		}
	}
	tick(0, "nothing is old")
	now = begin.Add(400 * 24 * time.Hour)
	tick(0, "the receiver has nothing yet")
	run, stop := context.WithCancel(ctx)
	ended := make(chan error)
	go func() { ended <- s.Run(run) }()
	for i := 0; s.Next() < 600; i++ {
		if i == 500 {
			t.Fatal("the copy does not come")
		}
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	tick(0, "the hour is not over")
	now = now.Add(time.Hour)
	tick(512, "all is old, and copied")
}
