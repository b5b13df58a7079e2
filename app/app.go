package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/galen-health/galen/app/catalogue"
	"github.com/galen-health/galen/app/edge"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/httproute"
)

// App is a running Galen.
type App struct {
	cfg      Config
	log      *slog.Logger
	engines  *engines
	services []edge.Registration
	routes   []httproute.Route
	edge     *edge.Edge
	server   *http.Server
	listener net.Listener
	ready    chan struct{}
	stop     context.CancelFunc
	work     sync.WaitGroup
	// Generated holds root credentials that were made at this start and must be shown once; zero when they were given or made before.
	Generated Credentials
	// Root are the root credentials in force.
	Root Credentials
}

// Credentials are an access key.
type Credentials struct{ AccessKeyID, SecretAccessKey string }

// ServiceIDs are the ids that --services takes.
func ServiceIDs() []string {
	var out []string
	for _, s := range catalogue.Services {
		out = append(out, s.ID)
	}
	return out
}

// New opens the data folder and builds everything; nothing is served before Serve. On an error what was opened is closed again.
func New(ctx context.Context, cfg Config, version string, log *slog.Logger) (a *App, err error) {
	if err := cfg.check(ServiceIDs()); err != nil {
		return nil, err
	}
	a = &App{cfg: cfg, log: log, ready: make(chan struct{})}
	defer func() {
		if err != nil && a.engines != nil {
			err = errors.Join(err, a.engines.close())
		}
	}()
	registry := prometheus.NewRegistry()
	local := &edge.Local{}
	if a.engines, err = openEngines(ctx, &a.cfg, log, local); err != nil {
		return nil, err
	}
	a.Root, a.Generated = a.engines.root, a.engines.generated
	set, err := openServices(ctx, &a.cfg, a.engines, local, version)
	if err != nil {
		return nil, err
	}
	a.services, a.routes = set.registrations, set.routes
	a.engines.ticks = append(a.engines.ticks, a.engines.sweep(set.keepers()))
	if err := openLinker(&a.cfg, a.engines, local); err != nil {
		return nil, err
	}
	a.edge, err = edge.New(edge.Config{Registrations: set.registrations, Routes: set.routes, Directory: a.engines.directory, Authorizer: a.engines.authorizer, Audit: a.engines.audit,
		Account: cfg.Account, Region: cfg.Region, Hosts: []string{"localhost", "localhost.localstack.cloud"}, Gate: a.gate, Metrics: edge.NewMetrics(registry), Log: log})
	if err != nil {
		return nil, err
	}
	local.Join(a.edge)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	a.server = &http.Server{Handler: dispatch(mux, a.edge), ReadHeaderTimeout: 15 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), Protocols: new(http.Protocols)}
	a.server.Protocols.SetHTTP1(true)
	a.server.Protocols.SetHTTP2(true)
	a.server.Protocols.SetUnencryptedHTTP2(true) // event streams of SDKs ask for HTTP/2, also where no TLS stands before us
	return a, nil
}

// dispatch keeps the few operator's paths apart from the edge, whose paths must reach it as they were sent.
func dispatch(mux *http.ServeMux, e http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/healthz", "/readyz", "/metrics":
			if r.Header.Get("Authorization") == "" {
				mux.ServeHTTP(w, r)
				return
			}
		}
		e.ServeHTTP(w, r)
	})
}

// gate refuses what the portfolio does not offer (any more) to this customer.
func (a *App) gate(signing, operation string) error {
	s := catalogue.BySigning(signing)
	if s == nil {
		return nil
	}
	f, ok := s.Feature(operation)
	if !ok {
		return nil
	}
	switch {
	case f.Availability == catalogue.Closed, f.Availability == catalogue.ExistingCustomersOnly && a.cfg.NewCustomer:
		return errs.New(errs.Denied, "%s is %s; instead: %s", f.Name, f.Availability, f.Migration)
	}
	return nil
}

func (a *App) readyz(w http.ResponseWriter, r *http.Request) {
	select {
	case <-a.ready:
	default:
		http.Error(w, "starting", http.StatusServiceUnavailable)
		return
	}
	if err := a.engines.healthy(r.Context()); err != nil {
		http.Error(w, errs.As(err).Message, http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

// Listen binds the address, so that its port is known before Serve.
func (a *App) Listen() (addr string, err error) {
	a.listener, err = net.Listen("tcp", a.cfg.Addr)
	if err != nil {
		return "", fmt.Errorf("listen on %s: %w", a.cfg.Addr, err)
	}
	return a.listener.Addr().String(), nil
}

// Serve runs until ctx ends, then drains.
func (a *App) Serve(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a.stop = cancel
	a.engines.start(work, &a.work)
	close(a.ready)
	failed := make(chan error, 1)
	go func() { failed <- a.server.Serve(a.listener) }()
	select {
	case err := <-failed:
		return errors.Join(err, a.Close())
	case <-ctx.Done():
	}
	drain, done := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer done()
	err := a.server.Shutdown(drain)
	return errors.Join(err, a.Close())
}

// Close ends background work and closes the engines. It is called by Serve; call it yourself only when Serve was not.
func (a *App) Close() error {
	if a.stop != nil {
		a.stop()
		a.work.Wait()
	}
	return a.engines.close()
}
