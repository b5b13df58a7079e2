package access

import (
	"net/http"
	"strings"
	"testing"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/client"
	iamapi "github.com/galen-health/galen/aws/iam"
	kmsapi "github.com/galen-health/galen/aws/kms"
	s3api "github.com/galen-health/galen/aws/s3"
	stsapi "github.com/galen-health/galen/aws/sts"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/test/galen"
)

// user makes a user with a policy ("" = none) and returns a client with its key.
func user(t *testing.T, g *galen.Server, name, policy string) *client.HTTP {
	t.Helper()
	iam := iamapi.NewClient(g.Client())
	must[*iamapi.CreateUserOutput](t)(iam.CreateUser(ctx, &iamapi.CreateUserInput{UserName: name}))
	if policy != "" {
		must[*iamapi.PutUserPolicyOutput](t)(iam.PutUserPolicy(ctx, &iamapi.PutUserPolicyInput{UserName: name, PolicyName: "own", PolicyDocument: policy}))
	}
	k := must[*iamapi.CreateAccessKeyOutput](t)(iam.CreateAccessKey(ctx, &iamapi.CreateAccessKeyInput{UserName: name})).AccessKey
	h := g.Client()
	h.Credentials.AccessKeyID, h.Credentials.SecretAccessKey = k.AccessKeyId, k.SecretAccessKey
	return h
}

func name(err error) string {
	if err == nil {
		return ""
	}
	return errs.As(err).Name
}

