package event_test

import (
	"strings"
	"testing"

	"github.com/galen-health/galen/platform/record"
)

// A message that nobody would ever hear of is told, and no good one is.
func TestVerify(t *testing.T) {
	s := openStore(t, t.TempDir())
	b := newBus(t, s)
	b.Watch("watched", func(record.Message) {})
	emit(t, s, 1)
	put := func(topic, body string) {
		t.Helper()
		if _, err := s.Update(ctx, space, nil, func(tx record.Tx) error { tx.Emit(topic, []byte(body)); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	put("watched", "")
	if n, err := b.Verify(ctx, func(err error) { t.Error(err) }); err != nil || n != 2 {
		t.Fatalf("whole: %d messages, %v", n, err)
	}
	put("event", `{"id":"1"`)
	put("event", `{"id":"1","source":"galen"}`)
	put("strange", "")
	var faults []string
	if n, err := b.Verify(ctx, func(err error) { faults = append(faults, err.Error()) }); err != nil || n != 5 || len(faults) != 3 || !strings.Contains(faults[1], "message 4 of the outbox is no event") || !strings.Contains(faults[2], `"strange"`) {
		t.Errorf("%d messages, %q, %v", n, faults, err)
	}
}
