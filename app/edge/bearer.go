package edge

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/sigv4"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/httproute"
)

// Bearer tells whom a bearer token on a route of an open standard stands for; errs.Unauthenticated when it is not right, errs.Denied when it stands for nobody.
type Bearer interface {
	Bearer(ctx context.Context, token string) (call.Principal, error)
}

// maxOpenForm bounds what is read of a form that nobody signed: a token and a session policy with room to spare.
const maxOpenForm = 64 << 10

// token is the bearer token of a request (RFC 6750 §2.1: in the header only, never in the address, where logs would keep it).
func token(r *http.Request) (string, bool) {
	scheme, rest, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(rest), true
}

// whoOf finds the caller of a route: nobody where it is open, a bearer, or who signed.
func (v *visit) whoOf(rt *httproute.Route) (*sigv4.Signed, context.Context, error) {
	if rt.Open {
		return v.anyone(rt.Service)
	}
	raw, ok := token(v.r)
	if !ok || v.e.cfg.Bearer == nil {
		return v.who()
	}
	s, ctx, err := v.anyone(rt.Service)
	if err != nil {
		return nil, nil, err
	}
	ctx, notes := httproute.WithNotes(ctx)
	p, err := v.e.cfg.Bearer.Bearer(ctx, raw)
	if v.entry.Principal = notes.Values()["webIdentity"]; v.entry.Principal != "" { // who it said it was, should it be refused
		v.entry.Kind = string(call.WebIdentity)
	}
	if err != nil {
		if errs.Is(err, errs.Unauthenticated) {
			v.w.Header().Set("WWW-Authenticate", `Bearer realm="galen", error="invalid_token"`) // RFC 6750 §3
		}
		return nil, nil, err
	}
	v.known = true
	v.entry.Principal, v.entry.Kind = p.ARN, string(p.Kind)
	done, err := v.e.load.callers.Enter(p.ARN)
	if err != nil {
		return nil, nil, err
	}
	v.leave(done)
	c := *call.From(ctx)
	c.Principal = p
	return s, call.With(ctx, &c), nil
}

// anyone is a caller without credentials: what it sends proves itself, or needs no proof. Its place among the callers is its address's.
func (v *visit) anyone(service string) (*sigv4.Signed, context.Context, error) {
	done, err := v.e.load.callers.Enter("address " + peer(v.r).String())
	if err != nil {
		return nil, nil, err
	}
	v.leave(done)
	s := &sigv4.Signed{Service: service, Body: v.r.Body, Length: v.r.ContentLength}
	if s.Body == nil {
		s.Body = http.NoBody
	}
	c := &call.Call{RequestID: v.id, Source: peer(v.r), UserAgent: clip(v.r.UserAgent(), 256), Secure: v.r.TLS != nil, Time: v.started}
	return s, call.With(v.r.Context(), c), nil
}

// opens finds the service of an unsigned awsQuery request for an operation that takes no signature, "" for any other. The form is only looked at: the
// body is put back.
func (v *visit) opens() string {
	if sigv4.IsSigned(v.r) || v.r.Header.Get("Authorization") != "" || v.r.URL.Path != "/" {
		return ""
	}
	form := v.r.URL.Query()
	if v.r.Method == http.MethodPost {
		if !strings.HasPrefix(v.r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
			return ""
		}
		b, rest, ok := peek(v.r.Body, maxOpenForm)
		v.r.Body = rest
		if !ok {
			return ""
		}
		var err error
		if form, err = url.ParseQuery(b); err != nil {
			return ""
		}
	}
	for s := range v.e.services {
		if op := s.Operations[form.Get("Action")]; s.Protocols[0] == aws.Query && op != nil && op.Open && form.Get("Version") == s.APIVersion {
			return s.Signing
		}
	}
	return ""
}
