package gosdk

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/galen-health/galen/test/galen"
)

func allow(action string) *string {
	return aws.String(fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"%s","Resource":"*"}]}`, action))
}

// document decodes a policy, which IAM answers percent-encoded.
func document(t *testing.T, p *string) string {
	t.Helper()
	s, err := url.QueryUnescape(*p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestIAM(t *testing.T) {
	t.Parallel()
	g := galen.Start(t)
	seen := newCalls()
	c := iam.NewFromConfig(config(g, seen))
	t.Run("users", func(t *testing.T) { iamUsers(t, g, c) })
	t.Run("groups", func(t *testing.T) { iamGroups(t, c) })
	t.Run("policies", func(t *testing.T) { iamPolicies(t, c) })
	t.Run("roles", func(t *testing.T) { iamRoles(t, c) })
	t.Run("OpenID providers", func(t *testing.T) { iamProviders(t, c) })
	t.Run("simulation", func(t *testing.T) { iamSimulation(t, c) })
	seen.all(t, "IAM", c)
}

func iamUsers(t *testing.T, g *galen.Server, c *iam.Client) {
	ctx := t.Context()
	name := aws.String("sdk-ida")
	must(c.CreateUser(ctx, &iam.CreateUserInput{UserName: name, Path: aws.String("/staff/"), Tags: []types.Tag{{Key: aws.String("ward"), Value: aws.String("7")}}}))(t)
	if err := iam.NewUserExistsWaiter(c).Wait(ctx, &iam.GetUserInput{UserName: name}, time.Minute); err != nil {
		t.Error(err)
	}
	_, err := c.CreateUser(ctx, &iam.CreateUserInput{UserName: name})
	refused[*types.EntityAlreadyExistsException](t, "a user twice", err, 409)
	must(c.TagUser(ctx, &iam.TagUserInput{UserName: name, Tags: []types.Tag{{Key: aws.String("shift"), Value: aws.String("night")}}}))(t)
	must(c.UntagUser(ctx, &iam.UntagUserInput{UserName: name, TagKeys: []string{"ward"}}))(t)
	for pages := iam.NewListUserTagsPaginator(c, &iam.ListUserTagsInput{UserName: name}); pages.HasMorePages(); {
		if tags := must(pages.NextPage(ctx))(t).Tags; len(tags) != 1 || *tags[0].Key != "shift" {
			t.Errorf("tags are %v", tags)
		}
	}
	for n := range 3 {
		must(c.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String(fmt.Sprint("sdk-page", n)), Path: aws.String("/paged/")}))(t)
	}
	var names []string
	for pages := iam.NewListUsersPaginator(c, &iam.ListUsersInput{PathPrefix: aws.String("/paged/"), MaxItems: aws.Int32(2)}); pages.HasMorePages(); {
		for _, u := range must(pages.NextPage(ctx))(t).Users {
			names = append(names, *u.UserName)
		}
	}
	if !slices.Equal(names, []string{"sdk-page0", "sdk-page1", "sdk-page2"}) {
		t.Errorf("users are %v", names)
	}

	key := must(c.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: name}))(t).AccessKey
	for pages := iam.NewListAccessKeysPaginator(c, &iam.ListAccessKeysInput{UserName: name}); pages.HasMorePages(); {
		if l := must(pages.NextPage(ctx))(t).AccessKeyMetadata; len(l) != 1 || *l[0].AccessKeyId != *key.AccessKeyId || l[0].Status != types.StatusTypeActive {
			t.Errorf("keys are %+v", l)
		}
	}
	cfg := config(g, newCalls())
	cfg.Credentials = static(*key.AccessKeyId, *key.SecretAccessKey, "")
	ida := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	list := func() error { _, err := ida.ListBuckets(ctx, &s3.ListBucketsInput{}); return err }
	coded(t, "without a policy", list(), "AccessDenied", 403)
	must(c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: name, PolicyName: aws.String("list"), PolicyDocument: allow("s3:ListAllMyBuckets")}))(t)
	if err := list(); err != nil {
		t.Errorf("with a policy: %v", err)
	}
	if p := must(c.GetUserPolicy(ctx, &iam.GetUserPolicyInput{UserName: name, PolicyName: aws.String("list")}))(t); document(t, p.PolicyDocument) != *allow("s3:ListAllMyBuckets") {
		t.Errorf("the policy is %s", document(t, p.PolicyDocument))
	}
	for pages := iam.NewListUserPoliciesPaginator(c, &iam.ListUserPoliciesInput{UserName: name}); pages.HasMorePages(); {
		if l := must(pages.NextPage(ctx))(t).PolicyNames; !slices.Equal(l, []string{"list"}) {
			t.Errorf("policies are %v", l)
		}
	}
	boundary := must(c.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("sdk-boundary"), PolicyDocument: allow("kms:*")}))(t).Policy.Arn
	must(c.PutUserPermissionsBoundary(ctx, &iam.PutUserPermissionsBoundaryInput{UserName: name, PermissionsBoundary: boundary}))(t)
	coded(t, "outside the boundary", list(), "AccessDenied", 403)
	must(c.DeleteUserPermissionsBoundary(ctx, &iam.DeleteUserPermissionsBoundaryInput{UserName: name}))(t)
	must(c.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: name, PolicyArn: boundary}))(t)
	for pages := iam.NewListAttachedUserPoliciesPaginator(c, &iam.ListAttachedUserPoliciesInput{UserName: name}); pages.HasMorePages(); {
		if l := must(pages.NextPage(ctx))(t).AttachedPolicies; len(l) != 1 || *l[0].PolicyArn != *boundary {
			t.Errorf("attached are %+v", l)
		}
	}
	must(c.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: name, AccessKeyId: key.AccessKeyId, Status: types.StatusTypeInactive}))(t)
	coded(t, "an inactive key", list(), "InvalidAccessKeyId", 403)
	_, err = c.DeleteUser(ctx, &iam.DeleteUserInput{UserName: name})
	refused[*types.DeleteConflictException](t, "a user with policies", err, 409)
	must(c.DetachUserPolicy(ctx, &iam.DetachUserPolicyInput{UserName: name, PolicyArn: boundary}))(t)
	must(c.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: name, PolicyName: aws.String("list")}))(t)
	must(c.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: name, AccessKeyId: key.AccessKeyId}))(t)
	must(c.DeleteUser(ctx, &iam.DeleteUserInput{UserName: name}))(t)
	_, err = c.GetUser(ctx, &iam.GetUserInput{UserName: name})
	refused[*types.NoSuchEntityException](t, "a deleted user", err, 404)
}

func iamGroups(t *testing.T, c *iam.Client) {
	ctx := t.Context()
	group, user := aws.String("sdk-nurses"), aws.String("sdk-nurse")
	must(c.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: group}))(t)
	must(c.CreateUser(ctx, &iam.CreateUserInput{UserName: user}))(t)
	must(c.AddUserToGroup(ctx, &iam.AddUserToGroupInput{GroupName: group, UserName: user}))(t)
	for pages := iam.NewGetGroupPaginator(c, &iam.GetGroupInput{GroupName: group}); pages.HasMorePages(); {
		if l := must(pages.NextPage(ctx))(t).Users; len(l) != 1 || *l[0].UserName != *user {
			t.Errorf("members are %+v", l)
		}
	}
	for pages := iam.NewListGroupsForUserPaginator(c, &iam.ListGroupsForUserInput{UserName: user}); pages.HasMorePages(); {
		if l := must(pages.NextPage(ctx))(t).Groups; len(l) != 1 || *l[0].GroupName != *group {
			t.Errorf("groups are %+v", l)
		}
	}
	n := 0
	for pages := iam.NewListGroupsPaginator(c, &iam.ListGroupsInput{}); pages.HasMorePages(); {
		n += len(must(pages.NextPage(ctx))(t).Groups)
	}
	if n != 1 {
		t.Errorf("%d groups, want 1", n)
	}
	must(c.PutGroupPolicy(ctx, &iam.PutGroupPolicyInput{GroupName: group, PolicyName: aws.String("p"), PolicyDocument: allow("s3:*")}))(t)
	if p := must(c.GetGroupPolicy(ctx, &iam.GetGroupPolicyInput{GroupName: group, PolicyName: aws.String("p")}))(t); document(t, p.PolicyDocument) != *allow("s3:*") {
		t.Errorf("the policy is %s", document(t, p.PolicyDocument))
	}
	arn := must(c.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("sdk-group"), PolicyDocument: allow("kms:*")}))(t).Policy.Arn
	must(c.AttachGroupPolicy(ctx, &iam.AttachGroupPolicyInput{GroupName: group, PolicyArn: arn}))(t)
	must(c.DetachGroupPolicy(ctx, &iam.DetachGroupPolicyInput{GroupName: group, PolicyArn: arn}))(t)
	must(c.DeleteGroupPolicy(ctx, &iam.DeleteGroupPolicyInput{GroupName: group, PolicyName: aws.String("p")}))(t)
	_, err := c.DeleteGroup(ctx, &iam.DeleteGroupInput{GroupName: group})
	refused[*types.DeleteConflictException](t, "a group with members", err, 409)
	must(c.RemoveUserFromGroup(ctx, &iam.RemoveUserFromGroupInput{GroupName: group, UserName: user}))(t)
	must(c.DeleteGroup(ctx, &iam.DeleteGroupInput{GroupName: group}))(t)
}

func iamPolicies(t *testing.T, c *iam.Client) {
	ctx := t.Context()
	arn := must(c.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("sdk-managed"), PolicyDocument: allow("s3:*"), Description: aws.String("d & <e>")}))(t).Policy.Arn
	if err := iam.NewPolicyExistsWaiter(c).Wait(ctx, &iam.GetPolicyInput{PolicyArn: arn}, time.Minute); err != nil {
		t.Error(err)
	}
	if p := must(c.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: arn}))(t).Policy; *p.Description != "d & <e>" || *p.DefaultVersionId != "v1" {
		t.Errorf("the policy is %+v", p)
	}
	must(c.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: arn, PolicyDocument: allow("kms:*")}))(t)
	must(c.SetDefaultPolicyVersion(ctx, &iam.SetDefaultPolicyVersionInput{PolicyArn: arn, VersionId: aws.String("v2")}))(t)
	if v := must(c.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: arn, VersionId: aws.String("v2")}))(t).PolicyVersion; !v.IsDefaultVersion || document(t, v.Document) != *allow("kms:*") {
		t.Errorf("the version is %+v", v)
	}
	n := 0
	for pages := iam.NewListPolicyVersionsPaginator(c, &iam.ListPolicyVersionsInput{PolicyArn: arn, MaxItems: aws.Int32(1)}); pages.HasMorePages(); {
		n += len(must(pages.NextPage(ctx))(t).Versions)
	}
	if n != 2 {
		t.Errorf("%d versions, want 2", n)
	}
	found := false
	for pages := iam.NewListPoliciesPaginator(c, &iam.ListPoliciesInput{Scope: types.PolicyScopeTypeLocal}); pages.HasMorePages(); {
		for _, p := range must(pages.NextPage(ctx))(t).Policies {
			found = found || *p.Arn == *arn
		}
	}
	if !found {
		t.Error("the policy is not listed")
	}
	_, err := c.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("sdk-bad"), PolicyDocument: aws.String("{}")})
	refused[*types.MalformedPolicyDocumentException](t, "an empty policy", err, 400)
	must(c.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: arn, VersionId: aws.String("v1")}))(t)
	must(c.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: arn}))(t)
	_, err = c.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: arn})
	refused[*types.NoSuchEntityException](t, "a deleted policy", err, 404)
}

func trusting(principal string) *string {
	return aws.String(fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"%s"},"Action":"sts:AssumeRole"}]}`, principal))
}

