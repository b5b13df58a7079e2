package authz_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
)

func doc(statement string) string { return `{"Version":"2012-10-17","Statement":[` + statement + `]}` }

// Situations of the IAM user guide (policy evaluation logic, condition operators, policy variables), one each.
func TestDocumentedSituations(t *testing.T) {
	alice, session, root, service := callers[0], callers[2], callers[4], callers[5]
	allowAll := doc(`{"Effect":"Allow","Action":"*","Resource":"*"}`)
	readS3 := doc(`{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}`)
	key := "arn:aws:kms:us-east-1:" + acct + ":key/1"
	with := func(p call.Principal, s call.Session) call.Principal { p.Session = &s; return p }
	for _, c := range []struct {
		name               string
		who                call.Principal
		identity, boundary string
		resource           string // resource policy
		must               bool
		action, on         string
		keys               map[string]string
		many               map[string][]string
		edit               func(*call.Call)
		want               bool
		reason             string
	}{
		{name: "credentials of GetSessionToken do not call IAM", who: with(alice, call.Session{}), identity: allowAll, action: "iam:CreateUser", on: "*", reason: "GetSessionToken"},
		{name: "credentials of GetSessionToken call the rest", who: with(alice, call.Session{}), identity: allowAll, action: "s3:GetObject", on: "*", want: true},
		{name: "a role's session calls IAM", who: with(session, call.Session{}), identity: allowAll, action: "iam:CreateUser", on: "*", want: true},
		{name: "default is deny", who: alice, action: "s3:GetObject", on: "arn:aws:s3:::b/k", reason: "no identity-based policy"},
		{name: "identity allows", who: alice, identity: readS3, action: "s3:GetObject", on: "arn:aws:s3:::b/k", want: true},
		{name: "actions ignore case", who: alice, identity: doc(`{"Effect":"Allow","Action":"S3:gEtObject","Resource":"*"}`), action: "s3:GetObject", on: "arn:aws:s3:::b/k", want: true},
		{name: "resources do not ignore case", who: alice, identity: doc(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::B/k"}`), action: "s3:GetObject", on: "arn:aws:s3:::b/k"},
		{name: "explicit deny wins over allow", who: alice, identity: doc(`{"Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"No","Effect":"Deny","Action":"s3:*","Resource":"*"}`), action: "s3:GetObject", on: "arn:aws:s3:::b/k", reason: "explicit deny in an identity-based"},
		{name: "explicit deny in the resource policy", who: alice, identity: allowAll, resource: doc(`{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}`), action: "s3:GetObject", on: "arn:aws:s3:::b/k", reason: "explicit deny in a resource-based"},
		{name: "root may", who: root, action: "s3:GetObject", on: "arn:aws:s3:::b/k", want: true},
		{name: "root obeys a bucket policy's deny", who: root, resource: doc(`{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*"}`), action: "s3:GetObject", on: "arn:aws:s3:::b/k"},
		{name: "resource policy alone, user named", who: alice, resource: doc(`{"Effect":"Allow","Principal":{"AWS":"` + alice.ARN + `"},"Action":"s3:*","Resource":"*"}`), action: "s3:GetObject", on: "arn:aws:s3:::b/k", want: true},
		{name: "resource policy names the account: the identity must allow", who: alice, resource: doc(`{"Effect":"Allow","Principal":{"AWS":"` + acct + `"},"Action":"s3:*","Resource":"*"}`), action: "s3:GetObject", on: "arn:aws:s3:::b/k"},
		{name: "boundary limits", who: alice, identity: allowAll, boundary: readS3, action: "s3:PutObject", on: "arn:aws:s3:::b/k", reason: "no permissions boundary"},
		{name: "boundary alone gives nothing", who: alice, boundary: allowAll, action: "s3:PutObject", on: "arn:aws:s3:::b/k"},
		{name: "user named in the resource policy passes the boundary", who: alice, boundary: readS3, resource: doc(`{"Effect":"Allow","Principal":{"AWS":"` + alice.ARN + `"},"Action":"s3:*","Resource":"*"}`), action: "s3:PutObject", on: "arn:aws:s3:::b/k", want: true},
		{name: "role named in the resource policy stays in the boundary", who: session, boundary: readS3, resource: doc(`{"Effect":"Allow","Principal":{"AWS":"` + session.RoleARN + `"},"Action":"s3:*","Resource":"*"}`), action: "s3:PutObject", on: "arn:aws:s3:::b/k"},
		{name: "session named in the resource policy passes the boundary", who: session, boundary: readS3, resource: doc(`{"Effect":"Allow","Principal":{"AWS":"` + session.ARN + `"},"Action":"s3:*","Resource":"*"}`), action: "s3:PutObject", on: "arn:aws:s3:::b/k", want: true},
		{name: "session policy limits the role", who: with(session, call.Session{Policies: []string{readS3}}), identity: allowAll, action: "s3:PutObject", on: "arn:aws:s3:::b/k", reason: "no session policy"},
		{name: "session policies add up", who: with(session, call.Session{Policies: []string{readS3, doc(`{"Effect":"Allow","Action":"s3:Put*","Resource":"*"}`)}}), identity: allowAll, action: "s3:PutObject", on: "arn:aws:s3:::b/k", want: true},
		{name: "session policy that is gone allows nothing", who: with(session, call.Session{PolicyARNs: []string{"arn:aws:iam::" + acct + ":policy/gone"}}), identity: allowAll, action: "s3:PutObject", on: "arn:aws:s3:::b/k"},
		{name: "key policy must allow", who: alice, identity: allowAll, must: true, action: "kms:Decrypt", on: key, reason: "no resource-based"},
		{name: "root needs the key policy too", who: root, must: true, action: "kms:Decrypt", on: key},
		{name: "key policy enables identity policies", who: alice, identity: allowAll, must: true, resource: doc(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + acct + `:root"},"Action":"kms:*","Resource":"*"}`), action: "kms:Decrypt", on: key, want: true},
		{name: "key policy for the account is not enough", who: alice, must: true, resource: doc(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + acct + `:root"},"Action":"kms:*","Resource":"*"}`), action: "kms:Decrypt", on: key},
		{name: "cross-account needs both sides", who: callers[3], identity: allowAll, action: "omics:GetRun", on: "arn:aws:omics:us-east-1:" + acct + ":run/1"},
		{name: "cross-account with both sides", who: callers[3], identity: allowAll, resource: doc(`{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"*","Resource":"*"}`), action: "omics:GetRun", on: "arn:aws:omics:us-east-1:" + acct + ":run/1", want: true},
		{name: "service named", who: service, must: true, resource: doc(`{"Effect":"Allow","Principal":{"Service":"omics.amazonaws.com"},"Action":"sts:AssumeRole"}`), action: "sts:AssumeRole", on: session.RoleARN, want: true},
		{name: "other service", who: service, must: true, resource: doc(`{"Effect":"Allow","Principal":{"Service":"healthlake.amazonaws.com"},"Action":"sts:AssumeRole"}`), action: "sts:AssumeRole", on: session.RoleARN},
		{name: "everyone of AWS is not a service", who: service, must: true, resource: doc(`{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}`), action: "sts:AssumeRole", on: session.RoleARN},
		{name: "nobody", action: "s3:GetObject", on: "*", resource: doc(`{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}`), reason: "nobody"},
		{name: "NotAction with Deny", who: alice, identity: doc(`{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","NotAction":"iam:*","Resource":"*"}`), action: "s3:GetObject", on: "*"},
		{name: "NotPrincipal with Deny spares the named", who: alice, identity: allowAll, resource: doc(`{"Effect":"Deny","NotPrincipal":{"AWS":["` + alice.ARN + `","` + acct + `"]},"Action":"*","Resource":"*"}`), action: "s3:GetObject", on: "*", want: true},
		{name: "home folder by user name", who: alice, identity: doc(`{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::home/${aws:username}/*"}`), action: "s3:GetObject", on: "arn:aws:s3:::home/alice/x", want: true},
		{name: "another's home folder", who: alice, identity: doc(`{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::home/${aws:username}/*"}`), action: "s3:GetObject", on: "arn:aws:s3:::home/bob/x"},
		{name: "a variable without value matches nothing", who: session, identity: doc(`{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::home/${aws:username}/*"}`), action: "s3:GetObject", on: "arn:aws:s3:::home//x"},
		{name: "a variable's default", who: callers[1], identity: doc(`{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::t/${aws:PrincipalTag/team, 'company-wide'}/*"}`), action: "s3:GetObject", on: "arn:aws:s3:::t/company-wide/x", want: true},
		{name: "variables only in 2012-10-17", who: alice, identity: `{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::${aws:username}"}}`, action: "s3:GetObject", on: "arn:aws:s3:::alice"},
		{name: "a wildcard in a variable's value is none", who: call.Principal{Kind: call.IAMUser, ARN: "arn:aws:iam::" + acct + ":user/x", Account: acct, Name: "*"}, identity: doc(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::home/${aws:username}/x"}`), action: "s3:GetObject", on: "arn:aws:s3:::home/alice/x"},
		{name: "escaped star", who: alice, identity: doc(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::b/${*}"}`), action: "s3:GetObject", on: "arn:aws:s3:::b/k"},
		{name: "tags of the principal, keys ignore case", who: alice, identity: doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:principaltag/TEAM":"red"}}}`), action: "s3:GetObject", on: "*", want: true},
		{name: "source address", who: alice, identity: doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":["203.0.113.0/24"]}}}`), action: "s3:GetObject", on: "*", edit: func(c *call.Call) { c.Source = netip.MustParseAddr("::ffff:203.0.113.9") }, want: true},
		{name: "denied outside of the network", who: alice, identity: doc(`{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}}`), action: "s3:GetObject", on: "*", edit: func(c *call.Call) { c.Source = netip.MustParseAddr("198.51.100.1") }},
		{name: "only over TLS", who: alice, identity: doc(`{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`), action: "s3:GetObject", on: "*"},
		{name: "between two dates", who: alice, identity: doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"DateGreaterThan":{"aws:CurrentTime":"2026-04-01T00:00:00Z"},"DateLessThan":{"aws:CurrentTime":"2026-06-30T23:59:59Z"}}}`), action: "s3:GetObject", on: "*", want: true},
		{name: "epoch time", who: alice, identity: doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NumericLessThan":{"aws:EpochTime":"1000000000"}}}`), action: "s3:GetObject", on: "*"},
		{name: "numbers in conditions", who: alice, identity: doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NumericLessThanEquals":{"s3:max-keys":10}}}`), keys: map[string]string{"s3:max-keys": "10"}, action: "s3:ListBucket", on: "*", want: true},
		{name: "IfExists passes when absent", who: alice, identity: doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringLikeIfExists":{"ec2:InstanceType":["t1.*"]}}}`), action: "s3:GetObject", on: "*", want: true},
		{name: "IfExists holds when present", who: alice, identity: doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringLikeIfExists":{"ec2:InstanceType":["t1.*"]}}}`), keys: map[string]string{"ec2:InstanceType": "m4.large"}, action: "s3:GetObject", on: "*"},
		{name: "Null: long-term credentials", who: alice, identity: doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Null":{"aws:TokenIssueTime":"true"}}}`), action: "s3:GetObject", on: "*", want: true},
		{name: "ForAllValues: tags within a list", who: alice, identity: doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["env","team"]}}}`), many: map[string][]string{"aws:TagKeys": {"env", "team"}}, action: "s3:GetObject", on: "*", want: true},
		{name: "ForAllValues: one outside", who: alice, identity: doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["env","team"]}}}`), many: map[string][]string{"aws:TagKeys": {"env", "x"}}, action: "s3:GetObject", on: "*"},
		{name: "ForAllValues: none at all", who: alice, identity: doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["env"]}}}`), action: "s3:GetObject", on: "*", want: true},
		{name: "ForAnyValue: none at all", who: alice, identity: doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForAnyValue:StringEquals":{"aws:TagKeys":["env"]}}}`), action: "s3:GetObject", on: "*"},
		{name: "StringNotEquals with two values: neither", who: alice, identity: doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringNotEquals":{"k:s":["a","b"]}}}`), keys: map[string]string{"k:s": "b"}, action: "s3:GetObject", on: "*"},
		{name: "an ARN wildcard stays in its part", who: alice, identity: doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:omics:*:run/1"}}}`), keys: map[string]string{"aws:SourceArn": "arn:aws:omics:us-east-1:" + acct + ":run/1"}, action: "s3:GetObject", on: "*", reason: "cannot be read"},
		{name: "called through a service", who: alice, identity: doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForAnyValue:StringEquals":{"aws:CalledVia":["healthlake.amazonaws.com"]},"Bool":{"aws:ViaAWSService":"true"}}}`), edit: func(c *call.Call) { c.Via = "healthlake.amazonaws.com" }, action: "kms:Decrypt", on: "*", want: true},
		{name: "a service cannot say who calls", who: alice, identity: doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:username":"bob"}}}`), keys: map[string]string{"AWS:UserName": "bob"}, action: "s3:GetObject", on: "*"},
		{name: "an unreadable policy denies", who: alice, identity: allowAll, resource: `{"Statement":`, action: "s3:GetObject", on: "*", reason: "cannot be read"},
		{name: "principal type", who: alice, identity: doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalType":"User","aws:PrincipalAccount":"` + acct + `","aws:userid":"` + alice.ID + `","aws:ResourceAccount":"` + acct + `","aws:RequestedRegion":"us-east-1","aws:UserAgent":"ua"}}}`), edit: func(c *call.Call) { c.UserAgent = "ua" }, action: "s3:GetObject", on: "*", want: true},
	} {
		dir := directory{boundary: c.boundary}
		if c.identity != "" {
			dir.identity = []authz.Policy{{Name: "p", Document: c.identity}}
		}
		r := authz.Request{Action: c.action, Resource: c.on, Context: c.keys, Values: c.many, ResourceMustAllow: c.must}
		if c.resource != "" {
			r.ResourcePolicies = []string{c.resource}
		}
		req := &call.Call{Principal: c.who, Time: time.Date(2026, 6, 1, 10, 0, 0, 0, time.UTC)}
		if c.edit != nil {
			c.edit(req)
		}
		e := authz.New(dir, acct, "us-east-1")
		d := e.Decide(context.Background(), req, r)
		if d.Allowed != c.want || !strings.Contains(d.Reason, c.reason) {
			t.Errorf("%s: got %+v, want allowed %v because %q", c.name, d, c.want, c.reason)
		}
		err := e.Check(call.With(context.Background(), req), r)
		if (err == nil) != c.want || err != nil && !errs.Is(err, errs.Denied) {
			t.Errorf("%s: Check gives %v", c.name, err)
		}
	}
}

func TestDecidingStatementIsNamed(t *testing.T) {
	dir := directory{identity: []authz.Policy{{Name: "first", Document: doc(`{"Effect":"Allow","Action":"omics:*","Resource":"*"}`)},
		{Name: "arn:aws:iam::" + acct + ":policy/second", Document: doc(`{"Sid":"Read","Effect":"Allow","Action":"s3:Get*","Resource":"*"},{"Effect":"Deny","Action":"s3:Put*","Resource":"*"}`)}}}
	e := authz.New(dir, acct, "us-east-1")
	c := &call.Call{Principal: callers[0]}
	for action, want := range map[string][2]string{"s3:GetObject": {"arn:aws:iam::" + acct + ":policy/second", "Read"}, "s3:PutObject": {"arn:aws:iam::" + acct + ":policy/second", "1"}, "omics:GetRun": {"first", "0"}, "kms:Decrypt": {"", ""}} {
		d := e.Decide(context.Background(), c, authz.Request{Action: action, Resource: "*"})
		if got := [2]string{d.Policy, d.Statement}; got != want {
			t.Errorf("%s was decided by %q, want %q", action, got, want)
		}
	}
	err := e.Check(call.With(context.Background(), c), authz.Request{Action: "s3:PutObject", Resource: "arn:aws:s3:::b/k"})
	if got, want := errs.As(err).Message, "User: "+callers[0].ARN+" is not authorized to perform: s3:PutObject on resource: arn:aws:s3:::b/k with an explicit deny in an identity-based policy"; got != want {
		t.Errorf("message\n%s\nwant\n%s", got, want)
	}
	err = e.Check(call.With(context.Background(), c), authz.Request{Action: "kms:Decrypt", Resource: "*"})
	if got, want := errs.As(err).Message, "User: "+callers[0].ARN+" is not authorized to perform: kms:Decrypt on resource: * because no identity-based policy allows the kms:Decrypt action"; got != want {
		t.Errorf("message\n%s\nwant\n%s", got, want)
	}
}

func TestMalformedPolicies(t *testing.T) {
	id, res, trust := authz.IdentityPolicy, authz.ResourcePolicy, authz.TrustPolicy
	for _, c := range []struct {
		use  authz.Use
		text string
	}{
		{id, ``}, {id, `[]`}, {id, `{}`}, {id, `{"Statement":[]}`}, {id, `{"Version":"2013-01-01","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`},
		{id, doc(`{"Effect":"allow","Action":"*","Resource":"*"}`)}, {id, doc(`{"Action":"*","Resource":"*"}`)}, {id, doc(`{"Effect":"Allow","Resource":"*"}`)}, {id, doc(`{"Effect":"Allow","Action":"*"}`)},
		{id, doc(`{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}`)}, {id, doc(`{"Effect":"Allow","Action":"*","Resource":"*","NotResource":"*"}`)}, {id, doc(`{"Effect":"Allow","Action":[],"Resource":"*"}`)}, {id, doc(`{"Effect":"Allow","Action":"*","Resource":[]}`)},
		{id, doc(`{"Effect":"Allow","Action":"GetObject","Resource":"*"}`)}, {id, doc(`{"Effect":"Allow","Action":"*","Resource":"bucket"}`)}, {id, doc(`{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}`)}, {id, doc(`{"Effect":"Allow","Action":"*","Resource":"*","Extra":1}`)},
		{id, doc(`{"effect":"Allow","Action":"*","Resource":"*"}`)}, {id, doc(`{"Effect":"Allow","Effect":"Deny","Action":"*","Resource":"*"}`)}, {id, doc(`{"Effect":"Deny","Action":"*","action":"s3:*","Resource":"*"}`)},
		{id, doc(`{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"}`)},
		{id, doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringMatches":{"a:b":"c"}}}`)}, {id, doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"nokey":"c"}}}`)}, {id, doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"a:b":[]}}}`)},
		{id, doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"a:b":null}}}`)}, {id, doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"a:b":{"c":"d"}}}}`)}, {id, doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NumericEquals":{"a:b":"one"}}}`)},
		{id, doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"DateLessThan":{"a:b":"soon"}}}`)}, {id, doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"a:b":"10.0.0.300"}}}`)}, {id, doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"a:b":"yes"}}}`)},
		{id, doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NullIfExists":{"a:b":"true"}}}`)}, {id, doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Null":{"a:b":["true","false"]}}}`)}, {id, doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForEach:StringEquals":{"a:b":"c"}}}`)},
		{id, doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"BinaryEquals":{"a:b":"*"}}}`)}, {id, doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ArnEquals":{"a:b":"x"}}}`)}, {id, doc(`{"Effect":"Allow","Action":5,"Resource":"*"}`)}, {id, doc(`{"Effect":"Allow","Action":["s3:*",5],"Resource":"*"}`)},
		{res, doc(`{"Effect":"Allow","Action":"*","Resource":"*"}`)}, {res, doc(`{"Effect":"Allow","Principal":{},"Action":"*","Resource":"*"}`)}, {res, doc(`{"Effect":"Allow","Principal":{"AWS":[]},"Action":"*","Resource":"*"}`)}, {res, doc(`{"Effect":"Allow","Principal":{"Everyone":"*"},"Action":"*","Resource":"*"}`)}, {res, doc(`{"Effect":"Allow","Principal":"alice","Action":"*","Resource":"*"}`)},
		{res, doc(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/*"},"Action":"*","Resource":"*"}`)}, {res, doc(`{"Effect":"Allow","Principal":{"AWS":"alice"},"Action":"*","Resource":"*"}`)}, {res, doc(`{"Effect":"Allow","Principal":{"Service":"*"},"Action":"*","Resource":"*"}`)}, {res, doc(`{"Effect":"Allow","Principal":"*","NotPrincipal":"*","Action":"*","Resource":"*"}`)},
		{trust, doc(`{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}`)}, {trust, doc(`{"Effect":"Allow","Action":"sts:AssumeRole"}`)},
		{id, doc(strings.Repeat(`{"Effect":"Allow","Action":"*","Resource":"*"},`, 1100) + `{"Effect":"Allow","Action":"*","Resource":"*"}`)}, {id, doc(`{"Effect":"Allow","Action":"*","Resource":"` + strings.Repeat("*", 200<<10) + `"}`)},
	} {
		if _, err := authz.ParsePolicy(c.text, c.use); !errs.Is(err, errs.Invalid) {
			t.Errorf("%.120s: error = %v, want invalid", c.text, err)
		}
	}
}

// roleTable is a RoleSource.
type roleTable map[string]authz.Role

func (r roleTable) Role(_ context.Context, arn string) (authz.Role, error) {
	if x, ok := r[arn]; ok {
		return x, nil
	}
	return authz.Role{}, errs.New(errs.NotFound, "no role")
}

func TestRoles(t *testing.T) {
	arn := "arn:aws:iam::" + acct + ":role/path/import"
	store := "arn:aws:healthlake:us-east-1:" + acct + ":datastore/fhir/1"
	roles := roleTable{arn: {ARN: arn, ID: "AROAX", Name: "import", Account: acct, Tags: map[string]string{"a": "b"}, Trust: doc(`{"Effect":"Allow","Principal":{"Service":"healthlake.amazonaws.com"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"` + acct + `"},"ArnLikeIfExists":{"aws:SourceArn":"` + store + `"}}}`)}}
	dir := directory{identity: []authz.Policy{{Name: "pass", Document: doc(`{"Effect":"Allow","Action":"iam:PassRole","Resource":"` + arn + `","Condition":{"StringEquals":{"iam:PassedToService":"healthlake.amazonaws.com"}}},{"Effect":"Allow","Action":"iam:PassRole","Resource":"*","Condition":{"StringEquals":{"iam:PassedToService":"omics.amazonaws.com"}}}`)}}}
	r := authz.NewRoles(authz.New(dir, acct, "us-east-1"), roles)
	ctx := call.With(context.Background(), &call.Call{Principal: callers[0], RequestID: "r1"})
	for _, c := range []struct {
		ctx           context.Context
		role, service string
		ok            bool
	}{
		{ctx, arn, "healthlake.amazonaws.com", true},
		{authz.WithSource(ctx, store), arn, "healthlake.amazonaws.com", true},
		{authz.WithSource(ctx, store+"2"), arn, "healthlake.amazonaws.com", false},
		{ctx, arn, "omics.amazonaws.com", false},                  // may pass, but the role does not trust it
		{ctx, arn + "x", "healthlake.amazonaws.com", false},       // may not pass
		{ctx, arn + "x", "omics.amazonaws.com", false},            // does not exist
		{context.Background(), arn, "omics.amazonaws.com", false}, // nobody
	} {
		if err := r.Pass(c.ctx, c.role, c.service); (err == nil) != c.ok || err != nil && !errs.Is(err, errs.Denied) {
			t.Errorf("Pass(%s, %s) = %v, want ok %v", c.role, c.service, err, c.ok)
		}
	}
	as, err := r.As(ctx, arn, "healthlake.amazonaws.com", "import job/7")
	if err != nil {
		t.Fatal(err)
	}
	p := call.From(as).Principal
	if p.ARN != "arn:aws:sts::"+acct+":assumed-role/import/import-job-7" || p.Kind != call.AssumedRole || p.RoleARN != arn || p.ID != "AROAX:import-job-7" || p.Tags["a"] != "b" || call.From(as).RequestID != "r1" {
		t.Errorf("As gives %+v", call.From(as))
	}
	if _, err := r.As(ctx, arn, "omics.amazonaws.com", "s"); !errs.Is(err, errs.Denied) {
		t.Errorf("As of an untrusted service: %v", err)
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add(doc(`{"Sid":"x","Effect":"Allow","Principal":{"AWS":"*"},"Action":["s3:Get*"],"Resource":"arn:aws:s3:::${aws:username, 'x'}/*","Condition":{"ForAnyValue:StringLikeIfExists":{"aws:TagKeys":["a*",5,true]}}}`), "arn:aws:s3:::a/b")
	f.Add(doc(`{"Effect":"Deny","NotPrincipal":"*","NotAction":"*","NotResource":"*","Condition":{"Null":{"a:b":true},"ArnLike":{"a:c":"arn:aws:${a:b}:*:?:x"},"DateEquals":{"a:b":"2026"}}}`), "*")
	f.Fuzz(func(t *testing.T, text, resource string) {
		for _, use := range []authz.Use{authz.IdentityPolicy, authz.ResourcePolicy, authz.TrustPolicy} {
			if _, err := authz.ParsePolicy(text, use); err != nil && !errs.Is(err, errs.Invalid) {
				t.Fatalf("error %v is of another kind", err)
			}
		}
		e := authz.New(directory{identity: []authz.Policy{{Name: "p", Document: text}}}, acct, "r")
		c := &call.Call{Principal: callers[0]}
		d := e.Decide(context.Background(), c, authz.Request{Action: "s3:GetObject", Resource: resource, ResourcePolicies: []string{text}, Context: map[string]string{"a:b": "x", "a:c": resource}})
		if d.Allowed && d.Explicit {
			t.Fatal("allowed and explicitly denied")
		}
	})
}

// TestTagsAreAskedForWhenNamed: a look-up of the resource's tags is made for the policies that need it, and for no others.
func TestTagsAreAskedForWhenNamed(t *testing.T) {
	for text, want := range map[string]int{
		doc(`{"Effect":"Allow","Action":"*","Resource":"*"}`):                                                                                  0,
		doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"AWS:ResourceTag/Unit":"icu"}}}`):                      1,
		doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/Unit":"${aws:ResourceTag/UNIT}"}}}`): 1,
		doc(`{"Effect":"Allow","Action":"*","Resource":"*${aws:ResourceTag/Unit, '*'}*"}`):                                                     1,
	} {
		asked := 0
		e := authz.New(directory{identity: []authz.Policy{{Name: "p", Document: text}}}, acct, "us-east-1")
		p := callers[0]
		p.Tags = map[string]string{"Unit": "icu"}
		d := e.Decide(context.Background(), &call.Call{Principal: p}, authz.Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::icu", Tags: func() map[string]string { asked++; return map[string]string{"Unit": "icu"} }})
		if !d.Allowed || asked != want {
			t.Errorf("%s: %+v, asked %d times, want %d", text, d, asked, want)
		}
	}
}
