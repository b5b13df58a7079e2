package gosdk

import (
	"bytes"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/galen-health/galen/test/galen"
)

func TestKMS(t *testing.T) {
	t.Parallel()
	g := galen.Start(t)
	seen := newCalls()
	c := kms.NewFromConfig(config(g, seen))
	k := must(c.CreateKey(t.Context(), &kms.CreateKeyInput{Description: aws.String("sdk"), Tags: []types.Tag{{TagKey: aws.String("a"), TagValue: aws.String("b")}}}))(t).KeyMetadata
	t.Run("key", func(t *testing.T) { kmsKey(t, c, k) })
	t.Run("alias", func(t *testing.T) { kmsAlias(t, c, k.KeyId) })
	t.Run("data", func(t *testing.T) { kmsData(t, c, k.KeyId) })
	t.Run("grant", func(t *testing.T) { kmsGrant(t, c, k.Arn) })
	t.Run("rotation", func(t *testing.T) { kmsRotation(t, c, k.KeyId) })
	t.Run("state", func(t *testing.T) { kmsState(t, c, k.KeyId) })
	seen.all(t, "KMS", c)
}

func kmsKey(t *testing.T, c *kms.Client, k *types.KeyMetadata) {
	ctx := t.Context()
	if k.KeyState != types.KeyStateEnabled || k.KeyUsage != types.KeyUsageTypeEncryptDecrypt || k.KeySpec != types.KeySpecSymmetricDefault {
		t.Errorf("the key is %+v", k)
	}
	must(c.CreateKey(ctx, &kms.CreateKeyInput{}))(t)
	n := 0
	for pages := kms.NewListKeysPaginator(c, &kms.ListKeysInput{Limit: aws.Int32(1)}); pages.HasMorePages(); {
		n += len(must(pages.NextPage(ctx))(t).Keys)
	}
	if n < 2 {
		t.Errorf("%d keys are listed, want 2 or more", n)
	}
	must(c.UpdateKeyDescription(ctx, &kms.UpdateKeyDescriptionInput{KeyId: k.KeyId, Description: aws.String("renamed")}))(t)
	if d := must(c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: k.Arn}))(t).KeyMetadata; *d.Description != "renamed" || *d.KeyId != *k.KeyId {
		t.Errorf("the key is %+v", d)
	}
	must(c.TagResource(ctx, &kms.TagResourceInput{KeyId: k.KeyId, Tags: []types.Tag{{TagKey: aws.String("c"), TagValue: aws.String("d")}}}))(t)
	must(c.UntagResource(ctx, &kms.UntagResourceInput{KeyId: k.KeyId, TagKeys: []string{"a"}}))(t)
	for pages := kms.NewListResourceTagsPaginator(c, &kms.ListResourceTagsInput{KeyId: k.KeyId}); pages.HasMorePages(); {
		if tags := must(pages.NextPage(ctx))(t).Tags; len(tags) != 1 || *tags[0].TagKey != "c" {
			t.Errorf("tags are %v", tags)
		}
	}
	for pages := kms.NewListKeyPoliciesPaginator(c, &kms.ListKeyPoliciesInput{KeyId: k.KeyId}); pages.HasMorePages(); {
		if p := must(pages.NextPage(ctx))(t).PolicyNames; len(p) != 1 || p[0] != "default" {
			t.Errorf("policies are %v", p)
		}
	}
	p := must(c.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: k.KeyId}))(t).Policy
	must(c.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: k.KeyId, Policy: p}))(t)
	_, err := c.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: k.KeyId, Policy: aws.String("{")})
	refused[*types.MalformedPolicyDocumentException](t, "half a policy", err, 400)
	_, err = c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: aws.String("alias/none")})
	refused[*types.NotFoundException](t, "an absent key", err, 400)
}

func kmsAlias(t *testing.T, c *kms.Client, id *string) {
	ctx := t.Context()
	name := aws.String("alias/sdk")
	must(c.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: name, TargetKeyId: id}))(t)
	_, err := c.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: name, TargetKeyId: id})
	refused[*types.AlreadyExistsException](t, "an alias twice", err, 400)
	other := must(c.CreateKey(ctx, &kms.CreateKeyInput{}))(t).KeyMetadata.KeyId
	must(c.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: name, TargetKeyId: other}))(t)
	for pages := kms.NewListAliasesPaginator(c, &kms.ListAliasesInput{KeyId: other}); pages.HasMorePages(); {
		if l := must(pages.NextPage(ctx))(t).Aliases; len(l) != 1 || *l[0].AliasName != *name {
			t.Errorf("aliases are %+v", l)
		}
	}
	must(c.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: name}))(t)
	_, err = c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: name})
	refused[*types.NotFoundException](t, "a deleted alias", err, 400)
}

