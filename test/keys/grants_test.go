package keys

import (
	"fmt"
	"strings"
	"testing"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/client"
	"github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/aws/sigv4"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/test/galen"
)

// ward is a server with users who may do nothing by their own policies, and a key of its account.
type ward struct {
	t     *testing.T
	g     *galen.Server
	admin *kms.Client
	key   string // ARN
}

func openWard(t *testing.T) *ward {
	t.Helper()
	w := &ward{t: t, g: galen.Start(t)}
	w.admin = kms.NewClient(w.g.Client())
	w.key = must[*kms.CreateKeyOutput](t)(w.admin.CreateKey(ctx, &kms.CreateKeyInput{})).KeyMetadata.Arn
	return w
}

// user makes a user with a policy of its own, if there is one, and gives its ARN and its calls.
func (w *ward) user(name, policy string) (string, *client.HTTP) {
	w.t.Helper()
	c := iam.NewClient(w.g.Client())
	arn := must[*iam.CreateUserOutput](w.t)(c.CreateUser(ctx, &iam.CreateUserInput{UserName: name})).User.Arn
	if policy != "" {
		must[*iam.PutUserPolicyOutput](w.t)(c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: name, PolicyName: "own", PolicyDocument: policy}))
	}
	k := must[*iam.CreateAccessKeyOutput](w.t)(c.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: name})).AccessKey
	return arn, &client.HTTP{Base: w.g.URL, Region: galen.Region, Credentials: sigv4.Credentials{AccessKeyID: k.AccessKeyId, SecretAccessKey: k.SecretAccessKey}, Attempts: 1}
}

func (w *ward) grant(by *kms.Client, in *kms.CreateGrantInput) *kms.CreateGrantOutput {
	w.t.Helper()
	in.KeyId = w.key
	return must[*kms.CreateGrantOutput](w.t)(by.CreateGrant(ctx, in))
}

func encrypt(by *kms.Client, key string, ec map[string]string, tokens ...string) ([]byte, error) {
	out, err := by.Encrypt(ctx, &kms.EncryptInput{KeyId: key, Plaintext: []byte("a text"), EncryptionContext: ec, GrantTokens: tokens})
	if err != nil {
		return nil, err
	}
	return out.CiphertextBlob, nil
}

// may compares whether something was allowed; a refusal must be for want of a right.
func may(t *testing.T, what string, err error, want bool) {
	t.Helper()
	switch {
	case want && err != nil:
		t.Errorf("%s: %v", what, err)
	case !want && err == nil:
		t.Errorf("%s is allowed", what)
	case !want && errs.As(err).Name != "AccessDeniedException":
		t.Errorf("%s: %v, want AccessDeniedException", what, err)
	}
}

func refusedAs(t *testing.T, what string, err error, name string) {
	t.Helper()
	if err == nil || errs.As(err).Name != name {
		t.Errorf("%s: %v, want %s", what, err, name)
	}
}

