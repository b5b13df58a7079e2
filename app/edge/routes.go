package edge

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/galen-health/galen/aws/sigv4"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/httproute"
	"github.com/galen-health/galen/platform/limits"
)

// routes finds the route of a request: one mux a signing name, and one for the roots whose path names the service.
type routes struct {
	muxes map[string]*http.ServeMux
}

// bearerRoots name the service in the path, so that a caller without a signature still gets the standard's own error.
var bearerRoots = []string{"/fhir/", "/dicomweb/", "/ga4gh/", "/htsget/", "/refget/"}

func newRoutes(list []httproute.Route) (*routes, error) {
	out := &routes{muxes: map[string]*http.ServeMux{}}
	for i := range list {
		r := &list[i]
		if r.Action == "" || r.Resource == nil || r.Handle == nil || r.Fail == nil || r.Name == "" || r.Service == "" {
			return nil, fmt.Errorf("route %s %s lacks an action, a resource, a handler, an error writer, a name or a service", r.Method, r.Pattern)
		}
		names := []string{r.Service}
		if r.Open || slices.ContainsFunc(bearerRoots, func(root string) bool { return strings.HasPrefix(r.Pattern, root) }) {
			names = append(names, "")
		}
		for _, n := range names {
			mux := out.muxes[n]
			if mux == nil {
				mux = http.NewServeMux()
				out.muxes[n] = mux
			}
			mux.HandleFunc(r.Method+" "+r.Pattern, func(w http.ResponseWriter, q *http.Request) {
				f := w.(*found)
				f.route, f.request = r, q
			})
		}
	}
	return out, nil
}

// find returns the route and the request with its path values set. An unsigned request finds a standard's route of any service, so that the error has the
// standard's shape.
func (t *routes) find(r *http.Request, signing string) (*httproute.Route, *http.Request) {
	if signing != "" {
		return probe(t.muxes[signing], r)
	}
	if rt, matched := probe(t.muxes[""], r); rt != nil {
		return rt, matched
	}
	for _, mux := range t.muxes {
		if rt, matched := probe(mux, r); rt != nil {
			return rt, matched
		}
	}
	return nil, nil
}

func probe(mux *http.ServeMux, r *http.Request) (*httproute.Route, *http.Request) {
	if mux == nil {
		return nil, nil
	}
	f := &found{}
	mux.ServeHTTP(f, r)
	return f.route, f.request
}

// found is the ResponseWriter that a mux is asked with: the handler of a route leaves the route and the request in it; what a mux writes by itself
// (not found, redirects to clean paths) is nothing to us.
type found struct {
	route   *httproute.Route
	request *http.Request
}

func (*found) Header() http.Header         { return http.Header{} }
func (*found) Write(b []byte) (int, error) { return len(b), nil }
func (*found) WriteHeader(int)             {}

