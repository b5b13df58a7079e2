package s3_test

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/blob/blobtest"
	"github.com/galen-health/galen/platform/errs"
)

var farFuture = time.Now().Add(time.Hour)

// uploadParts begins an upload and gives it parts of these sizes; it returns the body and the list of parts.
func uploadParts(t *testing.T, w *world, b, key string, checksums bool, sizes ...int) (id, body string, parts []api.CompletedPart) {
	t.Helper()
	in := &api.CreateMultipartUploadInput{Bucket: b, Key: key, ContentType: "text/x", Tagging: "t=1"}
	if checksums {
		in.ChecksumAlgorithm = api.ChecksumAlgorithmSha256
	}
	c, err := w.CreateMultipartUpload(root(), in)
	ok(t, err)
	for i, n := range sizes {
		part := string(blobtest.Bytes(uint64(i+7), n))
		u, err := w.UploadPart(root(), &api.UploadPartInput{Bucket: b, Key: key, UploadId: c.UploadId, PartNumber: int32(2*i + 1), Body: strings.NewReader(part)})
		ok(t, err)
		parts = append(parts, api.CompletedPart{PartNumber: aws.Ptr(int32(2*i + 1)), ETag: u.ETag, ChecksumSHA256: u.ChecksumSHA256})
		body += part
	}
	return c.UploadId, body, parts
}

func complete(w *world, b, key, id string, parts []api.CompletedPart) (*api.CompleteMultipartUploadOutput, error) {
	return w.CompleteMultipartUpload(root(), &api.CompleteMultipartUploadInput{Bucket: b, Key: key, UploadId: id, MultipartUpload: &api.CompletedMultipartUpload{Parts: parts}})
}

func upload(t *testing.T, w *world, b, key string, sizes ...int) string {
	t.Helper()
	id, body, parts := uploadParts(t, w, b, key, false, sizes...)
	_, err := complete(w, b, key, id, parts)
	ok(t, err)
	return body
}

func TestMultipart(t *testing.T) {
	w := open(t)
	b := w.bucket("multipart")
	sizes := []int{5 << 20, 5<<20 + 3, 100}
	for _, checksums := range []bool{false, true} {
		id, body, parts := uploadParts(t, w, b, "k", checksums, sizes...)
		if _, err := w.GetObject(root(), &api.GetObjectInput{Bucket: b, Key: "k" + fmt.Sprint(checksums)}); err == nil {
			t.Error("visible before it is complete")
		}
		l, err := w.ListParts(root(), &api.ListPartsInput{Bucket: b, Key: "k", UploadId: id, MaxParts: aws.Ptr(int32(2))})
		ok(t, err)
		if len(l.Parts) != 2 || !aws.Val(l.IsTruncated) || aws.Val(l.NextPartNumberMarker) != 3 || aws.Val(l.Parts[1].Size) != 5<<20+3 {
			t.Errorf("parts = %+v", l)
		}
		if l, err = w.ListParts(root(), &api.ListPartsInput{Bucket: b, Key: "k", UploadId: id, PartNumberMarker: l.NextPartNumberMarker}); err != nil || len(l.Parts) != 1 || aws.Val(l.IsTruncated) {
			t.Errorf("parts = %+v, %v", l, err)
		}
		sums := md5.New()
		at := 0
		for _, n := range sizes {
			one := md5.Sum([]byte(body[at : at+n]))
			sums.Write(one[:])
			at += n
		}
		want := `"` + hex.EncodeToString(sums.Sum(nil)) + `-3"`
		c, err := complete(w, b, "k", id, parts)
		ok(t, err)
		if c.ETag != want {
			t.Errorf("etag = %s, want %s", c.ETag, want)
		}
		again, err := complete(w, b, "k", id, parts)
		if err != nil || again.ETag != want {
			t.Errorf("completed again: %+v, %v", again, err)
		}
		o, got, err := w.read(&api.GetObjectInput{Bucket: b, Key: "k", ChecksumMode: api.ChecksumModeEnabled})
		ok(t, err)
		if got != body || o.ETag != want || o.ContentType != "text/x" || aws.Val(o.TagCount) != 1 {
			t.Errorf("get = %d bytes, %+v", len(got), o)
		}
		if checksums != (o.ChecksumType == api.ChecksumTypeComposite && strings.HasSuffix(o.ChecksumSHA256, "-3")) || checksums == (o.ChecksumCRC64NVME != "") {
			t.Errorf("checksums = %+v", o)
		}
		if !checksums { // the checksum of the whole, from those of the parts
			p := w.put(b, "whole", body)
			if p.ChecksumCRC64NVME != o.ChecksumCRC64NVME {
				t.Errorf("checksum = %s, want %s", o.ChecksumCRC64NVME, p.ChecksumCRC64NVME)
			}
		}
		for _, r := range [][2]int{{0, 1}, {5<<20 - 1, 5<<20 + 1}, {5 << 20, 10<<20 + 3}, {100, len(body)}, {len(body) - 1, len(body)}} {
			if _, got, err := w.read(&api.GetObjectInput{Bucket: b, Key: "k", Range: fmt.Sprintf("bytes=%d-%d", r[0], r[1]-1)}); err != nil || got != body[r[0]:r[1]] {
				t.Errorf("range %v: %d bytes, %v", r, len(got), err)
			}
		}
		o, got, err = w.read(&api.GetObjectInput{Bucket: b, Key: "k", PartNumber: aws.Ptr(int32(2))})
		if err != nil || got != body[5<<20:10<<20+3] || aws.Val(o.PartsCount) != 3 {
			t.Errorf("part 2: %d bytes, %+v, %v", len(got), o, err)
		}
		_, err = w.GetObject(root(), &api.GetObjectInput{Bucket: b, Key: "k", PartNumber: aws.Ptr(int32(4))})
		named(t, err, "InvalidPartNumber")
		a, err := w.GetObjectAttributes(root(), &api.GetObjectAttributesInput{Bucket: b, Key: "k", ObjectAttributes: []api.ObjectAttributes{"ETag", "ObjectSize", "ObjectParts", "Checksum", "StorageClass"}})
		ok(t, err)
		if `"`+a.ETag+`"` != want || aws.Val(a.ObjectSize) != int64(len(body)) || aws.Val(a.ObjectParts.TotalPartsCount) != 3 || (len(a.ObjectParts.Parts) == 3) != checksums || a.StorageClass != "STANDARD" {
			t.Errorf("attributes = %+v", a)
		}
	}
	// The parts of the replaced object go, the whole of the newer one stays.
	if _, err := w.Clean(t.Context()); err != nil {
		t.Error(err)
	}
	if n := w.count(); n != 3+1 {
		t.Errorf("%d blobs", n)
	}
	if got := w.get(b, "k"); len(got) != 10<<20+103 {
		t.Errorf("%d bytes after cleaning", len(got))
	}
}