// A grant gives its operations with what its constraints say, to whom it is for, from when it is made until it is ended; nothing else and to nobody else.
func TestGrantsGiveWhatTheySay(t *testing.T) {
	w := openWard(t)
	labARN, labHTTP := w.user("lab", "")
	otherARN, otherHTTP := w.user("other", "")
	lab, other := kms.NewClient(labHTTP), kms.NewClient(otherHTTP)
	_, err := encrypt(lab, w.key, nil)
	may(t, "encrypting before the grant", err, false)

	subset := w.grant(w.admin, &kms.CreateGrantInput{GranteePrincipal: labARN, RetiringPrincipal: otherARN, Operations: []kms.GrantOperation{"Encrypt", "Decrypt"},
		Constraints: &kms.GrantConstraints{EncryptionContextSubset: map[string]string{"ward": "3"}}})
	within := map[string]string{"ward": "3", "bed": "7"}
	sealed, err := encrypt(lab, w.key, within)
	may(t, "encrypting with more than the subset", err, true)
	_, err = lab.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: sealed, EncryptionContext: within})
	may(t, "decrypting it", err, true)
	for what, ec := range map[string]map[string]string{"no context": nil, "another value": {"ward": "4"}, "another case": {"Ward": "3"}, "another key": {"bed": "7"}} {
		_, err = encrypt(lab, w.key, ec)
		may(t, "encrypting with "+what, err, false)
	}
	foreign, err := encrypt(w.admin, w.key, map[string]string{"ward": "4"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = lab.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: foreign, EncryptionContext: map[string]string{"ward": "4"}})
	may(t, "decrypting what is outside of the subset", err, false)
	_, err = encrypt(other, w.key, within)
	may(t, "encrypting by another user", err, false)
	for what, call := range map[string]func() error{
		"GenerateDataKey": func() error {
			_, err := lab.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: w.key, KeySpec: "AES_256", EncryptionContext: within})
			return err
		},
		"ReEncrypt": func() error {
			_, err := lab.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: sealed, SourceEncryptionContext: within, DestinationKeyId: w.key, DestinationEncryptionContext: within})
			return err
		},
		"DescribeKey": func() error { _, err := lab.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: w.key}); return err },
		"CreateGrant": func() error {
			_, err := lab.CreateGrant(ctx, &kms.CreateGrantInput{KeyId: w.key, GranteePrincipal: labARN, Operations: []kms.GrantOperation{"Encrypt"}})
			return err
		},
		"RetireGrant by the grantee": func() error {
			_, err := lab.RetireGrant(ctx, &kms.RetireGrantInput{GrantToken: subset.GrantToken})
			return err
		},
		"RevokeGrant": func() error {
			_, err := lab.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: w.key, GrantId: subset.GrantId})
			return err
		},
		"ListGrants": func() error { _, err := lab.ListGrants(ctx, &kms.ListGrantsInput{KeyId: w.key}); return err },
		"DisableKey": func() error { _, err := lab.DisableKey(ctx, &kms.DisableKeyInput{KeyId: w.key}); return err },
	} {
		may(t, what+", which the grant does not give", call(), false)
	}

	equals := w.grant(w.admin, &kms.CreateGrantInput{GranteePrincipal: otherARN, RetiringPrincipal: labARN, Operations: []kms.GrantOperation{"Encrypt", "RetireGrant", "DescribeKey"},
		Constraints: &kms.GrantConstraints{EncryptionContextEquals: map[string]string{"a": "1", "b": "2"}}})
	for what, c := range map[string]struct {
		ec   map[string]string
		want bool
	}{"the equal context": {map[string]string{"b": "2", "a": "1"}, true}, "a part of it": {map[string]string{"a": "1"}, false}, "more than it": {map[string]string{"a": "1", "b": "2", "c": "3"}, false}, "none": {nil, false}} {
		_, err = encrypt(other, w.key, c.ec)
		may(t, "encrypting with "+what, err, c.want)
	}
	_, err = other.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: w.key})
	may(t, "DescribeKey, which has no context to constrain", err, true)

	// Tokens: of a grant, of none, of one that has ended.
	_, err = encrypt(lab, w.key, within, subset.GrantToken)
	may(t, "encrypting with the grant's token", err, true)
	_, err = encrypt(w.admin, w.key, within, "bm90IGEgdG9rZW4")
	refusedAs(t, "a token of no grant", err, "InvalidGrantTokenException")
	_, err = encrypt(lab, w.key, within, "bm90IGEgdG9rZW4") // he is told no more than that he may not
	may(t, "encrypting with a token of no grant", err, false)
	_, err = encrypt(other, w.key, within, subset.GrantToken)
	may(t, "encrypting with another's token", err, false)

	_, err = other.RetireGrant(ctx, &kms.RetireGrantInput{KeyId: w.key, GrantId: subset.GrantId})
	may(t, "retiring by the retiring principal", err, true)
	_, err = lab.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: sealed, EncryptionContext: within})
	may(t, "decrypting right after it was retired", err, false)
	_, err = encrypt(w.admin, w.key, nil, subset.GrantToken)
	refusedAs(t, "the token of a retired grant", err, "InvalidGrantTokenException")
	_, err = other.RetireGrant(ctx, &kms.RetireGrantInput{GrantToken: equals.GrantToken})
	may(t, "retiring by a grantee whose grant says so", err, true)
	_, err = encrypt(other, w.key, map[string]string{"a": "1", "b": "2"})
	may(t, "encrypting right after it was retired", err, false)

	again := w.grant(w.admin, &kms.CreateGrantInput{GranteePrincipal: labARN, Operations: []kms.GrantOperation{"Encrypt"}})
	_, err = encrypt(lab, w.key, nil)
	may(t, "encrypting right after the grant", err, true)
	must[*kms.RevokeGrantOutput](t)(w.admin.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: w.key, GrantId: again.GrantId}))
	_, err = encrypt(lab, w.key, nil)
	may(t, "encrypting right after it was revoked", err, false)
	_, err = w.admin.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: w.key, GrantId: again.GrantId})
	refusedAs(t, "revoking twice", err, "NotFoundException")
}

