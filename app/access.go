package app

import (
	"context"

	"github.com/galen-health/galen/app/edge"
	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/httproute"
)

// Operations are the operations that this build implements, service by service.
func (a *App) Operations() (out []*aws.Operation) {
	for _, r := range a.services {
		for _, name := range Implemented(r) {
			out = append(out, r.Contract.Operations[name])
		}
	}
	return out
}

// Routes are the interactions of the open standards that it serves.
func (a *App) Routes() []httproute.Route { return a.routes }

// Needs is what the caller in ctx must be allowed to perform an operation with this input.
func (a *App) Needs(ctx context.Context, op *aws.Operation, in any) ([]authz.Request, error) {
	return a.edge.Needs(ctx, op, in)
}

// Directory gives the callers' policies, as the edge asks for them.
func (a *App) Directory() authz.Directory { return a.engines.directory }

// Invoker performs operations in this process for the caller in the context.
func (a *App) Invoker() aws.Invoker {
	l := &edge.Local{}
	l.Join(a.edge)
	return l
}
