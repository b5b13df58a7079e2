package job_test

import (
	"context"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/record"
)

// TestLoad: jobs that wait and run are counted by kind; those that ended are not.
func TestLoad(t *testing.T) {
	s := openStore(t, t.TempDir())
	e := newEngine(t, s, job.Config{})
	letGo := make(chan struct{})
	started := make(chan struct{}, 3)
	e.Register(job.Kind{Name: "slow", Concurrency: 1, Run: func(ctx context.Context, r job.Run) error {
		started <- struct{}{}
		select {
		case <-letGo:
		case <-ctx.Done():
		}
		return nil
	}})
	e.Register(job.Kind{Name: "idle", Run: func(context.Context, job.Run) error { return nil }})
	stop := run(t, s, e)
	defer stop()
	for _, id := range []string{"1", "2", "3"} {
		if _, err := s.Update(ctx, space, nil, func(tx record.Tx) error { return e.Start(tx, "slow", id, nil) }); err != nil {
			t.Fatal(err)
		}
	}
	<-started
	load, err := e.Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if l := load["slow"]; l.Open != 3 || l.Running != 1 || len(l.Ended) != 0 || load["idle"].Open != 0 || len(load) != 2 {
		t.Errorf("%+v", load)
	}
	close(letGo)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if load, err = e.Load(ctx); err != nil {
			t.Fatal(err)
		}
		if l := load["slow"]; l.Open == 0 && l.Running == 0 && l.Ended[job.Done] == 3 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after all ended: %+v", load)
		}
	}
}