func iamRoles(t *testing.T, c *iam.Client) {
	ctx := t.Context()
	name := aws.String("sdk-role")
	root := "arn:aws:iam::" + galen.Account + ":root"
	must(c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: trusting(root), MaxSessionDuration: aws.Int32(7200)}))(t)
	if err := iam.NewRoleExistsWaiter(c).Wait(ctx, &iam.GetRoleInput{RoleName: name}, time.Minute); err != nil {
		t.Error(err)
	}
	must(c.TagRole(ctx, &iam.TagRoleInput{RoleName: name, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}, {Key: aws.String("c"), Value: aws.String("d")}}}))(t)
	must(c.UntagRole(ctx, &iam.UntagRoleInput{RoleName: name, TagKeys: []string{"a"}}))(t)
	for pages := iam.NewListRoleTagsPaginator(c, &iam.ListRoleTagsInput{RoleName: name}); pages.HasMorePages(); {
		if tags := must(pages.NextPage(ctx))(t).Tags; len(tags) != 1 || *tags[0].Key != "c" {
			t.Errorf("tags are %v", tags)
		}
	}
	must(c.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: name, PolicyName: aws.String("p"), PolicyDocument: allow("s3:*")}))(t)
	if p := must(c.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: name, PolicyName: aws.String("p")}))(t); document(t, p.PolicyDocument) != *allow("s3:*") {
		t.Errorf("the policy is %s", document(t, p.PolicyDocument))
	}
	for pages := iam.NewListRolePoliciesPaginator(c, &iam.ListRolePoliciesInput{RoleName: name}); pages.HasMorePages(); {
		if l := must(pages.NextPage(ctx))(t).PolicyNames; !slices.Equal(l, []string{"p"}) {
			t.Errorf("policies are %v", l)
		}
	}
	arn := must(c.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("sdk-role"), PolicyDocument: allow("kms:*")}))(t).Policy.Arn
	must(c.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: name, PolicyArn: arn}))(t)
	for pages := iam.NewListAttachedRolePoliciesPaginator(c, &iam.ListAttachedRolePoliciesInput{RoleName: name}); pages.HasMorePages(); {
		if l := must(pages.NextPage(ctx))(t).AttachedPolicies; len(l) != 1 || *l[0].PolicyArn != *arn {
			t.Errorf("attached are %+v", l)
		}
	}
	must(c.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: name, PermissionsBoundary: arn}))(t)
	must(c.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: name, PolicyDocument: trusting(galen.Account)}))(t)
	if r := must(c.GetRole(ctx, &iam.GetRoleInput{RoleName: name}))(t).Role; *r.PermissionsBoundary.PermissionsBoundaryArn != *arn || !strings.Contains(document(t, r.AssumeRolePolicyDocument), galen.Account) {
		t.Errorf("the role is %+v", r)
	}
	must(c.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: name}))(t)
	n := 0
	for pages := iam.NewListRolesPaginator(c, &iam.ListRolesInput{}); pages.HasMorePages(); {
		n += len(must(pages.NextPage(ctx))(t).Roles)
	}
	if n == 0 {
		t.Error("no role is listed")
	}
	_, err := c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name})
	refused[*types.DeleteConflictException](t, "a role with policies", err, 409)
	must(c.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: name, PolicyArn: arn}))(t)
	must(c.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: name, PolicyName: aws.String("p")}))(t)
	must(c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name}))(t)
}

