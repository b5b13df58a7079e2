package edge

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts calls: by service, operation and status; never by who or what.
type Metrics struct {
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

// NewMetrics registers the edge's metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		calls:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "galen_calls_total", Help: "Calls by service, operation and HTTP status."}, []string{"service", "operation", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "galen_call_seconds", Help: "Seconds from the first byte of a call to the end of its answer.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16)}, []string{"service", "operation"}),
	}
	reg.MustRegister(m.calls, m.duration)
	return m
}

func (m *Metrics) observe(service, operation string, status int, d time.Duration) {
	if m == nil {
		return
	}
	if operation == "" {
		operation = "unknown"
	}
	m.calls.WithLabelValues(service, operation, strconv.Itoa(status)).Inc()
	m.duration.WithLabelValues(service, operation).Observe(d.Seconds())
}
