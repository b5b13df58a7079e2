package s3_test

import (
	"context"
	"encoding/base64"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/key"
)

func TestConditionalWrites(t *testing.T) {
	w := open(t)
	b := w.bucket("conditional-writes")
	put := func(k, body, match, none string) (string, error) {
		o, err := w.PutObject(root(), &api.PutObjectInput{Bucket: b, Key: k, Body: strings.NewReader(body), IfMatch: match, IfNoneMatch: none})
		if err != nil {
			return "", err
		}
		return o.ETag, nil
	}
	_, err := put("k", "1", `"x"`, "")
	named(t, err, "NoSuchKey")
	etag, err := put("k", "1", "", "*")
	ok(t, err)
	_, err = put("k", "2", "", "*")
	named(t, err, "PreconditionFailed")
	_, err = put("k", "2", `"x"`, "")
	named(t, err, "PreconditionFailed")
	_, err = put("k", "2", "", etag)
	named(t, err, "NotImplemented")
	if got := w.get(b, "k"); got != "1" {
		t.Errorf("after refused writes: %q", got)
	}
	_, err = put("k", "2", etag, "")
	ok(t, err)

	// Of many at once exactly one creates, and of many with one ETag exactly one replaces.
	race := func(match, none, prefix string) (won []string) {
		results := make(chan string)
		for i := range 16 {
			go func() {
				body := prefix + string(rune('a'+i))
				if _, err := put("race", body, match, none); err != nil {
					named(t, err, "PreconditionFailed")
					body = ""
				}
				results <- body
			}()
		}
		for range 16 {
			if r := <-results; r != "" {
				won = append(won, r)
			}
		}
		return won
	}
	if won := race("", "*", "first "); len(won) != 1 || w.get(b, "race") != won[0] {
		t.Errorf("created by %v", won)
	}
	h, err := w.HeadObject(root(), &api.HeadObjectInput{Bucket: b, Key: "race"})
	ok(t, err)
	if won := race(h.ETag, "", "second "); len(won) != 1 || w.get(b, "race") != won[0] {
		t.Errorf("replaced by %v", won)
	}
	_, err = w.DeleteObject(root(), &api.DeleteObjectInput{Bucket: b, Key: "race", IfMatch: `"x"`})
	named(t, err, "PreconditionFailed")
	w.get(b, "race")
}

func TestBadWritesLeaveNothing(t *testing.T) {
	w := open(t)
	b := w.bucket("bad-writes")
	w.put(b, "k", "old")
	other := base64.StdEncoding.EncodeToString(make([]byte, 16))
	in := func(f func(*api.PutObjectInput)) *api.PutObjectInput {
		i := &api.PutObjectInput{Bucket: b, Key: "k", Body: strings.NewReader("new")}
		f(i)
		return i
	}
	for want, i := range map[string]*api.PutObjectInput{
		"BadDigest":                     in(func(i *api.PutObjectInput) { i.ContentMD5 = other }),
		"InvalidDigest":                 in(func(i *api.PutObjectInput) { i.ContentMD5 = "nonsense" }),
		"IncompleteBody":                in(func(i *api.PutObjectInput) { i.Body = io.MultiReader(strings.NewReader("n"), broken{}) }),
		"InvalidStorageClass":           in(func(i *api.PutObjectInput) { i.StorageClass = api.StorageClassGlacier }),
		"AccessControlListNotSupported": in(func(i *api.PutObjectInput) { i.ACL = api.ObjectCannedACLPublicRead }),
		"MetadataTooLarge":              in(func(i *api.PutObjectInput) { i.Metadata = map[string]string{"a": strings.Repeat("x", 2048)} }),
		"NotImplemented":                in(func(i *api.PutObjectInput) { i.SSECustomerAlgorithm = "AES256" }),
		"InvalidTag":                    in(func(i *api.PutObjectInput) { i.Tagging = "a=1&a=2" }),
		"EntityTooLarge":                in(func(i *api.PutObjectInput) { i.ContentLength = aws.Ptr(int64(6 << 30)) }),
		"InvalidArgument":               in(func(i *api.PutObjectInput) { i.SSEKMSKeyId = "x" }),
		"KMS.NotFoundException":         in(func(i *api.PutObjectInput) { i.ServerSideEncryption, i.SSEKMSKeyId = "aws:kms", "x" }),
		"InvalidRequest":                in(func(i *api.PutObjectInput) { i.ChecksumCRC32 = "x" }),
	} {
		_, err := w.PutObject(root(), i)
		named(t, err, want)
	}
	_, err := w.PutObject(root(), in(func(i *api.PutObjectInput) { i.ChecksumSHA256 = base64.StdEncoding.EncodeToString(make([]byte, 32)) }))
	named(t, err, "BadDigest")
	if got := w.get(b, "k"); got != "old" {
		t.Errorf("now %q", got)
	}
	if n := w.count(); n != 1 {
		t.Errorf("%d blobs, want 1", n)
	}
}

