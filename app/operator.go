package app

import (
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// operatorPath tells the paths that are answered apart from the edge: they are for the operator's machinery, hold nothing of anybody's data and must work while the
// edge cannot.
func operatorPath(p string) bool {
	switch p {
	case "/livez", "/healthz", "/readyz", "/metrics":
		return true
	}
	return false
}

// operator answers them, and on a listener of their own (open) the profiles of where time and memory go. Liveness says only that the process runs: an orchestrator restarts on it, and a restart mends neither a full disk nor a lost database.
func (a *App) operator(open bool) http.Handler {
	mux := http.NewServeMux()
	alive := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "alive\n") } // nobody is left to tell
	mux.HandleFunc("GET /livez", alive)
	mux.HandleFunc("GET /healthz", alive)
	mux.Handle("GET /readyz", a.readiness)
	metrics := promhttp.HandlerFor(a.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		if !open && !a.mayMeasure(r) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="metrics"`)
			http.Error(w, "metrics are read on --admin-addr, or with the bearer token GALEN_METRICS_TOKEN", http.StatusUnauthorized)
			return
		}
		metrics.ServeHTTP(w, r)
	})
	if open {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// mayMeasure: with a token in force it must be shown; without one, only an address that nobody else reaches shows its metrics.
func (a *App) mayMeasure(r *http.Request) bool {
	if a.cfg.MetricsToken == "" {
		return loopback(a.cfg.Addr)
	}
	given, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	want, got := sha256.Sum256([]byte(a.cfg.MetricsToken)), sha256.Sum256([]byte(given))
	return found && subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// newRegistry has the process's own figures from the start.
func newRegistry(version string) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	built := prometheus.NewGauge(prometheus.GaugeOpts{Name: "galen_build_info", Help: "1, with the version as a label.", ConstLabels: prometheus.Labels{"version": version}})
	built.Set(1)
	reg.MustRegister(built, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}
