package matrix

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/app"
	iamapi "github.com/galen-health/galen/aws/iam"
	kmsapi "github.com/galen-health/galen/aws/kms"
	s3api "github.com/galen-health/galen/aws/s3"
	stsapi "github.com/galen-health/galen/aws/sts"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/authz/smart"
	"github.com/galen-health/galen/platform/call"
)

const (
	account = "000000000000"
	region  = "us-east-1"
	ward    = "11111111111111111111111111111111" // the data store that every plausible input is on
	other   = "22222222222222222222222222222222"
	bucket  = "ward"
)

// hospital is an account with things to protect and people who may do this or that.
type hospital struct {
	t          *testing.T
	app        *app.App
	root       context.Context
	keyID      string
	sealed     []byte
	grant      *kmsapi.CreateGrantOutput
	principals []*principal
}

// principal is a column.
type principal struct {
	letter string // of the column
	name   string
	call   *call.Call
	dir    authz.Directory // nil = the account's
}

func doc(statements string) string {
	return `{"Version":"2012-10-17","Statement":[` + statements + `]}`
}

const (
	everything = `{"Effect":"Allow","Action":"*","Resource":"*"}`
	// outside is where every call of the matrix comes from, without TLS.
	outside = "192.0.2.1"
)

// reading allows what only looks, service by service.
var reading = func() string {
	var actions []string
	for service, verbs := range map[string]string{"healthlake": "Get List Describe Search Read VersionRead", "medical-imaging": "Get List Search", "omics": "Get List", "s3": "Get List", "kms": "Get List Describe", "iam": "Get List Simulate",
		"events": "List Describe Test", "athena": "Get List BatchGet", "transcribe": "Get List", "health-agent": "Get List", "cloudtrail": "Lookup"} {
		for _, v := range strings.Fields(verbs) {
			actions = append(actions, service+":"+v+"*")
		}
	}
	b, _ := json.Marshal(actions) // strings only: it cannot fail
	return `{"Effect":"Allow","Action":` + string(b) + `,"Resource":"*"}`
}()

func build(t *testing.T) *hospital {
	a, err := app.New(context.Background(), app.Config{DataDir: t.TempDir(), Addr: "127.0.0.1:0", Account: account, Region: region, RootAccessKeyID: "GALENTESTROOTKEY0001", RootSecretAccessKey: "galen-test-root-secret"}, "test", slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	h := &hospital{t: t, app: a}
	h.root = call.With(context.Background(), h.from(call.Principal{Kind: call.Root, ARN: "arn:aws:iam::" + account + ":root", ID: account, Account: account}))
	h.people()
	h.things()
	return h
}

func (h *hospital) from(p call.Principal) *call.Call {
	return &call.Call{RequestID: "matrix", Principal: p, Source: netip.MustParseAddr(outside), UserAgent: "matrix", Time: time.Now()}
}

func must[T any](h *hospital) func(T, error) T {
	return func(out T, err error) T {
		h.t.Helper()
		if err != nil {
			h.t.Fatal(err)
		}
		return out
	}
}

// add puts a column.
func (h *hospital) add(letter, name string, p call.Principal, dir authz.Directory) {
	h.principals = append(h.principals, &principal{letter, name, h.from(p), dir})
}

// user makes an IAM user and returns it as its access key proves it.
func (h *hospital) user(name, policy, boundary string) call.Principal {
	iam := iamapi.NewClient(h.app.Invoker())
	in := &iamapi.CreateUserInput{UserName: name}
	if boundary != "" {
		in.PermissionsBoundary = must[*iamapi.CreatePolicyOutput](h)(iam.CreatePolicy(h.root, &iamapi.CreatePolicyInput{PolicyName: name + "-boundary", PolicyDocument: boundary})).Policy.Arn
	}
	must[*iamapi.CreateUserOutput](h)(iam.CreateUser(h.root, in))
	if policy != "" {
		must[*iamapi.PutUserPolicyOutput](h)(iam.PutUserPolicy(h.root, &iamapi.PutUserPolicyInput{UserName: name, PolicyName: "own", PolicyDocument: policy}))
	}
	k := must[*iamapi.CreateAccessKeyOutput](h)(iam.CreateAccessKey(h.root, &iamapi.CreateAccessKeyInput{UserName: name})).AccessKey
	return must[authz.Credential](h)(h.app.Directory().Credential(h.root, k.AccessKeyId, "")).Principal
}

// session makes a role that everybody in the account may take and returns a session of it, opened by who.
func (h *hospital) session(who call.Principal, role, policy, narrow string) call.Principal {
	iam, sts := iamapi.NewClient(h.app.Invoker()), stsapi.NewClient(h.app.Invoker())
	trust := doc(`{"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":"sts:AssumeRole"}`)
	r := must[*iamapi.CreateRoleOutput](h)(iam.CreateRole(h.root, &iamapi.CreateRoleInput{RoleName: role, AssumeRolePolicyDocument: trust})).Role
	must[*iamapi.PutRolePolicyOutput](h)(iam.PutRolePolicy(h.root, &iamapi.PutRolePolicyInput{RoleName: role, PolicyName: "own", PolicyDocument: policy}))
	c := must[*stsapi.AssumeRoleOutput](h)(sts.AssumeRole(call.With(h.root, h.from(who)), &stsapi.AssumeRoleInput{RoleArn: r.Arn, RoleSessionName: "shift", Policy: narrow})).Credentials
	return must[authz.Credential](h)(h.app.Directory().Credential(h.root, c.AccessKeyId, c.SessionToken)).Principal
}

func store(id string) string {
	return `"arn:aws:healthlake:` + region + `:` + account + `:datastore/fhir/` + id + `"`
}

// people makes the columns.
func (h *hospital) people() {
	h.add("0", "nobody: no credentials, or wrong ones", call.Principal{}, nil)
	admin := h.user("admin", doc(everything), "")
	h.add("r", "root", call.From(h.root).Principal, nil)
	h.add("a", "administrator", admin, nil)
	h.add("N", "session of an administrator's role, narrowed to reading by its session policy", h.session(admin, "narrowed", doc(everything), doc(reading)), nil)
	h.add("R", "reader", h.user("reader", doc(reading), ""), nil)
	h.add("c", "clinician: session of a role for FHIR in the ward's data store, with a grant on the key", h.session(admin, "clinic", doc(`{"Effect":"Allow","Action":"healthlake:*","Resource":`+store(ward)+`}`), ""), nil)
	h.add("o", "clinician of another ward", h.session(admin, "elsewhere", doc(`{"Effect":"Allow","Action":"healthlake:*","Resource":`+store(other)+`}`), ""), nil)
	h.add("i", "radiographer: all of imaging, never deletes", h.user("radiographer", doc(`{"Effect":"Allow","Action":"medical-imaging:*","Resource":"*"},{"Effect":"Deny","Action":"medical-imaging:Delete*","Resource":"*"}`), ""), nil)
	h.add("g", "genomicist: all of omics, within a boundary that only reads", h.user("genomicist", doc(`{"Effect":"Allow","Action":"omics:*","Resource":"*"}`), doc(reading)), nil)
	h.add("k", "keeper of keys: all of kms", h.user("keeper", doc(`{"Effect":"Allow","Action":"kms:*","Resource":"*"}`), ""), nil)
	h.add("u", "auditor: the trail, and who may what", h.user("auditor", doc(`{"Effect":"Allow","Action":["cloudtrail:*","iam:Get*","iam:List*","iam:Simulate*"],"Resource":"*"}`), ""), nil)
	h.add("s", "suspended administrator", h.user("suspended", doc(everything+`,{"Effect":"Deny","Action":"*","Resource":"*"}`), ""), nil)
	h.add("n", "user without policies", h.user("nobody", "", ""), nil)
	h.add("m", "administrator with a second factor only", h.user("factor", doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}}`), ""), nil)
	h.add("p", "administrator from 10.0.0.0/8 only", h.user("inhouse", doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}`), ""), nil)
	h.add("l", "administrator over TLS only", h.user("tls", doc(everything+`,{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`), ""), nil)
	h.add("t", "administrator of another account", call.Principal{Kind: call.IAMUser, ARN: "arn:aws:iam::111111111111:user/eve", ID: "AIDA0000000000000009", Account: "111111111111", Name: "eve"}, tenant{h.app.Directory()})
	h.add("v", "service omics, for itself", call.Principal{Kind: call.AWSService, ARN: "omics.amazonaws.com"}, nil)
	for _, token := range [][2]string{{"b", "system/*.rs"}, {"w", "system/Observation.rs"}, {"q", "patient/*.rs"}} {
		list, _ := smart.Parse(token[1])
		h.add(token[0], "token with the scope "+token[1], h.session(admin, "token-"+token[0], doc(everything), smart.Policy(list)), nil)
	}
}

