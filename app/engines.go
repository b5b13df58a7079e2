package app

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/galen-health/galen/app/edge"
	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/event"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/service/iam"
	"github.com/galen-health/galen/service/openid"
	"github.com/galen-health/galen/service/sts"
)

// engines are what services stand on, over one data folder: records/ blobs/ keys/ audit/.
type engines struct {
	log        *slog.Logger
	registry   prometheus.Registerer
	keys       *keyring.Ring
	records    records
	blobs      blobs
	held       *heldBlobs // below the blobs
	audit      *audit.Merkle
	authorizer *authz.Evaluator
	directory  *inside
	roles      authz.Roles
	jobs       *job.Engine
	events     *event.Bus
	iam        *iam.Service
	sts        *sts.Service
	openid     *openid.Service
	root       Credentials
	generated  Credentials
	first      bool                          // no start of this folder has come to serve yet
	ticks      []func(context.Context) error // periodic work of services
	runs       []func(context.Context) error // work of services that goes on until its context ends
	closers    []func() error                // in the order of opening
	ended      atomic.Pointer[error]         // of background work that must go on and does not
}

// openEngines opens everything below the services. Its own failures leave nothing open.
func openEngines(ctx context.Context, cfg *Config, log *slog.Logger, local *edge.Local, reg prometheus.Registerer) (e *engines, err error) {
	e = &engines{log: log, registry: reg}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
			e = nil
		}
	}()
	if err := CheckFolder(*cfg); err != nil {
		return e, err
	}
	if e.first, err = firstStart(cfg); err != nil {
		return e, err
	}
	root, err := rootKey(ctx, cfg)
	if err != nil {
		return e, err
	}
	defer clear(root) // the ring has its own
	dir := func(name string) string { return filepath.Join(cfg.DataDir, name) }
	if e.keys, err = openKeys(cfg, root); err != nil {
		return e, err
	}
	e.closers = append(e.closers, e.keys.Close)
	if e.records, err = openRecords(ctx, cfg, e.keys); err != nil {
		return e, err
	}
	e.closers = append(e.closers, e.records.Close)
	server, err := serverID(cfg)
	if err != nil {
		return e, err
	}
	if err = e.records.Declare(record.OnceKind.Def()); err != nil {
		return e, err
	}
	stored, err := openBlobs(ctx, cfg, e.keys)
	if err != nil {
		return e, err
	}
	e.held = &heldBlobs{blobs: stored}
	e.blobs = meterBlobs(e.held, e.registry)
	e.closers = append(e.closers, e.blobs.Close)
	if e.audit, err = audit.Open(ctx, audit.Config{Dir: dir("audit"), Origin: "galen/" + cfg.Account + "/audit", Ring: e.keys, Store: e.records, Server: server, Log: log}); err != nil {
		return e, err
	}
	e.closers = append(e.closers, func() error { return e.audit.Close(context.Background()) })
	if e.jobs, err = job.New(e.records, job.Config{Exclusive: cfg.Records == "", Server: server, Log: log}); err != nil {
		return e, err
	}
	if e.events, err = event.New(ctx, e.records, event.Config{Account: cfg.Account, Region: cfg.Region, Shared: cfg.Records != "", Server: server, Log: log}); err != nil {
		return e, err
	}
	e.events.Watch(job.Topic, func(m record.Message) { e.jobs.Wake(m.Space) })
	return e, e.openIdentity(ctx, cfg)
}

// openKeys opens the key ring. Servers that share a record database share the ring's folder too.
func openKeys(cfg *Config, root []byte) (*keyring.Ring, error) {
	open := keyring.Open
	if cfg.Records != "" {
		open = keyring.OpenShared
	}
	return open(cfg.keys(), root, keyring.Config{Account: cfg.Account, Region: cfg.Region})
}

// start runs the background work until ctx ends; group waits for its end.
func (e *engines) start(ctx context.Context, group *sync.WaitGroup) {
	run := func(fn func()) {
		group.Add(1)
		go func() {
			defer group.Done()
			fn()
		}()
	}
	run(func() {
		e.jobs.Run(ctx)
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := e.jobs.Stop(stop); err != nil {
			e.log.Warn("jobs were cut off; they go on from their last checkpoint at the next start", "error", err)
		}
	})
	run(func() {
		if err := e.events.Run(ctx); err != nil && ctx.Err() == nil {
			e.log.Error("event delivery ended", "error", err)
			e.ended.Store(&err)
		}
	})
	run(func() { e.tick(ctx) })
	for _, fn := range e.runs {
		run(func() {
			if err := fn(ctx); err != nil && ctx.Err() == nil {
				e.log.Error("a service's background work ended", "error", err)
				e.ended.Store(&err)
			}
		})
	}
}

// tick does what services ask for at the start, when it may be overdue, and once a minute: scheduled key deletions and rotations, sweeps.
func (e *engines) tick(ctx context.Context) {
	t := time.NewTicker(time.Minute)
	defer t.Stop()
	for {
		for _, fn := range e.ticks {
			if err := fn(ctx); err != nil && ctx.Err() == nil {
				e.log.Error("periodic work failed", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// close closes in reverse order.
func (e *engines) close() error {
	var all []error
	for i := len(e.closers) - 1; i >= 0; i-- {
		all = append(all, e.closers[i]())
	}
	e.closers = nil
	return errors.Join(all...)
}
