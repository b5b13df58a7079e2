package authz

import (
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
)

// sessionLength is how long a session that a service opens for itself may be used; long jobs open a new one for each attempt.
const sessionLength = 12 * time.Hour

type sourceKey struct{}

// WithSource names the resource that a service works for (a data store, a job): trust policies see it as aws:SourceArn.
func WithSource(ctx context.Context, arn string) context.Context {
	return context.WithValue(ctx, sourceKey{}, arn)
}

// PassingRoles is the Roles of an Evaluator.
type PassingRoles struct {
	eval  *Evaluator
	roles RoleSource
}

var _ Roles = (*PassingRoles)(nil)

// NewRoles returns the Roles on an evaluator and a source of roles.
func NewRoles(eval *Evaluator, roles RoleSource) *PassingRoles { return &PassingRoles{eval, roles} }

// Pass checks iam:PassRole of the caller and the role's trust in the service.
func (p *PassingRoles) Pass(ctx context.Context, roleARN, servicePrincipal string) error {
	err := p.eval.Check(ctx, Request{Action: "iam:PassRole", Resource: roleARN, Context: map[string]string{"iam:PassedToService": servicePrincipal}})
	if err != nil {
		return err
	}
	_, err = p.trusted(ctx, roleARN, servicePrincipal)
	return err
}

// trusted finds a role that trusts a service. A role that does not exist is told in the same words as one that does not trust.
func (p *PassingRoles) trusted(ctx context.Context, roleARN, servicePrincipal string) (Role, error) {
	refuse := errs.New(errs.Denied, "%s cannot assume the role %s: it does not exist or its trust policy does not allow the service", servicePrincipal, roleARN)
	r, err := p.roles.Role(ctx, roleARN)
	switch {
	case errs.Is(err, errs.NotFound), errs.Is(err, errs.Invalid):
		return Role{}, refuse
	case err != nil:
		return Role{}, err
	}
	keys := map[string]string{"aws:SourceAccount": p.eval.account}
	if arn, ok := ctx.Value(sourceKey{}).(string); ok && arn != "" {
		keys["aws:SourceArn"] = arn
	}
	c := *call.From(ctx)
	c.Principal = call.Principal{Kind: call.AWSService, ARN: servicePrincipal}
	d := p.eval.Decide(ctx, &c, Request{Action: "sts:AssumeRole", Resource: r.ARN, Context: keys, ResourcePolicies: []string{r.Trust}, ResourceMustAllow: true})
	if !d.Allowed {
		return Role{}, refuse
	}
	return r, nil
}

var notSessionName = regexp.MustCompile(`[^\w+=,.@-]+`)

// As opens a session of the role for the service.
func (p *PassingRoles) As(ctx context.Context, roleARN, servicePrincipal, sessionName string) (context.Context, error) {
	r, err := p.trusted(ctx, roleARN, servicePrincipal)
	if err != nil {
		return nil, err
	}
	name := notSessionName.ReplaceAllString(sessionName, "-")
	if name = name[:min(len(name), 64)]; len(name) < 2 {
		name = strings.TrimSuffix(servicePrincipal, ".amazonaws.com")
	}
	now := time.Now().UTC()
	from := call.From(ctx)
	return call.With(ctx, &call.Call{
		RequestID: from.RequestID, UserAgent: servicePrincipal, Secure: true, Time: now,
		Principal: call.Principal{
			Kind: call.AssumedRole, ARN: "arn:aws:sts::" + r.Account + ":assumed-role/" + r.Name + "/" + name, ID: r.ID + ":" + name,
			Account: r.Account, Name: r.Name, RoleARN: r.ARN, Tags: r.Tags,
			Session: &call.Session{Name: name, Created: now, Expires: now.Add(sessionLength)},
		},
	}), nil
}
