// Package edge is the one road that every request takes: route, who, decode, validate, may they, the operation's method, encode, audit.
//
// It serves AWS operations by their contracts and the routes of the open standards by their registrations. Everything left and right of an operation's
// method is here and written once: a service never parses a header, checks a signature or writes an AWS status. A call is answered only after its entry is
// in the audit log; of requests that nobody is known to have sent, those beyond a bound are counted in it instead.
package edge

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/route"
	"github.com/galen-health/galen/aws/sigv4"
	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/httproute"
)

// Registration joins a contract with what implements it. A service that implements Needs says which actions on which resources an operation takes; for one that
// does not, it is the operation's own action on "*".
type Registration struct {
	Contract *aws.Service
	Service  any // implements the generated Service interface
	Disabled bool
}

// Needs tells what the caller of an operation must be allowed.
type Needs interface {
	Authorize(ctx context.Context, op string, in any) ([]authz.Request, error)
}

// Config of the edge.
type Config struct {
	Registrations []Registration
	Routes        []httproute.Route
	Directory     authz.Directory
	Authorizer    authz.Authorizer
	Bearer        Bearer // nil = bearer tokens are not taken
	Audit         audit.Log
	Account       string
	Region        string
	Hosts         []string // names of the endpoint, so that S3's virtual-hosted buckets are told from them
	// Gate refuses operations that the portfolio does not offer to this customer; nil = none.
	Gate    func(signing, operation string) error
	Pace    Pace
	Load    Load
	Metrics *Metrics     // nil = none
	Tracer  trace.Tracer // nil = none
	Log     *slog.Logger
	Now     func() time.Time
}

// Edge is the http.Handler of the endpoint.
type Edge struct {
	cfg      Config
	table    *route.Table
	services map[*aws.Service]Registration
	routes   *routes
	load     load
}

// New builds the tables.
func New(cfg Config) (*Edge, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	e := &Edge{cfg: cfg, services: map[*aws.Service]Registration{}, load: newLoad(cfg.Load, cfg.Now)}
	var contracts []*aws.Service
	for _, r := range cfg.Registrations {
		contracts = append(contracts, r.Contract)
		e.services[r.Contract] = r
	}
	e.table = route.New(contracts...)
	var err error
	e.routes, err = newRoutes(cfg.Routes)
	return e, err
}

// visit is one request on its way.
type visit struct {
	e       *Edge
	w       *writer
	r       *http.Request
	id      string
	started time.Time
	service *aws.Service
	proto   aws.Protocol
	op      string // operation or interaction
	failed  string // the kind of error that was answered
	in      *counted
	ends    []func()                 // what the request has taken is given back
	known   bool                     // who sent it is proven
	noted   func() map[string]string // what an operation without a signature learned of its caller; nil = nothing
	entry   audit.Entry
}

// writer remembers whether an answer has begun.
type writer struct {
	http.ResponseWriter
	status int
	n      int64 // bytes of the body
	grace  time.Duration
	conn   *http.ResponseController // nil = no deadlines here
}

func (w *writer) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *writer) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.paced(b)
	w.n += int64(n)
	return n, err
}

func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails on supported systems
	h := hex.EncodeToString(b[:])
	return fmt.Sprintf("%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:])
}

// ServeHTTP implements http.Handler.
func (e *Edge) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	ctx, span := e.span(r)
	v := &visit{e: e, w: &writer{ResponseWriter: rw}, r: r.WithContext(ctx), id: newRequestID(), started: e.cfg.Now()}
	if r.Body != nil && r.Body != http.NoBody {
		v.in = newCounted(rw, r, e.cfg.Pace, e.cfg.Load.Body)
		v.r.Body = v.in
	}
	v.w.pace(e.cfg.Pace)
	defer v.w.last()
	h := v.w.Header()
	h.Set("X-Amzn-Requestid", v.id)
	h.Set("X-Amz-Request-Id", v.id)
	h.Set("X-Content-Type-Options", "nosniff")
	v.entry = audit.Entry{Time: v.started.UTC(), RequestID: v.id, SourceIP: peer(r).String(), UserAgent: clip(r.UserAgent(), 256), Region: e.cfg.Region, Account: e.cfg.Account}
	e.cfg.Metrics.begin()
	defer func() {
		for _, end := range v.ends {
			end()
		}
		o := v.outcome()
		e.cfg.Metrics.end(o)
		v.tell(ctx, span, o)
	}()
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				v.failed = "broken off"
				panic(p)
			}
			e.cfg.Log.Error("panic in a handler", "requestId", v.id, "operation", v.op, "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			v.fail(errs.New(errs.Internal, "an internal error occurred"))
		}
	}()
	v.serve()
}

