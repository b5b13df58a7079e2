package sts

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/sts"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/authz/session"
	"github.com/galen-health/galen/platform/authz/smart"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/httproute"
	"github.com/galen-health/galen/platform/oidc"
)

// visitor is who shows a token that was verified.
type visitor struct {
	claims   *oidc.Claims
	provider *oidc.Provider
}

// host is the provider's name in condition keys: its issuer without the scheme.
func (v *visitor) host() string {
	_, host, _ := strings.Cut(v.provider.Issuer, "://")
	return strings.TrimSuffix(host, "/")
}

// tags are the session tags that the token carries.
func (v *visitor) tags() (out []api.Tag) {
	for _, k := range slices.Sorted(maps.Keys(v.claims.Session.Tags)) {
		out = append(out, api.Tag{Key: k, Value: v.claims.Session.Tags[k]})
	}
	return out
}

// verify checks a token; a server without providers offers none.
func (s *Service) verify(ctx context.Context, token string) (*visitor, error) {
	if s.cfg.Providers == nil || s.cfg.Authorizer == nil {
		return nil, errs.New(errs.Unsupported, "web identities are not offered by this server")
	}
	c, p, err := oidc.Verify(ctx, s.cfg.Providers, token, s.cfg.Now())
	if err != nil {
		return nil, err
	}
	httproute.Note(ctx, "identityProvider", p.Issuer)
	httproute.Note(ctx, "webIdentity", c.Subject)
	return &visitor{c, p}, nil
}

// trusted finds the role and asks its trust policy. A role that does not exist is told in the same words as one that does not trust.
func (s *Service) trusted(ctx context.Context, v *visitor, roleARN, sessionName string) (*authz.Role, error) {
	refuse := errs.Named(errs.Denied, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
	role, err := s.roles.Role(ctx, roleARN)
	switch {
	case errs.Is(err, errs.NotFound), errs.Is(err, errs.Invalid):
		return nil, refuse
	case err != nil:
		return nil, err
	}
	c := *call.From(ctx)
	c.Principal = call.Principal{Kind: call.WebIdentity, ARN: v.provider.ARN, ID: v.host() + ":" + v.claims.Subject}
	r := authz.Request{Action: "sts:AssumeRoleWithWebIdentity", Resource: role.ARN, ResourcePolicies: []string{role.Trust}, ResourceMustAllow: true, Context: map[string]string{
		v.host() + ":sub": v.claims.Subject, "sts:RoleSessionName": sessionName, "aws:FederatedProvider": v.provider.ARN}, Values: map[string][]string{v.host() + ":aud": v.claims.Audience}}
	for k, value := range role.Tags {
		r.Context["aws:ResourceTag/"+k], r.Context["iam:ResourceTag/"+k] = value, value
	}
	actions := []string{r.Action}
	if tags := v.tags(); len(tags) > 0 {
		for _, t := range tags {
			r.Context["aws:RequestTag/"+t.Key] = t.Value
			r.Values["aws:TagKeys"] = append(r.Values["aws:TagKeys"], t.Key)
		}
		actions = append(actions, "sts:TagSession")
	}
	if len(v.claims.Session.Transitive) > 0 {
		r.Values["sts:TransitiveTagKeys"] = v.claims.Session.Transitive
	}
	if v.claims.Session.Identity != "" {
		r.Context["sts:SourceIdentity"] = v.claims.Session.Identity
		actions = append(actions, "sts:SetSourceIdentity")
	}
	for _, r.Action = range actions {
		if !s.cfg.Authorizer.Decide(ctx, &c, r).Allowed {
			return nil, refuse
		}
	}
	return &role, nil
}

// open makes the principal of a session that a token opens.
func (v *visitor) open(role *authz.Role, name string, created, expires time.Time) (call.Principal, error) {
	tags, err := merge(role.Tags, v.tags())
	if err != nil {
		return call.Principal{}, err
	}
	sess := &call.Session{Name: name, Created: created, Expires: expires, Identity: v.claims.Session.Identity, Provider: v.provider.ARN}
	if sess.Transitive, err = inherit(tags, &call.Principal{}, v.tags(), v.claims.Session.Transitive); err != nil {
		return call.Principal{}, err
	}
	return principal(role, sess, tags), nil
}

// AssumeRoleWithWebIdentity implements the contract: the token is the caller's proof, the role's trust policy decides.
func (s *Service) AssumeRoleWithWebIdentity(ctx context.Context, in *api.AssumeRoleWithWebIdentityInput) (*api.AssumeRoleWithWebIdentityOutput, error) {
	if in.ProviderId != "" {
		return nil, errs.Named(errs.Invalid, oidc.ErrInvalid, "ProviderId is for OAuth 2.0 access tokens of providers without OpenID Connect, which are not offered: leave it out.")
	}
	v, err := s.verify(ctx, in.WebIdentityToken)
	if err != nil {
		if e := errs.As(err); e.Code == errs.Unauthenticated { // the contract's errors are the request's, not the signature's
			return nil, errs.Named(errs.Invalid, e.Name, "%s", e.Message)
		}
		return nil, err
	}
	role, err := s.trusted(ctx, v, in.RoleArn, in.RoleSessionName)
	if err != nil {
		return nil, err
	}
	length, err := duration(in.DurationSeconds, role.MaxSession)
	if err != nil {
		return nil, err
	}
	now := s.cfg.Now().UTC()
	p, err := v.open(role, in.RoleSessionName, now, now.Add(length))
	if err != nil {
		return nil, err
	}
	packed, err := narrow(p.Session, in.Policy, in.PolicyArns)
	if err != nil {
		return nil, err
	}
	c, err := session.Issue(ctx, s.ring, p)
	if err != nil {
		return nil, err
	}
	out := &api.AssumeRoleWithWebIdentityOutput{Credentials: credentials(c), AssumedRoleUser: &api.AssumedRoleUser{AssumedRoleId: p.ID, Arn: p.ARN}, SubjectFromWebIdentityToken: v.claims.Subject,
		Provider: v.provider.ARN, Audience: v.claims.Audience[0], SourceIdentity: p.Session.Identity}
	if packed > 0 {
		out.PackedPolicySize = aws.Ptr(int32(packed * 100 / packedPolicy))
	}
	return out, nil
}

var notSessionName = regexp.MustCompile(`[^\w+=,.@-]+`)

// Bearer is the caller that a bearer token on a route of an open standard stands for: a session of the role that its provider or client names, if the role
// trusts it, narrowed by the FHIR scopes that the token has. It lives as long as the token.
func (s *Service) Bearer(ctx context.Context, token string) (call.Principal, error) {
	v, err := s.verify(ctx, token)
	if err != nil {
		return call.Principal{}, err
	}
	roleARN, err := v.provider.Role(ctx, v.claims)
	if err != nil {
		return call.Principal{}, err
	}
	name := notSessionName.ReplaceAllString(v.claims.Subject, "-")
	if name = name[:min(len(name), 64)]; len(name) < 2 {
		name = "bearer"
	}
	role, err := s.trusted(ctx, v, roleARN, name)
	if err != nil {
		return call.Principal{}, err
	}
	p, err := v.open(role, name, v.claims.Issued, v.claims.Expires)
	if err != nil {
		return call.Principal{}, err
	}
	if scopes, clinical := smart.Parse(v.claims.Scope); clinical {
		p.Session.Policies = []string{smart.Policy(scopes)}
	}
	return p, nil
}
