package iam

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// simulation is what both simulators have in common. The evaluator is the one that decides real requests.
type simulation struct {
	identity  []authz.Policy
	boundary  string
	principal call.Principal
	actions   []string
	resources []string
	policy    string // resource policy
	entries   []api.ContextEntry
	marker    string
	max       *int32
}

// The simulation is the directory of its evaluator.
func (x *simulation) Credential(context.Context, string, string) (authz.Credential, error) {
	return authz.Credential{}, errs.New(errs.Unauthenticated, "a simulation has no credentials")
}

func (x *simulation) Policies(context.Context, call.Principal) ([]authz.Policy, string, error) {
	return x.identity, x.boundary, nil
}

// maxSimulated bounds actions times resources.
const maxSimulated = 10_000

func (s *Service) simulate(ctx context.Context, x *simulation) (out []api.EvaluationResult, truncated *bool, next string, err error) {
	if len(x.resources) == 0 {
		x.resources = []string{"*"}
	}
	if len(x.actions)*len(x.resources) > maxSimulated {
		return nil, nil, "", errInput("At most %d pairs of actions and resources can be simulated at once.", maxSimulated)
	}
	for _, p := range x.identity {
		if _, err := authz.ParsePolicy(p.Document, authz.IdentityPolicy); err != nil {
			return nil, nil, "", errInput("%s: %s", p.Name, errs.As(err).Message)
		}
	}
	if x.boundary != "" {
		if _, err := authz.ParsePolicy(x.boundary, authz.IdentityPolicy); err != nil {
			return nil, nil, "", errInput("The permissions boundary: %s", errs.As(err).Message)
		}
	}
	if x.policy != "" {
		if _, err := authz.ParsePolicy(x.policy, authz.ResourcePolicy); err != nil {
			return nil, nil, "", errInput("The resource policy: %s", errs.As(err).Message)
		}
	}
	first := 0
	if x.marker != "" {
		if first, err = strconv.Atoi(x.marker); err != nil || first < 0 {
			return nil, nil, "", errs.Named(errs.Invalid, "ValidationError", "Invalid Marker.")
		}
	}
	eval := authz.New(x, s.cfg.Account, "us-east-1")
	c, keys := x.call(s.cfg.Now())
	n := 0
	for _, action := range x.actions {
		for _, resource := range x.resources {
			if n++; n <= first {
				continue
			}
			if len(out) == size(x.max) {
				return out, aws.Ptr(true), strconv.Itoa(n - 1), nil
			}
			r := authz.Request{Action: action, Resource: resource, Values: keys}
			if x.policy != "" {
				r.ResourcePolicies = []string{x.policy}
			}
			out = append(out, result(eval.Decide(ctx, c, r), r, x))
		}
	}
	return out, aws.Ptr(false), "", nil
}

// call makes the request that is simulated: a few global keys are part of it, the rest are plain condition keys.
func (x *simulation) call(now time.Time) (*call.Call, map[string][]string) {
	c := &call.Call{Principal: x.principal, Time: now}
	keys := map[string][]string{}
	for _, e := range x.entries {
		one := ""
		if len(e.ContextKeyValues) == 1 {
			one = e.ContextKeyValues[0]
		}
		switch strings.ToLower(e.ContextKeyName) {
		case "aws:sourceip":
			c.Source, _ = netip.ParseAddr(one)
		case "aws:securetransport":
			c.Secure = strings.EqualFold(one, "true")
		case "aws:currenttime":
			if t, err := time.Parse(time.RFC3339, one); err == nil {
				c.Time = t
			}
		case "aws:useragent":
			c.UserAgent = one
		default:
			keys[e.ContextKeyName] = e.ContextKeyValues
		}
	}
	return c, keys
}

func result(d authz.Decision, r authz.Request, x *simulation) api.EvaluationResult {
	out := api.EvaluationResult{EvalActionName: r.Action, EvalResourceName: r.Resource, EvalDecision: api.PolicyEvaluationDecisionTypeImplicitDeny, MatchedStatements: []api.Statement{}, MissingContextValues: []string{}}
	switch {
	case d.Allowed:
		out.EvalDecision = api.PolicyEvaluationDecisionTypeAllowed
	case d.Explicit:
		out.EvalDecision = api.PolicyEvaluationDecisionTypeExplicitDeny
	}
	if d.Statement != "" {
		out.MatchedStatements = append(out.MatchedStatements, api.Statement{SourcePolicyId: d.Policy})
	}
	if x.boundary != "" {
		out.PermissionsBoundaryDecisionDetail = &api.PermissionsBoundaryDecisionDetail{AllowedByPermissionsBoundary: aws.Ptr(d.Policy != "permissions boundary")}
	}
	return out
}

