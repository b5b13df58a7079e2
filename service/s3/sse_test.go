package s3_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/s3"
)

func TestServerSideEncryption(t *testing.T) {
	w := open(t)
	b := w.bucket("sse")
	k, err := w.ring.Create()
	ok(t, err)
	ok(t, w.ring.SetAlias("alias/mine", k.ID, true))
	put := func(key string, f func(*api.PutObjectInput)) (*api.PutObjectOutput, error) {
		in := &api.PutObjectInput{Bucket: b, Key: key, Body: strings.NewReader("secret")}
		f(in)
		return w.PutObject(root(), in)
	}
	ec := base64.StdEncoding.EncodeToString([]byte(`{"tenant":"a"}`))
	p, err := put("kms", func(in *api.PutObjectInput) {
		in.ServerSideEncryption, in.SSEKMSKeyId, in.SSEKMSEncryptionContext = "aws:kms", "alias/mine", ec
	})
	ok(t, err)
	if p.ServerSideEncryption != api.ServerSideEncryptionAwsKms || p.SSEKMSKeyId != k.ARN {
		t.Errorf("put = %+v", p)
	}
	u := w.guard.used[len(w.guard.used)-1]
	if u.Action != "kms:GenerateDataKey" || u.Via != "s3" || u.Context["aws:s3:arn"] != "arn:aws:s3:::sse/kms" || u.Context["tenant"] != "a" {
		t.Errorf("the guard was asked %+v", u)
	}
	o, got, err := w.read(&api.GetObjectInput{Bucket: b, Key: "kms"})
	ok(t, err)
	if got != "secret" || o.SSEKMSKeyId != k.ARN {
		t.Errorf("get = %q, %+v", got, o)
	}
	if u := w.guard.used[len(w.guard.used)-1]; u.Action != "kms:Decrypt" || u.Context["tenant"] != "a" {
		t.Errorf("the guard was asked %+v", u)
	}
	w.guard.deny["kms:Decrypt"] = true
	_, err = w.GetObject(root(), &api.GetObjectInput{Bucket: b, Key: "kms"})
	named(t, err, "AccessDenied")
	_, err = w.CopyObject(root(), &api.CopyObjectInput{Bucket: b, Key: "copy", CopySource: b + "/kms"})
	named(t, err, "AccessDenied")
	w.guard.deny = map[string]bool{"kms:GenerateDataKey": true}
	_, err = put("x", func(in *api.PutObjectInput) { in.ServerSideEncryption, in.SSEKMSKeyId = "aws:kms", k.ID })
	named(t, err, "AccessDenied")
	w.guard.deny = nil

	_, err = w.PutBucketEncryption(root(), &api.PutBucketEncryptionInput{Bucket: b, ServerSideEncryptionConfiguration: &api.ServerSideEncryptionConfiguration{
		Rules: []api.ServerSideEncryptionRule{{ApplyServerSideEncryptionByDefault: &api.ServerSideEncryptionByDefault{SSEAlgorithm: "aws:kms", KMSMasterKeyID: k.ID}, BucketKeyEnabled: aws.Ptr(true)}}}})
	ok(t, err)
	p, err = put("default", func(*api.PutObjectInput) {})
	ok(t, err)
	if p.SSEKMSKeyId != k.ARN || !aws.Val(p.BucketKeyEnabled) || w.guard.used[len(w.guard.used)-1].Context["aws:s3:arn"] != "arn:aws:s3:::sse" {
		t.Errorf("the bucket's default: %+v", p)
	}
	if _, err = put("own", func(in *api.PutObjectInput) { in.ServerSideEncryption = "AES256" }); err != nil {
		t.Error(err)
	}
	ok(t, w.ring.SetEnabled(k.ID, false))
	for _, key := range []string{"kms", "default"} {
		_, err = w.GetObject(root(), &api.GetObjectInput{Bucket: b, Key: key})
		named(t, err, "KMS.DisabledException")
	}
	_, err = put("x", func(*api.PutObjectInput) {})
	named(t, err, "KMS.DisabledException")
	p, err = put("managed", func(in *api.PutObjectInput) { in.ServerSideEncryption, in.SSEKMSKeyId = "aws:kms", "alias/aws/s3" })
	ok(t, err)
	if p.ServerSideEncryption != "aws:kms" || p.SSEKMSKeyId == "" || p.SSEKMSKeyId == k.ARN || w.get(b, "managed") != "secret" {
		t.Errorf("under the account's own key: %+v", p)
	}
	if got := w.get(b, "own"); got != "secret" {
		t.Errorf("own = %q", got)
	}
	ok(t, w.ring.SetEnabled(k.ID, true))
	if w.get(b, "kms") != "secret" || w.get(b, "default") != "secret" {
		t.Error("after enabling")
	}
}
