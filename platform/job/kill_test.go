package job_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/record"
)

const (
	killJobs  = 60
	killSteps = 12
)

// countingKind counts its steps in the service's record: a step and its checkpoint are separate batches, so a step carries its number and
// is idempotent, as a Run must be.
func countingKind(s record.Store) job.Kind {
	return job.Kind{Name: "count", Concurrency: 3, MaxAttempts: 1000, Run: func(ctx context.Context, r job.Run) error {
		step := 0
		if _, err := r.Checkpoint(&step); err != nil {
			return err
		}
		for ; step < killSteps; step++ {
			if err := ctx.Err(); err != nil {
				return err
			}
			if _, err := s.Update(ctx, r.Space(), nil, func(tx record.Tx) error {
				return results.Put(tx, fmt.Sprintf("%s/step%d", r.ID(), step), &result{State: "STEP"})
			}); err != nil {
				return err
			}
			time.Sleep(4 * time.Millisecond) // so that kills find jobs at work
			if err := r.Save(ctx, step+1); err != nil {
				return err
			}
		}
		_, err := s.Update(ctx, r.Space(), nil, func(tx record.Tx) error {
			if _, err := results.Change(tx, r.ID(), func(res *result) error { res.State = "COMPLETED"; res.Count++; return nil }); err != nil {
				return err
			}
			return r.Finish(tx)
		})
		return err
	}}
}

// TestWorker is the child of TestKill: it works until it is killed.
func TestWorker(t *testing.T) {
	dir := os.Getenv("JOB_DIR")
	if dir == "" {
		t.Skip("runs as a child of TestKill")
	}
	s := openStore(t, dir)
	e := newEngine(t, s, job.Config{Exclusive: true})
	e.Register(countingKind(s))
	if os.Getenv("JOB_FIRST") != "" {
		for i := range killJobs {
			start(t, s, e, "count", fmt.Sprint(i), nil)
		}
		fmt.Println("started")
	}
	e.Run(ctx)
}

// Workers die by kill -9 again and again, at any moment; in the end every job has completed, with its effect exactly once.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	kills := 0
	for round := range 8 {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestWorker$")
		cmd.Env = append(os.Environ(), "JOB_DIR="+dir)
		if round == 0 {
			cmd.Env = append(cmd.Env, "JOB_FIRST=1")
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			if _, err := out.Read(make([]byte, 64)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Duration(40+rand.IntN(80)) * time.Millisecond)
		if cmd.Process.Kill() == nil {
			kills++
		}
		_ = cmd.Wait()
	}
	s := openStore(t, dir)
	e := newEngine(t, s, job.Config{Exclusive: true})
	e.Register(countingKind(s))
	left := 0
	for i := range killJobs {
		st, err := e.Status(ctx, space, "count", fmt.Sprint(i))
		if err != nil {
			t.Fatalf("job %d is lost: %v", i, err)
		}
		if st.State != job.Done {
			left++
		}
	}
	if left == 0 {
		t.Error("the workers were done before they were killed: the test proves nothing")
	}
	run(t, s, e)
	for i := range killJobs {
		await(t, e, "count", fmt.Sprint(i), job.Done)
	}
	v, err := s.View(ctx, space)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for i := range killJobs {
		res, _, err := results.Get(v, fmt.Sprint(i))
		if err != nil || res.State != "COMPLETED" || res.Count != 1 {
			t.Errorf("job %d: %+v, %v; want completed once", i, res, err)
		}
		for step := range killSteps {
			if _, _, err := results.Get(v, fmt.Sprintf("%d/step%d", i, step)); err != nil {
				t.Errorf("job %d lacks step %d: %v", i, step, err)
			}
		}
	}
	t.Logf("%d kills, %d jobs; %d were left for the last worker", kills, killJobs, left)
}
