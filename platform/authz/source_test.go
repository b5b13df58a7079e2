package authz_test

import (
	"context"
	"testing"

	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
)

// A decision names the kind of policy, the policy, the statement and the effect.
func TestDecidingStatement(t *testing.T) {
	const (
		all    = `{"Sid":"All","Effect":"Allow","Action":"*","Resource":"*"}`
		reads  = `{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}`
		denies = `{"Sid":"NoDrops","Effect":"Deny","Action":["s3:Delete*","kms:Delete*"],"Resource":"*"}`
		opens  = `{"Sid":"Ward","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + acct + `:user/alice"},"Action":"*","Resource":"*"}`
		shuts  = `{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}`
	)
	root := call.Principal{Kind: call.Root, ARN: "arn:aws:iam::" + acct + ":root", ID: acct, Account: acct}
	narrowed := callers[2]
	narrowed.Session = &call.Session{Name: "s1", Policies: []string{doc(reads)}}
	for name, c := range map[string]struct {
		identity, boundary, resource string
		who                          call.Principal
		action                       string
		mustAllow                    bool
		want                         string // effect source policy statement
	}{
		"an allow":                     {identity: all, who: callers[0], action: "s3:GetObject", want: "Allow identity own All"},
		"the second statement":         {identity: reads + "," + all, who: callers[0], action: "s3:PutObject", want: "Allow identity own All"},
		"without a Sid":                {identity: denies + "," + reads, who: callers[0], action: "s3:GetObject", want: "Allow identity own 1"},
		"a deny":                       {identity: all + "," + denies, who: callers[0], action: "s3:DeleteObject", want: "Deny identity own NoDrops"},
		"nothing":                      {identity: reads, who: callers[0], action: "s3:PutObject", want: "ImplicitDeny identity  "},
		"a boundary lacks it":          {identity: all, boundary: reads, who: callers[0], action: "s3:PutObject", want: "ImplicitDeny boundary permissions boundary "},
		"a boundary denies":            {identity: all, boundary: all + "," + denies, who: callers[0], action: "s3:DeleteObject", want: "Deny boundary permissions boundary NoDrops"},
		"a session policy lacks it":    {identity: all, who: narrowed, action: "s3:PutObject", want: "ImplicitDeny session session policy "},
		"the bucket allows":            {resource: opens, who: callers[0], action: "s3:GetObject", want: "Allow resource resource policy Ward"},
		"the bucket denies":            {identity: all, resource: shuts, who: callers[0], action: "s3:GetObject", want: "Deny resource resource policy 0"},
		"the key allows":               {resource: opens, who: callers[0], action: "kms:Decrypt", mustAllow: true, want: "Allow key resource policy Ward"},
		"the key says nothing":         {identity: all, resource: opens, who: callers[1], action: "kms:Decrypt", mustAllow: true, want: "ImplicitDeny key  "},
		"root":                         {who: root, action: "s3:GetObject", want: "Allow root root "},
		"a policy that cannot be read": {identity: `{"Effect":"Sometimes"}`, who: callers[0], action: "s3:GetObject", want: "Deny identity own "},
	} {
		d := directory{}
		if c.identity != "" {
			d.identity = []authz.Policy{{Name: "own", Document: doc(c.identity)}}
		}
		if c.boundary != "" {
			d.boundary = doc(c.boundary)
		}
		r := authz.Request{Action: c.action, Resource: "arn:aws:s3:::ward/a", ResourceMustAllow: c.mustAllow}
		if c.resource != "" {
			r.ResourcePolicies = []string{doc(c.resource)}
		}
		got := authz.New(d, acct, "us-east-1").Decide(context.Background(), &call.Call{Principal: c.who}, r)
		if s := got.Effect() + " " + string(got.Source) + " " + got.Policy + " " + got.Statement; s != c.want {
			t.Errorf("%s: %q, want %q (%s)", name, s, c.want, got.Reason)
		}
	}
}