// nobody keeps nothing.
type nobody struct{}

func (nobody) Keeps(context.Context, blob.ID) (bool, error) { return false, nil }

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// count is how many blobs there are.
func (w *world) count() int {
	w.t.Helper()
	n, _, err := w.blobs.Verify(context.Background(), func(err error) { w.t.Error(err) })
	ok(w.t, err)
	return n
}

func TestReplacedBodiesGo(t *testing.T) {
	w := open(t)
	b := w.bucket("garbage")
	for range 5 {
		w.put(b, "k", "same")
	}
	w.put(b, "gone", "x")
	_, err := w.DeleteObject(root(), &api.DeleteObjectInput{Bucket: b, Key: "gone"})
	ok(t, err)
	n, err := w.Clean(context.Background())
	if n != 5 || err != nil {
		t.Errorf("cleaned %d, %v", n, err)
	}
	if n := w.count(); n != 1 {
		t.Errorf("%d blobs are left", n)
	}
	// The sweep leaves what a record names and takes what none names.
	_, err = w.blobs.Put(context.Background(), key.Ref{}, strings.NewReader("orphan"))
	ok(t, err)
	uploadParts(t, w, b, "m", false, 10)
	upload(t, w, b, "n", 10)
	swept, err := blob.Sweep(context.Background(), w.blobs, time.Now().Add(time.Hour), nobody{}, w)
	if swept != 1 || err != nil {
		t.Errorf("swept %d, %v", swept, err)
	}
	if w.get(b, "k") != "same" || len(w.get(b, "n")) != 10 {
		t.Error("a named body was swept")
	}
}

