package sts

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/sts"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/authz/session"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/oidc"
)

// Config says whose account it is.
type Config struct {
	Account string
	// Providers are the OpenID providers whose tokens roles may trust, and Authorizer decides whether one does; nil = web identities are not offered.
	Providers  oidc.Directory
	Authorizer authz.Authorizer
	Now        func() time.Time // nil = time.Now
}

// Service implements the contract.
type Service struct {
	api.Unimplemented
	cfg   Config
	ring  key.Ring
	roles authz.RoleSource
}

var _ api.Service = (*Service)(nil)

// New returns the service on the roles of the account and the ring that seals tokens.
func New(cfg Config, ring key.Ring, roles authz.RoleSource) *Service {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Service{cfg: cfg, ring: ring, roles: roles}
}

// Bounds of a session, in seconds; the contract's own minimum is checked before.
const (
	chained      = 3600      // a role assumed by a role's session
	rootSession  = 3600      // GetSessionToken of the root user
	userSession  = 43200     // default of GetSessionToken
	longestUser  = 36 * 3600 // of GetSessionToken
	maxTags      = 50        // session tags, and transitive ones
	packedPolicy = 2048      // inline session policy and ARNs together: STS's own quota
)

// Authorize implements the edge's question. A role is asked for by its trust policy, which must allow; tags and a source identity need their
// own actions in it (STS user guide, "Passing session tags").
func (s *Service) Authorize(ctx context.Context, op string, in any) ([]authz.Request, error) {
	ar, ok := in.(*api.AssumeRoleInput)
	if !ok {
		switch op {
		case "GetSessionToken": // no permission is needed: it gives the caller nothing new
			return nil, nil
		case "AssumeRoleWithWebIdentity": // it is decided when the token was verified
			return nil, nil
		}
		return []authz.Request{{Action: "sts:" + op, Resource: "*"}}, nil
	}
	r := authz.Request{Action: "sts:AssumeRole", Resource: ar.RoleArn, ResourceMustAllow: true,
		Context: map[string]string{"sts:RoleSessionName": ar.RoleSessionName}, Values: map[string][]string{}}
	role, err := s.roles.Role(ctx, ar.RoleArn)
	switch {
	case err == nil:
		r.ResourcePolicies = []string{role.Trust}
		for k, v := range role.Tags {
			r.Context["aws:ResourceTag/"+k], r.Context["iam:ResourceTag/"+k] = v, v
		}
	case !errs.Is(err, errs.NotFound): // a role that does not exist trusts nobody: the same answer
		return nil, err
	}
	if ar.ExternalId != "" {
		r.Context["sts:ExternalId"] = ar.ExternalId
	}
	if ar.SourceIdentity != "" {
		r.Context["sts:SourceIdentity"] = ar.SourceIdentity
	}
	for _, t := range ar.Tags {
		r.Context["aws:RequestTag/"+t.Key] = t.Value
		r.Values["aws:TagKeys"] = append(r.Values["aws:TagKeys"], t.Key)
	}
	if len(ar.TransitiveTagKeys) > 0 {
		r.Values["sts:TransitiveTagKeys"] = ar.TransitiveTagKeys
	}
	needs := []authz.Request{r}
	if len(ar.Tags) > 0 {
		tag := r
		tag.Action = "sts:TagSession"
		needs = append(needs, tag)
	}
	if ar.SourceIdentity != "" {
		id := r
		id.Action = "sts:SetSourceIdentity"
		needs = append(needs, id)
	}
	return needs, nil
}

// GetCallerIdentity implements the contract.
func (s *Service) GetCallerIdentity(ctx context.Context, _ *api.GetCallerIdentityInput) (*api.GetCallerIdentityOutput, error) {
	p := call.From(ctx).Principal
	return &api.GetCallerIdentityOutput{UserId: p.ID, Account: p.Account, Arn: p.ARN}, nil
}

func invalid(format string, args ...any) error {
	return errs.Named(errs.Invalid, "ValidationError", format, args...)
}

