package event_test

import (
	"context"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/event"
)

// TestLag: a subscriber that hangs gets further behind; one that had everything is not behind.
func TestLag(t *testing.T) {
	s := openStore(t, t.TempDir())
	b := newBus(t, s)
	letGo, got := make(chan struct{}), make(chan struct{}, 1)
	if err := b.Subscribe("slow", "", func(ctx context.Context, _ *event.Event) error {
		select {
		case <-letGo:
		case <-ctx.Done():
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := b.Subscribe("quick", "", func(context.Context, *event.Event) error { got <- struct{}{}; return nil }); err != nil {
		t.Fatal(err)
	}
	stop := run(t, b)
	defer stop()
	emit(t, s, 1)
	<-got
	behind := func(want func(lag map[string]time.Duration) bool) map[string]time.Duration {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			lag, err := b.Lag(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if want(lag) {
				return lag
			}
			if time.Now().After(deadline) {
				t.Fatalf("%v", lag)
			}
		}
	}
	first := behind(func(l map[string]time.Duration) bool { return l["quick"] == 0 && l["slow"] > 0 })
	behind(func(l map[string]time.Duration) bool { return l["slow"] > first["slow"] })
	close(letGo)
	behind(func(l map[string]time.Duration) bool { return l["slow"] == 0 && l["quick"] == 0 && len(l) == 2 })
}