func iamSimulation(t *testing.T, c *iam.Client) {
	ctx := t.Context()
	for pages := iam.NewSimulateCustomPolicyPaginator(c, &iam.SimulateCustomPolicyInput{PolicyInputList: []string{*allow("s3:Get*")}, ActionNames: []string{"s3:GetObject", "s3:PutObject"}}); pages.HasMorePages(); {
		r := must(pages.NextPage(ctx))(t).EvaluationResults
		if len(r) != 2 || r[0].EvalDecision != types.PolicyEvaluationDecisionTypeAllowed || r[1].EvalDecision != types.PolicyEvaluationDecisionTypeImplicitDeny {
			t.Errorf("decisions are %+v", r)
		}
	}
	name := aws.String("sdk-simulated")
	arn := must(c.CreateUser(ctx, &iam.CreateUserInput{UserName: name}))(t).User.Arn
	must(c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: name, PolicyName: aws.String("p"), PolicyDocument: allow("omics:*")}))(t)
	for pages := iam.NewSimulatePrincipalPolicyPaginator(c, &iam.SimulatePrincipalPolicyInput{PolicySourceArn: arn, ActionNames: []string{"omics:GetReadSet"}}); pages.HasMorePages(); {
		if r := must(pages.NextPage(ctx))(t).EvaluationResults; len(r) != 1 || r[0].EvalDecision != types.PolicyEvaluationDecisionTypeAllowed {
			t.Errorf("decisions are %+v", r)
		}
	}
}

