package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/galen-health/galen/app/catalogue"
	"github.com/galen-health/galen/app/edge"
	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/httproute"
)

// App is a running Galen.
type App struct {
	cfg       Config
	log       *slog.Logger
	registry  *prometheus.Registry
	readiness *readiness
	front     *front
	engines   *engines
	services  []edge.Registration
	routes    []httproute.Route
	edge      *edge.Edge
	flush     func(context.Context) error // sends the spans that are left
	stop      context.CancelFunc
	work      sync.WaitGroup
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

// New binds the addresses, opens the data folder and builds everything. Probes are answered from the first moment; nothing else is served before Serve. On an error
// what was opened is closed again.
func New(ctx context.Context, cfg Config, version string, log *slog.Logger) (*App, error) {
	return build(ctx, cfg, version, log, func(l audit.Log) audit.Log { return l })
}

// build is New with a say in where audit entries go: the benchmark of what they cost needs a server without them, and nothing else may have one.
func build(ctx context.Context, cfg Config, version string, log *slog.Logger, entries func(audit.Log) audit.Log) (a *App, err error) {
	if err := cfg.check(ServiceIDs()); err != nil {
		return nil, err
	}
	a = &App{cfg: cfg, log: log, registry: newRegistry(version), readiness: newReadiness(log), flush: func(context.Context) error { return nil }}
	if a.front, err = openFront(a); err != nil {
		return nil, err
	}
	opened := a // a is nil when the deferred call runs after an error
	defer func() {
		if err != nil {
			err = errors.Join(err, opened.front.close())
			if opened.engines != nil {
				err = errors.Join(err, opened.engines.close())
			}
		}
	}()
	local := &edge.Local{}
	if a.engines, err = openEngines(ctx, &a.cfg, log, local, a.registry); err != nil {
		return nil, err
	}
	if err := openShipping(&a.cfg, a.engines); err != nil {
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
	tracer, flush, err := openTracer(ctx, cfg.OTLP, version, log)
	if err != nil {
		return nil, err
	}
	a.flush = flush
	a.engines.jobs.Trace(tracer)
	a.edge, err = edge.New(edge.Config{Registrations: set.registrations, Routes: set.routes, Directory: a.engines.directory, Authorizer: a.engines.authorizer, Bearer: a.engines.sts, Audit: entries(a.engines.audit),
		Account: cfg.Account, Region: cfg.Region, Hosts: []string{"localhost", "localhost.localstack.cloud"}, Gate: a.gate, Pace: cfg.pace(), Load: cfg.bounds(), Metrics: edge.NewMetrics(a.registry), Tracer: tracer, Log: log})
	if err != nil {
		return nil, err
	}
	local.Join(a.edge)
	a.engines.ticks = append(a.engines.ticks, a.edge.Summarise)
	a.registry.MustRegister(&engineMetrics{e: a.engines, log: log})
	return a, a.engines.openProbe(ctx)
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

// URL is how clients on this machine reach the server.
func (a *App) URL() string { return a.cfg.base() }

// Serve runs until ctx ends, then drains: requests in progress end, jobs save and are handed back for whoever runs next.
func (a *App) Serve(ctx context.Context) error {
	if err := served(&a.cfg); err != nil {
		return errors.Join(err, a.Close())
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a.stop = cancel
	a.engines.start(work, &a.work)
	a.front.open(a.edge)
	a.readiness.enter(serving, a.engines.checks(&a.cfg)...)
	var failed error
	select {
	case failed = <-a.front.failed:
	case <-ctx.Done():
		a.log.Info("draining")
		a.readiness.enter(draining)
		select {
		case failed = <-a.front.failed:
		case <-time.After(a.cfg.DrainDelay):
		}
	}
	a.readiness.enter(draining)
	a.drain(context.WithoutCancel(ctx))
	return errors.Join(failed, a.Close())
}

// drain ends what is in progress, within the operator's limit. Jobs stop meanwhile: what they save now is what the next process goes on from.
func (a *App) drain(ctx context.Context) {
	ctx, done := context.WithTimeout(ctx, a.cfg.DrainTimeout)
	defer done()
	var jobs sync.WaitGroup
	jobs.Go(func() {
		if err := a.engines.jobs.Stop(ctx); err != nil {
			a.log.Warn("jobs were cut off; they go on from their last checkpoint at the next start", "error", err)
		}
	})
	cut := a.front.drain(ctx)
	if cut > 0 {
		a.log.Warn("requests were cut off: they did not end in time", "requests", cut)
	}
	jobs.Wait()
}

// Close ends background work and closes the engines. It is called by Serve; call it yourself only when Serve was not.
func (a *App) Close() error {
	if a.stop != nil {
		a.stop()
		a.work.Wait()
	}
	ctx, done := context.WithTimeout(context.Background(), 5*time.Second)
	defer done()
	if a.edge != nil {
		if err := a.edge.Summarise(ctx); err != nil {
			a.log.Warn("the last refused requests are not counted in the audit log", "error", err)
		}
	}
	if err := a.flush(ctx); err != nil {
		a.log.Warn("the last spans were not sent", "error", err)
	}
	return errors.Join(a.engines.close(), a.front.close())
}
