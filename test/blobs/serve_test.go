package blobs_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/blob/blobtest"
	"github.com/galen-health/galen/test/galen"
)

// verify runs galen verify over a stopped server's folder.
func verify(g *galen.Server, args ...string) (string, error) {
	return g.Exec(append([]string{"verify", "--data-dir", g.Dir}, args...)...)
}

// A server whose blobs are at another server's S3 serves, restarts, is verified, and refuses to look for its blobs elsewhere.
func TestServeOnS3(t *testing.T) {
	endpoint := ours(t)
	t.Setenv("AWS_ACCESS_KEY_ID", galen.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", galen.SecretAccessKey)
	at := "s3://" + bucket + "/hospital?region=us-east-1&endpoint=" + endpoint
	g := galen.New(t, t.TempDir(), "--blobs", at)
	g.Run()
	want := blobtest.Bytes(5, 9<<20)
	objects := api.NewClient(g.Client())
	if _, err := objects.CreateBucket(t.Context(), &api.CreateBucketInput{Bucket: "scans"}); err != nil {
		t.Fatal(err)
	}
	if _, err := objects.PutObject(t.Context(), &api.PutObjectInput{Bucket: "scans", Key: "one", Body: bytes.NewReader(want), ContentLength: aws.Ptr(int64(len(want)))}); err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		out, err := objects.GetObject(t.Context(), &api.GetObjectInput{Bucket: "scans", Key: "one"})
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		got, err := io.ReadAll(out.Body)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", when, len(got), err)
		}
		out.Body.Close() //nolint:errcheck // read
	}
	check("at once")
	g.Kill()
	g.Run()
	check("after a kill")
	g.Stop()
	if out, err := verify(g, "--blobs", at); err != nil || !strings.Contains(out, "1 blobs") {
		t.Errorf("verify: %s, %v", out, err)
	}
	if blobs, err := filepath.Glob(filepath.Join(g.Dir, "blobs", "*", "*")); err != nil || len(blobs) > 0 {
		t.Errorf("in the data folder: %v, %v", blobs, err)
	}

	// Damage at the other S3 is found, and an object that is gone is missed.
	list, err := raw(endpoint).ListObjectsV2(t.Context(), &api.ListObjectsV2Input{Bucket: bucket, Prefix: "hospital/"})
	if err != nil || len(list.Contents) != 2 { // the blob and KEY
		t.Fatalf("%d objects, %v", len(list.Contents), err)
	}
	for _, o := range list.Contents {
		if strings.HasSuffix(o.Key, "KEY") {
			continue
		}
		was, err := raw(endpoint).GetObject(t.Context(), &api.GetObjectInput{Bucket: bucket, Key: o.Key})
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(was.Body)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, want[1000:1032]) {
			t.Error("the object is in the clear")
		}
		b[len(b)/3] ^= 1
		if _, err := raw(endpoint).PutObject(t.Context(), &api.PutObjectInput{Bucket: bucket, Key: o.Key, Body: bytes.NewReader(b)}); err != nil {
			t.Fatal(err)
		}
		if out, err := verify(g, "--blobs", at); err == nil || !strings.Contains(out, o.Key[strings.LastIndexByte(o.Key, '/')+1:]) {
			t.Errorf("a flipped bit: %s, %v", out, err)
		}
		if _, err := raw(endpoint).DeleteObject(t.Context(), &api.DeleteObjectInput{Bucket: bucket, Key: o.Key}); err != nil {
			t.Fatal(err)
		}
		if out, err := verify(g, "--blobs", at); err == nil || !strings.Contains(out, "scans") {
			t.Errorf("a blob that is gone: %s, %v", out, err)
		}
	}

	// Elsewhere.
	for say, args := range map[string][]string{
		"start with --blobs s3://blobs/hospital/": nil,
		"not at s3://blobs/other/":                {"--blobs", strings.Replace(at, "hospital", "other", 1)},
		"no option":                               {"--blobs", at + "&speed=high"},
	} {
		if out, err := verify(g, args...); err == nil || !strings.Contains(out+err.Error(), say) {
			t.Errorf("%v: %s, %v", args, out, err)
		}
	}
	filled := t.TempDir()
	if err := os.CopyFS(filled, os.DirFS(g.Dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(filled, "blobs.at")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(filled, "blobs", "ab"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filled, "blobs", "ab", "ab"+strings.Repeat("0", 30)), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := g.Exec("verify", "--data-dir", filled, "--blobs", at); err == nil || !strings.Contains(out+err.Error(), "holds 1 blobs") {
		t.Errorf("a folder with blobs of its own: %s, %v", out, err)
	}
}