// serveRoute takes a request of an open standard along the road.
func (v *visit) serveRoute(rt *httproute.Route) {
	v.op = rt.Name
	v.entry.Source, v.entry.Name, v.entry.ReadOnly, v.entry.Action = rt.Service+".amazonaws.com", rt.Name, rt.ReadOnly, rt.Action
	most := rt.MaxBody
	if most > sigv4.MaxBuffered && v.r.Header.Get("X-Amz-Content-Sha256") != "" {
		most = 0 // it streams
	}
	if err := v.admit(min(most, sigv4.MaxBuffered)); err != nil {
		v.failRoute(rt, err)
		return
	}
	signed, ctx, err := v.whoOf(rt)
	if err == nil && signed.Service != rt.Service {
		err = errs.New(errs.Unauthenticated, "the request is signed for %.40q; sign it for %q", signed.Service, rt.Service)
	}
	if err != nil {
		v.failRoute(rt, err)
		return
	}
	need := RouteNeed(rt, v.r)
	v.r = v.r.WithContext(ctx)
	if err := v.e.within(ctx, "authorise", func(ctx context.Context) error {
		if rt.Open {
			v.entry.Resources = append(v.entry.Resources, need.Resource)
			return nil
		}
		return v.allow(ctx, []authz.Request{need})
	}); err != nil {
		if rt.Subject != nil {
			v.entry.Parameters = rt.Subject(v.r)
		}
		v.failRoute(rt, err)
		return
	}
	body, err := inflate(v.r.Header, signed.Body)
	if err != nil {
		v.failRoute(rt, err)
		return
	}
	if signed.Length > rt.MaxBody {
		v.failRoute(rt, errs.New(errs.TooLarge, "the body is over the %d bytes that this address takes", rt.MaxBody))
		return
	}
	v.r.Body = closer{limits.Bytes(body, rt.MaxBody, "the body"), signed.Body}
	if h := v.r.Header; h.Get("Content-Encoding") == "gzip" {
		h.Del("Content-Encoding")
		v.r.ContentLength = -1
	} else {
		v.r.ContentLength = signed.Length
	}
	ctx, notes := httproute.WithNotes(ctx)
	v.r = v.r.WithContext(ctx)
	late := &lateWriter{v: v, ctx: ctx, notes: notes}
	if err := v.e.within(ctx, "handle", func(ctx context.Context) error { return rt.Handle(late, v.r.WithContext(ctx)) }); err != nil {
		if late.bad { // the caller was told
			return
		}
		if v.w.status != 0 {
			v.e.cfg.Log.Warn("an answer broke off", "requestId", v.id, "operation", v.op, "code", errs.CodeOf(err).String())
			panic(http.ErrAbortHandler) // the caller must not take half an answer for a whole one
		}
		v.entry.Parameters = notes.Values()
		v.failRoute(rt, err)
		return
	}
	if v.w.status == 0 {
		late.WriteHeader(http.StatusOK)
	}
}

// failRoute answers in the standard's own shape, after the audit entry. The standard decides the status: it may have errors of its own that are not of our closed
// set. Only what it answers as a fault of the server is told to the operator.
func (v *visit) failRoute(rt *httproute.Route, err error) {
	err = v.slower(err)
	answer := &answer{header: http.Header{}}
	rt.Fail(answer, v.r, err)
	retryAfter(answer.header, errs.As(err))
	v.failed = errs.CodeOf(err).String()
	if answer.status >= 500 {
		v.note(errs.As(err))
	}
	if aerr := v.record(v.r.Context(), http.StatusText(answer.status)); aerr != nil {
		answer = &answerUnaudited
	}
	v.in.refuse()
	for k, vs := range answer.header {
		v.w.Header()[k] = vs
	}
	v.w.WriteHeader(answer.status)
	_, _ = v.w.Write(answer.body) // the client may be gone: nothing is left to tell it
}

// answer holds an error's answer until the audit entry is written.
type answer struct {
	header http.Header
	status int
	body   []byte
}

var answerUnaudited = answer{status: http.StatusServiceUnavailable, body: []byte("the call cannot be audited, so it is not answered\n")}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	a.body = append(a.body, b...)
	return len(b), nil
}

// lateWriter writes the audit entry before the first byte leaves.
type lateWriter struct {
	v     *visit
	ctx   context.Context
	notes *httproute.Notes
	bad   bool
}

func (l *lateWriter) Header() http.Header { return l.v.w.Header() }

func (l *lateWriter) WriteHeader(status int) {
	if l.v.w.status != 0 {
		return
	}
	failure := ""
	if status >= 400 {
		failure = http.StatusText(status)
	}
	l.v.entry.Parameters = l.notes.Values()
	if err := l.v.record(l.ctx, failure); err != nil {
		l.bad = true
		l.v.w.Header().Del("Content-Length")
		http.Error(l.v.w, "the call cannot be audited, so it is not answered", http.StatusServiceUnavailable)
		return
	}
	l.v.w.WriteHeader(status)
}

func (l *lateWriter) Write(b []byte) (int, error) {
	if l.v.w.status == 0 {
		l.WriteHeader(http.StatusOK)
	}
	if l.bad {
		return 0, errs.New(errs.Unavailable, "the call cannot be audited")
	}
	return l.v.w.Write(b)
}

func (l *lateWriter) Unwrap() http.ResponseWriter { return l.v.w.ResponseWriter }
