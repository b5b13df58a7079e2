package job_test

import (
	"context"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/record"
)

// What a process wrote while its clock was years ahead holds nothing up once the clock is right: neither its leases nor its pauses. A lease of a clock that is only
// a little ahead is kept.
func TestClockWasAhead(t *testing.T) {
	for name, c := range map[string]struct {
		state     job.State
		ahead     time.Duration
		exclusive bool
		runs      bool
	}{
		"a pause of years":                      {job.Queued, 10 * 365 * 24 * time.Hour, true, true},
		"a lease of years":                      {job.Running, 10 * 365 * 24 * time.Hour, true, true},
		"a pause of years, several processes":   {job.Queued, 10 * 365 * 24 * time.Hour, false, true},
		"a lease of years, several processes":   {job.Running, 10 * 365 * 24 * time.Hour, false, true},
		"a lease of seconds, several processes": {job.Running, 50 * time.Second, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, t.TempDir())
			e := newEngine(t, s, job.Config{Exclusive: c.exclusive, Lease: 30 * time.Second})
			ran := make(chan struct{}, 1)
			e.Register(job.Kind{Name: "once", Run: func(ctx context.Context, r job.Run) error {
				ran <- struct{}{}
				_, err := s.Update(ctx, r.Space(), nil, func(tx record.Tx) error { return r.Finish(tx) })
				return err
			}})
			start(t, s, e, "once", "j", nil)
			if err := job.LeftBy(ctx, s, space, "once", "j", c.state, "another", time.Now().Add(c.ahead)); err != nil {
				t.Fatal(err)
			}
			stop := run(t, s, e)
			defer stop()
			if c.runs {
				await(t, e, "once", "j", job.Done)
				return
			}
			select {
			case <-ran:
				t.Error("another process's lease was taken")
			case <-time.After(200 * time.Millisecond):
			}
		})
	}
}

// What an earlier process of the same server left running is taken at once; another server's lease is kept, also that of one whose name begins alike.
func TestServerComesBack(t *testing.T) {
	for left, runs := range map[string]bool{"one": true, "two": false, "one more": false, "": false} {
		t.Run(left, func(t *testing.T) {
			s := openStore(t, t.TempDir())
			e := newEngine(t, s, job.Config{Server: "one", Lease: 30 * time.Second})
			e.Register(job.Kind{Name: "once", Run: func(ctx context.Context, r job.Run) error { return nil }})
			start(t, s, e, "once", "j", nil)
			if err := job.LeftBy(ctx, s, space, "once", "j", job.Running, left, time.Now().Add(25*time.Second)); err != nil {
				t.Fatal(err)
			}
			stop := run(t, s, e)
			defer stop()
			if runs {
				await(t, e, "once", "j", job.Done)
				return
			}
			time.Sleep(200 * time.Millisecond)
			if st, err := e.Status(ctx, space, "once", "j"); err != nil || st.State != job.Running || st.Attempt != 1 {
				t.Errorf("another server's job was taken: %+v, %v", st, err)
			}
		})
	}
}
