// Package span shows the slow parts of the engines in a trace that somebody already takes: a part is a span below the one that the context carries. Without such a span it
// is a look at the context and nothing else. Names and attributes come from the program's own tables; a span never holds what a caller sent.
package span

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/galen-health/galen/platform/errs"
)

// scope is the instrumentation that the spans are of.
const scope = "github.com/galen-health/galen"

// Part is a part in progress. The zero value is that of a call which nobody traces.
type Part struct{ span trace.Span }

// Begin begins a part; of is what it works on, "" = nothing to tell. The context is for what the part calls.
func Begin(ctx context.Context, name, of string) (context.Context, Part) {
	above := trace.SpanFromContext(ctx)
	if !above.IsRecording() {
		return ctx, Part{}
	}
	ctx, s := above.TracerProvider().Tracer(scope).Start(ctx, name)
	if of != "" {
		s.SetAttributes(attribute.String("galen.of", of))
	}
	return ctx, Part{s}
}

// End ends it, with the kind of its error.
func (p Part) End(err error) {
	if p.span == nil {
		return
	}
	if err != nil {
		code := errs.CodeOf(err)
		p.span.SetAttributes(attribute.String("error.type", code.String()))
		switch code {
		case errs.Internal, errs.Unavailable, errs.Corrupt, errs.Exhausted: // the others are answers
			p.span.SetStatus(codes.Error, "")
		}
	}
	p.span.End()
}
