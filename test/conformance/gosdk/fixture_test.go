package gosdk

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/galen-health/galen/test/galen"
)

// put stores what a job reads, in a bucket that is made when absent.
func put(t *testing.T, g *galen.Server, bucket, key string, body []byte) {
	t.Helper()
	ctx, c := t.Context(), s3Client(g, newCalls())
	if _, err := c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &bucket}); err != nil {
		must(c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket}))(t)
	}
	must(c.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)}))(t)
}

// get reads what a job wrote.
func get(t *testing.T, g *galen.Server, bucket, key string) string {
	t.Helper()
	return content(t, must(s3Client(g, newCalls()).GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key}))(t).Body)
}

// role makes a role that a service may assume and that may do everything.
func role(t *testing.T, g *galen.Server, service string) *string {
	t.Helper()
	ctx, c := t.Context(), iam.NewFromConfig(config(g, newCalls()))
	name := aws.String("sdk-" + service)
	trust := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"%s.amazonaws.com"},"Action":"sts:AssumeRole"}]}`, service)
	arn := must(c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: &trust}))(t).Role.Arn
	must(c.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: name, PolicyName: aws.String("all"), PolicyDocument: aws.String(allowAll)}))(t)
	return arn
}

const allowAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// key makes a KMS key.
func key(t *testing.T, g *galen.Server) *string {
	t.Helper()
	return must(kms.NewFromConfig(config(g, newCalls())).CreateKey(t.Context(), &kms.CreateKeyInput{}))(t).KeyMetadata.Arn
}

// poll asks for a state until it is one of done; it is for what the SDK has no waiter for.
func poll[S ~string](t *testing.T, state func() S, done ...S) {
	t.Helper()
	var s S
	for range 600 {
		if s = state(); slices.Contains(done, s) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("the state is still %q, want %q", s, done)
}

// keys lists what lies below a prefix.
func keys(t *testing.T, g *galen.Server, bucket, prefix string) (out []string) {
	t.Helper()
	for pages := s3.NewListObjectsV2Paginator(s3Client(g, newCalls()), &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix}); pages.HasMorePages(); {
		for _, o := range must(pages.NextPage(t.Context()))(t).Contents {
			out = append(out, *o.Key)
		}
	}
	return out
}