func TestSTS(t *testing.T) {
	t.Parallel()
	g := galen.Start(t, "--allow-host", "127.0.0.1") // the outside OpenID provider lives there
	ctx := t.Context()
	seen := newCalls()
	c := sts.NewFromConfig(config(g, seen))
	root := "arn:aws:iam::" + galen.Account + ":root"
	if me := must(c.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}))(t); *me.Arn != root || *me.Account != galen.Account {
		t.Errorf("root is %s in %s", *me.Arn, *me.Account)
	}
	users := iam.NewFromConfig(config(g, newCalls()))
	name := aws.String("sdk-assumer")
	user := must(users.CreateUser(ctx, &iam.CreateUserInput{UserName: name}))(t).User
	must(users.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: name, PolicyName: aws.String("p"), PolicyDocument: allow("sts:*")}))(t)
	key := must(users.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: name}))(t).AccessKey
	role := must(users.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("sdk-assumed"), AssumeRolePolicyDocument: trusting(*user.Arn)}))(t).Role
	must(users.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: role.RoleName, PolicyName: aws.String("p"), PolicyDocument: allow("s3:ListAllMyBuckets")}))(t)

	as := func(id, secret, token string) aws.Config {
		cfg := config(g, seen)
		cfg.Credentials = static(id, secret, token)
		return cfg
	}
	assumer := sts.NewFromConfig(as(*key.AccessKeyId, *key.SecretAccessKey, ""))
	session := must(assumer.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: role.Arn, RoleSessionName: aws.String("suite"), DurationSeconds: aws.Int32(900)}))(t).Credentials
	if left := time.Until(*session.Expiration); left < 14*time.Minute || left > 16*time.Minute {
		t.Errorf("the session ends in %s, want 15 minutes", left)
	}
	cfg := as(*session.AccessKeyId, *session.SecretAccessKey, *session.SessionToken)
	if me := must(sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}))(t); *me.Arn != "arn:aws:sts::"+galen.Account+":assumed-role/sdk-assumed/suite" {
		t.Errorf("the session is %s", *me.Arn)
	}
	must(s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true }).ListBuckets(ctx, &s3.ListBucketsInput{}))(t)
	_, err := iam.NewFromConfig(cfg).ListUsers(ctx, &iam.ListUsersInput{})
	coded(t, "what the role may not", err, "AccessDenied", 403)

	temp := must(assumer.GetSessionToken(ctx, &sts.GetSessionTokenInput{DurationSeconds: aws.Int32(900)}))(t).Credentials
	if me := must(sts.NewFromConfig(as(*temp.AccessKeyId, *temp.SecretAccessKey, *temp.SessionToken)).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}))(t); *me.Arn != *user.Arn {
		t.Errorf("the session is %s, want the user", *me.Arn)
	}
	_, err = sts.NewFromConfig(as(*temp.AccessKeyId, *temp.SecretAccessKey, "")).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	coded(t, "a session without its token", err, "InvalidClientTokenId", 403)
	_, err = assumer.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: aws.String(*role.Arn + "x"), RoleSessionName: aws.String("suite")})
	coded(t, "an absent role", err, "AccessDenied", 403)
	_, err = assumer.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: role.Arn, RoleSessionName: aws.String("suite"), Policy: aws.String("{}")})
	refused[*ststypes.MalformedPolicyDocumentException](t, "a session policy that is none", err, 400)
	stsWebIdentity(t, g, users, c)
	seen.all(t, "STS", c)
}
