package s3

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"

	"github.com/galen-health/galen/platform/key"
)

const (
	sseOwn = "AES256"
	sseKMS = "aws:kms"
)

// encryption is how a body is encrypted, or how a bucket wants it.
type encryption struct {
	Algorithm string            `json:"algorithm"`
	Key       string            `json:"key,omitempty"`      // as the caller names it in a bucket's default; the ARN in an object
	Customer  bool              `json:"customer,omitempty"` // Key is a customer's, so its policy decides over each use
	Context   map[string]string `json:"context,omitempty"`  // the caller's own
	BucketKey bool              `json:"bucketKey,omitempty"`
	own       string            // the bucket's own key, when it was chosen just now
}

// asked is what a request says about encryption.
type asked struct {
	algorithm, key, context string
	bucketKey               *bool
	customer                []string // the headers of customer-provided keys
}

// resolve decides how a new object is encrypted, and asks whether the caller may use the key.
func (s *Service) resolve(ctx context.Context, b *bucket, objectKey string, a asked) (encryption, key.Ref, error) {
	var none encryption
	if anyGrant(a.customer...) {
		return none, key.Ref{}, notImplemented("Customer-provided keys (SSE-C) are not supported; use aws:kms.")
	}
	e := encryption{Algorithm: a.algorithm, Key: a.key}
	switch a.algorithm {
	case "":
		if a.key != "" || a.context != "" {
			return none, key.Ref{}, invalid("InvalidArgument", "A KMS key or encryption context needs x-amz-server-side-encryption: aws:kms.")
		}
		e = b.Encryption
	case sseOwn:
		if a.key != "" || a.context != "" {
			return none, key.Ref{}, invalid("InvalidArgument", "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms")
		}
	case sseKMS:
		if a.key == "" && b.Encryption.Algorithm == sseKMS {
			e.Key = b.Encryption.Key
		}
		e.BucketKey = b.Encryption.BucketKey
	default:
		return none, key.Ref{}, notImplemented("Encryption %s is not supported; use AES256 or aws:kms.", a.algorithm)
	}
	if strings.HasSuffix(e.Key, "alias/aws/s3") { // AWS's name for the key that it keeps for S3: here the bucket's own
		e.Key = ""
	}
	if a.bucketKey != nil {
		e.BucketKey = *a.bucketKey
	}
	e.BucketKey = e.BucketKey && e.Algorithm == sseKMS
	if a.context != "" {
		raw, err := base64.StdEncoding.DecodeString(a.context)
		if err == nil {
			err = json.Unmarshal(raw, &e.Context)
		}
		if err != nil {
			return none, key.Ref{}, invalid("InvalidArgument", "The encryption context is base64 of a JSON object of strings.")
		}
	}
	ref := key.Ref{Key: b.Own, Context: e.bound(b, objectKey)}
	if e.Key != "" {
		arn, err := s.mayUse(ctx, "kms:GenerateDataKey", e.Key, ref.Context)
		if err != nil {
			return none, key.Ref{}, err
		}
		e.Key, e.Customer, ref.Key = arn, true, arn
	} else {
		e.own = b.Own
	}
	return e, ref, nil
}

// bound is the encryption context that S3 binds: the caller's, and the ARN of the object, or of the bucket when it has a bucket key.
func (e encryption) bound(b *bucket, objectKey string) map[string]string {
	c := map[string]string{}
	maps.Copy(c, e.Context)
	c["aws:s3:arn"] = b.arn() + "/" + objectKey
	if e.BucketKey {
		c["aws:s3:arn"] = b.arn()
	}
	return c
}

func (s *Service) mayUse(ctx context.Context, action, name string, ec map[string]string) (string, error) {
	if s.guard == nil {
		return "", notImplemented("This server runs without a KMS: only AES256 is offered.")
	}
	arn, err := s.guard.MayUse(ctx, key.Use{Action: action, Key: name, Context: ec, Via: "s3"})
	return arn, keyError(err)
}

// mayRead asks whether the caller may decrypt an object.
func (s *Service) mayRead(ctx context.Context, f found) error {
	if !f.Encryption.Customer {
		return nil
	}
	_, err := s.mayUse(ctx, "kms:Decrypt", f.Encryption.Key, f.Encryption.bound(f.bucket, f.Key))
	return err
}
