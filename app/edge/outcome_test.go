package edge

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// watched is a harness whose edge has metrics, a JSON log and a tracer.
func watched(t *testing.T) (h *harness, reg *prometheus.Registry, spans *tracetest.InMemoryExporter) {
	t.Helper()
	h = newHarness(t, testRoute())
	reg, spans = prometheus.NewRegistry(), tracetest.NewInMemoryExporter()
	h.edge.cfg.Metrics = NewMetrics(reg)
	h.edge.cfg.Log = slog.New(slog.NewJSONHandler(h.logged, nil))
	h.edge.cfg.Tracer = sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)).Tracer("test")
	return h, reg, spans
}

// series are the labelled values of one metric: "a=x b=y" → value.
func series(t *testing.T, reg *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.Metric {
			out[labels(m)] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return out
}

func labels(m *dto.Metric) string {
	var out []string
	for _, l := range m.Label {
		out = append(out, l.GetName()+"="+l.GetValue())
	}
	return strings.Join(out, " ")
}

// requests are the lines of the log that tell of requests.
func requests(t *testing.T, h *harness) (out []map[string]any) {
	t.Helper()
	for line := range strings.Lines(h.logged.String()) {
		m := map[string]any{}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("the log's line %q is no JSON: %v", line, err)
		}
		if m["msg"] == "request" {
			out = append(out, m)
		}
	}
	return out
}

// TestWhatIsToldOfACall: one line, one count and one span for each request, with the operation and the outcome, and nothing of what was sent.
func TestWhatIsToldOfACall(t *testing.T) {
	h, reg, spans := watched(t)
	const secret = "Hildegard-ZX81"
	in := `{"DatastoreTypeVersion":"R4","DatastoreName":"` + secret + `"}`
	traceparent := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	head := target(create)
	head["Traceparent"] = traceparent
	good := h.send(root, "healthlake", "POST", "/", head, in)
	h.send(root, "healthlake", "POST", "/", target(create), `{"DatastoreTypeVersion":"R4","DatastoreName":"missing"}`)
	h.send(root, "healthlake", "POST", "/", target(create), `{"DatastoreTypeVersion":"`+secret+`"}`)
	h.send(root, "healthlake", "POST", "/", target(create), `{"DatastoreTypeVersion":"R4","DatastoreName":"panic"}`)
	h.send(root, "healthlake", "GET", "/datastore/"+secret+"/r4/Patient/1?name="+secret, nil, "")
	h.send(root, secret, "GET", "/"+secret, nil, "")
	h.send(root, "", "GET", "/"+secret, nil, "")

	h.server.Close() // what is told of a call is told after its answer: wait for the last one
	calls := series(t, reg, "galen_calls_total")
	for want, n := range map[string]float64{
		"error= operation=CreateFHIRDatastore service=healthlake status=200":          1,
		"error=not found operation=CreateFHIRDatastore service=healthlake status=404": 1,
		"error=invalid operation=CreateFHIRDatastore service=healthlake status=400":   1,
		"error=internal operation=CreateFHIRDatastore service=healthlake status=500":  1,
	} {
		if calls[want] != n {
			t.Errorf("%s counted %v times, want %v: %v", want, calls[want], n, calls)
		}
	}
	if got := series(t, reg, "galen_call_seconds")["operation=CreateFHIRDatastore service=healthlake"]; got != 4 {
		t.Errorf("%v durations of four calls", got)
	}
	bytes := series(t, reg, "galen_call_bytes_total")
	if got := bytes["direction=out operation=CreateFHIRDatastore service=healthlake"]; got < float64(len(good.body)) {
		t.Errorf("%v bytes out", got)
	}
	if got := bytes["direction=in operation=CreateFHIRDatastore service=healthlake"]; got < float64(len(in)) {
		t.Errorf("%v bytes in, want at least %d", got, len(in))
	}
	if got := series(t, reg, "galen_calls_in_progress")[""]; got != 0 {
		t.Errorf("%v calls in progress after all ended", got)
	}
	for name := range calls {
		if strings.Contains(name, secret) {
			t.Errorf("the metric %s holds what a caller sent", name)
		}
	}

	lines := requests(t, h)
	if len(lines) != 7 {
		t.Fatalf("%d lines for 7 requests", len(lines))
	}
	first := lines[0]
	if first["operation"] != "CreateFHIRDatastore" || first["service"] != "healthlake" || first["caller"] != "arn:aws:iam::000000000000:root" || first["status"] != 200.0 || first["requestId"] != good.header.Get("X-Amzn-Requestid") || first["error"] != "" {
		t.Errorf("the line of a good call: %v", first)
	}
	if lines[6]["caller"] != "" {
		t.Errorf("an unsigned request has the caller %v", lines[6]["caller"])
	}
	if strings.Contains(h.logged.String(), secret) {
		t.Errorf("the log holds what a caller sent:\n%s", h.logged)
	}

	var roots, parts int
	for _, s := range spans.GetSpans() {
		if s.Parent.IsValid() && !s.Parent.IsRemote() {
			parts++
			continue
		}
		roots++
		for _, a := range s.Attributes {
			if strings.Contains(a.Value.String(), secret) {
				t.Errorf("the span's %s holds what a caller sent", a.Key)
			}
		}
		if strings.Contains(s.Name, secret) {
			t.Errorf("the span %s is named by what a caller sent", s.Name)
		}
	}
	if roots != 7 || parts == 0 {
		t.Errorf("%d spans of requests and %d of their parts", roots, parts)
	}
	if s := spans.GetSpans(); s[len(s)-1].Parent.IsValid() {
		t.Error("a request without a traceparent has a parent")
	}
	joined := false
	for _, s := range spans.GetSpans() {
		joined = joined || s.Name == "healthlake.CreateFHIRDatastore" && s.SpanContext.TraceID().String() == "0af7651916cd43dd8448eb211c80319c" && s.Parent.SpanID().String() == "b7ad6b7169203331"
	}
	if !joined {
		t.Error("the call did not join its caller's trace")
	}
}
