package authz_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
)

// TestDocumentedExamples are the example policies of AWS's documentation, each with the outcomes that the page around it states. Names are changed to those of
// this account; the page is named in each group.
func TestDocumentedExamples(t *testing.T) {
	user := func(name string, tags map[string]string) call.Principal {
		return call.Principal{Kind: call.IAMUser, ARN: "arn:aws:iam::" + acct + ":user/" + name, ID: "AIDA" + name + "00000000000", Account: acct, Name: name, Tags: tags}
	}
	bob, alice := user("Bob", nil), user("Alice", nil)
	root := call.Principal{Kind: call.Root, ARN: "arn:aws:iam::" + acct + ":root", ID: acct, Account: acct}
	audit := func(session string) call.Principal {
		return call.Principal{Kind: call.AssumedRole, ARN: "arn:aws:sts::" + acct + ":assumed-role/read-only/" + session, ID: "AROAREADONLY00000:" + session, Account: acct, Name: "read-only", RoleARN: "arn:aws:iam::" + acct + ":role/read-only"}
	}
	all := doc(`{"Effect":"Allow","Action":"*","Resource":"*"}`)
	june := time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
	type question struct {
		who      call.Principal
		action   string
		on       string
		keys     map[string]string
		many     map[string][]string
		edit     func(*call.Call)
		allowed  bool
		identity string // when it is not the group's
	}
	for _, group := range []struct {
		page, identity, boundary, resource string
		questions                          []question
	}{
		{"NotPrincipal with Deny: all but the user Bob and the account", all, "", doc(`{"Effect":"Deny","NotPrincipal":{"AWS":["` + bob.ARN + `","` + root.ARN + `"]},"Action":"s3:*","Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"]}`), []question{
			{who: bob, action: "s3:GetObject", on: "arn:aws:s3:::bucket/k", allowed: true},
			{who: root, action: "s3:GetObject", on: "arn:aws:s3:::bucket/k", allowed: true},
			{who: alice, action: "s3:GetObject", on: "arn:aws:s3:::bucket/k"},
			{who: audit("app"), action: "s3:GetObject", on: "arn:aws:s3:::bucket/k"},
		}},
		{"NotPrincipal with Deny: Bob alone, so his account is denied and he with it", all, "", doc(`{"Effect":"Deny","NotPrincipal":{"AWS":"` + bob.ARN + `"},"Action":"s3:*","Resource":"*"}`), []question{
			{who: bob, action: "s3:GetObject", on: "arn:aws:s3:::bucket/k"},
		}},
		{"NotPrincipal with Deny: one session of a role, with its role and account", all, "", doc(`{"Effect":"Deny","NotPrincipal":{"AWS":["` + audit("app").ARN + `","` + audit("app").RoleARN + `","` + root.ARN + `"]},"Action":"s3:*","Resource":"*"}`), []question{
			{who: audit("app"), action: "s3:GetObject", on: "arn:aws:s3:::bucket/k", allowed: true},
			{who: audit("other"), action: "s3:GetObject", on: "arn:aws:s3:::bucket/k"},
			{who: bob, action: "s3:GetObject", on: "arn:aws:s3:::bucket/k"},
		}},
		{"Permissions boundaries: delegating user creation, the boundary must be set", doc(`{"Sid":"CreateOrChangeOnlyWithBoundary","Effect":"Allow","Action":["iam:AttachUserPolicy","iam:CreateUser","iam:PutUserPermissionsBoundary"],"Resource":"*","Condition":{"StringEquals":{"iam:PermissionsBoundary":"arn:aws:iam::` + acct + `:policy/XCompanyBoundaries"}}},{"Sid":"NoBoundaryUserDelete","Effect":"Deny","Action":"iam:DeleteUserPermissionsBoundary","Resource":"*"}`), doc(`{"Effect":"Allow","Action":["iam:*","s3:*"],"Resource":"*"}`), "", []question{
			{who: bob, action: "iam:CreateUser", on: "*", keys: map[string]string{"iam:PermissionsBoundary": "arn:aws:iam::" + acct + ":policy/XCompanyBoundaries"}, allowed: true},
			{who: bob, action: "iam:CreateUser", on: "*", keys: map[string]string{"iam:PermissionsBoundary": "arn:aws:iam::" + acct + ":policy/Other"}},
			{who: bob, action: "iam:CreateUser", on: "*"},
			{who: bob, action: "iam:DeleteUserPermissionsBoundary", on: "*", keys: map[string]string{"iam:PermissionsBoundary": "arn:aws:iam::" + acct + ":policy/XCompanyBoundaries"}},
		}},
		{"Permissions boundaries: ShirleyRodriguez may S3 and IAM by her policy, S3 and others by her boundary", doc(`{"Effect":"Allow","Action":"iam:CreateUser","Resource":"*"}`), doc(`{"Effect":"Allow","Action":["s3:*","cloudwatch:*","ec2:*"],"Resource":"*"}`), "", []question{
			{who: alice, action: "iam:CreateUser", on: "*"},
			{who: alice, action: "s3:CreateBucket", on: "*"},
		}},
		{"ABAC: the resource's tag is the principal's", doc(`{"Effect":"Allow","Action":"secretsmanager:*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/access-project":"${aws:PrincipalTag/access-project}"},"ForAllValues:StringEquals":{"aws:TagKeys":["access-project","name"]},"StringEqualsIfExists":{"aws:RequestTag/access-project":"${aws:PrincipalTag/access-project}"}}}`), "", "", []question{
			{who: user("peg", map[string]string{"access-project": "peg"}), action: "secretsmanager:GetSecretValue", on: "*", keys: map[string]string{"aws:ResourceTag/access-project": "peg"}, allowed: true},
			{who: user("uni", map[string]string{"access-project": "uni"}), action: "secretsmanager:GetSecretValue", on: "*", keys: map[string]string{"aws:ResourceTag/access-project": "peg"}},
			{who: user("peg", map[string]string{"access-project": "peg"}), action: "secretsmanager:TagResource", on: "*", keys: map[string]string{"aws:ResourceTag/access-project": "peg", "aws:RequestTag/access-project": "uni"}, many: map[string][]string{"aws:TagKeys": {"access-project"}}},
			{who: user("peg", map[string]string{"access-project": "peg"}), action: "secretsmanager:TagResource", on: "*", keys: map[string]string{"aws:ResourceTag/access-project": "peg"}, many: map[string][]string{"aws:TagKeys": {"cost"}}},
			{who: bob, action: "secretsmanager:GetSecretValue", on: "*", keys: map[string]string{"aws:ResourceTag/access-project": "peg"}},
		}},
		{"Home folders in S3 by user name", doc(`{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::bucket","Condition":{"StringLike":{"s3:prefix":["","home/","home/${aws:username}/*"]}}},{"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::bucket/home/${aws:username}","arn:aws:s3:::bucket/home/${aws:username}/*"]}`), "", "", []question{
			{who: bob, action: "s3:PutObject", on: "arn:aws:s3:::bucket/home/Bob/x", allowed: true},
			{who: bob, action: "s3:PutObject", on: "arn:aws:s3:::bucket/home/Alice/x"},
			{who: bob, action: "s3:ListBucket", on: "arn:aws:s3:::bucket", keys: map[string]string{"s3:prefix": "home/Bob/2026"}, allowed: true},
			{who: bob, action: "s3:ListBucket", on: "arn:aws:s3:::bucket", keys: map[string]string{"s3:prefix": "home/Alice/"}},
			{who: bob, action: "s3:ListBucket", on: "arn:aws:s3:::bucket", keys: map[string]string{"s3:prefix": ""}, allowed: true},
			{who: audit("app"), action: "s3:PutObject", on: "arn:aws:s3:::bucket/home/Bob/x"},
		}},
		{"Deny by region, global services aside", doc(`{"Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"DenyAllOutsideRequestedRegions","Effect":"Deny","NotAction":["cloudfront:*","iam:*","route53:*","support:*"],"Resource":"*","Condition":{"StringNotEquals":{"aws:RequestedRegion":["eu-central-1","eu-west-1"]}}}`), "", "", []question{
			{who: bob, action: "iam:CreateUser", on: "*", allowed: true},
			{who: bob, action: "omics:StartRun", on: "*"},
		}},
		{"Deny by source address, calls that a service makes for the caller aside", doc(`{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":["192.0.2.0/24","203.0.113.0/24"]},"Bool":{"aws:ViaAWSService":"false"}}}`), "", "", []question{
			{who: bob, action: "s3:GetObject", on: "*", edit: func(c *call.Call) { c.Source = netip.MustParseAddr("203.0.113.9") }, allowed: true},
			{who: bob, action: "s3:GetObject", on: "*", edit: func(c *call.Call) { c.Source = netip.MustParseAddr("198.51.100.1") }},
			{who: bob, action: "s3:GetObject", on: "*", edit: func(c *call.Call) { c.Source, c.Via = netip.MustParseAddr("198.51.100.1"), "athena.amazonaws.com" }, allowed: true},
		}},
		{"Deny without a second factor: BoolIfExists catches long-term keys, Bool does not", doc(`{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","NotAction":"iam:ListMFADevices","Resource":"*","Condition":{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}}`), "", "", []question{
			{who: bob, action: "s3:GetObject", on: "*"},
			{who: bob, action: "iam:ListMFADevices", on: "*", allowed: true},
			{who: bob, action: "s3:GetObject", on: "*", identity: doc(`{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"false"}}}`), allowed: true},
		}},
		{"aws:CalledVia: only by way of a service", doc(`{"Effect":"Allow","Action":"kms:GenerateDataKey","Resource":"*","Condition":{"ForAnyValue:StringEquals":{"aws:CalledVia":["athena.amazonaws.com"]}}}`), "", "", []question{
			{who: bob, action: "kms:GenerateDataKey", on: "*", edit: func(c *call.Call) { c.Via = "athena.amazonaws.com" }, allowed: true},
			{who: bob, action: "kms:GenerateDataKey", on: "*", edit: func(c *call.Call) { c.Via = "s3.amazonaws.com" }},
			{who: bob, action: "kms:GenerateDataKey", on: "*"},
		}},
		{"Date operators: within June", doc(`{"Effect":"Allow","Action":"service:action","Resource":"*","Condition":{"DateGreaterThan":{"aws:CurrentTime":"2026-06-01T00:00:00Z"},"DateLessThan":{"aws:CurrentTime":"2026-06-30T23:59:59Z"}}}`), "", "", []question{
			{who: bob, action: "service:action", on: "*", allowed: true},
			{who: bob, action: "service:action", on: "*", edit: func(c *call.Call) { c.Time = june.AddDate(0, 1, 0) }},
		}},
		{"Multivalued keys: ForAllValues and ForAnyValue over requested attributes", doc(`{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"*","Condition":{"ForAllValues:StringEquals":{"dynamodb:Attributes":["ID","Message","Tags"]}}},{"Effect":"Deny","Action":"dynamodb:PutItem","Resource":"*","Condition":{"ForAnyValue:StringEquals":{"dynamodb:Attributes":["ID","PostDateTime"]}}},{"Effect":"Allow","Action":"dynamodb:PutItem","Resource":"*"}`), "", "", []question{
			{who: bob, action: "dynamodb:GetItem", on: "*", many: map[string][]string{"dynamodb:Attributes": {"ID", "Tags"}}, allowed: true},
			{who: bob, action: "dynamodb:GetItem", on: "*", many: map[string][]string{"dynamodb:Attributes": {"ID", "UserName"}}},
			{who: bob, action: "dynamodb:PutItem", on: "*", many: map[string][]string{"dynamodb:Attributes": {"Message", "PostDateTime"}}},
			{who: bob, action: "dynamodb:PutItem", on: "*", many: map[string][]string{"dynamodb:Attributes": {"Message"}}, allowed: true},
		}},
		{"Trust of a service for one resource (confused deputy)", "", "", doc(`{"Effect":"Allow","Principal":{"Service":"healthlake.amazonaws.com"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"` + acct + `"},"ArnLike":{"aws:SourceArn":"arn:aws:healthlake:us-east-1:` + acct + `:datastore/fhir/*"}}}`), []question{
			{who: call.Principal{Kind: call.AWSService, ARN: "healthlake.amazonaws.com"}, action: "sts:AssumeRole", on: "arn:aws:iam::" + acct + ":role/r", keys: map[string]string{"aws:SourceAccount": acct, "aws:SourceArn": "arn:aws:healthlake:us-east-1:" + acct + ":datastore/fhir/1"}, allowed: true},
			{who: call.Principal{Kind: call.AWSService, ARN: "healthlake.amazonaws.com"}, action: "sts:AssumeRole", on: "arn:aws:iam::" + acct + ":role/r", keys: map[string]string{"aws:SourceAccount": "111111111111", "aws:SourceArn": "arn:aws:healthlake:us-east-1:111111111111:datastore/fhir/1"}},
			{who: call.Principal{Kind: call.AWSService, ARN: "omics.amazonaws.com"}, action: "sts:AssumeRole", on: "arn:aws:iam::" + acct + ":role/r", keys: map[string]string{"aws:SourceAccount": acct, "aws:SourceArn": "arn:aws:healthlake:us-east-1:" + acct + ":datastore/fhir/1"}},
		}},
		{"A bucket policy for another account: both sides", doc(`{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::production/*"}`), "", doc(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::production/*"}`), []question{
			{who: callers[3], action: "s3:GetObject", on: "arn:aws:s3:::production/k", allowed: true},
			{who: callers[3], action: "s3:PutObject", on: "arn:aws:s3:::production/k"},
			{who: callers[3], action: "s3:GetObject", on: "arn:aws:s3:::production/k", identity: doc(`{"Effect":"Allow","Action":"omics:*","Resource":"*"}`)},
			{who: callers[3], action: "s3:GetObject", on: "arn:aws:s3:::other/k", identity: all},
		}},
	} {
		for i, q := range group.questions {
			dir := directory{boundary: group.boundary}
			identity := group.identity
			if q.identity != "" {
				identity = q.identity
			}
			if identity != "" {
				dir.identity = []authz.Policy{{Name: "p", Document: identity}}
			}
			r := authz.Request{Action: q.action, Resource: q.on, Context: q.keys, Values: q.many}
			if group.resource != "" {
				r.ResourcePolicies = []string{group.resource}
			}
			c := &call.Call{Principal: q.who, Time: june}
			if q.edit != nil {
				q.edit(c)
			}
			if d := authz.New(dir, acct, "us-east-1").Decide(context.Background(), c, r); d.Allowed != q.allowed {
				t.Errorf("%s, question %d: %+v, want allowed %v", group.page, i, d, q.allowed)
			}
		}
	}
}
