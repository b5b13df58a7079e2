package access

import (
	"encoding/json"
	"strings"
	"testing"

	iamapi "github.com/galen-health/galen/aws/iam"
	kmsapi "github.com/galen-health/galen/aws/kms"
	s3api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/test/galen"
)

// TestExplainAccess: the command names the statement that decides, with the bucket's and the key's policies and grants looked at, and why the others do not match.
func TestExplainAccess(t *testing.T) {
	g := galen.Start(t)
	iam, s3, kms := iamapi.NewClient(g.Client()), s3api.NewClient(g.Client()), kmsapi.NewClient(g.Client())
	must[*iamapi.CreateUserOutput](t)(iam.CreateUser(ctx, &iamapi.CreateUserInput{UserName: "nurse"}))
	must[*iamapi.PutUserPolicyOutput](t)(iam.PutUserPolicy(ctx, &iamapi.PutUserPolicyInput{UserName: "nurse", PolicyName: "ward", PolicyDocument: doc(`{"Sid":"Read","Effect":"Allow","Action":["s3:Get*","kms:*"],"Resource":"*"},{"Sid":"Night","Effect":"Allow","Action":"s3:Put*","Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/Shift":"night"}}}`)}))
	must[*s3api.CreateBucketOutput](t)(s3.CreateBucket(ctx, &s3api.CreateBucketInput{Bucket: "ward"}))
	must[*s3api.PutBucketPolicyOutput](t)(s3.PutBucketPolicy(ctx, &s3api.PutBucketPolicyInput{Bucket: "ward", Policy: doc(`{"Sid":"Sealed","Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::ward/sealed/*"}`)}))
	nurse := "arn:aws:iam::" + account + ":user/nurse"
	k := must[*kmsapi.CreateKeyOutput](t)(kms.CreateKey(ctx, &kmsapi.CreateKeyInput{Policy: doc(`{"Sid":"Keepers","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + account + `:root"},"Action":["kms:Put*","kms:Create*","kms:Describe*"],"Resource":"*"}`)})).KeyMetadata
	ask := func(args ...string) string {
		t.Helper()
		out, err := g.Exec(append([]string{"admin", "explain-access"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, c := range []struct {
		args  []string
		words []string
	}{
		{[]string{"nurse", "s3:GetObject", "arn:aws:s3:::ward/a"}, []string{"ALLOWED", "decided by ward, statement Read", "statement Sealed (Deny): Resource does not name it"}},
		{[]string{nurse, "s3:GetObject", "arn:aws:s3:::ward/sealed/a"}, []string{"DENIED, with an explicit deny in a resource-based policy", "statement Sealed (Deny): decided", "statement Read (Allow): applies"}},
		{[]string{"nurse", "s3:PutObject", "arn:aws:s3:::ward/a"}, []string{"DENIED: no identity-based policy allows it", "the condition StringEquals on aws:requesttag/shift does not hold: the request has no such key", "policies ask for it: aws:requesttag/shift"}},
		{[]string{"nurse", "s3:PutObject", "arn:aws:s3:::ward/a", "-c", "aws:RequestTag/Shift=night"}, []string{"ALLOWED", "decided by ward, statement Night"}},
		{[]string{"nurse", "kms:Decrypt", k.Arn}, []string{"DENIED: no resource-based policy allows it", "statement Keepers (Allow): Action does not name it"}},
		{[]string{"root", "s3:GetObject", "arn:aws:s3:::ward/sealed/a"}, []string{"DENIED", "Sealed"}},
		{[]string{"root", "omics:ListRuns"}, []string{"ALLOWED", "root user"}},
	} {
		out := ask(c.args...)
		for _, w := range c.words {
			if !strings.Contains(out, w) {
				t.Errorf("%v: no %q in\n%s", c.args, w, out)
			}
		}
	}
	must[*kmsapi.CreateGrantOutput](t)(kms.CreateGrant(ctx, &kmsapi.CreateGrantInput{KeyId: k.KeyId, GranteePrincipal: nurse, Operations: []kmsapi.GrantOperation{"Decrypt"}, Constraints: &kmsapi.GrantConstraints{EncryptionContextEquals: map[string]string{"ward": "icu"}}}))
	if out := ask("nurse", "kms:Decrypt", k.Arn, "-c", "kms:EncryptionContext:ward=icu"); !strings.Contains(out, "ALLOWED") || !strings.Contains(out, "statement Grant") {
		t.Error(out)
	}
	if out := ask("nurse", "kms:Decrypt", k.Arn, "-c", "kms:EncryptionContext:ward=lab"); !strings.Contains(out, "DENIED") {
		t.Error(out)
	}
	var x struct{ Considered []map[string]any }
	if err := json.Unmarshal([]byte(ask("--json", "nurse", "s3:GetObject")), &x); err != nil || len(x.Considered) != 2 {
		t.Errorf("%v %+v", err, x)
	}
	for _, bad := range [][]string{{"nobody", "s3:GetObject"}, {"nurse", "s3:*"}, {"nurse", "GetObject"}, {"arn:aws:iam::" + account + ":group/x", "s3:GetObject"}, {"nurse", "s3:GetObject", "*", "-c", "nokey"}} {
		if out, err := g.Exec(append([]string{"admin", "explain-access"}, bad...)...); err == nil {
			t.Errorf("%v: %s", bad, out)
		}
	}
}

// TestRootIsNotNeededAfterSetUp: root makes the first administrator, and from then on every task is done without root's keys.
func TestRootIsNotNeededAfterSetUp(t *testing.T) {
	g := galen.Start(t)
	out, err := g.Exec("admin", "first-administrator", "--name", "head")
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{}
	for _, line := range strings.Split(out, "\n") {
		if k, v, ok := strings.Cut(strings.TrimPrefix(line, "export "), "="); ok {
			keys[k] = v
		}
	}
	h := g.Client()
	h.Credentials.AccessKeyID, h.Credentials.SecretAccessKey = keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"]
	iam, kms, s3 := iamapi.NewClient(h), kmsapi.NewClient(h), s3api.NewClient(h)
	must[*iamapi.CreateUserOutput](t)(iam.CreateUser(ctx, &iamapi.CreateUserInput{UserName: "nurse"}))
	k := must[*kmsapi.CreateKeyOutput](t)(kms.CreateKey(ctx, &kmsapi.CreateKeyInput{})).KeyMetadata
	must[*kmsapi.EncryptOutput](t)(kms.Encrypt(ctx, &kmsapi.EncryptInput{KeyId: k.KeyId, Plaintext: []byte("x")}))
	must[*s3api.CreateBucketOutput](t)(s3.CreateBucket(ctx, &s3api.CreateBucketInput{Bucket: "ward"}))
	must[*iamapi.CreateAccessKeyOutput](t)(iam.CreateAccessKey(ctx, &iamapi.CreateAccessKeyInput{UserName: "head"})) // its own key can be turned over
	if _, err := g.Exec("admin", "first-administrator", "--name", "head"); err == nil {
		t.Error("a third access key was made")
	}
}

// TestClientsByCommand: the command registers, lists and removes clients of the built-in provider.
func TestClientsByCommand(t *testing.T) {
	g := galen.Start(t)
	role := "arn:aws:iam::" + account + ":role/lab"
	out, err := g.Exec("admin", "client", "add", "lab", "--role", role, "--scope", "system/*.rs")
	var c map[string]any
	if err != nil || json.Unmarshal([]byte(out), &c) != nil || c["client_secret"] == nil || c["galen_role"] != role {
		t.Fatalf("%s %v", out, err)
	}
	id := c["client_id"].(string)
	if out, err := g.Exec("admin", "client", "list"); err != nil || !strings.Contains(out, id) || strings.Contains(out, c["client_secret"].(string)) {
		t.Errorf("%s %v", out, err)
	}
	if _, err := g.Exec("admin", "client", "remove", id); err != nil {
		t.Error(err)
	}
	if out, err := g.Exec("admin", "client", "list"); err != nil || strings.Contains(out, id) {
		t.Errorf("%s %v", out, err)
	}
	if _, err := g.Exec("admin", "client", "add", "lab", "--role", "lab"); err == nil || !strings.Contains(err.Error(), "galen_role") {
		t.Errorf("a role that is none: %v", err)
	}
}