func kmsData(t *testing.T, c *kms.Client, id *string) {
	ctx := t.Context()
	with := map[string]string{"patient": "p1"}
	sealed := must(c.Encrypt(ctx, &kms.EncryptInput{KeyId: id, Plaintext: []byte("secret"), EncryptionContext: with}))(t).CiphertextBlob
	open := func(what string, blob []byte, with map[string]string, want string) {
		t.Helper()
		if got := must(c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: with}))(t).Plaintext; string(got) != want {
			t.Errorf("%s opens as %q", what, got)
		}
	}
	open("the ciphertext", sealed, with, "secret")
	_, err := c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: sealed, EncryptionContext: map[string]string{"patient": "p2"}})
	refused[*types.InvalidCiphertextException](t, "another context", err, 400)
	broken := bytes.Clone(sealed)
	broken[len(broken)-1] ^= 1
	_, err = c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: broken, EncryptionContext: with})
	refused[*types.InvalidCiphertextException](t, "a changed ciphertext", err, 400)
	other := must(c.CreateKey(ctx, &kms.CreateKeyInput{}))(t).KeyMetadata.Arn
	re := must(c.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: sealed, SourceEncryptionContext: with, DestinationKeyId: other}))(t)
	if *re.KeyId != *other {
		t.Errorf("encrypted again under %s, want %s", *re.KeyId, *other)
	}
	open("the new ciphertext", re.CiphertextBlob, nil, "secret")
	_, err = c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: re.CiphertextBlob, KeyId: id})
	refused[*types.IncorrectKeyException](t, "the wrong key", err, 400)
	d := must(c.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: id, KeySpec: types.DataKeySpecAes256}))(t)
	if len(d.Plaintext) != 32 {
		t.Errorf("a data key of %d bytes", len(d.Plaintext))
	}
	open("the data key", d.CiphertextBlob, nil, string(d.Plaintext))
	if d := must(c.GenerateDataKeyWithoutPlaintext(ctx, &kms.GenerateDataKeyWithoutPlaintextInput{KeyId: id, NumberOfBytes: aws.Int32(64)}))(t); len(d.CiphertextBlob) < 64 {
		t.Errorf("a sealed data key of %d bytes", len(d.CiphertextBlob))
	}
	if r := must(c.GenerateRandom(ctx, &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(48)}))(t); len(r.Plaintext) != 48 || bytes.Equal(r.Plaintext, make([]byte, 48)) {
		t.Errorf("random bytes are % x", r.Plaintext)
	}
	_, err = c.Encrypt(ctx, &kms.EncryptInput{KeyId: id, Plaintext: make([]byte, 4097)})
	coded(t, "a plaintext too long", err, "ValidationException", 400)
}

func kmsGrant(t *testing.T, c *kms.Client, arn *string) {
	ctx := t.Context()
	who := aws.String("arn:aws:iam::" + galen.Account + ":root")
	grant := func(op types.GrantOperation) *kms.CreateGrantOutput {
		return must(c.CreateGrant(ctx, &kms.CreateGrantInput{KeyId: arn, GranteePrincipal: who, RetiringPrincipal: who, Operations: []types.GrantOperation{op}}))(t)
	}
	one, two := grant(types.GrantOperationDecrypt), grant(types.GrantOperationEncrypt)
	n := 0
	for pages := kms.NewListGrantsPaginator(c, &kms.ListGrantsInput{KeyId: arn, Limit: aws.Int32(1)}); pages.HasMorePages(); {
		n += len(must(pages.NextPage(ctx))(t).Grants)
	}
	if n != 2 {
		t.Errorf("%d grants, want 2", n)
	}
	n = 0
	for pages := kms.NewListRetirableGrantsPaginator(c, &kms.ListRetirableGrantsInput{RetiringPrincipal: who}); pages.HasMorePages(); {
		n += len(must(pages.NextPage(ctx))(t).Grants)
	}
	if n != 2 {
		t.Errorf("%d retirable grants, want 2", n)
	}
	must(c.RetireGrant(ctx, &kms.RetireGrantInput{GrantToken: one.GrantToken}))(t)
	must(c.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: arn, GrantId: two.GrantId}))(t)
	_, err := c.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: arn, GrantId: aws.String(strings.Repeat("0", 64))})
	refused[*types.NotFoundException](t, "an absent grant", err, 400)
}

func kmsRotation(t *testing.T, c *kms.Client, id *string) {
	ctx := t.Context()
	sealed := must(c.Encrypt(ctx, &kms.EncryptInput{KeyId: id, Plaintext: []byte("before")}))(t).CiphertextBlob
	must(c.EnableKeyRotation(ctx, &kms.EnableKeyRotationInput{KeyId: id, RotationPeriodInDays: aws.Int32(120)}))(t)
	if s := must(c.GetKeyRotationStatus(ctx, &kms.GetKeyRotationStatusInput{KeyId: id}))(t); !s.KeyRotationEnabled || *s.RotationPeriodInDays != 120 {
		t.Errorf("rotation is %+v", s)
	}
	must(c.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: id}))(t)
	n := 0
	for pages := kms.NewListKeyRotationsPaginator(c, &kms.ListKeyRotationsInput{KeyId: id}); pages.HasMorePages(); {
		n += len(must(pages.NextPage(ctx))(t).Rotations)
	}
	if n != 1 {
		t.Errorf("%d rotations, want 1", n)
	}
	must(c.DisableKeyRotation(ctx, &kms.DisableKeyRotationInput{KeyId: id}))(t)
	if got := must(c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: sealed}))(t).Plaintext; string(got) != "before" {
		t.Errorf("what was sealed before the rotation opens as %q", got)
	}
}

func kmsState(t *testing.T, c *kms.Client, id *string) {
	ctx := t.Context()
	encrypt := &kms.EncryptInput{KeyId: id, Plaintext: []byte("x")}
	must(c.DisableKey(ctx, &kms.DisableKeyInput{KeyId: id}))(t)
	_, err := c.Encrypt(ctx, encrypt)
	refused[*types.DisabledException](t, "a disabled key", err, 400)
	must(c.EnableKey(ctx, &kms.EnableKeyInput{KeyId: id}))(t)
	must(c.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: id, PendingWindowInDays: aws.Int32(7)}))(t)
	_, err = c.Encrypt(ctx, encrypt)
	refused[*types.KMSInvalidStateException](t, "a key that will be deleted", err, 400)
	must(c.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: id}))(t)
	must(c.EnableKey(ctx, &kms.EnableKeyInput{KeyId: id}))(t)
	must(c.Encrypt(ctx, encrypt))(t)
}
