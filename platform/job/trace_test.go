package job_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/record"
)

// finishes ends its job in the service's own batch, as services do.
func finishes(s record.Store) func(context.Context, job.Run) error {
	return func(ctx context.Context, r job.Run) error {
		_, err := s.Update(ctx, r.Space(), nil, r.Finish)
		return err
	}
}

// TestFinishedJobsAreCounted: a job that ended within the service's batch has ended like any other.
func TestFinishedJobsAreCounted(t *testing.T) {
	s := openStore(t, t.TempDir())
	e := newEngine(t, s, job.Config{Exclusive: true})
	e.Register(job.Kind{Name: "k", Run: finishes(s)})
	stop := run(t, s, e)
	start(t, s, e, "k", "j", nil)
	await(t, e, "k", "j", job.Done)
	stop() // what runs has ended
	load, err := e.Load(ctx)
	if err != nil || load["k"].Ended[job.Done] != 1 {
		t.Errorf("%+v, %v", load, err)
	}
}

// TestTraces: each attempt is a trace of its own that tells how it ended and holds what the engines did; nothing of the job's arguments or messages is in it.
func TestTraces(t *testing.T) {
	kept := tracetest.NewInMemoryExporter()
	s := openStore(t, t.TempDir())
	e := newEngine(t, s, job.Config{Exclusive: true})
	e.Trace(sdktrace.NewTracerProvider(sdktrace.WithSyncer(kept)).Tracer("test"))
	e.Register(job.Kind{Name: "good", Run: finishes(s)})
	e.Register(job.Kind{Name: "bad", Run: func(ctx context.Context, r job.Run) error {
		if r.Attempt() == 1 {
			return errs.New(errs.Unavailable, "Jane Doe is away")
		}
		return errs.New(errs.Invalid, "Jane Doe is none")
	}})
	stop := run(t, s, e)
	start(t, s, e, "good", "g", "Jane Doe")
	await(t, e, "good", "g", job.Done)
	start(t, s, e, "bad", "b", "Jane Doe")
	await(t, e, "bad", "b", job.Failed)
	stop()
	var got []string
	parts := map[string]bool{}
	for _, x := range kept.GetSpans() {
		if x.Parent.IsValid() {
			parts[x.Name] = true
			continue
		}
		got = append(got, fmt.Sprint(x.Name, x.Attributes, " ", x.Status.Code, len(x.Events)))
	}
	want := []string{
		`job good[{"galen.job.id":"g"} {"galen.job.attempt":1} {"galen.job.state":"done"}] Unset 0`,
		`job bad[{"galen.job.id":"b"} {"galen.job.attempt":1} {"galen.job.state":"queued"} {"error.type":"unavailable"}] Unset 0`,
		`job bad[{"galen.job.id":"b"} {"galen.job.attempt":2} {"galen.job.state":"failed"} {"error.type":"invalid"}] Error 0`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("spans\n%q, want\n%q", got, want)
	}
	if !parts["record.update"] {
		t.Errorf("parts %v", parts)
	}
}
