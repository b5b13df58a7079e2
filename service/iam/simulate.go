package iam

import (
	"context"
	"encoding/json"
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
	kind      api.PolicySourceType // of its inline policies
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
	region := "us-east-1"
	for _, e := range x.entries {
		if strings.EqualFold(e.ContextKeyName, "aws:RequestedRegion") && len(e.ContextKeyValues) == 1 {
			region = e.ContextKeyValues[0]
		}
	}
	eval := authz.New(x, s.cfg.Account, region)
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
			out = append(out, x.result(eval.Explain(ctx, c, r), r))
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

// result tells one decision: the statements that made it, and the keys that a real request would have to bring.
func (x *simulation) result(e authz.Explanation, r authz.Request) api.EvaluationResult {
	d := e.Decision
	out := api.EvaluationResult{EvalActionName: r.Action, EvalResourceName: r.Resource, EvalDecision: api.PolicyEvaluationDecisionTypeImplicitDeny, MatchedStatements: []api.Statement{}, MissingContextValues: append([]string{}, e.Missing...)}
	effect := ""
	switch {
	case d.Allowed:
		out.EvalDecision, effect = api.PolicyEvaluationDecisionTypeAllowed, "Allow"
	case d.Explicit:
		out.EvalDecision, effect = api.PolicyEvaluationDecisionTypeExplicitDeny, "Deny"
	}
	allowedThere, deniedThere := false, false
	for _, c := range e.Considered {
		if c.Source == "permissions boundary" && c.Matched {
			allowedThere, deniedThere = allowedThere || c.Effect == "Allow", deniedThere || c.Effect == "Deny"
		}
		if c.Matched && c.Index >= 0 && c.Effect == effect && c.Source != "permissions boundary" {
			out.MatchedStatements = append(out.MatchedStatements, x.statement(c))
		}
	}
	if x.boundary != "" {
		out.PermissionsBoundaryDecisionDetail = &api.PermissionsBoundaryDecisionDetail{AllowedByPermissionsBoundary: aws.Ptr(allowedThere && !deniedThere)}
	}
	return out
}

// statement says where a statement stands.
func (x *simulation) statement(c authz.Considered) api.Statement {
	out := api.Statement{SourcePolicyId: c.Policy, SourcePolicyType: x.kind}
	text := ""
	switch {
	case c.Source == "resource-based policy":
		out.SourcePolicyId, out.SourcePolicyType, text = "ResourcePolicy", api.PolicySourceTypeResource, x.policy
	case strings.HasPrefix(c.Policy, "arn:"):
		out.SourcePolicyType = api.PolicySourceTypeUserManaged
	case strings.HasPrefix(c.Policy, "group "):
		out.SourcePolicyType = api.PolicySourceTypeGroup
	case strings.HasPrefix(c.Policy, "PolicyInputList."):
		out.SourcePolicyType = api.PolicySourceTypeNone
	}
	for _, p := range x.identity {
		if text == "" && p.Name == c.Policy {
			text = p.Document
		}
	}
	if spans := statementSpans(text); c.Index < len(spans) {
		out.StartPosition, out.EndPosition = position(text, spans[c.Index][0]), position(text, spans[c.Index][1])
	}
	return out
}

// statementSpans are the offsets at which the statements of a policy begin and end.
func statementSpans(text string) (out [][2]int) {
	dec := json.NewDecoder(strings.NewReader(text))
	var raw json.RawMessage
	span := func() {
		if dec.Decode(&raw) == nil {
			end := int(dec.InputOffset())
			out = append(out, [2]int{end - len(raw), end})
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil
		}
		if name != "Statement" {
			if dec.Decode(&raw) != nil {
				return nil
			}
			continue
		}
		if rest := strings.TrimLeft(text[dec.InputOffset():], " \t\r\n:"); !strings.HasPrefix(rest, "[") {
			span()
			return out
		}
		if _, err := dec.Token(); err != nil {
			return nil
		}
		for dec.More() {
			before := len(out)
			if span(); len(out) == before {
				return out
			}
		}
		return out
	}
	return nil
}

func position(text string, offset int) *api.Position {
	head := text[:offset]
	return &api.Position{Line: aws.Ptr(int32(1 + strings.Count(head, "\n"))), Column: aws.Ptr(int32(offset - strings.LastIndexByte(head, '\n')))}
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
		x.kind = api.PolicySourceType(k.word)
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