// AssumeRole implements the contract. Whether the caller may was decided before, from what Authorize said.
func (s *Service) AssumeRole(ctx context.Context, in *api.AssumeRoleInput) (*api.AssumeRoleOutput, error) {
	caller := call.From(ctx).Principal
	if caller.Kind == call.Root {
		return nil, errs.Named(errs.Denied, "AccessDenied", "Roles may not be assumed by root accounts.")
	}
	switch {
	case in.SerialNumber != "" || in.TokenCode != "":
		return nil, errs.New(errs.Unsupported, "multi-factor devices are not offered")
	case len(in.ProvidedContexts) > 0:
		return nil, errs.New(errs.Unsupported, "provided contexts are not offered")
	}
	role, err := s.roles.Role(ctx, in.RoleArn)
	if err != nil {
		return nil, err
	}
	longest := role.MaxSession
	if caller.Session != nil && caller.Kind == call.AssumedRole {
		longest = min(longest, chained*time.Second)
	}
	length, err := duration(in.DurationSeconds, longest)
	if err != nil {
		return nil, err
	}
	now := s.cfg.Now().UTC()
	sess := &call.Session{Name: in.RoleSessionName, Created: now, Expires: now.Add(length), Identity: in.SourceIdentity}
	if sess.Identity == "" && caller.Session != nil {
		sess.Identity = caller.Session.Identity // it stays through a chain of roles
	}
	if caller.Session != nil && caller.Session.Identity != "" && in.SourceIdentity != "" && in.SourceIdentity != caller.Session.Identity {
		return nil, errs.Named(errs.Denied, "AccessDenied", "The source identity of a session cannot be changed.")
	}
	packed, err := narrow(sess, in.Policy, in.PolicyArns)
	if err != nil {
		return nil, err
	}
	tags, err := merge(role.Tags, in.Tags)
	if err != nil {
		return nil, err
	}
	if sess.Transitive, err = inherit(tags, &caller, in.Tags, in.TransitiveTagKeys); err != nil {
		return nil, err
	}
	p := principal(&role, sess, tags)
	c, err := session.Issue(ctx, s.ring, p)
	if err != nil {
		return nil, err
	}
	out := &api.AssumeRoleOutput{Credentials: credentials(c), AssumedRoleUser: &api.AssumedRoleUser{AssumedRoleId: p.ID, Arn: p.ARN}, SourceIdentity: sess.Identity}
	if packed > 0 {
		out.PackedPolicySize = aws.Ptr(int32(packed * 100 / packedPolicy))
	}
	return out, nil
}

