package kms_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/pebble"
	"github.com/galen-health/galen/service/kms"
	"github.com/galen-health/galen/test/testbed"
)

const account = "000000000000"

// world is the service on real engines in a temporary folder, called as the edge calls it: what Authorize asks is checked first.
type world struct {
	*kms.Service
	t       *testing.T
	now     time.Time
	ring    *keyring.Ring
	records record.Store
	users   testbed.Users
	eval    *authz.Evaluator
}

func open(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, users: testbed.Users{}, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	var err error
	if w.ring, err = keyring.Open(dir+"/keys", nil, keyring.Config{Now: func() time.Time { return w.now }}); err != nil {
		t.Fatal(err)
	}
	if w.records, err = pebble.Open(dir+"/records", w.ring, pebble.Options{}); err != nil {
		t.Fatal(err)
	}
	w.eval = authz.New(w.users, account, "us-east-1")
	if w.Service, err = kms.New(t.Context(), kms.Config{Account: account, Region: "us-east-1"}, w.ring, w.records, w.eval); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(w.records.Close(), w.ring.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

func as(kind call.Kind, name string) context.Context {
	arn := "arn:aws:iam::" + account + ":root"
	if name != "" {
		arn = userARN(name)
	}
	return call.With(context.Background(), &call.Call{RequestID: "r", Time: time.Now(), Principal: call.Principal{Kind: kind, ARN: arn, ID: account, Account: account, Name: name}})
}

func userARN(name string) string { return "arn:aws:iam::" + account + ":user/" + name }

func root() context.Context { return as(call.Root, "") }

func user(name string) context.Context { return as(call.IAMUser, name) }

// do calls an operation through its authorisation.
func (w *world) do(ctx context.Context, in any) (any, error) {
	op := strings.TrimSuffix(reflect.TypeOf(in).Elem().Name(), "Input")
	needs, err := w.Authorize(ctx, op, in)
	if err != nil {
		return nil, err
	}
	for _, n := range needs {
		if err := w.eval.Check(ctx, n); err != nil {
			return nil, err
		}
	}
	out := reflect.ValueOf(w.Service).MethodByName(op).Call([]reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(in)})
	if err, _ := out[1].Interface().(error); err != nil {
		return nil, err
	}
	return out[0].Interface(), nil
}

// must is do for the root user, without failure.
func (w *world) must(in any) any {
	w.t.Helper()
	out, err := w.do(root(), in)
	if err != nil {
		w.t.Fatalf("%T: %v", in, err)
	}
	return out
}

func (w *world) key(policy string) string {
	w.t.Helper()
	return w.must(&api.CreateKeyInput{Policy: policy, BypassPolicyLockoutSafetyCheck: aws.Ptr(true)}).(*api.CreateKeyOutput).KeyMetadata.Arn
}

func named(t *testing.T, err error, name string) {
	t.Helper()
	if err == nil || errs.As(err).Name != name {
		t.Errorf("error = %v, want %s", err, name)
	}
}

func denied(t *testing.T, err error, what string) {
	t.Helper()
	if !errs.Is(err, errs.Denied) {
		t.Errorf("%s: error = %v, want denied", what, err)
	}
}

func TestCiphertexts(t *testing.T) {
	w := open(t)
	arn := w.key("")
	w.must(&api.CreateAliasInput{AliasName: "alias/a", TargetKeyId: arn})
	id := arn[strings.LastIndex(arn, "/")+1:]
	for _, name := range []string{arn, id, "alias/a", "arn:aws:kms:us-east-1:000000000000:alias/a"} {
		e := w.must(&api.EncryptInput{KeyId: name, Plaintext: []byte("text"), EncryptionContext: map[string]string{"a": "b"}}).(*api.EncryptOutput)
		for _, by := range []string{"", arn, "alias/a"} {
			d := w.must(&api.DecryptInput{KeyId: by, CiphertextBlob: e.CiphertextBlob, EncryptionContext: map[string]string{"a": "b"}}).(*api.DecryptOutput)
			if string(d.Plaintext) != "text" || d.KeyId != arn || len(d.KeyMaterialId) != 64 || e.KeyId != arn {
				t.Errorf("%s: %+v", name, d)
			}
		}
		_, err := w.do(root(), &api.DecryptInput{CiphertextBlob: e.CiphertextBlob})
		named(t, err, "InvalidCiphertextException")
		_, err = w.do(root(), &api.DecryptInput{CiphertextBlob: e.CiphertextBlob, KeyId: w.key(""), EncryptionContext: map[string]string{"a": "b"}})
		named(t, err, "IncorrectKeyException")
	}
	other := w.key("")
	e := w.must(&api.EncryptInput{KeyId: arn, Plaintext: []byte("text")}).(*api.EncryptOutput)
	re := w.must(&api.ReEncryptInput{CiphertextBlob: e.CiphertextBlob, DestinationKeyId: other, DestinationEncryptionContext: map[string]string{"x": "y"}}).(*api.ReEncryptOutput)
	d := w.must(&api.DecryptInput{CiphertextBlob: re.CiphertextBlob, EncryptionContext: map[string]string{"x": "y"}}).(*api.DecryptOutput)
	if string(d.Plaintext) != "text" || d.KeyId != other || re.SourceKeyId != arn {
		t.Errorf("re-encrypted: %+v", re)
	}
	for _, in := range []*api.GenerateDataKeyInput{{KeyId: arn, KeySpec: "AES_128"}, {KeyId: arn, KeySpec: "AES_256"}, {KeyId: arn, NumberOfBytes: aws.Ptr(int32(1024))}} {
		k := w.must(in).(*api.GenerateDataKeyOutput)
		d := w.must(&api.DecryptInput{CiphertextBlob: k.CiphertextBlob}).(*api.DecryptOutput)
		if string(d.Plaintext) != string(k.Plaintext) || len(k.Plaintext) != map[api.DataKeySpec]int{"AES_128": 16, "AES_256": 32, "": 1024}[in.KeySpec] {
			t.Errorf("data key of %d bytes", len(k.Plaintext))
		}
	}
	// A data key that Galen made for itself is nobody's ciphertext.
	own, err := w.ring.DataKey(t.Context(), key.Ref{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.do(root(), &api.DecryptInput{CiphertextBlob: own.Wrapped})
	named(t, err, "NotFoundException")
	for want, in := range map[string]any{
		"ValidationException":           &api.GenerateDataKeyInput{KeyId: arn},
		"InvalidCiphertextException":    &api.DecryptInput{CiphertextBlob: []byte("nonsense")},
		"NotFoundException":             &api.EncryptInput{KeyId: "alias/none", Plaintext: []byte("x")},
		"InvalidArnException":           &api.EncryptInput{KeyId: "arn:aws:s3:::x", Plaintext: []byte("x")},
		"DryRunOperationException":      &api.EncryptInput{KeyId: arn, Plaintext: []byte("x"), DryRun: aws.Ptr(true)},
		"InvalidKeyUsageException":      &api.EncryptInput{KeyId: arn, Plaintext: []byte("x"), EncryptionAlgorithm: "RSAES_OAEP_SHA_1"},
		"UnsupportedOperationException": &api.CreateKeyInput{KeySpec: "RSA_2048"},
	} {
		_, err := w.do(root(), in)
		named(t, err, want)
	}
	if r := w.must(&api.GenerateRandomInput{NumberOfBytes: aws.Ptr(int32(77))}).(*api.GenerateRandomOutput); len(r.Plaintext) != 77 {
		t.Errorf("%d random bytes", len(r.Plaintext))
	}
}

func TestStatesAndDeletion(t *testing.T) {
	w := open(t)
	arn := w.key("")
	w.must(&api.CreateAliasInput{AliasName: "alias/a", TargetKeyId: arn})
	c := w.must(&api.EncryptInput{KeyId: arn, Plaintext: []byte("x")}).(*api.EncryptOutput).CiphertextBlob
	state := func() api.KeyMetadata {
		return *w.must(&api.DescribeKeyInput{KeyId: "alias/a"}).(*api.DescribeKeyOutput).KeyMetadata
	}
	unusable := func(want string) {
		t.Helper()
		for _, in := range []any{&api.EncryptInput{KeyId: arn, Plaintext: []byte("x")}, &api.DecryptInput{CiphertextBlob: c}, &api.GenerateDataKeyInput{KeyId: arn, KeySpec: "AES_256"}} {
			_, err := w.do(root(), in)
			named(t, err, want)
		}
	}
	w.must(&api.DisableKeyInput{KeyId: arn})
	if m := state(); m.KeyState != api.KeyStateDisabled || *m.Enabled {
		t.Errorf("disabled: %+v", m)
	}
	unusable("DisabledException")
	w.must(&api.EnableKeyInput{KeyId: arn})
	for _, days := range []int32{6, 31} {
		_, err := w.do(root(), &api.ScheduleKeyDeletionInput{KeyId: arn, PendingWindowInDays: &days})
		named(t, err, "ValidationException")
	}
	d := w.must(&api.ScheduleKeyDeletionInput{KeyId: arn, PendingWindowInDays: aws.Ptr(int32(7))}).(*api.ScheduleKeyDeletionOutput)
	if m := state(); m.KeyState != api.KeyStatePendingDeletion || !m.DeletionDate.Equal(d.DeletionDate) {
		t.Errorf("pending: %+v", m)
	}
	unusable("KMSInvalidStateException")
	for _, in := range []any{&api.EnableKeyInput{KeyId: arn}, &api.ScheduleKeyDeletionInput{KeyId: arn}, &api.UpdateKeyDescriptionInput{KeyId: arn}, &api.RotateKeyOnDemandInput{KeyId: arn},
		&api.TagResourceInput{KeyId: arn}, &api.CreateAliasInput{AliasName: "alias/b", TargetKeyId: arn}} {
		_, err := w.do(root(), in)
		named(t, err, "KMSInvalidStateException")
	}
	w.must(&api.CancelKeyDeletionInput{KeyId: arn})
	if m := state(); m.KeyState != api.KeyStateDisabled || !m.DeletionDate.IsZero() {
		t.Errorf("cancelled: %+v", m)
	}
	w.must(&api.EnableKeyInput{KeyId: arn})
	w.must(&api.ScheduleKeyDeletionInput{KeyId: arn, PendingWindowInDays: aws.Ptr(int32(7))})
	w.now = w.now.AddDate(0, 0, 7)
	_, err := w.do(root(), &api.DescribeKeyInput{KeyId: arn})
	named(t, err, "NotFoundException") // due, before anything has swept it
	if err := w.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = w.do(root(), &api.DecryptInput{CiphertextBlob: c})
	named(t, err, "NotFoundException")
	if l := w.must(&api.ListAliasesInput{}).(*api.ListAliasesOutput); len(l.Aliases) != 0 {
		t.Errorf("aliases of a deleted key: %+v", l.Aliases)
	}
	m, err := w.records.Outbox(t.Context(), 0, 100)
	if err != nil || len(m) != 1 || !strings.Contains(string(m[0].Body), "KMS CMK Deletion") {
		t.Errorf("events: %v, %v", m, err)
	}
}

func TestRotation(t *testing.T) {
	w := open(t)
	arn := w.key("")
	c := w.must(&api.EncryptInput{KeyId: arn, Plaintext: []byte("x")}).(*api.EncryptOutput).CiphertextBlob
	w.must(&api.RotateKeyOnDemandInput{KeyId: arn})
	w.must(&api.EnableKeyRotationInput{KeyId: arn, RotationPeriodInDays: aws.Ptr(int32(90))})
	w.now = w.now.AddDate(0, 0, 90)
	if err := w.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := w.must(&api.ListKeyRotationsInput{KeyId: arn, IncludeKeyMaterial: "ALL_KEY_MATERIAL"}).(*api.ListKeyRotationsOutput).Rotations
	if len(r) != 3 || r[0].RotationType != "" || r[1].RotationType != "ON_DEMAND" || r[2].RotationType != "AUTOMATIC" || r[2].KeyMaterialState != "CURRENT" || r[1].KeyMaterialState != "NON_CURRENT" {
		t.Errorf("rotations = %+v", r)
	}
	if d := w.must(&api.DecryptInput{CiphertextBlob: c}).(*api.DecryptOutput); string(d.Plaintext) != "x" || d.KeyMaterialId != r[0].KeyMaterialId {
		t.Errorf("after rotation: %+v", d)
	}
	st := w.must(&api.GetKeyRotationStatusInput{KeyId: arn}).(*api.GetKeyRotationStatusOutput)
	if !*st.KeyRotationEnabled || !st.NextRotationDate.Equal(w.now.AddDate(0, 0, 90)) {
		t.Errorf("status = %+v", st)
	}
	w.now = w.now.AddDate(0, 0, 80)
	due := st.NextRotationDate
	status := func() *api.GetKeyRotationStatusOutput {
		return w.must(&api.GetKeyRotationStatusInput{KeyId: arn}).(*api.GetKeyRotationStatusOutput)
	}
	w.must(&api.RotateKeyOnDemandInput{KeyId: arn}) // as the reference of RotateKeyOnDemand says: the schedule stays
	if st := status(); !st.NextRotationDate.Equal(due) {
		t.Errorf("after a rotation on demand the next is due at %v, want %v", st.NextRotationDate, due)
	}
	w.must(&api.EnableKeyRotationInput{KeyId: arn, RotationPeriodInDays: aws.Ptr(int32(100))})
	if st := status(); !st.NextRotationDate.Equal(due.AddDate(0, 0, 10)) {
		t.Errorf("with another period the next is due at %v, want %v", st.NextRotationDate, due.AddDate(0, 0, 10))
	}
	w.must(&api.ScheduleKeyDeletionInput{KeyId: arn})
	if st := status(); *st.KeyRotationEnabled || st.NextRotationDate != (time.Time{}) {
		t.Errorf("pending deletion: %+v", st)
	}
	w.must(&api.CancelKeyDeletionInput{KeyId: arn})
	w.now = w.now.AddDate(0, 0, 300) // disabled, it does not rotate
	if err := w.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(w.must(&api.ListKeyRotationsInput{KeyId: arn}).(*api.ListKeyRotationsOutput).Rotations); n != 3 {
		t.Errorf("%d rotations, want 3", n)
	}
	w.must(&api.EnableKeyInput{KeyId: arn})
	for range 2 { // at once, and once
		if err := w.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if st, n := status(), len(w.must(&api.ListKeyRotationsInput{KeyId: arn}).(*api.ListKeyRotationsOutput).Rotations); n != 4 || !st.NextRotationDate.Equal(w.now.AddDate(0, 0, 100)) {
		t.Errorf("%d rotations, want 4; the next is due at %v", n, st.NextRotationDate)
	}
	w.must(&api.DisableKeyRotationInput{KeyId: arn})
	for range 23 {
		w.must(&api.RotateKeyOnDemandInput{KeyId: arn})
	}
	_, err := w.do(root(), &api.RotateKeyOnDemandInput{KeyId: arn})
	named(t, err, "LimitExceededException")
}

// The key policy decides: without it, what IAM allows is nothing.
func TestKeyPolicyMustAllow(t *testing.T) {
	w := open(t)
	w.users["all"] = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}`
	w.users["none"] = ""
	delegating := w.key("")
	only := w.key(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + userARN("none") + `"},"Action":"kms:*","Resource":"*"}]}`)
	withContext := w.key(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + userARN("none") + `"},"Action":"kms:Encrypt","Resource":"*","Condition":{"StringEquals":{"kms:EncryptionContext:store":"1"}}}]}`)
	viaS3 := w.key(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"kms:*","Resource":"*","Condition":{"StringEquals":{"kms:ViaService":"s3.us-east-1.amazonaws.com"}}}]}`)
	for _, c := range []struct {
		who, key string
		context  map[string]string
		allowed  bool
	}{
		{"all", delegating, nil, true}, {"none", delegating, nil, false}, {"all", only, nil, false}, {"none", only, nil, true},
		{"none", withContext, nil, false}, {"none", withContext, map[string]string{"store": "1"}, true}, {"none", withContext, map[string]string{"store": "2"}, false},
		{"all", viaS3, nil, false},
	} {
		_, err := w.do(user(c.who), &api.EncryptInput{KeyId: c.key, Plaintext: []byte("x"), EncryptionContext: c.context})
		if c.allowed != (err == nil) || err != nil && !errs.Is(err, errs.Denied) {
			t.Errorf("%s with %s, context %v: %v", c.who, c.key, c.context, err)
		}
	}
	for _, via := range []string{"s3", "omics"} {
		_, err := w.MayUse(user("none"), key.Use{Action: "kms:GenerateDataKey", Key: viaS3, Via: via})
		if (via == "s3") != (err == nil) {
			t.Errorf("via %s: %v", via, err)
		}
	}
	w.must(&api.DisableKeyInput{KeyId: delegating})
	_, err := w.MayUse(root(), key.Use{Action: "kms:GenerateDataKey", Key: delegating})
	named(t, err, "DisabledException")
	_, err = w.MayUse(root(), key.Use{Action: "kms:GenerateDataKey", Key: "alias/none"})
	named(t, err, "NotFoundException")

	lockedOut := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + userARN("none") + `"},"Action":"kms:Encrypt","Resource":"*"}]}`
	_, err = w.do(user("all"), &api.CreateKeyInput{Policy: lockedOut})
	named(t, err, "MalformedPolicyDocumentException")
	for _, bad := range []string{"{", "{}", `{"Version":"2012-10-17","Statement":[]}`, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`} {
		_, err = w.do(root(), &api.PutKeyPolicyInput{KeyId: delegating, Policy: bad, BypassPolicyLockoutSafetyCheck: aws.Ptr(true)})
		named(t, err, "MalformedPolicyDocumentException")
	}
}

func TestGrants(t *testing.T) {
	w := open(t)
	arn := w.key("")
	enc := func(who string, ec map[string]string) error {
		_, err := w.do(user(who), &api.EncryptInput{KeyId: arn, Plaintext: []byte("x"), EncryptionContext: ec})
		return err
	}
	denied(t, enc("u", nil), "before the grant")
	in := &api.CreateGrantInput{KeyId: arn, GranteePrincipal: userARN("u"), RetiringPrincipal: userARN("r"), Operations: []api.GrantOperation{"Encrypt"}, Name: "n",
		Constraints: &api.GrantConstraints{EncryptionContextSubset: map[string]string{"a": "1"}}}
	g := w.must(in).(*api.CreateGrantOutput)
	if again := w.must(in).(*api.CreateGrantOutput); again.GrantId != g.GrantId {
		t.Error("the same grant with the same name was made twice")
	}
	if err := enc("u", map[string]string{"a": "1", "b": "2"}); err != nil {
		t.Errorf("a fitting context: %v", err)
	}
	denied(t, enc("u", nil), "no context")
	denied(t, enc("u", map[string]string{"a": "2"}), "another context")
	denied(t, enc("v", map[string]string{"a": "1"}), "another principal")
	_, err := w.do(user("u"), &api.GenerateDataKeyInput{KeyId: arn, KeySpec: "AES_256", EncryptionContext: map[string]string{"a": "1"}})
	denied(t, err, "another operation")
	in.Name, in.Constraints = "", &api.GrantConstraints{EncryptionContextEquals: map[string]string{"c": "3"}}
	token := w.must(in).(*api.CreateGrantOutput).GrantToken
	for _, c := range []struct{ token, want string }{{token, ""}, {"never given", "InvalidGrantTokenException"}} {
		_, err := w.do(user("u"), &api.EncryptInput{KeyId: arn, Plaintext: []byte("x"), EncryptionContext: map[string]string{"c": "3"}, GrantTokens: []string{c.token}})
		if c.want == "" && err != nil {
			t.Errorf("with the grant's token: %v", err)
		} else if c.want != "" {
			named(t, err, c.want)
		}
	}
	if err := enc("u", map[string]string{"c": "3"}); err != nil {
		t.Errorf("an equal context: %v", err)
	}
	denied(t, enc("u", map[string]string{"c": "3", "d": "4"}), "more than an equal context")

	l := w.must(&api.ListGrantsInput{KeyId: arn, Limit: aws.Ptr(int32(1))}).(*api.ListGrantsOutput)
	if len(l.Grants) != 1 || !*l.Truncated {
		t.Errorf("grants = %+v", l)
	}
	if l = w.must(&api.ListGrantsInput{KeyId: arn, Marker: l.NextMarker}).(*api.ListGrantsOutput); len(l.Grants) != 1 || *l.Truncated {
		t.Errorf("grants = %+v", l)
	}
	if r := w.must(&api.ListRetirableGrantsInput{RetiringPrincipal: userARN("r")}).(*api.ListRetirableGrantsOutput); len(r.Grants) != 2 {
		t.Errorf("retirable = %+v", r)
	}
	_, err = w.do(user("u"), &api.RetireGrantInput{KeyId: arn, GrantId: g.GrantId})
	denied(t, err, "retiring by the grantee")
	if _, err = w.do(user("r"), &api.RetireGrantInput{GrantToken: g.GrantToken}); err != nil {
		t.Errorf("retiring: %v", err)
	}
	denied(t, enc("u", map[string]string{"a": "1"}), "after retiring")
	_, err = w.do(root(), &api.RevokeGrantInput{KeyId: arn, GrantId: g.GrantId})
	named(t, err, "NotFoundException")
	for want, in := range map[string]any{
		"InvalidGrantTokenException": &api.RetireGrantInput{GrantToken: "x"},
		"ValidationException":        &api.CreateGrantInput{KeyId: arn, GranteePrincipal: userARN("u"), Operations: []api.GrantOperation{"Sign"}},
	} {
		_, err := w.do(root(), in)
		named(t, err, want)
	}
}

func TestAliasesAndTags(t *testing.T) {
	w := open(t)
	a, b := w.key(""), w.key("")
	for _, bad := range []string{"x", "alias/", "alias/aws/s3", "alias/a b", "alias/a:b"} {
		_, err := w.do(root(), &api.CreateAliasInput{AliasName: bad, TargetKeyId: a})
		named(t, err, "InvalidAliasNameException")
	}
	for i := range 5 {
		w.must(&api.CreateAliasInput{AliasName: fmt.Sprint("alias/", i), TargetKeyId: a})
	}
	_, err := w.do(root(), &api.CreateAliasInput{AliasName: "alias/1", TargetKeyId: b})
	named(t, err, "AlreadyExistsException")
	_, err = w.do(root(), &api.DisableKeyInput{KeyId: "alias/1"})
	named(t, err, "NotFoundException")
	w.must(&api.UpdateAliasInput{AliasName: "alias/1", TargetKeyId: b})
	if l := w.must(&api.ListAliasesInput{KeyId: b}).(*api.ListAliasesOutput); len(l.Aliases) != 1 || l.Aliases[0].AliasName != "alias/1" || l.Aliases[0].LastUpdatedDate.IsZero() {
		t.Errorf("aliases = %+v", l.Aliases)
	}
	var got []string
	for in := (&api.ListAliasesInput{Limit: aws.Ptr(int32(2))}); ; {
		l := w.must(in).(*api.ListAliasesOutput)
		for _, x := range l.Aliases {
			got = append(got, x.AliasName)
		}
		if in.Marker = l.NextMarker; !*l.Truncated {
			break
		}
	}
	if strings.Join(got, " ") != "alias/0 alias/1 alias/2 alias/3 alias/4" {
		t.Errorf("pages = %v", got)
	}
	w.users["u"] = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:DeleteAlias","Resource":"arn:aws:kms:us-east-1:000000000000:alias/*"}]}`
	_, err = w.do(user("u"), &api.DeleteAliasInput{AliasName: "alias/2"})
	denied(t, err, "deleting an alias without permission on its key")
	w.must(&api.DeleteAliasInput{AliasName: "alias/2"})
	w.must(&api.TagResourceInput{KeyId: a, Tags: []api.Tag{{TagKey: "k", TagValue: "1"}, {TagKey: "a", TagValue: ""}}})
	w.must(&api.TagResourceInput{KeyId: a, Tags: []api.Tag{{TagKey: "k", TagValue: "2"}}})
	if l := w.must(&api.ListResourceTagsInput{KeyId: a}).(*api.ListResourceTagsOutput); len(l.Tags) != 2 || l.Tags[1] != (api.Tag{TagKey: "k", TagValue: "2"}) {
		t.Errorf("tags = %+v", l.Tags)
	}
	w.users["u"] = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:DescribeKey","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/k":"2"}}}]}`
	if _, err := w.do(user("u"), &api.DescribeKeyInput{KeyId: a}); err != nil {
		t.Errorf("by tag: %v", err)
	}
	_, err = w.do(user("u"), &api.DescribeKeyInput{KeyId: b})
	denied(t, err, "another tag")
	w.must(&api.UntagResourceInput{KeyId: a, TagKeys: []string{"k"}})
	_, err = w.do(root(), &api.TagResourceInput{KeyId: a, Tags: []api.Tag{{TagKey: "aws:x"}}})
	named(t, err, "TagException")
	_, err = w.do(root(), &api.ListKeysInput{Marker: "!"})
	named(t, err, "InvalidMarkerException")
}

// Every operation of the contract is offered and has an authorisation that asks about its own action.
func TestEveryOperationIsAuthorised(t *testing.T) {
	w := open(t)
	arn := w.key("")
	c := w.must(&api.EncryptInput{KeyId: arn, Plaintext: []byte("x")}).(*api.EncryptOutput).CiphertextBlob
	g := w.must(&api.CreateGrantInput{KeyId: arn, GranteePrincipal: userARN("u"), Operations: []api.GrantOperation{"Encrypt"}}).(*api.CreateGrantOutput)
	w.must(&api.CreateAliasInput{AliasName: "alias/a", TargetKeyId: arn})
	contract := reflect.TypeFor[api.Service]()
	for i := range contract.NumMethod() {
		m := contract.Method(i)
		in := reflect.New(m.Type.In(1).Elem())
		set := func(field string, v any) {
			if f := in.Elem().FieldByName(field); f.IsValid() {
				f.Set(reflect.ValueOf(v))
			}
		}
		set("KeyId", arn)
		set("DestinationKeyId", arn)
		set("TargetKeyId", arn)
		set("AliasName", "alias/a")
		set("CiphertextBlob", c)
		set("GrantId", g.GrantId)
		needs, err := w.Authorize(root(), m.Name, in.Interface())
		if err != nil || len(needs) == 0 {
			t.Errorf("%s: %v, %v", m.Name, needs, err)
			continue
		}
		for _, n := range needs {
			if !strings.HasPrefix(n.Action, "kms:"+m.Name) && m.Name != "ReEncrypt" || n.Resource == arn && (!n.ResourceMustAllow || len(n.ResourcePolicies) == 0) {
				t.Errorf("%s asks %+v", m.Name, n)
			}
		}
		if _, err := w.do(user("nobody"), in.Interface()); !errs.Is(err, errs.Denied) {
			t.Errorf("%s by nobody: %v", m.Name, err)
		}
	}
}
