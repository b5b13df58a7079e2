package iam_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/authz/session"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record/pebble"
	"github.com/galen-health/galen/service/iam"
)

var ctx = context.Background()

const acct = "000000000000"

type fixture struct {
	*iam.Service
	eval *authz.Evaluator
	ring *keyring.Ring
	dir  string
	now  time.Time
}

func open(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir(), now: time.Now()}
	var err error
	if f.ring, err = keyring.Open(f.dir+"/keys", nil, keyring.Config{}); err != nil {
		t.Fatal(err)
	}
	s, err := pebble.Open(f.dir+"/records", f.ring, pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(); _ = f.ring.Close() })
	f.Service, err = iam.New(ctx, iam.Config{Account: acct, RootAccessKeyID: "AKIAROOT", RootSecret: "rootsecret", Now: func() time.Time { return f.now }}, s, f.ring)
	if err != nil {
		t.Fatal(err)
	}
	f.eval = authz.New(f.Service, acct, "us-east-1")
	return f
}

// must returns what an operation answered; it fails the test on an error.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantName(t *testing.T, err error, name string) {
	t.Helper()
	if e := errs.As(err); e == nil || e.Name != name {
		t.Errorf("error = %v, want %s", err, name)
	}
}

func allow(action, resource string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}]}`
}

const trustAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}`

// may asks the evaluator for the bearer of an access key.
func (f *fixture) may(t *testing.T, accessKeyID, action string) bool {
	t.Helper()
	c, err := f.Credential(ctx, accessKeyID, "")
	if err != nil {
		t.Fatal(err)
	}
	return f.eval.Decide(ctx, &call.Call{Principal: c.Principal}, authz.Request{Action: action, Resource: "*"}).Allowed
}