// Who has CreateGrant by a grant gives on what he has, and no more.
func TestGrantsOfGrantees(t *testing.T) {
	w := openWard(t)
	leadARN, leadHTTP := w.user("lead", "")
	nurseARN, nurseHTTP := w.user("nurse", "")
	lead, nurse := kms.NewClient(leadHTTP), kms.NewClient(nurseHTTP)
	parent := w.grant(w.admin, &kms.CreateGrantInput{GranteePrincipal: leadARN, Operations: []kms.GrantOperation{"Encrypt", "Decrypt", "CreateGrant"},
		Constraints: &kms.GrantConstraints{EncryptionContextSubset: map[string]string{"ward": "3"}}})
	for what, c := range map[string]struct {
		ops    []kms.GrantOperation
		subset map[string]string
		equals map[string]string
		want   bool
	}{
		"the same":                        {[]kms.GrantOperation{"Encrypt"}, map[string]string{"ward": "3"}, nil, true},
		"narrower":                        {[]kms.GrantOperation{"Decrypt"}, map[string]string{"ward": "3", "bed": "1"}, nil, true},
		"an equals that has the subset":   {[]kms.GrantOperation{"Decrypt"}, nil, map[string]string{"ward": "3", "bed": "2"}, true},
		"without the constraint":          {[]kms.GrantOperation{"Encrypt"}, nil, nil, false},
		"another constraint":              {[]kms.GrantOperation{"Encrypt"}, map[string]string{"ward": "4"}, nil, false},
		"an operation that it lacks":      {[]kms.GrantOperation{"Encrypt", "GenerateDataKey"}, map[string]string{"ward": "3"}, nil, false},
		"an equals without its context":   {[]kms.GrantOperation{"Encrypt"}, nil, map[string]string{"bed": "2"}, false},
		"RetireGrant, which it lacks too": {[]kms.GrantOperation{"RetireGrant"}, map[string]string{"ward": "3"}, nil, false},
	} {
		_, err := lead.CreateGrant(ctx, &kms.CreateGrantInput{KeyId: w.key, GranteePrincipal: nurseARN, Operations: c.ops, Constraints: &kms.GrantConstraints{EncryptionContextSubset: c.subset, EncryptionContextEquals: c.equals}})
		may(t, "a grant of "+what, err, c.want)
	}
	_, err := encrypt(nurse, w.key, map[string]string{"ward": "3"})
	may(t, "encrypting by a grantee's grantee", err, true)
	_, err = nurse.CreateGrant(ctx, &kms.CreateGrantInput{KeyId: w.key, GranteePrincipal: leadARN, Operations: []kms.GrantOperation{"Encrypt"}, Constraints: &kms.GrantConstraints{EncryptionContextSubset: map[string]string{"ward": "3"}}})
	may(t, "a grant by who was not given CreateGrant", err, false)
	// As in KMS, a grant stands by itself: it outlives the one that it was made of.
	must[*kms.RevokeGrantOutput](t)(w.admin.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: w.key, GrantId: parent.GrantId}))
	_, err = encrypt(lead, w.key, map[string]string{"ward": "3"})
	may(t, "encrypting by who lost the grant", err, false)
	_, err = encrypt(nurse, w.key, map[string]string{"ward": "3"})
	may(t, "encrypting by who still has one", err, true)
}

