package s3_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/blob/blobtest"
	"github.com/galen-health/galen/platform/blob/files"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/pebble"
	"github.com/galen-health/galen/service/s3"
)

const account = "000000000000"

// users is a directory of users and their one policy each.
type users map[string]string

func (u users) Credential(context.Context, string, string) (authz.Credential, error) {
	return authz.Credential{}, errs.New(errs.Unauthenticated, "no credentials here")
}

func (u users) Policies(_ context.Context, p call.Principal) ([]authz.Policy, string, error) {
	if doc := u[p.Name]; doc != "" {
		return []authz.Policy{{Name: p.Name, Document: doc}}, "", nil
	}
	return nil, "", nil
}

// world is the service on real engines in a temporary folder.
type world struct {
	*s3.Service
	t       testing.TB
	ring    *keyring.Ring
	blobs   *files.Store
	records record.Store
	users   users
	guard   *guard
}

// guard stands for the kms service: it allows what it is told, and knows aliases and states from the ring.
type guard struct {
	ring *keyring.Ring
	deny map[string]bool // action
	used []key.Use
}

func (g *guard) MayUse(ctx context.Context, u key.Use) (string, error) {
	g.used = append(g.used, u)
	if g.deny[u.Action] {
		return "", errs.New(errs.Denied, "not authorized to perform %s", u.Action)
	}
	k, err := g.ring.Describe(u.Key)
	if err != nil {
		return "", err
	}
	return k.ARN, g.ring.Check(ctx, k.ARN)
}

