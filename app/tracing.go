package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// openTracer sends spans to a collector by OTLP over HTTP; "" = no tracing at all. A collector that is away costs spans, never requests. close sends what is left.
func openTracer(ctx context.Context, to, version string, log *slog.Logger) (t trace.Tracer, close func(context.Context) error, err error) {
	if to == "" {
		return nil, func(context.Context) error { return nil }, nil
	}
	u, err := url.Parse(to)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, nil, fmt.Errorf("--otlp %q is no URL of a collector: give http://HOST:4318", to)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(u.String()), otlptracehttp.WithTimeout(5*time.Second))
	if err != nil {
		return nil, nil, fmt.Errorf("--otlp %s: %w", to, err)
	}
	var told atomic.Int64
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { // the only way in which the exporter's faults come out
		if now := time.Now().Unix(); now-told.Load() >= 60 {
			told.Store(now)
			log.Warn("spans could not be sent to the collector", "to", u.Host, "error", err)
		}
	}))
	p := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.AlwaysSample())),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "galen"), attribute.String("service.version", version))))
	return p.Tracer("github.com/galen-health/galen"), p.Shutdown, nil
}