// TestPublicAccess: what the bucket's and the account's blocks forbid, on every road to an object.
func TestPublicAccess(t *testing.T) {
	g := galen.Start(t)
	root, nurse := g.Client(), user(t, g, "nurse", "")
	keeper := user(t, g, "keeper", doc(`{"Effect":"Allow","Action":"s3:*","Resource":"*"}`))
	s3 := s3api.NewClient(root)
	must[*s3api.CreateBucketOutput](t)(s3.CreateBucket(ctx, &s3api.CreateBucketInput{Bucket: "ward"}))
	for _, key := range []string{"a", "sealed/a"} {
		if status, b, err := root.Send(ctx, "s3", "PUT", "/ward/"+key, nil, strings.NewReader("x"), 1<<20); err != nil || status != 200 {
			t.Fatalf("%d %s %v", status, b, err)
		}
	}
	get := func(h *client.HTTP, key string) int {
		t.Helper()
		status, _, err := h.Send(ctx, "s3", "GET", "/ward/"+key, nil, nil, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		return status
	}
	control := func(h *client.HTTP, method, body, id string) (int, string) {
		t.Helper()
		status, b, err := h.Send(ctx, "s3", method, "/v20180820/configuration/publicAccessBlock", map[string]string{"X-Amz-Account-Id": id}, strings.NewReader(body), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		return status, string(b)
	}
	block := func(policy, restrict string) string {
		return `<PublicAccessBlockConfiguration xmlns="http://awss3control.amazonaws.com/doc/2018-08-20/"><BlockPublicAcls>true</BlockPublicAcls><BlockPublicPolicy>` + policy + `</BlockPublicPolicy><RestrictPublicBuckets>` + restrict + `</RestrictPublicBuckets></PublicAccessBlockConfiguration>`
	}
	public := &s3api.PutBucketPolicyInput{Bucket: "ward", Policy: doc(`{"Sid":"All","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::ward/*"},{"Sid":"Sealed","Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::ward/sealed/*"}`)}
	if _, err := s3.PutBucketPolicy(ctx, public); name(err) != "AccessDenied" {
		t.Errorf("a new bucket took a public policy: %v", err)
	}
	must[*s3api.PutPublicAccessBlockOutput](t)(s3.PutPublicAccessBlock(ctx, &s3api.PutPublicAccessBlockInput{Bucket: "ward", PublicAccessBlockConfiguration: &s3api.PublicAccessBlockConfiguration{BlockPublicPolicy: aws.Ptr(false), RestrictPublicBuckets: aws.Ptr(false)}}))
	if status, b := control(root, "PUT", block("true", "false"), account); status != 201 {
		t.Fatalf("%d %s", status, b)
	}
	if _, err := s3.PutBucketPolicy(ctx, public); name(err) != "AccessDenied" {
		t.Errorf("the account blocks public policies, the bucket took one: %v", err)
	}
	if status, b := control(root, "DELETE", "", account); status != 204 {
		t.Fatalf("%d %s", status, b)
	}
	must[*s3api.PutBucketPolicyOutput](t)(s3.PutBucketPolicy(ctx, public))
	if a, b, c := get(nurse, "a"), get(nurse, "sealed/a"), get(keeper, "sealed/a"); a != 200 || b != 403 || c != 403 {
		t.Errorf("nothing is blocked: nurse %d, nurse sealed %d, keeper sealed %d", a, b, c)
	}
	if status, b := control(root, "PUT", block("false", "true"), account); status != 201 {
		t.Fatalf("%d %s", status, b)
	}
	if a, b, c := get(nurse, "a"), get(keeper, "a"), get(keeper, "sealed/a"); a != 403 || b != 200 || c != 403 {
		t.Errorf("the account restricts public buckets: nurse %d, keeper %d, keeper sealed %d; what is denied must stay denied", a, b, c)
	}
	if status, b := control(keeper, "GET", "", account); status != 200 || !strings.Contains(b, "<RestrictPublicBuckets>true</RestrictPublicBuckets>") {
		t.Errorf("%d %s", status, b)
	}
	for what, c := range map[string]struct {
		who          *client.HTTP
		method, body string
		id           string
		status       int
		code         string
	}{
		"without the right":  {nurse, "PUT", block("false", "false"), account, 403, "AccessDenied"},
		"of another account": {root, "GET", "", "111111111111", 403, "AccessDenied"},
		"not XML":            {root, "PUT", "{}", account, 400, "MalformedXML"},
		"too large":          {root, "PUT", strings.Repeat("x", 20_000), account, 400, ""},
	} {
		if status, b := control(c.who, c.method, c.body, c.id); status != c.status || !strings.Contains(b, c.code) {
			t.Errorf("%s: %d %s", what, status, b)
		}
	}
	control(root, "DELETE", "", account)
	if status, b := control(root, "GET", "", account); status != http.StatusNotFound || !strings.Contains(b, "NoSuchPublicAccessBlockConfiguration") {
		t.Errorf("%d %s", status, b)
	}
	if status := get(nurse, "a"); status != 200 {
		t.Errorf("the block is gone: %d", status)
	}
	// A policy that locks everybody out is mended by root, and by root alone.
	must[*s3api.PutBucketPolicyOutput](t)(s3.PutBucketPolicy(ctx, &s3api.PutBucketPolicyInput{Bucket: "ward", ConfirmRemoveSelfBucketAccess: aws.Ptr(true), Policy: doc(`{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::ward","arn:aws:s3:::ward/*"]}`)}))
	if status := get(root, "a"); status != 403 {
		t.Errorf("everybody is locked out, root reads: %d", status)
	}
	if _, err := s3api.NewClient(keeper).DeleteBucketPolicy(ctx, &s3api.DeleteBucketPolicyInput{Bucket: "ward"}); name(err) != "AccessDenied" {
		t.Errorf("keeper: %v", err)
	}
	must[*s3api.DeleteBucketPolicyOutput](t)(s3.DeleteBucketPolicy(ctx, &s3api.DeleteBucketPolicyInput{Bucket: "ward"}))
	if status := get(root, "a"); status != 200 {
		t.Errorf("mended: %d", status)
	}
}

// TestBadPolicies: what is no policy is refused by the contract's own error wherever a policy can be put, and nothing changes.
func TestBadPolicies(t *testing.T) {
	g := galen.Start(t)
	h := g.Client()
	as := user(t, g, "u", "")
	iam, s3, kms, sts := iamapi.NewClient(h), s3api.NewClient(h), kmsapi.NewClient(h), stsapi.NewClient(as)
	good := doc(everything)
	trust := doc(`{"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":"sts:AssumeRole"}`)
	must[*iamapi.PutUserPolicyOutput](t)(iam.PutUserPolicy(ctx, &iamapi.PutUserPolicyInput{UserName: "u", PolicyName: "own", PolicyDocument: good}))
	must[*iamapi.CreateRoleOutput](t)(iam.CreateRole(ctx, &iamapi.CreateRoleInput{RoleName: "r", AssumeRolePolicyDocument: trust}))
	must[*s3api.CreateBucketOutput](t)(s3.CreateBucket(ctx, &s3api.CreateBucketInput{Bucket: "ward"}))
	k := must[*kmsapi.CreateKeyOutput](t)(kms.CreateKey(ctx, &kmsapi.CreateKeyInput{})).KeyMetadata.KeyId
	many := func(n int, s string) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }
	hostile := map[string]string{
		"not JSON":               `allow everything`,
		"broken off":             `{"Version":"2012-10-17","Statement":[{"Effect":"Allow"`,
		"an array":               `[]`,
		"empty":                  `{}`,
		"a name twice":           `{"Version":"2012-10-17","Version":"2012-10-17","Statement":[` + everything + `]}`,
		"a name in another case": `{"version":"2012-10-17","Statement":[` + everything + `]}`,
		"an unknown effect":      doc(`{"Effect":"Perhaps","Action":"*","Resource":"*","Principal":"*"}`),
		"an unknown operator":    doc(`{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*","Condition":{"StringResembles":{"aws:username":"x"}}}`),
		"deep nesting":           doc(`{"Effect":"Allow","Action":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `,"Resource":"*"}`),
		"an action of no form":   doc(`{"Effect":"Allow","Action":"do anything","Resource":"*","Principal":"*"}`),
	}
	sizes := map[string]string{
		"10,000 statements": doc(many(10_000, everything)),
		"a huge string":     doc(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::` + strings.Repeat("a", 100_000) + `","Principal":"*"}`),
	}
	puts := map[string]struct {
		put    func(string) error
		names  []string
		too    []string // for what is too large
		nobody bool     // identity policies have no principal: what has one is refused too
	}{
		"PutUserPolicy": {func(p string) error {
			_, err := iam.PutUserPolicy(ctx, &iamapi.PutUserPolicyInput{UserName: "u", PolicyName: "own", PolicyDocument: p})
			return err
		}, []string{"MalformedPolicyDocument"}, []string{"MalformedPolicyDocument", "LimitExceeded", "ValidationError"}, true},
		"CreatePolicy": {func(p string) error {
			_, err := iam.CreatePolicy(ctx, &iamapi.CreatePolicyInput{PolicyName: "p", PolicyDocument: p})
			return err
		}, []string{"MalformedPolicyDocument"}, []string{"MalformedPolicyDocument", "LimitExceeded", "ValidationError"}, true},
		"UpdateAssumeRolePolicy": {func(p string) error {
			_, err := iam.UpdateAssumeRolePolicy(ctx, &iamapi.UpdateAssumeRolePolicyInput{RoleName: "r", PolicyDocument: p})
			return err
		}, []string{"MalformedPolicyDocument"}, []string{"MalformedPolicyDocument", "LimitExceeded", "ValidationError"}, false},
		"PutBucketPolicy": {func(p string) error {
			_, err := s3.PutBucketPolicy(ctx, &s3api.PutBucketPolicyInput{Bucket: "ward", Policy: p})
			return err
		}, []string{"MalformedPolicy"}, []string{"MalformedPolicy", "PolicyTooLarge"}, false},
		"PutKeyPolicy": {func(p string) error {
			_, err := kms.PutKeyPolicy(ctx, &kmsapi.PutKeyPolicyInput{KeyId: k, Policy: p})
			return err
		}, []string{"MalformedPolicyDocumentException"}, []string{"MalformedPolicyDocumentException", "LimitExceededException", "ValidationException"}, false},
		"AssumeRole": {func(p string) error {
			_, err := sts.AssumeRole(ctx, &stsapi.AssumeRoleInput{RoleArn: "arn:aws:iam::" + account + ":role/r", RoleSessionName: "s1", Policy: p})
			return err
		}, []string{"MalformedPolicyDocument"}, []string{"MalformedPolicyDocument", "PackedPolicyTooLarge", "ValidationError"}, true},
	}
	isOne := func(err error, names []string) bool {
		for _, n := range names {
			if name(err) == n {
				return true
			}
		}
		return false
	}
	for op, p := range puts {
		for what, text := range hostile {
			if err := p.put(text); !isOne(err, p.names) || len(err.Error()) > 400 {
				t.Errorf("%s, %s: %v", op, what, err)
			}
		}
		for what, text := range sizes {
			if err := p.put(text); !isOne(err, p.too) || len(err.Error()) > 400 {
				t.Errorf("%s, %s: %.300v", op, what, err)
			}
		}
		if p.nobody {
			if err := p.put(doc(`{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}`)); !isOne(err, p.names) {
				t.Errorf("%s with a principal: %v", op, err)
			}
		}
	}
	// Nothing changed.
	if got := must[*iamapi.GetUserPolicyOutput](t)(iam.GetUserPolicy(ctx, &iamapi.GetUserPolicyInput{UserName: "u", PolicyName: "own"})); !strings.Contains(got.PolicyDocument, "%22Allow%22") {
		t.Errorf("%+v", got)
	}
	if _, err := s3.GetBucketPolicy(ctx, &s3api.GetBucketPolicyInput{Bucket: "ward"}); name(err) != "NoSuchBucketPolicy" {
		t.Errorf("%v", err)
	}
	if got := must[*iamapi.ListPoliciesOutput](t)(iam.ListPolicies(ctx, &iamapi.ListPoliciesInput{})); len(got.Policies) != 0 {
		t.Errorf("%+v", got)
	}
	must[*kmsapi.DescribeKeyOutput](t)(kms.DescribeKey(ctx, &kmsapi.DescribeKeyInput{KeyId: k}))
	must[*stsapi.AssumeRoleOutput](t)(sts.AssumeRole(ctx, &stsapi.AssumeRoleInput{RoleArn: "arn:aws:iam::" + account + ":role/r", RoleSessionName: "s1"}))
	// A policy that contradicts itself is a policy: what it denies is denied.
	must[*iamapi.PutUserPolicyOutput](t)(iam.PutUserPolicy(ctx, &iamapi.PutUserPolicyInput{UserName: "u", PolicyName: "own", PolicyDocument: doc(everything + `,{"Effect":"Deny","Action":"*","Resource":"*"}`)}))
	if _, err := sts.AssumeRole(ctx, &stsapi.AssumeRoleInput{RoleArn: "arn:aws:iam::" + account + ":role/r", RoleSessionName: "s1"}); name(err) != "AccessDenied" {
		t.Errorf("allowed and denied: %v", err)
	}
	must[*iamapi.PutUserPolicyOutput](t)(iam.PutUserPolicy(ctx, &iamapi.PutUserPolicyInput{UserName: "u", PolicyName: "own", PolicyDocument: good}))
	u := `"Principal":{"AWS":"arn:aws:iam::` + account + `:user/u"}`
	on := func(action, resource string) string {
		return doc(`{"Effect":"Allow",` + u + `,"Action":"` + action + `","Resource":"` + resource + `"},{"Effect":"Deny",` + u + `,"Action":"` + action + `","Resource":"` + resource + `"},{"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":"*","Resource":"` + resource + `"}`)
	}
	must[*s3api.PutBucketPolicyOutput](t)(s3.PutBucketPolicy(ctx, &s3api.PutBucketPolicyInput{Bucket: "ward", Policy: on("s3:ListBucket", "arn:aws:s3:::ward")}))
	must[*kmsapi.PutKeyPolicyOutput](t)(kms.PutKeyPolicy(ctx, &kmsapi.PutKeyPolicyInput{KeyId: k, Policy: on("kms:DescribeKey", "*")}))
	if _, err := s3api.NewClient(as).ListObjectsV2(ctx, &s3api.ListObjectsV2Input{Bucket: "ward"}); name(err) != "AccessDenied" {
		t.Errorf("a bucket's policy allows and denies: %v", err)
	}
	if _, err := kmsapi.NewClient(as).DescribeKey(ctx, &kmsapi.DescribeKeyInput{KeyId: k}); name(err) != "AccessDeniedException" {
		t.Errorf("a key's policy allows and denies: %v", err)
	}
	// A key's policy that shuts everybody out is refused, unless one insists.
	if _, err := kms.PutKeyPolicy(ctx, &kmsapi.PutKeyPolicyInput{KeyId: k, Policy: doc(`{"Effect":"Deny","Principal":"*","Action":"kms:*","Resource":"*"}`)}); name(err) != "MalformedPolicyDocumentException" {
		t.Errorf("a key's policy that locks out: %v", err)
	}
	must[*kmsapi.DescribeKeyOutput](t)(kms.DescribeKey(ctx, &kmsapi.DescribeKeyInput{KeyId: k}))
}
