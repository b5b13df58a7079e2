package job

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/galen-health/galen/platform/errs"
)

// traced begins the span of an attempt; tell ends it with how the attempt ended. It is a trace of its own: a job outlives the request that started it, and may run in
// another process.
func (r *run) traced(ctx context.Context) (_ context.Context, tell func()) {
	if r.e.cfg.Tracer == nil {
		return ctx, func() {}
	}
	ctx, span := r.e.cfg.Tracer.Start(ctx, "job "+r.kind.Name, trace.WithNewRoot(), trace.WithAttributes(
		attribute.String("galen.job.id", r.jobID), attribute.Int("galen.job.attempt", r.Attempt())))
	return ctx, func() {
		state := r.state()
		span.SetAttributes(attribute.String("galen.job.state", string(state)))
		if r.err != nil {
			span.SetAttributes(attribute.String("error.type", errs.CodeOf(r.err).String()))
		}
		if state == Failed {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}