// duration is how long a session lasts: an hour unless the caller says otherwise, never longer than the role's longest.
func duration(seconds *int32, longest time.Duration) (time.Duration, error) {
	if seconds == nil {
		return time.Hour, nil
	}
	d := time.Duration(*seconds) * time.Second
	if d > longest {
		return 0, invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	return d, nil
}

// principal is a session of a role.
func principal(role *authz.Role, sess *call.Session, tags map[string]string) call.Principal {
	return call.Principal{Kind: call.AssumedRole, ARN: "arn:aws:sts::" + role.Account + ":assumed-role/" + role.Name + "/" + sess.Name, ID: role.ID + ":" + sess.Name,
		Account: role.Account, Name: role.Name, RoleARN: role.ARN, Tags: tags, Session: sess}
}

// inherit lays the caller's transitive tags over a new session's, and returns the keys that go on from it (STS user guide, "Chaining roles with session
// tags"): what was inherited cannot be changed, and only tags that are passed can be made transitive.
func inherit(tags map[string]string, caller *call.Principal, passed []api.Tag, transitive []string) ([]string, error) {
	var out []string
	same := func(key string) func(api.Tag) bool {
		return func(t api.Tag) bool { return strings.EqualFold(t.Key, key) }
	}
	if caller.Session != nil {
		for _, key := range caller.Session.Transitive {
			if slices.ContainsFunc(passed, same(key)) {
				return nil, invalid("A session tag that is passed is inherited as a transitive tag: it cannot be changed.")
			}
			for have := range tags {
				if strings.EqualFold(have, key) {
					delete(tags, have)
				}
			}
			tags[key] = caller.Tags[key]
			out = append(out, key)
		}
	}
	if len(transitive) > maxTags {
		return nil, invalid("At most %d transitive tag keys can be passed.", maxTags)
	}
	for _, key := range transitive {
		at := slices.IndexFunc(passed, same(key))
		if at < 0 {
			return nil, invalid("A transitive tag key is not among the session tags that are passed.")
		}
		out = append(out, passed[at].Key)
	}
	return out, nil
}

// narrow puts session policies into a session; packed is their size.
func narrow(sess *call.Session, policy string, arns []api.PolicyDescriptorType) (packed int, err error) {
	if policy != "" {
		if _, err := authz.ParsePolicy(policy, authz.IdentityPolicy); err != nil {
			return 0, errs.Named(errs.Invalid, "MalformedPolicyDocument", "%s", errs.As(err).Message)
		}
		sess.Policies = []string{policy}
		packed = len(policy)
	}
	if len(arns) > 10 {
		return 0, invalid("At most 10 managed session policies can be passed.")
	}
	for _, a := range arns {
		if a.Arn == "" {
			return 0, invalid("A session policy has no ARN.")
		}
		sess.PolicyARNs = append(sess.PolicyARNs, a.Arn)
		packed += len(a.Arn)
	}
	if packed > packedPolicy {
		return 0, errs.Named(errs.TooLarge, "PackedPolicyTooLarge", "The session policies have %d characters, the most is %d.", packed, packedPolicy)
	}
	return packed, nil
}

// merge lays session tags over the role's: keys are the same without regard to case.
func merge(role map[string]string, tags []api.Tag) (map[string]string, error) {
	out := make(map[string]string, len(role)+len(tags))
	for k, v := range role {
		out[k] = v
	}
	seen := map[string]bool{}
	for _, t := range tags {
		lower := strings.ToLower(t.Key)
		if seen[lower] {
			return nil, invalid("A session tag is passed twice: keys are not distinguished by case.")
		}
		seen[lower] = true
		for k := range out {
			if strings.ToLower(k) == lower {
				delete(out, k)
			}
		}
		out[t.Key] = t.Value
	}
	if len(tags) > maxTags {
		return nil, invalid("At most %d session tags can be passed.", maxTags)
	}
	return out, nil
}

func credentials(c session.Credentials) *api.Credentials {
	return &api.Credentials{AccessKeyId: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.Token, Expiration: c.Expires.Truncate(time.Second)}
}

// GetSessionToken implements the contract for users and the root user, by their long-term credentials.
func (s *Service) GetSessionToken(ctx context.Context, in *api.GetSessionTokenInput) (*api.GetSessionTokenOutput, error) {
	p := call.From(ctx).Principal
	if p.Session != nil || (p.Kind != call.IAMUser && p.Kind != call.Root) {
		return nil, errs.Named(errs.Denied, "AccessDenied", "Cannot call GetSessionToken with session credentials")
	}
	if in.SerialNumber != "" || in.TokenCode != "" {
		return nil, errs.New(errs.Unsupported, "multi-factor devices are not offered")
	}
	seconds := int64(userSession)
	if in.DurationSeconds != nil {
		seconds = min(int64(*in.DurationSeconds), longestUser)
	}
	if p.Kind == call.Root {
		seconds = min(seconds, rootSession)
	}
	now := s.cfg.Now().UTC()
	p.Session = &call.Session{Created: now, Expires: now.Add(time.Duration(seconds) * time.Second)}
	c, err := session.Issue(ctx, s.ring, p)
	if err != nil {
		return nil, err
	}
	return &api.GetSessionTokenOutput{Credentials: credentials(c)}, nil
}