func TestMultipartErrors(t *testing.T) {
	w := open(t)
	b := w.bucket("multipart-errors")
	id, _, parts := uploadParts(t, w, b, "k", true, 5<<20, 10, 20)
	try := func(want string, change func([]api.CompletedPart) []api.CompletedPart) {
		t.Helper()
		_, err := complete(w, b, "k", id, change(append([]api.CompletedPart(nil), parts...)))
		named(t, err, want)
	}
	try("EntityTooSmall", func(p []api.CompletedPart) []api.CompletedPart { return p })
	try("InvalidPartOrder", func(p []api.CompletedPart) []api.CompletedPart { p[0], p[1] = p[1], p[0]; return p })
	try("InvalidPartOrder", func(p []api.CompletedPart) []api.CompletedPart { p[1] = p[0]; return p })
	try("InvalidPart", func(p []api.CompletedPart) []api.CompletedPart { p[0].ETag = `"x"`; return p })
	try("InvalidPart", func(p []api.CompletedPart) []api.CompletedPart { p[0].PartNumber = aws.Ptr(int32(2)); return p[:1] })
	try("InvalidPart", func(p []api.CompletedPart) []api.CompletedPart {
		p[0].ChecksumSHA256 = base64.StdEncoding.EncodeToString(make([]byte, 32))
		return p[:1]
	})
	try("MalformedXML", func([]api.CompletedPart) []api.CompletedPart { return nil })
	_, err := complete(w, b, "other", id, parts)
	named(t, err, "NoSuchUpload")
	_, err = w.CompleteMultipartUpload(root(), &api.CompleteMultipartUploadInput{Bucket: b, Key: "k", UploadId: id, MpuObjectSize: aws.Ptr(int64(1)), MultipartUpload: &api.CompletedMultipartUpload{Parts: parts[:1]}})
	named(t, err, "InvalidRequest")
	for _, n := range []int32{0, 10_001} {
		_, err = w.UploadPart(root(), &api.UploadPartInput{Bucket: b, Key: "k", UploadId: id, PartNumber: n})
		named(t, err, "InvalidArgument")
	}
	_, err = w.UploadPart(root(), &api.UploadPartInput{Bucket: b, Key: "k", UploadId: id, PartNumber: 9, ChecksumCRC32: "AAAAAA=="})
	named(t, err, "InvalidRequest")
	_, err = w.UploadPart(root(), &api.UploadPartInput{Bucket: b, Key: "k", UploadId: id, PartNumber: 9, ContentMD5: base64.StdEncoding.EncodeToString(make([]byte, 16)), Body: strings.NewReader("x")})
	named(t, err, "BadDigest")
	_, err = w.DeleteBucket(root(), &api.DeleteBucketInput{Bucket: b}) // an unfinished upload keeps no bucket
	ok(t, err)
	_, err = w.UploadPart(root(), &api.UploadPartInput{Bucket: b, Key: "k", UploadId: id, PartNumber: 1})
	named(t, err, "NoSuchBucket")
	if _, err := w.Clean(t.Context()); err != nil {
		t.Error(err)
	}
	if n := w.count(); n != 0 {
		t.Errorf("%d blobs are left", n)
	}
}