func open(t testing.TB) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, users: users{}}
	var err error
	if w.ring, err = keyring.Open(dir+"/keys", nil, keyring.Config{}); err != nil {
		t.Fatal(err)
	}
	if w.records, err = pebble.Open(dir+"/records", w.ring, pebble.Options{}); err != nil {
		t.Fatal(err)
	}
	if w.blobs, err = files.Open(dir+"/blobs", w.ring); err != nil {
		t.Fatal(err)
	}
	w.guard = &guard{ring: w.ring, deny: map[string]bool{}}
	w.Service, err = s3.New(t.Context(), s3.Config{Account: account, Region: "us-east-1", Grace: time.Nanosecond}, w.records, w.blobs, w.guard, authz.New(w.users, account, "us-east-1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, _, err := w.blobs.Verify(context.Background(), func(err error) { t.Error(err) }); err != nil {
			t.Error(err)
		}
		if err := errors.Join(w.records.Close(), w.blobs.Close(), w.ring.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// root is the context of the account's root; as is a user's.
func root() context.Context { return as(call.Root, "") }

func as(kind call.Kind, name string) context.Context {
	arn := "arn:aws:iam::" + account + ":root"
	if name != "" {
		arn = "arn:aws:iam::" + account + ":user/" + name
	}
	return call.With(context.Background(), &call.Call{RequestID: "r", Time: time.Now(), Principal: call.Principal{Kind: kind, ARN: arn, ID: account, Account: account, Name: name}})
}

func (w *world) bucket(name string) string {
	w.t.Helper()
	if _, err := w.CreateBucket(root(), &api.CreateBucketInput{Bucket: name}); err != nil {
		w.t.Fatal(err)
	}
	return name
}

func (w *world) put(bucket, key, body string) *api.PutObjectOutput {
	w.t.Helper()
	out, err := w.PutObject(root(), &api.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader(body)})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// read gets an object; the error is the operation's or the body's.
func (w *world) read(in *api.GetObjectInput) (*api.GetObjectOutput, string, error) {
	w.t.Helper()
	out, err := w.GetObject(root(), in)
	if err != nil {
		return nil, "", err
	}
	b, err := io.ReadAll(out.Body)
	if err := out.Body.Close(); err != nil {
		w.t.Error(err)
	}
	if err == nil && int64(len(b)) != aws.Val(out.ContentLength) {
		w.t.Errorf("content length %d, body %d", aws.Val(out.ContentLength), len(b))
	}
	return out, string(b), err
}

func (w *world) get(bucket, key string) string {
	w.t.Helper()
	_, b, err := w.read(&api.GetObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// named fails unless err has this name in the contract.
func named(t testing.TB, err error, name string) {
	t.Helper()
	if err == nil || errs.As(err).Name != name {
		t.Errorf("error = %v, want %s", err, name)
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestObjectRoundTrip(t *testing.T) {
	w := open(t)
	b := w.bucket("round-trip")
	for i, n := range []int{0, 1, 1000, 1<<20 + 1, 6 << 20} {
		body := string(blobtest.Bytes(uint64(i), n))
		sum := md5.Sum([]byte(body))
		in := &api.PutObjectInput{Bucket: b, Key: "k", Body: strings.NewReader(body), ContentType: "application/dicom", CacheControl: "no-store", ContentDisposition: "attachment",
			ContentEncoding: "aws-chunked,gzip", ContentLanguage: "de", Expires: "Thu, 01 Jan 2026 00:00:00 GMT", Metadata: map[string]string{"Patient-Class": "x"}, Tagging: "a=1&b=%20",
			StorageClass: api.StorageClassStandardIa, ContentMD5: base64.StdEncoding.EncodeToString(sum[:])}
		p, err := w.PutObject(root(), in)
		ok(t, err)
		if want := `"` + hex.EncodeToString(sum[:]) + `"`; p.ETag != want || p.ServerSideEncryption != api.ServerSideEncryptionAes256 || p.ChecksumCRC64NVME == "" {
			t.Errorf("put = %+v", p)
		}
		o, got, err := w.read(&api.GetObjectInput{Bucket: b, Key: "k", ChecksumMode: api.ChecksumModeEnabled})
		ok(t, err)
		if got != body || o.ETag != p.ETag || o.ContentType != "application/dicom" || o.CacheControl != "no-store" || o.ContentDisposition != "attachment" || o.ContentEncoding != "gzip" ||
			o.ContentLanguage != "de" || o.Expires != in.Expires || o.Metadata["patient-class"] != "x" || aws.Val(o.TagCount) != 2 || o.StorageClass != api.StorageClassStandardIa ||
			o.ChecksumCRC64NVME != p.ChecksumCRC64NVME || o.ContentRange != "" || o.VersionId != "" || time.Since(o.LastModified) > time.Hour {
			t.Errorf("%d bytes: get = %+v", n, o)
		}
		h, err := w.HeadObject(root(), &api.HeadObjectInput{Bucket: b, Key: "k", ChecksumMode: api.ChecksumModeEnabled})
		ok(t, err)
		if aws.Val(h.ContentLength) != int64(n) || h.ETag != p.ETag || h.Metadata["patient-class"] != "x" || h.ChecksumCRC64NVME != p.ChecksumCRC64NVME {
			t.Errorf("head = %+v", h)
		}
		o, _, err = w.read(&api.GetObjectInput{Bucket: b, Key: "k", ResponseContentType: "text/x", ResponseCacheControl: "c", ResponseExpires: time.Unix(0, 0)})
		ok(t, err)
		if o.ContentType != "text/x" || o.CacheControl != "c" || o.Expires != "Thu, 01 Jan 1970 00:00:00 GMT" {
			t.Errorf("overrides: %+v", o)
		}
	}
	_, err := w.GetObject(root(), &api.GetObjectInput{Bucket: b, Key: "none"})
	named(t, err, "NoSuchKey")
	_, err = w.GetObject(root(), &api.GetObjectInput{Bucket: "none", Key: "k"})
	named(t, err, "NoSuchBucket")
	_, err = w.PutObject(root(), &api.PutObjectInput{Bucket: "none", Key: "k"})
	named(t, err, "NoSuchBucket")
	_, err = w.GetObject(root(), &api.GetObjectInput{Bucket: b, Key: "k", ExpectedBucketOwner: "111111111111"})
	named(t, err, "AccessDenied")
}

// Keys that look like paths, options or attacks are names like all others.
func TestKeysAreJustNames(t *testing.T) {
	w := open(t)
	b := w.bucket("names")
	keys := []string{"../../etc/passwd", "/", "//", "a/../b", ".", "..", "a\\b", "a b", "ä€😀", "%2e%2e/x", "a?versionId=1", "a#b", "-rf", "\x01\x02", "a\n", strings.Repeat("x", 1024),
		"null", "a/", "a", "a//", "CON", "C:\\x", "<&>\"'", "+", "\u202e"}
	for _, k := range keys {
		w.put(b, k, "body of "+k)
	}
	for _, k := range keys {
		if got := w.get(b, k); got != "body of "+k {
			t.Errorf("%q: %q", k, got)
		}
	}
	l, err := w.ListObjectsV2(root(), &api.ListObjectsV2Input{Bucket: b})
	ok(t, err)
	if len(l.Contents) != len(keys) {
		t.Errorf("%d keys are listed, want %d", len(l.Contents), len(keys))
	}
	for _, k := range []string{"", strings.Repeat("x", 1025), "a\x00b", "\xff"} {
		if _, err := w.PutObject(root(), &api.PutObjectInput{Bucket: b, Key: k}); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v", k, err)
		}
	}
}

func TestRanges(t *testing.T) {
	w := open(t)
	b := w.bucket("ranges")
	body := string(blobtest.Bytes(1, 3<<20))
	w.put(b, "k", body)
	w.put(b, "empty", "")
	size := len(body)
	for _, c := range []struct {
		header   string
		from, to int // to = -1: the whole, as if not asked
	}{
		{"bytes=0-0", 0, 1}, {"bytes=1-2", 1, 3}, {"bytes=0-", 0, size}, {"bytes=-5", size - 5, size}, {"bytes=-99999999", 0, size}, {"bytes=1048500-1048700", 1048500, 1048701},
		{"bytes=3145727-99999999", size - 1, size}, {"bytes=2-1", 0, -1}, {"bytes=a-b", 0, -1}, {"items=0-1", 0, -1}, {"bytes=0-1,3-4", 0, -1}, {"", 0, -1}, {"bytes=5", 0, -1},
	} {
		o, got, err := w.read(&api.GetObjectInput{Bucket: b, Key: "k", Range: c.header})
		ok(t, err)
		want := body
		if c.to >= 0 {
			want = body[c.from:c.to]
		}
		if got != want || (o.ContentRange != "") != (c.to >= 0) {
			t.Errorf("%s: %d bytes, content range %q", c.header, len(got), o.ContentRange)
		}
	}
	for _, h := range []string{"bytes=3145728-", "bytes=99999999-", "bytes=-0"} {
		_, err := w.GetObject(root(), &api.GetObjectInput{Bucket: b, Key: "k", Range: h})
		named(t, err, "InvalidRange")
	}
	_, err := w.GetObject(root(), &api.GetObjectInput{Bucket: b, Key: "empty", Range: "bytes=0-0"})
	named(t, err, "InvalidRange")
	o, _, err := w.read(&api.GetObjectInput{Bucket: b, Key: "k", Range: "bytes=5-9"})
	ok(t, err)
	if o.ContentRange != "bytes 5-9/3145728" || aws.Val(o.ContentLength) != 5 {
		t.Errorf("content range = %q", o.ContentRange)
	}
}

func TestReadConditions(t *testing.T) {
	w := open(t)
	b := w.bucket("conditions")
	etag := w.put(b, "k", "x").ETag
	h, err := w.HeadObject(root(), &api.HeadObjectInput{Bucket: b, Key: "k"})
	ok(t, err)
	at, before, after := h.LastModified, h.LastModified.Add(-time.Second), h.LastModified.Add(time.Second)
	for _, c := range []struct {
		in   api.GetObjectInput
		want string
	}{
		{api.GetObjectInput{IfMatch: etag}, ""}, {api.GetObjectInput{IfMatch: `"no", ` + etag}, ""}, {api.GetObjectInput{IfMatch: "*"}, ""},
		{api.GetObjectInput{IfMatch: `"no"`}, "PreconditionFailed"}, {api.GetObjectInput{IfNoneMatch: etag}, "NotModified"}, {api.GetObjectInput{IfNoneMatch: "W/" + etag}, "NotModified"},
		{api.GetObjectInput{IfNoneMatch: "*"}, "NotModified"}, {api.GetObjectInput{IfNoneMatch: `"no"`}, ""}, {api.GetObjectInput{IfModifiedSince: before}, ""},
		{api.GetObjectInput{IfModifiedSince: at}, "NotModified"}, {api.GetObjectInput{IfUnmodifiedSince: before}, "PreconditionFailed"}, {api.GetObjectInput{IfUnmodifiedSince: after}, ""},
		{api.GetObjectInput{IfMatch: etag, IfUnmodifiedSince: before}, ""}, {api.GetObjectInput{IfNoneMatch: `"no"`, IfModifiedSince: after}, ""},
		{api.GetObjectInput{IfNoneMatch: etag, IfModifiedSince: before}, "NotModified"},
	} {
		c.in.Bucket, c.in.Key = b, "k"
		_, _, err := w.read(&c.in)
		if c.want == "" && err != nil || c.want != "" && (err == nil || errs.As(err).Name != c.want) {
			t.Errorf("%+v: %v, want %q", c.in, err, c.want)
		}
	}
}

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

func TestTagging(t *testing.T) {
	w := open(t)
	b := w.bucket("tagging")
	w.put(b, "k", "x")
	tag := func(tags ...api.Tag) error {
		_, err := w.PutObjectTagging(root(), &api.PutObjectTaggingInput{Bucket: b, Key: "k", Tagging: &api.Tagging{TagSet: tags}})
		return err
	}
	ok(t, tag(api.Tag{Key: "b", Value: "2"}, api.Tag{Key: "a", Value: ""}))
	g, err := w.GetObjectTagging(root(), &api.GetObjectTaggingInput{Bucket: b, Key: "k"})
	ok(t, err)
	if len(g.TagSet) != 2 || g.TagSet[0] != (api.Tag{Key: "a"}) {
		t.Errorf("tags = %v", g.TagSet)
	}
	named(t, tag(api.Tag{Key: "a"}, api.Tag{Key: "a"}), "InvalidTag")
	named(t, tag(api.Tag{Key: "aws:x"}), "InvalidTag")
	named(t, tag(api.Tag{Key: strings.Repeat("x", 129)}), "InvalidTag")
	named(t, tag(make([]api.Tag, 11)...), "BadRequest")
	_, err = w.DeleteObjectTagging(root(), &api.DeleteObjectTaggingInput{Bucket: b, Key: "k"})
	ok(t, err)
	if g, err = w.GetObjectTagging(root(), &api.GetObjectTaggingInput{Bucket: b, Key: "k"}); err != nil || len(g.TagSet) != 0 {
		t.Errorf("tags = %v, %v", g.TagSet, err)
	}
	_, err = w.GetObjectTagging(root(), &api.GetObjectTaggingInput{Bucket: b, Key: "none"})
	named(t, err, "NoSuchKey")
	if got := w.get(b, "k"); got != "x" {
		t.Errorf("body = %q", got)
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

// Who may not list a bucket does not learn which keys exist.
func TestMissingKeysAreHidden(t *testing.T) {
	w := open(t)
	b := w.bucket("hidden")
	w.users["u"] = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}`
	_, err := w.GetObject(as(call.IAMUser, "u"), &api.GetObjectInput{Bucket: b, Key: "none"})
	named(t, err, "AccessDenied")
	w.users["u"] = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":"*"}]}`
	_, err = w.GetObject(as(call.IAMUser, "u"), &api.GetObjectInput{Bucket: b, Key: "none"})
	named(t, err, "NoSuchKey")
}

func TestLargeBodyStreams(t *testing.T) {
	w := open(t)
	b := w.bucket("large")
	body := bytes.Repeat([]byte("0123456789abcdef"), 4<<20) // 64 MiB
	_, err := w.PutObject(root(), &api.PutObjectInput{Bucket: b, Key: "k", Body: bytes.NewReader(body)})
	ok(t, err)
	o, err := w.GetObject(root(), &api.GetObjectInput{Bucket: b, Key: "k"})
	ok(t, err)
	defer o.Body.Close() //nolint:errcheck // test
	h := md5.New()
	if _, err := io.Copy(h, o.Body); err != nil {
		t.Fatal(err)
	}
	if want := md5.Sum(body); !bytes.Equal(h.Sum(nil), want[:]) {
		t.Error("other bytes came back")
	}
}