func peer(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// serve is the road.
func (v *visit) serve() {
	signing := sigv4.Scope(v.r)
	rt, r := v.e.routes.find(v.r, signing)
	if rt != nil {
		v.r = r
		v.serveRoute(rt)
		return
	}
	v.serveOperation(signing)
}

// who verifies the signature and puts the call into the context.
func (v *visit) who() (*sigv4.Signed, context.Context, error) {
	if _, ok := token(v.r); ok {
		return nil, nil, errs.Named(errs.Unauthenticated, sigv4.ErrInvalidToken, "bearer tokens open the routes of the open standards only: sign the request with an access key (SigV4), or get one for the token by AssumeRoleWithWebIdentity")
	}
	s, err := sigv4.Verify(v.r, v.e.cfg.Now(), secrets{v.e.cfg.Directory})
	if err != nil {
		return nil, nil, err
	}
	p := s.Principal.(call.Principal)
	v.known = true
	v.entry.Principal, v.entry.Kind, v.entry.AccessKeyID = p.ARN, string(p.Kind), p.AccessKeyID
	done, err := v.e.load.callers.Enter(p.ARN)
	if err != nil {
		return nil, nil, err
	}
	v.leave(done)
	c := &call.Call{RequestID: v.id, Principal: p, Source: peer(v.r), UserAgent: clip(v.r.UserAgent(), 256), Secure: v.r.TLS != nil, Time: v.started}
	return s, call.With(v.r.Context(), c), nil
}

// secrets adapts the directory to the verifier.
type secrets struct{ dir authz.Directory }

func (s secrets) Secret(ctx context.Context, id, token string) (string, any, error) {
	c, err := s.dir.Credential(ctx, id, token)
	if err != nil {
		return "", nil, err
	}
	p := c.Principal
	p.AccessKeyID = id
	return c.Secret, p, nil
}

// allow checks every need in turn and notes what decided.
func (v *visit) allow(ctx context.Context, needs []authz.Request) error {
	for _, n := range needs {
		v.entry.Resources = append(v.entry.Resources, n.Resource)
		if v.entry.Action == "" {
			v.entry.Action = n.Action
		}
		d := v.e.cfg.Authorizer.Decide(ctx, call.From(ctx), n)
		v.entry.Policy, v.entry.Statement, v.entry.PolicyType, v.entry.Effect = d.Policy, d.Statement, string(d.Source), d.Effect()
		if !d.Allowed {
			return v.e.cfg.Authorizer.Check(ctx, n)
		}
	}
	return nil
}

// record appends the audit entry; without it no success may be answered.
func (v *visit) record(ctx context.Context, failure string) error {
	v.entry.Error = failure
	if v.noted != nil {
		v.entry.Parameters = v.noted()
		if sub := v.entry.Parameters["webIdentity"]; sub != "" {
			v.entry.Principal = sub
		}
	}
	if v.entry.Source == "" {
		v.entry.Source = "galen.amazonaws.com"
	}
	if v.entry.Name == "" {
		v.entry.Name = "Unknown"
	}
	if v.stranger(failure) && !v.e.load.strangers.entry(place(peer(v.r)), v.started) {
		return nil
	}
	if err := v.e.within(ctx, "audit", func(ctx context.Context) error { return v.e.cfg.Audit.Append(context.WithoutCancel(ctx), &v.entry) }); err != nil {
		v.e.cfg.Log.Error("the audit log cannot be written", "requestId", v.id, "error", err)
		return errs.Wrap(errs.Unavailable, err, "the call cannot be audited, so it is not answered")
	}
	return nil
}
