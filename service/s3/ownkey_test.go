package s3_test

import (
	"io"
	"strings"
	"testing"
	"time"

	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
)

// then runs fn when it is read to its end.
type then struct{ fn func() }

func (r *then) Read([]byte) (int, error) {
	if r.fn != nil {
		r.fn()
		r.fn = nil
	}
	return 0, io.EOF
}

// A body that was begun in a bucket that is deleted meanwhile, and made anew under its name, does not come into the new one: its key is gone.
func TestBucketGoesWhileItIsWritten(t *testing.T) {
	w := open(t)
	w.bucket("bucket")
	anew := func() {
		_, err := w.DeleteBucket(root(), &api.DeleteBucketInput{Bucket: "bucket"})
		ok(t, err)
		w.bucket("bucket")
	}
	_, err := w.PutObject(root(), &api.PutObjectInput{Bucket: "bucket", Key: "k", Body: io.MultiReader(strings.NewReader("a body"), &then{anew})})
	named(t, err, "NoSuchBucket")
	up, err := w.CreateMultipartUpload(root(), &api.CreateMultipartUploadInput{Bucket: "bucket", Key: "k"})
	ok(t, err)
	_, err = w.UploadPart(root(), &api.UploadPartInput{Bucket: "bucket", Key: "k", UploadId: up.UploadId, PartNumber: 1, Body: io.MultiReader(strings.NewReader("a part"), &then{anew})})
	named(t, err, "NoSuchUpload")
	w.put("bucket", "k", "another")
	if got := w.get("bucket", "k"); got != "another" {
		t.Errorf("the object is %q", got)
	}
}

// The bodies of a bucket are under its own key, which goes with it; those of another bucket stay.
func TestBucketTakesItsKeyAlong(t *testing.T) {
	w := open(t)
	w.bucket("goes")
	w.bucket("stays")
	w.put("stays", "k", "stays")
	before := map[blob.ID]bool{}
	each := func(fn func(blob.ID)) {
		t.Helper()
		_, err := w.blobs.Sweep(t.Context(), time.Now().Add(time.Hour), func(id blob.ID) (bool, error) { fn(id); return true, nil })
		ok(t, err)
	}
	each(func(id blob.ID) { before[id] = true })
	w.put("goes", "k", "goes")
	var id blob.ID
	each(func(i blob.ID) {
		if !before[i] {
			id = i
		}
	})
	r, err := w.blobs.Open(t.Context(), id, blob.All) // a read in progress
	ok(t, err)
	defer r.Close() //nolint:errcheck // only read
	_, err = w.DeleteObject(root(), &api.DeleteObjectInput{Bucket: "goes", Key: "k"})
	ok(t, err)
	_, err = w.DeleteBucket(root(), &api.DeleteBucketInput{Bucket: "goes"})
	ok(t, err)
	if b, err := io.ReadAll(r); !errs.Is(err, errs.NotFound) {
		t.Errorf("a read in progress gives %q, %v", b, err)
	}
	if r, err := w.blobs.Open(t.Context(), id, blob.All); !errs.Is(err, errs.NotFound) {
		_ = r.Close()
		t.Errorf("the body opens after its bucket was deleted: %v", err)
	}
	if got := w.get("stays", "k"); got != "stays" {
		t.Errorf("the object of another bucket is %q", got)
	}
	if _, err := w.Clean(t.Context()); err != nil {
		t.Error(err)
	}
}