func TestUserWithKeyAndPolicies(t *testing.T) {
	f := open(t)
	u := must[*api.CreateUserOutput](t)(f.CreateUser(ctx, &api.CreateUserInput{UserName: "Alice", Path: "/lab/", Tags: []api.Tag{{Key: "team", Value: "red"}}})).User
	if u.Arn != "arn:aws:iam::"+acct+":user/lab/Alice" || !strings.HasPrefix(u.UserId, "AIDA") || len(u.UserId) != 20 || u.CreateDate.IsZero() {
		t.Errorf("user %+v", u)
	}
	_, err := f.CreateUser(ctx, &api.CreateUserInput{UserName: "aLICE"})
	wantName(t, err, "EntityAlreadyExists")
	_, err = f.GetUser(ctx, &api.GetUserInput{UserName: "alice"})
	wantName(t, err, "NoSuchEntity")

	k := must[*api.CreateAccessKeyOutput](t)(f.CreateAccessKey(ctx, &api.CreateAccessKeyInput{UserName: "Alice"})).AccessKey
	c, err := f.Credential(ctx, k.AccessKeyId, "")
	if err != nil || c.Secret != k.SecretAccessKey || c.Principal.ARN != u.Arn || c.Principal.Tags["team"] != "red" || c.Principal.Kind != call.IAMUser {
		t.Errorf("credential %+v, %v", c, err)
	}
	if f.may(t, k.AccessKeyId, "s3:GetObject") {
		t.Error("allowed without a policy")
	}
	must[*api.PutUserPolicyOutput](t)(f.PutUserPolicy(ctx, &api.PutUserPolicyInput{UserName: "Alice", PolicyName: "in", PolicyDocument: allow("s3:*", "*")}))
	if !f.may(t, k.AccessKeyId, "s3:GetObject") {
		t.Error("not allowed by the inline policy")
	}
	got := must[*api.GetUserPolicyOutput](t)(f.GetUserPolicy(ctx, &api.GetUserPolicyInput{UserName: "Alice", PolicyName: "in"}))
	if d, err := url.PathUnescape(got.PolicyDocument); err != nil || d != allow("s3:*", "*") || strings.ContainsAny(got.PolicyDocument, `{" +`) {
		t.Errorf("document %q", got.PolicyDocument)
	}
	_, err = f.PutUserPolicy(ctx, &api.PutUserPolicyInput{UserName: "Alice", PolicyName: "bad", PolicyDocument: `{"Statement":5}`})
	wantName(t, err, "MalformedPolicyDocument")
	_, err = f.PutUserPolicy(ctx, &api.PutUserPolicyInput{UserName: "Alice", PolicyName: "big", PolicyDocument: allow("s3:*", "arn:aws:s3:::"+strings.Repeat("x", 2000))})
	wantName(t, err, "LimitExceeded")
	_, err = f.GetUserPolicy(ctx, &api.GetUserPolicyInput{UserName: "Alice", PolicyName: "none"})
	wantName(t, err, "NoSuchEntity")
	_, err = f.DeleteUser(ctx, &api.DeleteUserInput{UserName: "Alice"})
	wantName(t, err, "DeleteConflict")
	must[*api.DeleteUserPolicyOutput](t)(f.DeleteUserPolicy(ctx, &api.DeleteUserPolicyInput{UserName: "Alice", PolicyName: "in"}))
	if f.may(t, k.AccessKeyId, "s3:GetObject") {
		t.Error("allowed after the policy was deleted")
	}

	p := must[*api.CreatePolicyOutput](t)(f.CreatePolicy(ctx, &api.CreatePolicyInput{PolicyName: "omics", Path: "/x/", PolicyDocument: allow("omics:*", "*")})).Policy
	must[*api.AttachUserPolicyOutput](t)(f.AttachUserPolicy(ctx, &api.AttachUserPolicyInput{UserName: "Alice", PolicyArn: p.Arn}))
	if !f.may(t, k.AccessKeyId, "omics:GetRun") || f.may(t, k.AccessKeyId, "s3:GetObject") {
		t.Error("the attached policy does not decide")
	}
	list := must[*api.ListAttachedUserPoliciesOutput](t)(f.ListAttachedUserPolicies(ctx, &api.ListAttachedUserPoliciesInput{UserName: "Alice"}))
	if len(list.AttachedPolicies) != 1 || list.AttachedPolicies[0] != (api.AttachedPolicy{PolicyArn: p.Arn, PolicyName: "omics"}) {
		t.Errorf("attached %+v", list)
	}
	b := must[*api.CreatePolicyOutput](t)(f.CreatePolicy(ctx, &api.CreatePolicyInput{PolicyName: "bound", PolicyDocument: allow("omics:Get*", "*")})).Policy
	must[*api.PutUserPermissionsBoundaryOutput](t)(f.PutUserPermissionsBoundary(ctx, &api.PutUserPermissionsBoundaryInput{UserName: "Alice", PermissionsBoundary: b.Arn}))
	if !f.may(t, k.AccessKeyId, "omics:GetRun") || f.may(t, k.AccessKeyId, "omics:StartRun") {
		t.Error("the boundary does not limit")
	}
	_, err = f.DeletePolicy(ctx, &api.DeletePolicyInput{PolicyArn: b.Arn})
	wantName(t, err, "DeleteConflict")
	must[*api.DeleteUserPermissionsBoundaryOutput](t)(f.DeleteUserPermissionsBoundary(ctx, &api.DeleteUserPermissionsBoundaryInput{UserName: "Alice"}))
	must[*api.DeletePolicyOutput](t)(f.DeletePolicy(ctx, &api.DeletePolicyInput{PolicyArn: b.Arn}))
	must[*api.DetachUserPolicyOutput](t)(f.DetachUserPolicy(ctx, &api.DetachUserPolicyInput{UserName: "Alice", PolicyArn: p.Arn}))
	_, err = f.DetachUserPolicy(ctx, &api.DetachUserPolicyInput{UserName: "Alice", PolicyArn: p.Arn})
	wantName(t, err, "NoSuchEntity")
	_, err = f.AttachUserPolicy(ctx, &api.AttachUserPolicyInput{UserName: "Alice", PolicyArn: "arn:aws:iam::aws:policy/AdministratorAccess"})
	wantName(t, err, "NoSuchEntity")

	_, err = f.DeleteUser(ctx, &api.DeleteUserInput{UserName: "Alice"})
	wantName(t, err, "DeleteConflict") // its access key
	must[*api.DeleteAccessKeyOutput](t)(f.DeleteAccessKey(ctx, &api.DeleteAccessKeyInput{UserName: "Alice", AccessKeyId: k.AccessKeyId}))
	must[*api.DeleteUserOutput](t)(f.DeleteUser(ctx, &api.DeleteUserInput{UserName: "Alice"}))
	if _, err := f.Credential(ctx, k.AccessKeyId, ""); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("the deleted key: %v", err)
	}
	// Another user of the same name does not inherit what the old one's sessions were.
	must[*api.CreateUserOutput](t)(f.CreateUser(ctx, &api.CreateUserInput{UserName: "Alice"}))
	if _, _, err := f.Policies(ctx, c.Principal); err == nil {
		t.Error("the old principal has policies again")
	}
}

