package edge

import (
	"context"
	"net/http"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/httproute"
)

// needs is what the caller of an operation must be allowed. sts:GetCallerIdentity needs nothing, as AWS documents.
func (r Registration) needs(ctx context.Context, op *aws.Operation, in any) ([]authz.Request, error) {
	action := op.Service.Signing + ":" + op.Name
	if action == "sts:GetCallerIdentity" {
		return nil, nil
	}
	n, ok := r.Service.(Needs)
	if !ok {
		return []authz.Request{{Action: action, Resource: "*"}}, nil
	}
	return n.Authorize(ctx, op.Name, in)
}

// Needs is what the caller in ctx must be allowed to perform an operation with this input: the question that the road asks, without the answer. The
// authorization matrix is made of it.
func (e *Edge) Needs(ctx context.Context, op *aws.Operation, in any) ([]authz.Request, error) {
	reg, ok := e.services[op.Service]
	if !ok {
		return nil, errs.New(errs.Unsupported, "%s is not registered", op.Service.Signing)
	}
	return reg.needs(ctx, op, in)
}

// RouteNeed is what the caller of a standard's route must be allowed; the path values of r are set.
func RouteNeed(rt *httproute.Route, r *http.Request) authz.Request {
	need := authz.Request{Action: rt.Action, Resource: rt.Resource(r)}
	if rt.Context != nil {
		need.Context = rt.Context(r)
	}
	if rt.Tags != nil {
		need.Tags = func() map[string]string { return rt.Tags(r) }
	}
	return need
}
