package app

import (
	"context"

	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/errs"
)

var _ authz.ManagedPolicies = (*inside)(nil)

// ManagedPolicy implements authz.ManagedPolicies: the policies that a session names by ARN are the iam service's. Without it they would allow nothing.
func (d *inside) ManagedPolicy(ctx context.Context, arn string) (string, error) {
	m, ok := d.Directory.(authz.ManagedPolicies)
	if !ok {
		return "", errs.New(errs.NotFound, "there is no policy %s", arn)
	}
	return m.ManagedPolicy(ctx, arn)
}
