package app

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/galen-health/galen/app/edge"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/httproute"
)

// explainPath is the operator's question who may what and why; `galen admin explain-access` asks it.
const explainPath = "/admin/explain-access"

// explainRoute answers it with the evaluator that decides, over the policies that are there. It is for whom IAM lets simulate the principal asked about.
func explainRoute(e *engines, registrations []edge.Registration) httproute.Route {
	return httproute.Route{
		Service: "iam", Method: "GET", Pattern: explainPath, Name: "ExplainAccess", Action: "iam:SimulatePrincipalPolicy", ReadOnly: true,
		Resource: func(r *http.Request) string { return r.URL.Query().Get("who") },
		Handle: func(w http.ResponseWriter, r *http.Request) error {
			x, err := explain(e, registrations, r)
			if err != nil {
				return err
			}
			b, err := json.Marshal(x)
			if err != nil {
				return errs.Wrap(errs.Internal, err, "the explanation cannot be written")
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(b) // the client may be gone: nothing is left to tell it
			return nil
		},
		Fail: failPlain,
	}
}

// failPlain answers an operator's question that has no standard's shape.
func failPlain(w http.ResponseWriter, _ *http.Request, err error) {
	status := map[errs.Code]int{errs.Invalid: 400, errs.NotFound: 404, errs.Denied: 403, errs.Unauthenticated: 403, errs.TooLarge: 413}[errs.CodeOf(err)]
	if status == 0 {
		status = 500
	}
	http.Error(w, errs.As(err).Message, status)
}

func explain(e *engines, registrations []edge.Registration, r *http.Request) (*authz.Explanation, error) {
	q := r.URL.Query()
	req := authz.Request{Action: q.Get("what"), Resource: q.Get("on"), Context: map[string]string{}}
	if req.Resource == "" {
		req.Resource = "*"
	}
	if service, name, ok := strings.Cut(req.Action, ":"); !ok || service == "" || name == "" || strings.ContainsAny(req.Action, "*? ") {
		return nil, errs.New(errs.Invalid, "what is one action, such as healthlake:ReadResource")
	}
	p, err := e.iam.Principal(r.Context(), q.Get("who"))
	if err != nil {
		return nil, err
	}
	c := &call.Call{RequestID: call.From(r.Context()).RequestID, Principal: p, Time: time.Now()}
	for _, kv := range q["context"] {
		key, value, ok := strings.Cut(kv, "=")
		if !ok {
			return nil, errs.New(errs.Invalid, "a context key is given as key=value")
		}
		switch strings.ToLower(key) { // these are known of the connection, not said by the request
		case "aws:sourceip":
			if c.Source, err = netip.ParseAddr(value); err != nil {
				return nil, errs.New(errs.Invalid, "aws:SourceIp is an address")
			}
		case "aws:securetransport":
			c.Secure = strings.EqualFold(value, "true")
		case "aws:useragent":
			c.UserAgent = value
		default:
			req.Context[key] = value
		}
	}
	for _, reg := range registrations {
		g, ok := reg.Service.(authz.Guarded)
		if !ok {
			continue
		}
		full, mine, err := g.Complete(r.Context(), req)
		if err != nil {
			return nil, err
		}
		if mine {
			req = full
			break
		}
	}
	x := e.authorizer.Explain(r.Context(), c, req)
	return &x, nil
}
