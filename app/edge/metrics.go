package edge

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts calls: by service, operation, status and kind of error; never by who or what. Every label's values come from tables of ours (contracts, routes,
// the closed set of errors), so nothing that a caller sends makes a new series.
type Metrics struct {
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	bytes    *prometheus.CounterVec
	now      prometheus.Gauge
}

// NewMetrics registers the edge's metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		calls:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "galen_calls_total", Help: "Calls by service, operation, HTTP status and kind of error (\"\" when there was none)."}, []string{"service", "operation", "status", "error"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "galen_call_seconds", Help: "Seconds from the first byte of a call to the end of its answer.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16)}, []string{"service", "operation"}),
		bytes:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "galen_call_bytes_total", Help: "Bytes of bodies, in requests and in answers."}, []string{"service", "operation", "direction"}),
		now:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "galen_calls_in_progress", Help: "Calls that are being served."}),
	}
	reg.MustRegister(m.calls, m.duration, m.bytes, m.now)
	return m
}

func (m *Metrics) begin() {
	if m != nil {
		m.now.Inc()
	}
}

func (m *Metrics) end(o outcome) {
	if m == nil {
		return
	}
	m.now.Dec()
	m.calls.WithLabelValues(o.service, o.operation, strconv.Itoa(o.status), o.failure).Inc()
	m.duration.WithLabelValues(o.service, o.operation).Observe(o.took.Seconds())
	if o.in > 0 {
		m.bytes.WithLabelValues(o.service, o.operation, "in").Add(float64(o.in))
	}
	if o.out > 0 {
		m.bytes.WithLabelValues(o.service, o.operation, "out").Add(float64(o.out))
	}
}

// outcome is what is told of a call when it is over: to the metrics, the log and the trace.
type outcome struct {
	service, operation string // of our tables; "unknown" for what is in none
	status             int
	failure            string // an errs.Code's name; "" when the call succeeded
	in, out            int64  // bytes of bodies
	took               time.Duration
}
