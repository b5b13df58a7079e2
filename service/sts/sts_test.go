package sts_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/sts"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/authz/session"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/service/sts"
)

const acct = "000000000000"

var (
	alice = call.Principal{Kind: call.IAMUser, ARN: "arn:aws:iam::" + acct + ":user/alice", ID: "AIDA1", Account: acct, Name: "alice"}
	root  = call.Principal{Kind: call.Root, ARN: "arn:aws:iam::" + acct + ":root", ID: acct, Account: acct}
)

const roleARN = "arn:aws:iam::" + acct + ":role/clinic"

type account struct {
	trust    string
	identity []authz.Policy
}

func (a account) Role(_ context.Context, arn string) (authz.Role, error) {
	if arn != roleARN {
		return authz.Role{}, errs.New(errs.NotFound, "no role")
	}
	return authz.Role{ARN: arn, ID: "AROA1", Name: "clinic", Account: acct, Trust: a.trust, Tags: map[string]string{"Team": "red"}, MaxSession: 2 * time.Hour}, nil
}
func (a account) Credential(context.Context, string, string) (authz.Credential, error) {
	return authz.Credential{}, errs.New(errs.Unauthenticated, "none")
}
func (a account) Policies(context.Context, call.Principal) ([]authz.Policy, string, error) {
	return a.identity, "", nil
}

