package job_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/record"
)

// Each way in which a job can be none, or one that nobody would ever run, is told, and no good one is.
func TestVerify(t *testing.T) {
	s := openStore(t, t.TempDir())
	e := newEngine(t, s, job.Config{})
	e.Register(job.Kind{Name: "once", Run: func(context.Context, job.Run) error { return nil }})
	start(t, s, e, "once", "good", nil)
	if n, err := e.Verify(ctx, func(err error) { t.Error(err) }); err != nil || n != 1 {
		t.Fatalf("whole: %d jobs, %v", n, err)
	}
	now := time.Now().UTC()
	for says, put := range map[string]struct {
		id   string
		body map[string]any
	}{
		"another job":        {"once/a", map[string]any{"kind": "once", "id": "b", "state": "queued"}},
		"its state is none":  {"once/c", map[string]any{"kind": "once", "id": "c", "state": "resting"}},
		"do not agree":       {"once/d", map[string]any{"kind": "once", "id": "d", "state": "done"}},
		"never started":      {"once/e", map[string]any{"kind": "once", "id": "e", "state": "running"}},
		"nobody runs":        {"twice/f", map[string]any{"kind": "twice", "id": "f", "state": "queued"}},
		"and its end do not": {"once/g", map[string]any{"kind": "once", "id": "g", "state": "queued", "ended": now}},
	} {
		body, err := json.Marshal(put.body)
		if err != nil {
			t.Fatal(err)
		}
		update := func(fn func(tx record.Tx) error) {
			t.Helper()
			if _, err := s.Update(ctx, space, nil, fn); err != nil {
				t.Fatal(err)
			}
		}
		update(func(tx record.Tx) error {
			_, err := tx.Put(record.Put{Kind: "job", ID: put.id, Body: body, Expect: record.Any})
			return err
		})
		var faults []string
		if _, err := e.Verify(ctx, func(err error) { faults = append(faults, err.Error()) }); err != nil || len(faults) != 1 || !strings.Contains(faults[0], says) {
			t.Errorf("%s: %q, %v", says, faults, err)
		}
		update(func(tx record.Tx) error { _, err := tx.Delete("job", put.id, record.Any); return err })
	}
}