// tenant is the directory of another account, whose administrator may everything there.
type tenant struct{ authz.Directory }

func (tenant) Policies(context.Context, call.Principal) ([]authz.Policy, string, error) {
	return []authz.Policy{{Name: "everything", Document: doc(everything)}}, "", nil
}

// things makes what plausible inputs name: a bucket with a policy, a key with a grant.
func (h *hospital) things() {
	kms, s3, iam := kmsapi.NewClient(h.app.Invoker()), s3api.NewClient(h.app.Invoker()), iamapi.NewClient(h.app.Invoker())
	must[*s3api.CreateBucketOutput](h)(s3.CreateBucket(h.root, &s3api.CreateBucketInput{Bucket: bucket}))
	clinic := "arn:aws:iam::" + account + ":role/clinic"
	must[*s3api.PutBucketPolicyOutput](h)(s3.PutBucketPolicy(h.root, &s3api.PutBucketPolicyInput{Bucket: bucket, Policy: doc(`{"Effect":"Allow","Principal":{"AWS":"` + clinic + `"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::` + bucket +
		`/*"},{"Effect":"Deny","Principal":"*","Action":"s3:DeleteBucket","Resource":"arn:aws:s3:::` + bucket + `"}`)}))
	h.keyID = must[*kmsapi.CreateKeyOutput](h)(kms.CreateKey(h.root, &kmsapi.CreateKeyInput{})).KeyMetadata.KeyId
	must[*kmsapi.CreateAliasOutput](h)(kms.CreateAlias(h.root, &kmsapi.CreateAliasInput{AliasName: "alias/ward", TargetKeyId: h.keyID}))
	h.sealed = must[*kmsapi.EncryptOutput](h)(kms.Encrypt(h.root, &kmsapi.EncryptInput{KeyId: h.keyID, Plaintext: []byte("x")})).CiphertextBlob
	h.grant = must[*kmsapi.CreateGrantOutput](h)(kms.CreateGrant(h.root, &kmsapi.CreateGrantInput{KeyId: h.keyID, GranteePrincipal: clinic, Operations: []kmsapi.GrantOperation{kmsapi.GrantOperationDecrypt}}))
	must[*iamapi.CreateGroupOutput](h)(iam.CreateGroup(h.root, &iamapi.CreateGroupInput{GroupName: "staff"}))
	must[*iamapi.CreatePolicyOutput](h)(iam.CreatePolicy(h.root, &iamapi.CreatePolicyInput{PolicyName: "care", PolicyDocument: doc(everything)}))
}