// Grants of a key are listed by pages that have each once, while others come and go, and by grantee; a key's policy may limit what is granted.
func TestGrantsAreListed(t *testing.T) {
	w := openWard(t)
	first, firstHTTP := w.user("first", "")
	second, _ := w.user("second", "")
	want := map[string]bool{}
	for n := range 23 {
		who := first
		if n%2 == 1 {
			who = second
		}
		want[w.grant(w.admin, &kms.CreateGrantInput{GranteePrincipal: who, RetiringPrincipal: second, Name: fmt.Sprint("grant-", n), Operations: []kms.GrantOperation{"Encrypt"}}).GrantId] = n%2 == 0
	}
	list := func(in kms.ListGrantsInput) map[string]bool {
		t.Helper()
		got := map[string]bool{}
		in.KeyId, in.Limit = w.key, aws.Ptr(int32(5))
		for pages := 0; ; pages++ {
			out := must[*kms.ListGrantsOutput](t)(w.admin.ListGrants(ctx, &in))
			for _, g := range out.Grants {
				if _, twice := got[g.GrantId]; twice {
					t.Errorf("grant %s is listed twice", g.GrantId)
				}
				got[g.GrantId] = g.GranteePrincipal == first
			}
			if !aws.Val(out.Truncated) {
				if pages < 2 {
					t.Errorf("all in %d pages", pages+1)
				}
				return got
			}
			if pages == 0 { // comes and goes between pages
				extra := w.grant(w.admin, &kms.CreateGrantInput{GranteePrincipal: w.anyone(), Operations: []kms.GrantOperation{"Decrypt"}})
				must[*kms.RevokeGrantOutput](t)(w.admin.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: w.key, GrantId: extra.GrantId}))
			}
			in.Marker = out.NextMarker
		}
	}
	if got := list(kms.ListGrantsInput{}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%d grants are listed, want %d", len(got), len(want))
	}
	for id := range list(kms.ListGrantsInput{GranteePrincipal: first}) {
		if !want[id] {
			t.Errorf("grant %s is another's", id)
		}
	}
	_, err := w.admin.ListGrants(ctx, &kms.ListGrantsInput{KeyId: w.key, Marker: "!"})
	refusedAs(t, "a marker of nobody", err, "InvalidMarkerException")

	narrow := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:root"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":{"AWS":"%s"},"Action":["kms:CreateGrant"],"Resource":"*","Condition":{"ForAllValues:StringEquals":{"kms:GrantOperations":["Decrypt"]},"StringEquals":{"kms:GranteePrincipal":"%s"}}},
		{"Effect":"Allow","Principal":{"AWS":"%s"},"Action":["kms:ScheduleKeyDeletion"],"Resource":"*","Condition":{"NumericGreaterThanEquals":{"kms:ScheduleKeyDeletionPendingWindowInDays":"20"}}},
		{"Effect":"Allow","Principal":{"AWS":"%s"},"Action":["kms:EnableKeyRotation"],"Resource":"*","Condition":{"NumericLessThanEquals":{"kms:RotationPeriodInDays":"180"}}}]}`, galen.Account, first, second, first, first)
	must[*kms.PutKeyPolicyOutput](t)(w.admin.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: w.key, PolicyName: "default", Policy: narrow}))
	by := kms.NewClient(firstHTTP)
	create := func(who string, ops ...kms.GrantOperation) error {
		_, err := by.CreateGrant(ctx, &kms.CreateGrantInput{KeyId: w.key, GranteePrincipal: who, Operations: ops})
		return err
	}
	may(t, "a grant as the policy limits it", create(second, "Decrypt"), true)
	may(t, "a grant of more operations", create(second, "Decrypt", "Encrypt"), false)
	may(t, "a grant to another", create(first, "Decrypt"), false)
	rotate := func(days int32) error {
		_, err := by.EnableKeyRotation(ctx, &kms.EnableKeyRotationInput{KeyId: w.key, RotationPeriodInDays: &days})
		return err
	}
	may(t, "a rotation each 365 days", rotate(365), false)
	may(t, "a rotation each 180 days", rotate(180), true)
	remove := func(days int32) error {
		_, err := by.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: w.key, PendingWindowInDays: &days})
		return err
	}
	may(t, "a deletion in 7 days", remove(7), false)
	may(t, "a deletion in 20 days", remove(20), true)
}

func (w *ward) anyone() string { return "arn:aws:iam::" + galen.Account + ":root" }

// A service uses a key for its caller: the caller's grant is asked, with the context that the service binds, and nothing but the grant lets an object be read.
func TestGrantsThroughAService(t *testing.T) {
	w := openWard(t)
	root := s3.NewClient(w.g.Client())
	must[*s3.CreateBucketOutput](t)(root.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: "shared"}))
	for _, name := range []string{"a", "b"} {
		must[*s3.PutObjectOutput](t)(root.PutObject(ctx, &s3.PutObjectInput{Bucket: "shared", Key: name, Body: strings.NewReader(name), ServerSideEncryption: "aws:kms", SSEKMSKeyId: w.key}))
	}
	arn, h := w.user("reader", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`)
	get := func(name string) error {
		out, err := s3.NewClient(h).GetObject(ctx, &s3.GetObjectInput{Bucket: "shared", Key: name})
		if err == nil && string(all(out.Body, nil)) != name {
			return fmt.Errorf("object %s is another", name)
		}
		return err
	}
	denied := func(what string, err error) {
		t.Helper()
		refusedAs(t, what, err, "AccessDenied")
	}
	denied("an object without the key", get("a"))
	g := w.grant(w.admin, &kms.CreateGrantInput{GranteePrincipal: arn, Operations: []kms.GrantOperation{"Decrypt"},
		Constraints: &kms.GrantConstraints{EncryptionContextEquals: map[string]string{"aws:s3:arn": "arn:aws:s3:::shared/a"}}})
	if err := get("a"); err != nil {
		t.Errorf("under the grant: %v", err)
	}
	denied("an object of another context", get("b"))
	must[*kms.RevokeGrantOutput](t)(w.admin.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: w.key, GrantId: g.GrantId}))
	denied("an object right after the grant was revoked", get("a"))
}
