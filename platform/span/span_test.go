package span

import (
	"context"
	"fmt"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/galen-health/galen/platform/errs"
)

func TestParts(t *testing.T) {
	kept := tracetest.NewInMemoryExporter()
	p := sdktrace.NewTracerProvider(sdktrace.WithSyncer(kept))
	ctx, request := p.Tracer("test").Start(context.Background(), "request")
	inner, outer := Begin(ctx, "record.update", "")
	_, part := Begin(inner, "blob.write", "x")
	part.End(errs.Wrap(errs.Unavailable, fmt.Errorf("secret"), "secret"))
	outer.End(nil)
	request.End()
	got := kept.GetSpans()
	if len(got) != 3 || got[0].Name != "blob.write" || got[0].Parent.SpanID() != got[1].SpanContext.SpanID() || got[1].Parent.SpanID() != got[2].SpanContext.SpanID() {
		t.Fatalf("%d spans: %+v", len(got), got)
	}
	if s := fmt.Sprint(got[0].Attributes, got[0].Status, got[0].Events); s != `[{"galen.of":"x"} {"error.type":"unavailable"}] {Error } []` {
		t.Errorf("a part that failed tells %s", s)
	}
	if s := fmt.Sprint(got[1].Attributes, got[1].Status.Code); s != "[] Unset" {
		t.Errorf("a part that went well tells %s", s)
	}
}

// A part of a call that nobody traces costs nothing that counts.
func TestUntraced(t *testing.T) {
	ctx := context.Background()
	if n := testing.AllocsPerRun(100, func() {
		c, part := Begin(ctx, "record.update", "x")
		if c != ctx {
			t.Error("the context is another one")
		}
		part.End(nil)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