func open(t *testing.T, a account) (*sts.Service, *keyring.Ring) {
	t.Helper()
	r, err := keyring.Open(t.TempDir(), nil, keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return sts.New(sts.Config{Account: acct}, r, a), r
}

func as(p call.Principal) context.Context {
	return call.With(context.Background(), &call.Call{Principal: p})
}

// assume takes the road of the edge: what the operation needs is checked, then it runs.
func assume(s *sts.Service, a account, p call.Principal, in *api.AssumeRoleInput) (*api.AssumeRoleOutput, error) {
	ctx := as(p)
	needs, err := s.Authorize(ctx, "AssumeRole", in)
	if err != nil {
		return nil, err
	}
	for _, n := range needs {
		if err := authz.New(a, acct, "us-east-1").Check(ctx, n); err != nil {
			return nil, err
		}
	}
	return s.AssumeRole(ctx, in)
}

func trust(principal, action, condition string) string {
	if condition != "" {
		condition = `,"Condition":` + condition
	}
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + principal + `"},"Action":` + action + condition + `}]}`
}

func TestWhoMayAssume(t *testing.T) {
	mayAll := []authz.Policy{{Name: "p", Document: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:*","Resource":"*"}]}`}}
	all := `["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]`
	for _, c := range []struct {
		name string
		acc  account
		who  call.Principal
		in   api.AssumeRoleInput
		want errs.Code
	}{
		{"the trust policy names the user", account{trust: trust(alice.ARN, all, "")}, alice, api.AssumeRoleInput{}, -1},
		{"it names another", account{trust: trust("arn:aws:iam::"+acct+":user/bob", all, ""), identity: mayAll}, alice, api.AssumeRoleInput{}, errs.Denied},
		{"it names the account, the user has no policy", account{trust: trust(acct, all, "")}, alice, api.AssumeRoleInput{}, errs.Denied},
		{"it names the account, the user may", account{trust: trust(acct, all, ""), identity: mayAll}, alice, api.AssumeRoleInput{}, -1},
		{"root may not assume roles", account{trust: trust("*", all, "")}, root, api.AssumeRoleInput{}, errs.Denied},
		{"the external id is missing", account{trust: trust(alice.ARN, all, `{"StringEquals":{"sts:ExternalId":"x1"}}`)}, alice, api.AssumeRoleInput{}, errs.Denied},
		{"the external id is right", account{trust: trust(alice.ARN, all, `{"StringEquals":{"sts:ExternalId":"x1"}}`)}, alice, api.AssumeRoleInput{ExternalId: "x1"}, -1},
		{"tags need TagSession", account{trust: trust(alice.ARN, `"sts:AssumeRole"`, "")}, alice, api.AssumeRoleInput{Tags: []api.Tag{{Key: "a", Value: "b"}}}, errs.Denied},
		{"tags with TagSession", account{trust: trust(alice.ARN, all, `{"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}}`)}, alice, api.AssumeRoleInput{Tags: []api.Tag{{Key: "a", Value: "b"}}}, -1},
		{"a source identity needs its action", account{trust: trust(alice.ARN, `"sts:AssumeRole"`, "")}, alice, api.AssumeRoleInput{SourceIdentity: "me"}, errs.Denied},
		{"session name in the trust policy", account{trust: trust(alice.ARN, all, `{"StringLike":{"sts:RoleSessionName":"${aws:username}-*"}}`)}, alice, api.AssumeRoleInput{RoleSessionName: "alice-1"}, -1},
		{"no such role", account{trust: trust("*", all, ""), identity: mayAll}, alice, api.AssumeRoleInput{RoleArn: roleARN + "x"}, errs.Denied},
		{"too long", account{trust: trust(alice.ARN, all, "")}, alice, api.AssumeRoleInput{DurationSeconds: aws.Ptr(int32(7201))}, errs.Invalid},
		{"bad session policy", account{trust: trust(alice.ARN, all, "")}, alice, api.AssumeRoleInput{Policy: "{}"}, errs.Invalid},
		{"large session policies", account{trust: trust(alice.ARN, all, "")}, alice, api.AssumeRoleInput{PolicyArns: []api.PolicyDescriptorType{{Arn: strings.Repeat("a", 2000)}, {Arn: strings.Repeat("b", 200)}}}, errs.TooLarge},
		{"a transitive tag that is not passed", account{trust: trust(alice.ARN, all, "")}, alice, api.AssumeRoleInput{TransitiveTagKeys: []string{"a"}}, errs.Invalid},
		{"a transitive tag", account{trust: trust(alice.ARN, all, `{"ForAllValues:StringEquals":{"sts:TransitiveTagKeys":["a"]}}`)}, alice, api.AssumeRoleInput{Tags: []api.Tag{{Key: "a", Value: "b"}}, TransitiveTagKeys: []string{"a"}}, -1},
		{"a transitive tag that the trust policy forbids", account{trust: trust(alice.ARN, all, `{"ForAllValues:StringEquals":{"sts:TransitiveTagKeys":["z"]}}`)}, alice, api.AssumeRoleInput{Tags: []api.Tag{{Key: "a", Value: "b"}}, TransitiveTagKeys: []string{"a"}}, errs.Denied},
	} {
		s, _ := open(t, c.acc)
		if c.in.RoleArn == "" {
			c.in.RoleArn = roleARN
		}
		if c.in.RoleSessionName == "" {
			c.in.RoleSessionName = "s1"
		}
		_, err := assume(s, c.acc, c.who, &c.in)
		if c.want == -1 && err != nil || c.want != -1 && !errs.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestSessionOfARole(t *testing.T) {
	a := account{trust: trust(alice.ARN, `"sts:*"`, "")}
	s, ring := open(t, a)
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`
	out, err := assume(s, a, alice, &api.AssumeRoleInput{RoleArn: roleARN, RoleSessionName: "s1", DurationSeconds: aws.Ptr(int32(900)), Policy: policy, PolicyArns: []api.PolicyDescriptorType{{Arn: "arn:p"}},
		Tags: []api.Tag{{Key: "TEAM", Value: "blue"}, {Key: "x", Value: "y"}}, SourceIdentity: "alice@clinic"})
	if err != nil {
		t.Fatal(err)
	}
	if out.AssumedRoleUser.Arn != "arn:aws:sts::"+acct+":assumed-role/clinic/s1" || out.AssumedRoleUser.AssumedRoleId != "AROA1:s1" || out.SourceIdentity != "alice@clinic" || *out.PackedPolicySize <= 0 {
		t.Errorf("output %+v", out)
	}
	c := out.Credentials
	got, err := session.Open(context.Background(), ring, c.AccessKeyId, c.SessionToken, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p := got.Principal
	if got.Secret != c.SecretAccessKey || p.Tags["TEAM"] != "blue" || p.Tags["Team"] != "" || p.Tags["x"] != "y" || p.Session.Policies[0] != policy || p.Session.PolicyARNs[0] != "arn:p" || p.Session.Identity != "alice@clinic" || p.RoleARN != roleARN {
		t.Errorf("principal %+v, session %+v", p, p.Session)
	}
	if left := time.Until(p.Session.Expires); left > 15*time.Minute || left < 14*time.Minute {
		t.Errorf("it lasts %v, want 15 minutes", left)
	}
	if _, err := session.Open(context.Background(), ring, c.AccessKeyId, c.SessionToken, time.Now().Add(15*time.Minute)); errs.As(err).Name != "ExpiredToken" {
		t.Errorf("after its end: %v", err)
	}
	// A role's session that assumes a role again gets an hour at most and keeps its source identity.
	chain := account{trust: trust(roleARN, `"sts:*"`, "")}
	s, _ = open(t, chain)
	if _, err := assume(s, chain, p, &api.AssumeRoleInput{RoleArn: roleARN, RoleSessionName: "s2", DurationSeconds: aws.Ptr(int32(3601))}); !errs.Is(err, errs.Denied) && !errs.Is(err, errs.Invalid) {
		t.Errorf("a chained session of more than an hour: %v", err)
	}
	p.Session.Policies, p.Session.PolicyARNs = nil, nil
	out, err = s.AssumeRole(as(p), &api.AssumeRoleInput{RoleArn: roleARN, RoleSessionName: "s2"})
	if err != nil || out.SourceIdentity != "alice@clinic" {
		t.Errorf("chained: %+v, %v", out, err)
	}
	if _, err = s.AssumeRole(as(p), &api.AssumeRoleInput{RoleArn: roleARN, RoleSessionName: "s2", SourceIdentity: "other"}); !errs.Is(err, errs.Denied) {
		t.Errorf("another source identity: %v", err)
	}
	id, err := s.GetCallerIdentity(as(p), &api.GetCallerIdentityInput{})
	if err != nil || *id != (api.GetCallerIdentityOutput{UserId: "AROA1:s1", Account: acct, Arn: p.ARN}) {
		t.Errorf("identity %+v, %v", id, err)
	}
	if _, err := s.GetSessionToken(as(p), &api.GetSessionTokenInput{}); !errs.Is(err, errs.Denied) {
		t.Errorf("GetSessionToken of a session: %v", err)
	}
}

func TestGetSessionToken(t *testing.T) {
	s, ring := open(t, account{})
	for _, c := range []struct {
		who  call.Principal
		in   *int32
		want time.Duration
	}{{alice, nil, 12 * time.Hour}, {alice, aws.Ptr(int32(900)), 15 * time.Minute}, {root, aws.Ptr(int32(90000)), time.Hour}} {
		out, err := s.GetSessionToken(as(c.who), &api.GetSessionTokenInput{DurationSeconds: c.in})
		if err != nil {
			t.Fatal(err)
		}
		got, err := session.Open(context.Background(), ring, out.Credentials.AccessKeyId, out.Credentials.SessionToken, time.Now())
		if err != nil || got.Principal.ARN != c.who.ARN || got.Principal.Session.Expires.Sub(got.Principal.Session.Created) != c.want {
			t.Errorf("%s: %+v, %v", c.who.ARN, got.Principal, err)
		}
	}
}
