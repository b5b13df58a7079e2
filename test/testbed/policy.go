package testbed

import (
	"context"
	"strings"

	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
)

// Roles stands for the role directory: any role but a forbidden one may be passed, and only to the service it names.
type Roles string

var _ authz.Roles = Roles("")

func (r Roles) Pass(_ context.Context, role, service string) error {
	if strings.Contains(role, "forbidden") || service != string(r) {
		return errs.New(errs.Denied, "not authorized to perform: iam:PassRole on %s for %s", role, service)
	}
	return nil
}

func (Roles) As(ctx context.Context, _, _, _ string) (context.Context, error) { return ctx, nil }

// KeyPolicy stands for the key service: any key but a forbidden one may be used.
type KeyPolicy struct{}

var _ key.Guard = KeyPolicy{}

func (KeyPolicy) MayUse(_ context.Context, u key.Use) (string, error) {
	if strings.HasSuffix(u.Key, "forbidden") {
		return "", errs.New(errs.Denied, "not authorized to perform: %s", u.Action)
	}
	return u.Key, nil
}

// Users stands for the directory of principals: users by name, one policy each, and no credentials.
type Users map[string]string

var _ authz.Directory = Users{}

func (Users) Credential(context.Context, string, string) (authz.Credential, error) {
	return authz.Credential{}, errs.New(errs.Unauthenticated, "no credentials here")
}

func (u Users) Policies(_ context.Context, p call.Principal) ([]authz.Policy, string, error) {
	if doc := u[p.Name]; doc != "" {
		return []authz.Policy{{Name: p.Name, Document: doc}}, "", nil
	}
	return nil, "", nil
}
