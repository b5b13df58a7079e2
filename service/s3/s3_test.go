package s3_test

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/blob/blobtest"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
)

const account = "000000000000"

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
