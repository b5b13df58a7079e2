package edge

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// outcome sums the visit up once its answer has left.
func (v *visit) outcome() outcome {
	o := outcome{service: "unknown", operation: v.op, status: v.w.status, failure: v.failed, out: v.w.n, took: v.e.cfg.Now().Sub(v.started)}
	if v.entry.Source != "" {
		o.service = strings.TrimSuffix(v.entry.Source, ".amazonaws.com")
	}
	if o.operation == "" {
		o.operation = "unknown"
	}
	if v.in != nil {
		o.in = v.in.n.Load()
	}
	if o.failure == "" && o.status >= 400 { // a handler wrote its standard's own error
		o.failure = "answered"
	}
	return o
}

// tell writes the request's one line, and ends its span. Neither says what was asked for: paths and queries hold what callers search by.
func (v *visit) tell(ctx context.Context, span trace.Span, o outcome) {
	if span.IsRecording() {
		span.SetName(o.service + "." + o.operation)
		span.SetAttributes(attribute.String("rpc.system", "aws-api"), attribute.String("rpc.service", o.service), attribute.String("rpc.method", o.operation),
			attribute.Int("http.response.status_code", o.status), attribute.String("aws.request_id", v.id), attribute.Int64("http.request.body.size", o.in), attribute.Int64("http.response.body.size", o.out))
		if o.failure != "" {
			span.SetAttributes(attribute.String("error.type", o.failure))
		}
		if o.status >= 500 {
			span.SetStatus(codes.Error, o.failure)
		}
	}
	span.End()
	v.e.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "request", slog.String("service", o.service), slog.String("operation", o.operation), slog.String("caller", v.entry.Principal), slog.Int("status", o.status),
		slog.String("error", o.failure), slog.String("requestId", v.id), slog.Float64("ms", float64(o.took.Microseconds())/1000), slog.Int64("bytesIn", o.in), slog.Int64("bytesOut", o.out))
}

// caller is where a trace that began elsewhere says so (W3C Trace Context; its baggage is not taken: it may say anything).
var caller = propagation.TraceContext{}

func (e *Edge) span(r *http.Request) (context.Context, trace.Span) {
	if e.cfg.Tracer == nil {
		return r.Context(), trace.SpanFromContext(context.Background())
	}
	ctx := caller.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	return e.cfg.Tracer.Start(ctx, "request", trace.WithSpanKind(trace.SpanKindServer))
}

// within runs one part of the road in a span of its own.
func (e *Edge) within(ctx context.Context, name string, fn func(context.Context) error) error {
	if e.cfg.Tracer == nil {
		return fn(ctx)
	}
	ctx, span := e.cfg.Tracer.Start(ctx, name)
	defer span.End()
	return fn(ctx)
}
