package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/galen-health/galen/platform/errs"
)

// What a server is doing.
type phase int

const (
	starting phase = iota
	serving
	draining
)

const (
	// askAgain is how old the engines' answers may be: probes come from many sides and must not become load.
	askAgain = time.Second
	// askLimit is how long one engine may take to answer before it counts as unreachable.
	askLimit = 3 * time.Second
)

// check asks one engine whether it can serve now.
type check struct {
	name string
	ask  func(context.Context) error
}

// readiness knows whether requests should be sent here. It is ready while the server serves and each engine, really asked, answers. Why it is not goes to the log,
// once a change; the answer names engines only, since anybody may ask.
type readiness struct {
	log *slog.Logger
	now func() time.Time

	mu     sync.Mutex
	phase  phase
	checks []check

	asking sync.Mutex // one round at a time; the others wait for its answers
	asked  time.Time
	failed map[string]error
}

func newReadiness(log *slog.Logger) *readiness {
	return &readiness{log: log, now: time.Now, failed: map[string]error{}}
}

// enter moves on to a phase; there is no way back. A server that drains stays so.
func (r *readiness) enter(p phase, checks ...check) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p > r.phase {
		r.phase = p
	}
	r.checks = append(r.checks, checks...)
}

func (r *readiness) state() (phase, []check) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.phase, r.checks
}

// ask returns each engine with what it failed with; nil = it can serve.
func (r *readiness) ask(ctx context.Context, checks []check) map[string]error {
	r.asking.Lock()
	defer r.asking.Unlock()
	if now := r.now(); r.asked.IsZero() || now.Sub(r.asked) >= askAgain {
		ctx = context.WithoutCancel(ctx) // the answers are for the next ones too
		found := make([]error, len(checks))
		var all sync.WaitGroup
		for i, c := range checks {
			all.Go(func() { found[i] = askOne(ctx, c) })
		}
		all.Wait()
		r.asked = r.now()
		for i, c := range checks {
			r.tell(c.name, r.failed[c.name], found[i])
			r.failed[c.name] = found[i]
		}
	}
	out := make(map[string]error, len(r.failed))
	for name, err := range r.failed {
		out[name] = err
	}
	return out
}

// askOne does not wait for an engine that hangs: its answer is then of no use to anybody.
func askOne(ctx context.Context, c check) error {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	answer := make(chan error, 1)
	go func() { answer <- c.ask(ctx) }()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return errs.New(errs.Timeout, "it did not answer within %s", askLimit)
	}
}

func (r *readiness) tell(name string, before, now error) {
	switch {
	case before == nil && now != nil:
		e := errs.As(now)
		r.log.Error("not ready", "engine", name, "code", e.Code.String(), "message", e.Message)
	case before != nil && now == nil:
		r.log.Info("ready again", "engine", name)
	}
}

// ServeHTTP answers /readyz: 200 or 503, a line for the whole and, with ?verbose, one for each engine.
func (r *readiness) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	p, checks := r.state()
	switch p {
	case starting, draining:
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, map[phase]string{starting: "starting\n", draining: "draining\n"}[p]) // nobody is left to tell
		return
	}
	failed := r.ask(q.Context(), checks)
	status, text := http.StatusOK, "ready\n"
	for _, c := range checks {
		if failed[c.name] != nil {
			status, text = http.StatusServiceUnavailable, "not ready\n"
		}
	}
	for _, c := range checks {
		switch {
		case failed[c.name] != nil:
			text += fmt.Sprintf("%s: %s\n", c.name, errs.CodeOf(failed[c.name]))
		case q.URL.Query().Has("verbose"):
			text += c.name + ": ok\n"
		}
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // nobody is left to tell
}