func TestCopy(t *testing.T) {
	w := open(t)
	a, b := w.bucket("copy-a"), w.bucket("copy-b")
	_, err := w.PutObject(root(), &api.PutObjectInput{Bucket: a, Key: "dir/ä b+c", Body: strings.NewReader("body"), ContentType: "text/x", Metadata: map[string]string{"m": "1"}, Tagging: "t=1"})
	ok(t, err)
	source := "/copy-a/dir/%C3%A4%20b%2Bc"
	c, err := w.CopyObject(root(), &api.CopyObjectInput{Bucket: b, Key: "k", CopySource: source})
	ok(t, err)
	o, got, err := w.read(&api.GetObjectInput{Bucket: b, Key: "k"})
	ok(t, err)
	if got != "body" || o.ContentType != "text/x" || o.Metadata["m"] != "1" || aws.Val(o.TagCount) != 1 || o.ETag != c.CopyObjectResult.ETag {
		t.Errorf("copy = %q, %+v", got, o)
	}
	_, err = w.CopyObject(root(), &api.CopyObjectInput{Bucket: b, Key: "k", CopySource: source, MetadataDirective: "REPLACE", TaggingDirective: "REPLACE", Metadata: map[string]string{"n": "2"}})
	ok(t, err)
	if o, _, err = w.read(&api.GetObjectInput{Bucket: b, Key: "k"}); err != nil || o.ContentType != "binary/octet-stream" || o.Metadata["m"] != "" || o.Metadata["n"] != "2" || o.TagCount != nil {
		t.Errorf("replaced = %+v, %v", o, err)
	}
	for want, in := range map[string]*api.CopyObjectInput{
		"InvalidRequest":     {Bucket: b, Key: "k", CopySource: "copy-b/k"},
		"NoSuchKey":          {Bucket: b, Key: "k", CopySource: "copy-a/none"},
		"NoSuchBucket":       {Bucket: b, Key: "k", CopySource: "none/k"},
		"InvalidArgument":    {Bucket: b, Key: "k", CopySource: "nothing"},
		"PreconditionFailed": {Bucket: b, Key: "k", CopySource: source, CopySourceIfMatch: `"x"`},
	} {
		_, err := w.CopyObject(root(), in)
		named(t, err, want)
	}
	_, err = w.CopyObject(root(), &api.CopyObjectInput{Bucket: b, Key: "k", CopySource: source, CopySourceIfNoneMatch: "*"})
	named(t, err, "PreconditionFailed")
	_, err = w.CopyObject(root(), &api.CopyObjectInput{Bucket: b, Key: "k", CopySource: source, IfNoneMatch: "*"})
	named(t, err, "PreconditionFailed")
	_, err = w.CopyObject(root(), &api.CopyObjectInput{Bucket: a, Key: "dir/ä b+c", CopySource: source, MetadataDirective: "REPLACE", ContentType: "text/y"})
	ok(t, err)
	if o, got, err = w.read(&api.GetObjectInput{Bucket: a, Key: "dir/ä b+c"}); err != nil || got != "body" || o.ContentType != "text/y" {
		t.Errorf("onto itself: %q, %+v, %v", got, o, err)
	}
}

func TestDeleteObjects(t *testing.T) {
	w := open(t)
	b := w.bucket("delete-objects")
	var list []api.ObjectIdentifier
	for i := range 50 {
		k := "k" + string(rune('0'+i))
		w.put(b, k, "x")
		list = append(list, api.ObjectIdentifier{Key: k})
	}
	list = append(list, api.ObjectIdentifier{Key: "absent"}, api.ObjectIdentifier{Key: "k0", ETag: `"x"`})
	w.users["u"] = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"},{"Effect":"Deny","Action":"s3:DeleteObject","Resource":"arn:aws:s3:::delete-objects/k1"}]}`
	out, err := w.DeleteObjects(as(call.IAMUser, "u"), &api.DeleteObjectsInput{Bucket: b, Delete: &api.Delete{Objects: list[1:51]}})
	ok(t, err)
	if len(out.Deleted) != 49 || len(out.Errors) != 1 || out.Errors[0].Key != "k1" || out.Errors[0].Code != "AccessDenied" {
		t.Errorf("deleted %d, errors %+v", len(out.Deleted), out.Errors)
	}
	out, err = w.DeleteObjects(root(), &api.DeleteObjectsInput{Bucket: b, Delete: &api.Delete{Objects: list[51:], Quiet: aws.Ptr(true)}})
	ok(t, err)
	if len(out.Deleted) != 0 || len(out.Errors) != 1 || out.Errors[0].Code != "PreconditionFailed" {
		t.Errorf("quiet: %+v", out)
	}
	l, err := w.ListObjectsV2(root(), &api.ListObjectsV2Input{Bucket: b})
	ok(t, err)
	if len(l.Contents) != 2 {
		t.Errorf("left: %+v", l.Contents)
	}
	_, err = w.DeleteObjects(root(), &api.DeleteObjectsInput{Bucket: b, Delete: &api.Delete{}})
	named(t, err, "MalformedXML")
}