func TestAccessKeys(t *testing.T) {
	f := open(t)
	must[*api.CreateUserOutput](t)(f.CreateUser(ctx, &api.CreateUserInput{UserName: "u"}))
	must[*api.CreateUserOutput](t)(f.CreateUser(ctx, &api.CreateUserInput{UserName: "v"}))
	self := call.With(ctx, &call.Call{Principal: call.Principal{Kind: call.IAMUser, Name: "u"}})
	first := must[*api.CreateAccessKeyOutput](t)(f.CreateAccessKey(self, &api.CreateAccessKeyInput{})).AccessKey
	must[*api.CreateAccessKeyOutput](t)(f.CreateAccessKey(ctx, &api.CreateAccessKeyInput{UserName: "u"}))
	_, err := f.CreateAccessKey(ctx, &api.CreateAccessKeyInput{UserName: "u"})
	wantName(t, err, "LimitExceeded")
	_, err = f.CreateAccessKey(ctx, &api.CreateAccessKeyInput{})
	wantName(t, err, "ValidationError")
	_, err = f.DeleteAccessKey(ctx, &api.DeleteAccessKeyInput{UserName: "v", AccessKeyId: first.AccessKeyId})
	wantName(t, err, "NoSuchEntity")
	must[*api.UpdateAccessKeyOutput](t)(f.UpdateAccessKey(ctx, &api.UpdateAccessKeyInput{UserName: "u", AccessKeyId: first.AccessKeyId, Status: api.StatusTypeInactive}))
	if _, err := f.Credential(ctx, first.AccessKeyId, ""); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("an inactive key: %v", err)
	}
	list := must[*api.ListAccessKeysOutput](t)(f.ListAccessKeys(ctx, &api.ListAccessKeysInput{UserName: "u"}))
	states := map[bool]api.StatusType{} // of the first key and of the other
	for _, k := range list.AccessKeyMetadata {
		states[k.AccessKeyId == first.AccessKeyId] = k.Status
	}
	if len(list.AccessKeyMetadata) != 2 || states[true] != api.StatusTypeInactive || states[false] != api.StatusTypeActive {
		t.Errorf("keys %+v", list)
	}
	for id, token := range map[string]string{"AKIANOBODY": "", "": "", "AKIAROOT": "x", "ASIAX": "", "root": ""} {
		if _, err := f.Credential(ctx, id, token); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("credential %q with token %q: %v", id, token, err)
		}
	}
	if c, err := f.Credential(ctx, "AKIAROOT", ""); err != nil || c.Secret != "rootsecret" || c.Principal.Kind != call.Root {
		t.Errorf("root: %+v, %v", c, err)
	}
	// The secret is in no file.
	err = filepath.WalkDir(f.dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		if err == nil && strings.Contains(string(b), first.SecretAccessKey) {
			t.Errorf("%s holds the secret", p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestGroups(t *testing.T) {
	f := open(t)
	must[*api.CreateUserOutput](t)(f.CreateUser(ctx, &api.CreateUserInput{UserName: "u"}))
	k := must[*api.CreateAccessKeyOutput](t)(f.CreateAccessKey(ctx, &api.CreateAccessKeyInput{UserName: "u"})).AccessKey
	must[*api.CreateGroupOutput](t)(f.CreateGroup(ctx, &api.CreateGroupInput{GroupName: "Staff"}))
	must[*api.PutGroupPolicyOutput](t)(f.PutGroupPolicy(ctx, &api.PutGroupPolicyInput{GroupName: "Staff", PolicyName: "p", PolicyDocument: allow("s3:*", "*")}))
	for range 2 { // twice is once
		must[*api.AddUserToGroupOutput](t)(f.AddUserToGroup(ctx, &api.AddUserToGroupInput{GroupName: "Staff", UserName: "u"}))
	}
	if !f.may(t, k.AccessKeyId, "s3:GetObject") {
		t.Error("the group's policy does not count")
	}
	g := must[*api.GetGroupOutput](t)(f.GetGroup(ctx, &api.GetGroupInput{GroupName: "Staff"}))
	gs := must[*api.ListGroupsForUserOutput](t)(f.ListGroupsForUser(ctx, &api.ListGroupsForUserInput{UserName: "u"}))
	if len(g.Users) != 1 || g.Users[0].UserName != "u" || len(gs.Groups) != 1 || gs.Groups[0].GroupName != "Staff" {
		t.Errorf("group %+v, groups %+v", g, gs)
	}
	must[*api.DeleteGroupPolicyOutput](t)(f.DeleteGroupPolicy(ctx, &api.DeleteGroupPolicyInput{GroupName: "Staff", PolicyName: "p"}))
	_, err := f.DeleteGroup(ctx, &api.DeleteGroupInput{GroupName: "Staff"})
	wantName(t, err, "DeleteConflict")
	must[*api.RemoveUserFromGroupOutput](t)(f.RemoveUserFromGroup(ctx, &api.RemoveUserFromGroupInput{GroupName: "Staff", UserName: "u"}))
	_, err = f.RemoveUserFromGroup(ctx, &api.RemoveUserFromGroupInput{GroupName: "Staff", UserName: "u"})
	wantName(t, err, "NoSuchEntity")
	must[*api.DeleteGroupOutput](t)(f.DeleteGroup(ctx, &api.DeleteGroupInput{GroupName: "Staff"}))
}

func TestRoles(t *testing.T) {
	f := open(t)
	_, err := f.CreateRole(ctx, &api.CreateRoleInput{RoleName: "r", AssumeRolePolicyDocument: allow("*", "*")})
	wantName(t, err, "MalformedPolicyDocument")
	r := must[*api.CreateRoleOutput](t)(f.CreateRole(ctx, &api.CreateRoleInput{RoleName: "r", Path: "/svc/", AssumeRolePolicyDocument: trustAll, MaxSessionDuration: aws.Ptr(int32(7200)), Tags: []api.Tag{{Key: "a", Value: "1"}}})).Role
	if r.Arn != "arn:aws:iam::"+acct+":role/svc/r" || *r.MaxSessionDuration != 7200 {
		t.Errorf("role %+v", r)
	}
	x, err := f.Role(ctx, r.Arn)
	if err != nil || x.Trust != trustAll || x.MaxSession != 2*time.Hour || x.Tags["a"] != "1" || x.ID != r.RoleId {
		t.Errorf("Role = %+v, %v", x, err)
	}
	for _, arn := range []string{"arn:aws:iam::" + acct + ":role/r", "arn:aws:iam::111111111111:role/svc/r", "x", ""} {
		if _, err := f.Role(ctx, arn); !errs.Is(err, errs.NotFound) {
			t.Errorf("Role(%q): %v", arn, err)
		}
	}
	must[*api.PutRolePolicyOutput](t)(f.PutRolePolicy(ctx, &api.PutRolePolicyInput{RoleName: "r", PolicyName: "p", PolicyDocument: allow("s3:*", "*")}))
	p := call.Principal{Kind: call.AssumedRole, ARN: "arn:aws:sts::" + acct + ":assumed-role/r/s", ID: r.RoleId + ":s", Account: acct, Name: "r", RoleARN: r.Arn, Session: &call.Session{Name: "s", Expires: f.now.Add(time.Hour)}}
	if !f.eval.Decide(ctx, &call.Call{Principal: p}, authz.Request{Action: "s3:GetObject", Resource: "*"}).Allowed {
		t.Error("the role's session may not what the role may")
	}
	c, err := session.Issue(ctx, f.ring, p)
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Credential(ctx, c.AccessKeyID, c.Token)
	if err != nil || got.Secret != c.SecretAccessKey || got.Principal.ARN != p.ARN || got.Principal.Session.Name != "s" {
		t.Errorf("session credential %+v, %v", got, err)
	}
	for _, bad := range []string{c.Token[1:], c.Token[:len(c.Token)-4], "AA" + c.Token[2:], strings.Replace(c.Token, c.Token[100:104], "AAAA", 1), "", "x", "AQ=="} {
		if _, err := f.Credential(ctx, c.AccessKeyID, bad); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("token %.20q…: %v", bad, err)
		}
	}
	if _, err := f.Credential(ctx, "ASIAOTHER", c.Token); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("the token of another key: %v", err)
	}
	f.now = f.now.Add(time.Hour)
	if _, err := f.Credential(ctx, c.AccessKeyID, c.Token); errs.As(err).Name != "ExpiredToken" {
		t.Errorf("after its end: %v", err)
	}
	_, err = f.DeleteRole(ctx, &api.DeleteRoleInput{RoleName: "r"})
	wantName(t, err, "DeleteConflict")
	must[*api.DeleteRolePolicyOutput](t)(f.DeleteRolePolicy(ctx, &api.DeleteRolePolicyInput{RoleName: "r", PolicyName: "p"}))
	must[*api.DeleteRoleOutput](t)(f.DeleteRole(ctx, &api.DeleteRoleInput{RoleName: "r"}))
	must[*api.CreateRoleOutput](t)(f.CreateRole(ctx, &api.CreateRoleInput{RoleName: "r", Path: "/svc/", AssumeRolePolicyDocument: trustAll}))
	must[*api.PutRolePolicyOutput](t)(f.PutRolePolicy(ctx, &api.PutRolePolicyInput{RoleName: "r", PolicyName: "p", PolicyDocument: allow("s3:*", "*")}))
	if f.eval.Decide(ctx, &call.Call{Principal: p}, authz.Request{Action: "s3:GetObject", Resource: "*"}).Allowed {
		t.Error("a session of the deleted role lives on in the new one")
	}
}

func TestPolicyVersions(t *testing.T) {
	f := open(t)
	p := must[*api.CreatePolicyOutput](t)(f.CreatePolicy(ctx, &api.CreatePolicyInput{PolicyName: "p", PolicyDocument: allow("a:*", "*")})).Policy
	_, err := f.CreatePolicy(ctx, &api.CreatePolicyInput{PolicyName: "P", Path: "/other/", PolicyDocument: allow("a:*", "*")})
	wantName(t, err, "EntityAlreadyExists")
	for i := 2; i <= 5; i++ {
		v := must[*api.CreatePolicyVersionOutput](t)(f.CreatePolicyVersion(ctx, &api.CreatePolicyVersionInput{PolicyArn: p.Arn, PolicyDocument: allow(fmt.Sprintf("a%d:*", i), "*"), SetAsDefault: aws.Ptr(i == 3)})).PolicyVersion
		if v.VersionId != fmt.Sprintf("v%d", i) || *v.IsDefaultVersion != (i == 3) {
			t.Errorf("version %+v", v)
		}
	}
	_, err = f.CreatePolicyVersion(ctx, &api.CreatePolicyVersionInput{PolicyArn: p.Arn, PolicyDocument: allow("a:*", "*")})
	wantName(t, err, "LimitExceeded")
	if d, err := f.ManagedPolicy(ctx, p.Arn); err != nil || d != allow("a3:*", "*") {
		t.Errorf("default document %s, %v", d, err)
	}
	_, err = f.DeletePolicyVersion(ctx, &api.DeletePolicyVersionInput{PolicyArn: p.Arn, VersionId: "v3"})
	wantName(t, err, "DeleteConflict")
	_, err = f.SetDefaultPolicyVersion(ctx, &api.SetDefaultPolicyVersionInput{PolicyArn: p.Arn, VersionId: "v9"})
	wantName(t, err, "NoSuchEntity")
	must[*api.SetDefaultPolicyVersionOutput](t)(f.SetDefaultPolicyVersion(ctx, &api.SetDefaultPolicyVersionInput{PolicyArn: p.Arn, VersionId: "v1"}))
	must[*api.DeletePolicyVersionOutput](t)(f.DeletePolicyVersion(ctx, &api.DeletePolicyVersionInput{PolicyArn: p.Arn, VersionId: "v3"}))
	v := must[*api.CreatePolicyVersionOutput](t)(f.CreatePolicyVersion(ctx, &api.CreatePolicyVersionInput{PolicyArn: p.Arn, PolicyDocument: allow("z:*", "*")})).PolicyVersion
	if v.VersionId != "v6" {
		t.Errorf("a version number was used again: %s", v.VersionId)
	}
	var got []string
	marker := ""
	for {
		page := must[*api.ListPolicyVersionsOutput](t)(f.ListPolicyVersions(ctx, &api.ListPolicyVersionsInput{PolicyArn: p.Arn, MaxItems: aws.Ptr(int32(2)), Marker: marker}))
		for _, x := range page.Versions {
			got = append(got, x.VersionId)
		}
		if marker = page.Marker; !*page.IsTruncated {
			break
		}
	}
	if fmt.Sprint(got) != "[v6 v5 v4 v2 v1]" {
		t.Errorf("versions %v", got)
	}
	_, err = f.DeletePolicy(ctx, &api.DeletePolicyInput{PolicyArn: p.Arn})
	wantName(t, err, "DeleteConflict")
	doc := must[*api.GetPolicyVersionOutput](t)(f.GetPolicyVersion(ctx, &api.GetPolicyVersionInput{PolicyArn: p.Arn, VersionId: "v6"})).PolicyVersion.Document
	if d, _ := url.PathUnescape(doc); d != allow("z:*", "*") {
		t.Errorf("document %s", d)
	}
}

func TestListsPage(t *testing.T) {
	f := open(t)
	for i := range 25 {
		must[*api.CreateUserOutput](t)(f.CreateUser(ctx, &api.CreateUserInput{UserName: fmt.Sprintf("u%02d", 24-i), Path: []string{"/a/", "/b/"}[i%2]}))
	}
	var got []string
	marker := ""
	for {
		page := must[*api.ListUsersOutput](t)(f.ListUsers(ctx, &api.ListUsersInput{PathPrefix: "/a", MaxItems: aws.Ptr(int32(4)), Marker: marker}))
		for _, u := range page.Users {
			got = append(got, u.UserName)
		}
		if marker = page.Marker; !*page.IsTruncated {
			break
		}
	}
	if len(got) != 13 || got[0] != "u00" || got[12] != "u24" {
		t.Errorf("users below /a: %v", got)
	}
	if _, err := f.ListUsers(ctx, &api.ListUsersInput{Marker: "not a marker"}); err == nil {
		t.Error("a marker of nobody was taken")
	}
}

func TestTags(t *testing.T) {
	f := open(t)
	must[*api.CreateUserOutput](t)(f.CreateUser(ctx, &api.CreateUserInput{UserName: "u", Tags: []api.Tag{{Key: "Team", Value: "red"}, {Key: "x", Value: "1"}}}))
	must[*api.TagUserOutput](t)(f.TagUser(ctx, &api.TagUserInput{UserName: "u", Tags: []api.Tag{{Key: "team", Value: "blue"}}}))
	must[*api.UntagUserOutput](t)(f.UntagUser(ctx, &api.UntagUserInput{UserName: "u", TagKeys: []string{"X", "none"}}))
	out := must[*api.ListUserTagsOutput](t)(f.ListUserTags(ctx, &api.ListUserTagsInput{UserName: "u"}))
	if len(out.Tags) != 1 || out.Tags[0] != (api.Tag{Key: "team", Value: "blue"}) {
		t.Errorf("tags %+v", out.Tags)
	}
	_, err := f.TagUser(ctx, &api.TagUserInput{UserName: "u", Tags: []api.Tag{{Key: "a"}, {Key: "A"}}})
	wantName(t, err, "InvalidInput")
}

func TestAuthorizeNamesResources(t *testing.T) {
	f := open(t)
	must[*api.CreateUserOutput](t)(f.CreateUser(ctx, &api.CreateUserInput{UserName: "u", Path: "/lab/", Tags: []api.Tag{{Key: "team", Value: "red"}}}))
	me := call.With(ctx, &call.Call{Principal: call.Principal{Kind: call.IAMUser, ARN: "arn:me", Name: "u"}})
	for _, c := range []struct {
		op   string
		in   any
		want string
		key  string
	}{
		{"DeleteUser", &api.DeleteUserInput{UserName: "u"}, "arn:aws:iam::" + acct + ":user/lab/u", "aws:ResourceTag/team=red"},
		{"CreateUser", &api.CreateUserInput{UserName: "n", Path: "/p/", Tags: []api.Tag{{Key: "k", Value: "v"}}}, "arn:aws:iam::" + acct + ":user/p/n", "aws:RequestTag/k=v"},
		{"GetUser", &api.GetUserInput{}, "arn:me", ""},
		{"CreateAccessKey", &api.CreateAccessKeyInput{}, "arn:me", ""},
		{"ListUsers", &api.ListUsersInput{}, "*", ""},
		{"CreateRole", &api.CreateRoleInput{RoleName: "r", PermissionsBoundary: "arn:b"}, "arn:aws:iam::" + acct + ":role/r", "iam:PermissionsBoundary=arn:b"},
		{"AttachUserPolicy", &api.AttachUserPolicyInput{UserName: "u", PolicyArn: "arn:p"}, "arn:aws:iam::" + acct + ":user/lab/u", "iam:PolicyARN=arn:p"},
		{"AddUserToGroup", &api.AddUserToGroupInput{UserName: "u", GroupName: "g"}, "arn:aws:iam::" + acct + ":group/g", ""},
		{"CreatePolicy", &api.CreatePolicyInput{PolicyName: "p", Path: "/x/"}, "arn:aws:iam::" + acct + ":policy/x/p", ""},
		{"GetPolicy", &api.GetPolicyInput{PolicyArn: "arn:p"}, "arn:p", ""},
	} {
		got, err := f.Authorize(me, c.op, c.in)
		if err != nil || len(got) != 1 || got[0].Action != "iam:"+c.op || got[0].Resource != c.want {
			t.Errorf("%s: %+v, %v, want %s", c.op, got, err, c.want)
			continue
		}
		if k, v, ok := strings.Cut(c.key, "="); ok && got[0].Context[k] != v {
			t.Errorf("%s: context %v lacks %s", c.op, got[0].Context, c.key)
		}
	}
}

func TestSimulate(t *testing.T) {
	f := open(t)
	must[*api.CreateUserOutput](t)(f.CreateUser(ctx, &api.CreateUserInput{UserName: "u"}))
	must[*api.PutUserPolicyOutput](t)(f.PutUserPolicy(ctx, &api.PutUserPolicyInput{UserName: "u", PolicyName: "mine", PolicyDocument: allow("s3:Get*", "arn:aws:s3:::b/*")}))
	out := must[*api.SimulatePrincipalPolicyOutput](t)(f.SimulatePrincipalPolicy(ctx, &api.SimulatePrincipalPolicyInput{PolicySourceArn: "arn:aws:iam::" + acct + ":user/u", ActionNames: []string{"s3:GetObject", "s3:PutObject"}, ResourceArns: []string{"arn:aws:s3:::b/k"},
		PolicyInputList: []string{`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:Put*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}]}`}, ContextEntries: []api.ContextEntry{{ContextKeyName: "aws:SourceIp", ContextKeyValues: []string{"10.1.1.1"}, ContextKeyType: "ip"}}}))
	if r := out.EvaluationResults; len(r) != 2 || r[0].EvalDecision != api.PolicyEvaluationDecisionTypeAllowed || r[0].MatchedStatements[0].SourcePolicyId != "mine" || r[1].EvalDecision != api.PolicyEvaluationDecisionTypeExplicitDeny {
		t.Errorf("results %+v", out.EvaluationResults)
	}
	custom := must[*api.SimulateCustomPolicyOutput](t)(f.SimulateCustomPolicy(ctx, &api.SimulateCustomPolicyInput{PolicyInputList: []string{allow("s3:*", "*")}, PermissionsBoundaryPolicyInputList: []string{allow("s3:Get*", "*")}, ActionNames: []string{"s3:PutObject", "s3:GetObject", "x:Y"}, MaxItems: aws.Ptr(int32(2))}))
	if r := custom.EvaluationResults; len(r) != 2 || !*custom.IsTruncated || *r[0].PermissionsBoundaryDecisionDetail.AllowedByPermissionsBoundary || r[0].EvalDecision != api.PolicyEvaluationDecisionTypeImplicitDeny || r[1].EvalDecision != api.PolicyEvaluationDecisionTypeAllowed {
		t.Errorf("results %+v", custom)
	}
	_, err := f.SimulateCustomPolicy(ctx, &api.SimulateCustomPolicyInput{PolicyInputList: []string{"{"}, ActionNames: []string{"a:b"}})
	wantName(t, err, "InvalidInput")
	_, err = f.SimulatePrincipalPolicy(ctx, &api.SimulatePrincipalPolicyInput{PolicySourceArn: "arn:aws:iam::" + acct + ":user/none", ActionNames: []string{"a:b"}})
	wantName(t, err, "NoSuchEntity")
}
