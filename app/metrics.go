package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/record"
)

// countAgain is how long the counts that take queries are shown before they are made again: scrapes must not become load.
const countAgain = 15 * time.Second

// engineMetrics tells the engines' figures when it is asked. Its labels are kinds of jobs and names of subscribers, which are registered at the start.
type engineMetrics struct {
	e   *engines
	log *slog.Logger

	mu      sync.Mutex
	counted time.Time
	slow    []prometheus.Metric
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("galen_"+name, help, labels, nil)
}

var (
	recordCommits     = describe("record_commits_total", "Batches that the record store committed.")
	recordVersions    = describe("record_versions_total", "Record versions in them; over the commits, the mean size of a batch.")
	recordMessages    = describe("record_messages_total", "Outbox messages in them.")
	recordRetries     = describe("record_retries_total", "Batches that were made again because of another's change.")
	recordBytes       = describe("record_bytes", "Bytes of the record store on its disk.")
	recordCache       = describe("record_cache_total", "Blocks that were looked for in the record store's cache.", "result")
	recordCompactions = describe("record_compactions_total", "Compactions of the record store.")
	auditEntries      = describe("audit_entries", "Entries of the audit log.")
	auditBehind       = describe("audit_lag_entries", "Acknowledged entries that the tree or the look-up index has not taken up yet.", "part")
	auditFailed       = describe("audit_failed", "1 when the audit log takes nothing any more until the server is started anew.")
	jobsOpen          = describe("jobs_open", "Jobs that wait or run, in every process on the store.", "kind")
	jobsEnded         = describe("jobs_ended_total", "Jobs that this process brought to an end.", "kind", "state")
	jobsRunning       = describe("jobs_running", "Jobs that run in this process.", "kind")
	eventLag          = describe("event_lag_seconds", "Age of the oldest event that a subscriber has not had.", "subscriber")
)

// Describe implements prometheus.Collector.
func (m *engineMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{recordCommits, recordVersions, recordMessages, recordRetries, recordBytes, recordCache, recordCompactions, auditEntries, auditBehind, auditFailed, jobsOpen, jobsRunning, jobsEnded, eventLag} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. An engine that cannot tell now is left out: the others' figures are what helps then.
func (m *engineMetrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), askLimit)
	defer cancel()
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	if s, ok := any(m.e.records).(record.Measured); ok {
		if f, err := s.Stats(ctx); err == nil {
			count(recordCommits, f.Commits)
			count(recordVersions, f.Versions)
			count(recordMessages, f.Messages)
			count(recordRetries, f.Retries)
			count(recordCache, f.CacheHits, "hit")
			count(recordCache, f.CacheMisses, "miss")
			count(recordCompactions, f.Compactions)
			ch <- gauge(recordBytes, float64(f.Bytes))
		} else {
			m.missing("records", err)
		}
	}
	for _, x := range m.counts(ctx) {
		ch <- x
	}
}

func gauge(d *prometheus.Desc, v float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// counts are the figures that take queries.
func (m *engineMetrics) counts(ctx context.Context) []prometheus.Metric {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.counted.IsZero() && time.Since(m.counted) < countAgain {
		return m.slow
	}
	var out []prometheus.Metric
	failed := 0.0
	if m.e.audit.Err() != nil {
		failed = 1
	}
	out = append(out, gauge(auditFailed, failed))
	if n, err := m.e.audit.Size(ctx); err == nil {
		out = append(out, gauge(auditEntries, float64(n)))
	} else {
		m.missing("audit", err)
	}
	tree, index := m.e.audit.Lag()
	out = append(out, gauge(auditBehind, float64(tree), "tree"), gauge(auditBehind, float64(index), "index"))
	if load, err := m.e.jobs.Load(ctx); err == nil {
		for kind, l := range load {
			out = append(out, gauge(jobsOpen, float64(l.Open), kind), gauge(jobsRunning, float64(l.Running), kind))
			for _, state := range []job.State{job.Done, job.Failed, job.Cancelled} {
				out = append(out, prometheus.MustNewConstMetric(jobsEnded, prometheus.CounterValue, float64(l.Ended[state]), kind, string(state)))
			}
		}
	} else {
		m.missing("jobs", err)
	}
	if lag, err := m.e.events.Lag(ctx); err == nil {
		for name, d := range lag {
			out = append(out, gauge(eventLag, d.Seconds(), name))
		}
	} else {
		m.missing("events", err)
	}
	m.slow, m.counted = out, time.Now()
	return out
}

func (m *engineMetrics) missing(engine string, err error) {
	m.log.Warn("an engine's figures are missing from the metrics", "engine", engine, "error", errs.As(err).Message)
}