func TestAbortAndReplacedParts(t *testing.T) {
	w := open(t)
	b := w.bucket("abort")
	id, _, _ := uploadParts(t, w, b, "k", false, 10, 20)
	_, err := w.UploadPart(root(), &api.UploadPartInput{Bucket: b, Key: "k", UploadId: id, PartNumber: 1, Body: strings.NewReader("again")})
	ok(t, err)
	l, err := w.ListMultipartUploads(root(), &api.ListMultipartUploadsInput{Bucket: b})
	if err != nil || len(l.Uploads) != 1 || l.Uploads[0].UploadId != id {
		t.Errorf("uploads = %+v, %v", l, err)
	}
	_, err = w.AbortMultipartUpload(root(), &api.AbortMultipartUploadInput{Bucket: b, Key: "k", UploadId: id})
	ok(t, err)
	_, err = w.AbortMultipartUpload(root(), &api.AbortMultipartUploadInput{Bucket: b, Key: "k", UploadId: id})
	named(t, err, "NoSuchUpload")
	_, err = w.ListParts(root(), &api.ListPartsInput{Bucket: b, Key: "k", UploadId: id})
	named(t, err, "NoSuchUpload")
	if _, err := w.Clean(t.Context()); err != nil {
		t.Error(err)
	}
	if n := w.count(); n != 0 {
		t.Errorf("%d blobs are left", n)
	}
}

func TestUploadPartCopy(t *testing.T) {
	w := open(t)
	b := w.bucket("part-copy")
	source := upload(t, w, b, "source", 5<<20, 5<<20, 7)
	c, err := w.CreateMultipartUpload(root(), &api.CreateMultipartUploadInput{Bucket: b, Key: "k", ChecksumAlgorithm: "CRC32", ChecksumType: "FULL_OBJECT"})
	ok(t, err)
	var parts []api.CompletedPart
	ranges := [][2]int{{0, 6 << 20}, {6 << 20, len(source)}}
	for i, r := range ranges {
		u, err := w.UploadPartCopy(root(), &api.UploadPartCopyInput{Bucket: b, Key: "k", UploadId: c.UploadId, PartNumber: int32(i + 1), CopySource: b + "/source", CopySourceRange: fmt.Sprintf("bytes=%d-%d", r[0], r[1]-1)})
		ok(t, err)
		parts = append(parts, api.CompletedPart{PartNumber: aws.Ptr(int32(i + 1)), ETag: u.CopyPartResult.ETag, ChecksumCRC32: u.CopyPartResult.ChecksumCRC32})
	}
	for _, r := range []string{"bytes=0-", "bytes=-5", "0-5", "bytes=5-1", fmt.Sprintf("bytes=0-%d", len(source))} {
		_, err := w.UploadPartCopy(root(), &api.UploadPartCopyInput{Bucket: b, Key: "k", UploadId: c.UploadId, PartNumber: 3, CopySource: b + "/source", CopySourceRange: r})
		if !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", r, err)
		}
	}
	o, err := complete(w, b, "k", c.UploadId, parts)
	ok(t, err)
	p, err := w.PutObject(root(), &api.PutObjectInput{Bucket: b, Key: "whole", Body: strings.NewReader(source), ChecksumAlgorithm: "CRC32"})
	ok(t, err)
	if o.ChecksumCRC32 != p.ChecksumCRC32 || o.ChecksumType != api.ChecksumTypeFullObject || o.ChecksumCRC32 == "" {
		t.Errorf("checksum = %s, want %s", o.ChecksumCRC32, p.ChecksumCRC32)
	}
	if got := w.get(b, "k"); got != source {
		t.Error("other bytes came back")
	}
}
