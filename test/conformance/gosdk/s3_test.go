package gosdk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/galen-health/galen/test/galen"
)

func s3Client(g *galen.Server, c *calls) *s3.Client {
	return s3.NewFromConfig(config(g, c), func(o *s3.Options) { o.UsePathStyle = true })
}

func content(t *testing.T, body io.ReadCloser) string {
	t.Helper()
	defer body.Close()
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestS3(t *testing.T) {
	t.Parallel()
	g := galen.Start(t)
	seen := newCalls()
	c := s3Client(g, seen)
	t.Run("bucket", func(t *testing.T) { s3Bucket(t, c) })
	t.Run("object", func(t *testing.T) { s3Object(t, c) })
	t.Run("versions", func(t *testing.T) { s3Versions(t, c) })
	t.Run("pages", func(t *testing.T) { s3Pages(t, c) })
	t.Run("multipart", func(t *testing.T) { s3Multipart(t, c) })
	t.Run("transfer manager", func(t *testing.T) { s3Transfer(t, c) })
	t.Run("presigned", func(t *testing.T) { s3Presigned(t, c) })
	t.Run("encrypted", func(t *testing.T) { s3Encrypted(t, c, kms.NewFromConfig(config(g, newCalls()))) })
	t.Run("virtual host", func(t *testing.T) { s3VirtualHost(t, g) })
	t.Run("refused", func(t *testing.T) { s3Refused(t, g, c) })
	seen.all(t, "S3", c)
}

func s3Bucket(t *testing.T, c *s3.Client) {
	ctx := t.Context()
	name := aws.String("sdk-bucket")
	must(c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: name}))(t)
	if err := s3.NewBucketExistsWaiter(c).Wait(ctx, &s3.HeadBucketInput{Bucket: name}, time.Minute); err != nil {
		t.Error(err)
	}
	if l := must(c.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: name}))(t); l.LocationConstraint != "" {
		t.Errorf("us-east-1 has the location %q, want none", l.LocationConstraint)
	}
	must(c.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{Bucket: name, Tagging: &types.Tagging{TagSet: []types.Tag{{Key: aws.String("team"), Value: aws.String("imaging & more")}}}}))(t)
	if tags := must(c.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: name}))(t).TagSet; len(tags) != 1 || *tags[0].Value != "imaging & more" {
		t.Errorf("bucket tags are %v", tags)
	}
	must(c.DeleteBucketTagging(ctx, &s3.DeleteBucketTaggingInput{Bucket: name}))(t)

	rule := types.ServerSideEncryptionRule{ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: types.ServerSideEncryptionAes256}}
	must(c.PutBucketEncryption(ctx, &s3.PutBucketEncryptionInput{Bucket: name, ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{Rules: []types.ServerSideEncryptionRule{rule}}}))(t)
	if e := must(c.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: name}))(t); e.ServerSideEncryptionConfiguration.Rules[0].ApplyServerSideEncryptionByDefault.SSEAlgorithm != types.ServerSideEncryptionAes256 {
		t.Errorf("encryption is %+v", e.ServerSideEncryptionConfiguration)
	}
	must(c.DeleteBucketEncryption(ctx, &s3.DeleteBucketEncryptionInput{Bucket: name}))(t)

	must(c.PutBucketNotificationConfiguration(ctx, &s3.PutBucketNotificationConfigurationInput{Bucket: name, NotificationConfiguration: &types.NotificationConfiguration{EventBridgeConfiguration: &types.EventBridgeConfiguration{}}}))(t)
	if n := must(c.GetBucketNotificationConfiguration(ctx, &s3.GetBucketNotificationConfigurationInput{Bucket: name}))(t); n.EventBridgeConfiguration == nil {
		t.Error("events are not on")
	}

	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::sdk-bucket/public/*"}]}`
	must(c.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: name, PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{BlockPublicPolicy: aws.Bool(true)}}))(t)
	if b := must(c.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: name}))(t).PublicAccessBlockConfiguration; !*b.BlockPublicPolicy || *b.BlockPublicAcls {
		t.Errorf("public access block is %+v", b)
	}
	_, err := c.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: name, Policy: &policy})
	coded(t, "a public policy on a blocked bucket", err, "AccessDenied", 403)
	must(c.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: name, PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{}}))(t)
	must(c.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: name, Policy: &policy}))(t)
	if p := must(c.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: name}))(t); !strings.Contains(*p.Policy, "sdk-bucket/public/*") {
		t.Errorf("policy is %s", *p.Policy)
	}
	if p := must(c.GetBucketPolicyStatus(ctx, &s3.GetBucketPolicyStatusInput{Bucket: name}))(t); !*p.PolicyStatus.IsPublic {
		t.Error("the policy is not called public")
	}
	must(c.DeleteBucketPolicy(ctx, &s3.DeleteBucketPolicyInput{Bucket: name}))(t)

	found := false
	for pages := s3.NewListBucketsPaginator(c, &s3.ListBucketsInput{MaxBuckets: aws.Int32(1)}); pages.HasMorePages(); {
		for _, b := range must(pages.NextPage(ctx))(t).Buckets {
			found = found || *b.Name == *name
		}
	}
	if !found {
		t.Error("the bucket is not listed")
	}
	must(c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: name}))(t)
	if err := s3.NewBucketNotExistsWaiter(c).Wait(ctx, &s3.HeadBucketInput{Bucket: name}, time.Minute); err != nil {
		t.Error(err)
	}
}

func s3Object(t *testing.T, c *s3.Client) {
	ctx := t.Context()
	bucket, key := aws.String("sdk-objects"), aws.String("a b/ü+%41&=?.txt")
	must(c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}))(t)
	body := strings.Repeat("0123456789", 1000)
	sum := sha256.Sum256([]byte(body))
	want := base64.StdEncoding.EncodeToString(sum[:])
	out := must(c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader(body), ContentType: aws.String("text/plain; charset=utf-8"), ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
		Metadata: map[string]string{"origin": "suite"}, Tagging: aws.String("kind=note&n=1")}))(t)
	if aws.ToString(out.ChecksumSHA256) != want {
		t.Errorf("checksum is %s, want %s", aws.ToString(out.ChecksumSHA256), want)
	}
	if err := s3.NewObjectExistsWaiter(c).Wait(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key}, time.Minute); err != nil {
		t.Error(err)
	}
	head := must(c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key, ChecksumMode: types.ChecksumModeEnabled}))(t)
	if *head.ContentLength != int64(len(body)) || head.Metadata["origin"] != "suite" || *head.ContentType != "text/plain; charset=utf-8" || aws.ToString(head.ChecksumSHA256) != want {
		t.Errorf("head is %+v", head)
	}
	get := must(c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key, ChecksumMode: types.ChecksumModeEnabled}))(t) // the SDK checks the checksum while the body is read
	if got := content(t, get.Body); got != body || *get.TagCount != 2 {
		t.Errorf("%d bytes and %d tags", len(got), *get.TagCount)
	}
	part := must(c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key, Range: aws.String("bytes=5-14")}))(t)
	if got := content(t, part.Body); got != "5678901234" || *part.ContentRange != "bytes 5-14/10000" {
		t.Errorf("range is %q, %s", got, *part.ContentRange)
	}
	attrs := must(c.GetObjectAttributes(ctx, &s3.GetObjectAttributesInput{Bucket: bucket, Key: key, ObjectAttributes: []types.ObjectAttributes{types.ObjectAttributesEtag, types.ObjectAttributesObjectSize, types.ObjectAttributesChecksum}}))(t)
	if *attrs.ObjectSize != int64(len(body)) || *attrs.Checksum.ChecksumSHA256 != want {
		t.Errorf("attributes are %+v", attrs)
	}
	must(c.PutObjectTagging(ctx, &s3.PutObjectTaggingInput{Bucket: bucket, Key: key, Tagging: &types.Tagging{TagSet: []types.Tag{{Key: aws.String("only"), Value: aws.String("one")}}}}))(t)
	if tags := must(c.GetObjectTagging(ctx, &s3.GetObjectTaggingInput{Bucket: bucket, Key: key}))(t).TagSet; len(tags) != 1 || *tags[0].Key != "only" {
		t.Errorf("tags are %v", tags)
	}
	must(c.DeleteObjectTagging(ctx, &s3.DeleteObjectTaggingInput{Bucket: bucket, Key: key}))(t)
	must(c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: bucket, Key: aws.String("copy"), CopySource: aws.String(*bucket + "/a%20b/%C3%BC%2B%2541%26%3D%3F.txt")}))(t)
	if got := content(t, must(c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("copy")}))(t).Body); got != body {
		t.Errorf("the copy has %d bytes", len(got))
	}
	del := must(c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: key}, {Key: aws.String("never was")}}}}))(t)
	if len(del.Deleted) != 2 || len(del.Errors) != 0 {
		t.Errorf("deleted %v, errors %v", del.Deleted, del.Errors)
	}
	must(c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String("copy")}))(t)
	if err := s3.NewObjectNotExistsWaiter(c).Wait(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key}, time.Minute); err != nil {
		t.Error(err)
	}
}

func s3Versions(t *testing.T, c *s3.Client) {
	ctx := t.Context()
	bucket, key := aws.String("sdk-versions"), aws.String("k")
	must(c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}))(t)
	must(c.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}))(t)
	if v := must(c.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: bucket}))(t); v.Status != types.BucketVersioningStatusEnabled {
		t.Errorf("versioning is %q", v.Status)
	}
	first := must(c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader("one")}))(t)
	must(c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader("two")}))(t)
	if m := must(c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: key}))(t); !aws.ToBool(m.DeleteMarker) {
		t.Error("deleting made no marker")
	}
	if got := content(t, must(c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key, VersionId: first.VersionId}))(t).Body); got != "one" {
		t.Errorf("the first version is %q", got)
	}
	versions, markers := 0, 0
	for pages := s3.NewListObjectVersionsPaginator(c, &s3.ListObjectVersionsInput{Bucket: bucket, MaxKeys: aws.Int32(1)}); pages.HasMorePages(); {
		p := must(pages.NextPage(ctx))(t)
		versions, markers = versions+len(p.Versions), markers+len(p.DeleteMarkers)
	}
	if versions != 2 || markers != 1 {
		t.Errorf("%d versions and %d markers, want 2 and 1", versions, markers)
	}
}

func s3Pages(t *testing.T, c *s3.Client) {
	ctx := t.Context()
	bucket := aws.String("sdk-pages")
	must(c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}))(t)
	var want []string
	for i := range 25 {
		key := fmt.Sprintf("d%d/é %02d", i%3, i)
		must(c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: strings.NewReader("x")}))(t)
		if i%3 == 1 {
			want = append(want, key)
		}
	}
	var got []string
	for pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: bucket, Prefix: aws.String("d1/"), MaxKeys: aws.Int32(3)}); pages.HasMorePages(); {
		for _, o := range must(pages.NextPage(ctx))(t).Contents {
			got = append(got, *o.Key)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("keys are %q, want %q", got, want)
	}
	if l := must(c.ListObjects(ctx, &s3.ListObjectsInput{Bucket: bucket, Delimiter: aws.String("/")}))(t); len(l.CommonPrefixes) != 3 || len(l.Contents) != 0 {
		t.Errorf("prefixes are %v", l.CommonPrefixes)
	}
}

func s3Multipart(t *testing.T, c *s3.Client) {
	ctx := t.Context()
	bucket, key := aws.String("sdk-multipart"), aws.String("big")
	must(c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}))(t)
	part := bytes.Repeat([]byte("galen "), 5<<20/6+1)
	put := must(c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String("source"), Body: bytes.NewReader(part)}))(t)
	up := must(c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c}))(t).UploadId
	one := must(c.UploadPart(ctx, &s3.UploadPartInput{Bucket: bucket, Key: key, UploadId: up, PartNumber: aws.Int32(1), Body: bytes.NewReader(part), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c}))(t)
	two := must(c.UploadPartCopy(ctx, &s3.UploadPartCopyInput{Bucket: bucket, Key: key, UploadId: up, PartNumber: aws.Int32(2), CopySource: aws.String(*bucket + "/source"), CopySourceIfMatch: put.ETag}))(t)
	n := 0
	for pages := s3.NewListPartsPaginator(c, &s3.ListPartsInput{Bucket: bucket, Key: key, UploadId: up, MaxParts: aws.Int32(1)}); pages.HasMorePages(); {
		n += len(must(pages.NextPage(ctx))(t).Parts)
	}
	if n != 2 {
		t.Errorf("%d parts are listed, want 2", n)
	}
	if l := must(c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: bucket}))(t); len(l.Uploads) != 1 || *l.Uploads[0].UploadId != *up {
		t.Errorf("uploads are %+v", l.Uploads)
	}
	must(c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: bucket, Key: key, UploadId: up, MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{
		{PartNumber: aws.Int32(1), ETag: one.ETag, ChecksumCRC32C: one.ChecksumCRC32C}, {PartNumber: aws.Int32(2), ETag: two.CopyPartResult.ETag, ChecksumCRC32C: two.CopyPartResult.ChecksumCRC32C}}}}))(t)
	if got := content(t, must(c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key}))(t).Body); got != string(part)+string(part) {
		t.Errorf("the object has %d bytes, want %d", len(got), 2*len(part))
	}
	up = must(c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key}))(t).UploadId
	must(c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: bucket, Key: key, UploadId: up}))(t)
	_, err := c.ListParts(ctx, &s3.ListPartsInput{Bucket: bucket, Key: key, UploadId: up})
	coded(t, "an aborted upload", err, "NoSuchUpload", 404)
}

// The transfer manager splits what is large into parts that it sends side by side, and reads them back so.
func s3Transfer(t *testing.T, c *s3.Client) {
	ctx := t.Context()
	bucket, key := aws.String("sdk-transfer"), aws.String("study.tar")
	must(c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}))(t)
	body := bytes.Repeat([]byte("0123456789abcdef"), 21<<20/16)
	tm := transfermanager.New(c, func(o *transfermanager.Options) {
		o.PartSizeBytes, o.MultipartUploadThreshold, o.Concurrency = 5<<20, 8<<20, 3
	})
	must(tm.UploadObject(ctx, &transfermanager.UploadObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader(body)}))(t)
	if h := must(c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key, PartNumber: aws.Int32(1)}))(t); aws.ToInt32(h.PartsCount) != 5 {
		t.Errorf("the object has %d parts, want 5", aws.ToInt32(h.PartsCount))
	}
	got := must(tm.GetObject(ctx, &transfermanager.GetObjectInput{Bucket: bucket, Key: key}))(t)
	b, err := io.ReadAll(got.Body)
	if err != nil || !bytes.Equal(b, body) {
		t.Errorf("%d bytes come back, want %d: %v", len(b), len(body), err)
	}
}

func s3Presigned(t *testing.T, c *s3.Client) {
	ctx := t.Context()
	bucket, key := aws.String("sdk-presigned"), aws.String("p q.txt")
	must(c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}))(t)
	pre := s3.NewPresignClient(c)
	send := func(method, url string, header http.Header, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range header {
			if k != "Host" {
				r.Header[k] = v
			}
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, content(t, resp.Body)
	}
	up := must(pre.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, ContentLength: aws.Int64(5)}, s3.WithPresignExpires(time.Minute)))(t)
	if code, got := send(up.Method, up.URL, up.SignedHeader, "hello"); code != 200 {
		t.Fatalf("presigned PUT: %d %s", code, got)
	}
	down := must(pre.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key, ResponseContentType: aws.String("text/csv")}, s3.WithPresignExpires(time.Minute)))(t)
	if code, got := send(down.Method, down.URL, nil, ""); code != 200 || got != "hello" {
		t.Errorf("presigned GET: %d %s", code, got)
	}
	if code, got := send(down.Method, strings.Replace(down.URL, "text%2Fcsv", "text%2Fxml", 1), nil, ""); code != 403 || !strings.Contains(got, "SignatureDoesNotMatch") {
		t.Errorf("a changed presigned URL: %d %s", code, got)
	}
	head := must(pre.PresignHeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key}))(t)
	if code, got := send(head.Method, head.URL, nil, ""); code != 200 || got != "" {
		t.Errorf("presigned HEAD: %d %s", code, got)
	}
	gone := must(pre.PresignDeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: key}))(t)
	if code, got := send(gone.Method, gone.URL, nil, ""); code != 204 {
		t.Errorf("presigned DELETE: %d %s", code, got)
	}
}

func s3Encrypted(t *testing.T, c *s3.Client, k *kms.Client) {
	ctx := t.Context()
	bucket := aws.String("sdk-encrypted")
	arn := must(k.CreateKey(ctx, &kms.CreateKeyInput{}))(t).KeyMetadata.Arn
	must(c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}))(t)
	in := &s3.PutObjectInput{Bucket: bucket, Key: aws.String("k"), Body: strings.NewReader("secret"), ServerSideEncryption: types.ServerSideEncryptionAwsKms, SSEKMSKeyId: arn}
	if out := must(c.PutObject(ctx, in))(t); out.ServerSideEncryption != types.ServerSideEncryptionAwsKms || aws.ToString(out.SSEKMSKeyId) != *arn {
		t.Errorf("encryption is %s with %s", out.ServerSideEncryption, aws.ToString(out.SSEKMSKeyId))
	}
	get := &s3.GetObjectInput{Bucket: bucket, Key: aws.String("k")}
	if got := content(t, must(c.GetObject(ctx, get))(t).Body); got != "secret" {
		t.Errorf("the object is %q", got)
	}
	must(k.DisableKey(ctx, &kms.DisableKeyInput{KeyId: arn}))(t)
	_, err := c.GetObject(ctx, get)
	coded(t, "an object under a disabled key", err, "KMS.DisabledException", 400)
}

// Without path style the SDK writes the bucket before the host's name, which a resolver or the operator's DNS leads to the server.
func s3VirtualHost(t *testing.T, g *galen.Server) {
	ctx := t.Context()
	seen := newCalls()
	cfg := config(g, seen)
	cfg.BaseEndpoint = aws.String(strings.Replace(g.URL, "127.0.0.1", "localhost", 1))
	c := s3.NewFromConfig(cfg, func(o *s3.Options) { o.HTTPClient = toLoopback() })
	bucket := aws.String("sdk-virtual")
	must(c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}))(t)
	must(c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String("v"), Body: strings.NewReader("virtual")}))(t)
	if got := content(t, must(c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("v")}))(t).Body); got != "virtual" {
		t.Errorf("the object is %q", got)
	}
}

func s3Refused(t *testing.T, g *galen.Server, c *s3.Client) {
	ctx := t.Context()
	bucket := aws.String("sdk-refused")
	must(c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}))(t)
	_, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("none")})
	refused[*types.NoSuchKey](t, "an absent object", err, 404)
	_, err = c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("sdk-none")})
	refused[*types.NoSuchBucket](t, "an absent bucket", err, 404)
	_, err = c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: aws.String("none")})
	var absent *types.NotFound // an answer to HEAD has no body, hence no message
	if !errors.As(err, &absent) || requestID(err) == "" {
		t.Errorf("the head of an absent object: %v", err)
	}
	put := &s3.PutObjectInput{Bucket: bucket, Key: aws.String("k"), Body: strings.NewReader("x")}
	must(c.PutObject(ctx, put))(t)
	put.Body, put.IfNoneMatch = strings.NewReader("y"), aws.String("*")
	_, err = c.PutObject(ctx, put)
	coded(t, "If-None-Match on what exists", err, "PreconditionFailed", 412)
	put.Body, put.IfNoneMatch, put.ChecksumSHA256 = strings.NewReader("y"), nil, aws.String(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	_, err = c.PutObject(ctx, put)
	coded(t, "a wrong checksum", err, "BadDigest", 400)
	_, err = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: bucket})
	coded(t, "a bucket with content", err, "BucketNotEmpty", 409)
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("k"), Range: aws.String("bytes=9-")})
	coded(t, "a range past the end", err, "InvalidRange", 416)
	if got := content(t, must(c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("k")}))(t).Body); got != "x" {
		t.Errorf("after refused writes the object is %q", got)
	}
	cfg := config(g, newCalls()) // a client of its own: a signer keeps the keys that it derived by access key id
	cfg.Credentials = static(galen.AccessKeyID, "not the secret", "")
	_, err = s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true }).ListBuckets(ctx, &s3.ListBucketsInput{})
	coded(t, "a wrong secret", err, "SignatureDoesNotMatch", 403)
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := c.ListBuckets(ctx, &s3.ListBucketsInput{}); err == nil {
		t.Error("a cancelled call worked")
	}
}