// SimulateCustomPolicy implements the contract.
func (s *Service) SimulateCustomPolicy(ctx context.Context, in *api.SimulateCustomPolicyInput) (*api.SimulateCustomPolicyOutput, error) {
	x := &simulation{actions: in.ActionNames, resources: in.ResourceArns, policy: in.ResourcePolicy, entries: in.ContextEntries, marker: in.Marker, max: in.MaxItems}
	for i, d := range in.PolicyInputList {
		x.identity = append(x.identity, authz.Policy{Name: "PolicyInputList." + strconv.Itoa(i+1), Document: d})
	}
	if err := x.limits(in.PermissionsBoundaryPolicyInputList, len(in.OrderedOrganizationPolicyInputList)); err != nil {
		return nil, err
	}
	x.principal = call.Principal{Kind: call.IAMUser, ARN: s.arn("user", "/", "simulated"), ID: "AIDASIMULATED", Account: s.cfg.Account, Name: "simulated"}
	if in.CallerArn != "" {
		if !strings.HasPrefix(in.CallerArn, s.arn("user", "/", "")) {
			return nil, errInput("CallerArn must be the ARN of a user of this account.")
		}
		x.principal.ARN, x.principal.Name = in.CallerArn, in.CallerArn[strings.LastIndexByte(in.CallerArn, '/')+1:]
	}
	out := &api.SimulateCustomPolicyOutput{}
	var err error
	out.EvaluationResults, out.IsTruncated, out.Marker, err = s.simulate(ctx, x)
	return out, err
}

// limits takes at most one boundary, as IAM does, and no organization policies, which this account has none of.
func (x *simulation) limits(boundaries []string, organization int) error {
	switch {
	case organization > 0:
		return errs.New(errs.Unsupported, "organization policies are not simulated: this account belongs to no organization")
	case len(boundaries) > 1:
		return errInput("At most one permissions boundary can be simulated.")
	case len(boundaries) == 1:
		x.boundary = boundaries[0]
	}
	return nil
}

// SimulatePrincipalPolicy implements the contract for users, groups and roles.
func (s *Service) SimulatePrincipalPolicy(ctx context.Context, in *api.SimulatePrincipalPolicyInput) (*api.SimulatePrincipalPolicyOutput, error) {
	if len(in.PolicyExclusionList) > 0 {
		return nil, errs.New(errs.Unsupported, "PolicyExclusionList is not offered: simulate the other policies with SimulateCustomPolicy")
	}
	x := &simulation{actions: in.ActionNames, resources: in.ResourceArns, policy: in.ResourcePolicy, entries: in.ContextEntries, marker: in.Marker, max: in.MaxItems}
	err := s.view(ctx, func(v record.View) error {
		i, k, err := s.source(v, in.PolicySourceArn)
		if err != nil {
			return err
		}
		x.identity, x.boundary, err = documents(v, i)
		x.principal = call.Principal{Kind: call.IAMUser, ARN: i.ARN, ID: i.ID, Account: s.cfg.Account, Name: i.Name, Tags: i.tagMap()}
		if k.word == roles.word {
			x.principal.Kind, x.principal.RoleARN, x.principal.ARN, x.principal.ID = call.AssumedRole, i.ARN, "arn:aws:sts::"+s.cfg.Account+":assumed-role/"+i.Name+"/simulated", i.ID+":simulated"
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, d := range in.PolicyInputList {
		x.identity = append(x.identity, authz.Policy{Name: "PolicyInputList." + strconv.Itoa(i+1), Document: d})
	}
	if err := x.limits(in.PermissionsBoundaryPolicyInputList, 0); err != nil {
		return nil, err
	}
	out := &api.SimulatePrincipalPolicyOutput{}
	out.EvaluationResults, out.IsTruncated, out.Marker, err = s.simulate(ctx, x)
	return out, err
}

// source finds the identity of an ARN.
func (s *Service) source(v record.View, arn string) (*identity, kind, error) {
	for _, k := range []kind{users, groups, roles} {
		if strings.HasPrefix(arn, s.arn(k.word, "/", "")) {
			i, _, err := k.get(v, arn[strings.LastIndexByte(arn, '/')+1:])
			if err == nil && i.ARN == arn {
				return i, k, nil
			}
			if err != nil && !absent(err) {
				return nil, k, err
			}
		}
	}
	return nil, kind{}, errs.Named(errs.NotFound, "NoSuchEntity", "The entity %s cannot be found.", arn)
}
