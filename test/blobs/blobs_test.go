// Package blobs_test holds the blob store on S3 to the suite of all blob stores, on the real servers there are: our own s3 service in a process of its own, and
// versitygw where it is installed; and to clear ends when an S3 is slow, dead, wrong or half there.
package blobs_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/galen-health/galen/aws/client"
	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/aws/sigv4"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/blob/blobtest"
	"github.com/galen-health/galen/platform/blob/files"
	"github.com/galen-health/galen/platform/blob/s3"
	"github.com/galen-health/galen/platform/disk/disktest"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/test/galen"
)

const bucket = "blobs"

var credentials = sigv4.Credentials{AccessKeyID: galen.AccessKeyID, SecretAccessKey: galen.SecretAccessKey}

// target is a prefix of its own on an S3.
func target(t *testing.T, endpoint string) s3.Target {
	t.Helper()
	return s3.Target{Bucket: bucket, Prefix: strconv.FormatInt(time.Now().UnixNano(), 36) + "/", Endpoint: endpoint, Region: galen.Region, Timeout: 10 * time.Second, Credentials: credentials}
}

// raw calls an S3 without a blob store in between.
func raw(endpoint string) *api.Client {
	return api.NewClient(&client.HTTP{Base: endpoint, Region: galen.Region, Credentials: credentials})
}

// ours is our own s3 service with the bucket in it.
func ours(t *testing.T) string {
	t.Helper()
	g := galen.Start(t, "--services", "s3")
	makeBucket(t, g.URL)
	return g.URL
}

func makeBucket(t *testing.T, endpoint string) {
	t.Helper()
	if _, err := raw(endpoint).CreateBucket(t.Context(), &api.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
}

// versity is versitygw with the bucket in it.
func versity(t *testing.T) string {
	t.Helper()
	v := galen.StartVersity(t)
	makeBucket(t, v.URL)
	return v.URL
}

func ring(t *testing.T) *keyring.Ring {
	t.Helper()
	r, err := keyring.OpenFS(disktest.NewMem(), nil, keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func open(t *testing.T, to s3.Target, r *keyring.Ring) *s3.Store {
	t.Helper()
	s, err := s3.Open(t.Context(), to, r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func put(t *testing.T, s blob.Store, b []byte) blob.Info {
	t.Helper()
	in, err := s.Put(t.Context(), key.Ref{}, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func all(s blob.Store, id blob.ID) ([]byte, error) {
	rc, err := s.Open(context.Background(), id, blob.All)
	if err != nil {
		return nil, err
	}
	defer rc.Close() //nolint:errcheck // only read
	return io.ReadAll(rc)
}

// servers are the S3s that the suite runs on.
var servers = map[string]func(*testing.T) string{"galen": ours, "versitygw": versity}

func TestStore(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			endpoint := server(t)
			blobtest.Suite(t, func(t *testing.T) (blob.Store, blobtest.Keys) {
				r := ring(t)
				s := open(t, target(t, endpoint), r)
				t.Cleanup(func() {
					faults := 0
					if _, _, err := s.Verify(context.Background(), func(error) { faults++ }); err != nil || faults > 0 {
						t.Errorf("%d faults, %v", faults, err)
					}
				})
				k := blobtest.Keys{SetEnabled: func(t *testing.T, arn string, on bool) {
					t.Helper()
					if err := r.SetEnabled(arn, on); err != nil {
						t.Fatal(err)
					}
				}}
				for _, arn := range []*string{&k.First, &k.Second} {
					made, err := r.Create()
					if err != nil {
						t.Fatal(err)
					}
					*arn = made.ARN
				}
				return s, k
			})
		})
	}
}

// Blobs of more than two parts come back whole, in ranges too, and an abandoned upload leaves nothing but what the sweep aborts.
func TestMultipart(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			endpoint := server(t)
			to := target(t, endpoint)
			s := open(t, to, ring(t))
			for _, n := range []int{8<<20 - 1000, 8 << 20, 25<<20 + 7} {
				want := blobtest.Bytes(uint64(n), n)
				in := put(t, s, want)
				if got, err := all(s, in.ID); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%d bytes: other bytes, %v", n, err)
				}
				ra, err := s.ReaderAt(t.Context(), in.ID)
				if err != nil {
					t.Fatal(err)
				}
				for _, off := range []int{0, 1 << 20, n - 10, n / 2, 3 << 20} {
					p := make([]byte, 10)
					if _, err := ra.ReadAt(p, int64(off)); err != nil || !bytes.Equal(p, want[off:off+10]) {
						t.Errorf("%d bytes at %d: %v", n, off, err)
					}
				}
				if err := ra.Close(); err != nil {
					t.Error(err)
				}
			}
			// A writer that dies without Abort.
			w, err := s.Create(t.Context(), key.Ref{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(blobtest.Bytes(1, 20<<20)); err != nil {
				t.Fatal(err)
			}
			uploads := func() int {
				out, err := raw(endpoint).ListMultipartUploads(t.Context(), &api.ListMultipartUploadsInput{Bucket: bucket, Prefix: to.Prefix})
				if err != nil {
					t.Fatal(err)
				}
				return len(out.Uploads)
			}
			keep := func(blob.ID) (bool, error) { return true, nil }
			if uploads() != 1 {
				t.Fatalf("%d uploads under way", uploads())
			}
			if _, err := s.Sweep(t.Context(), time.Now().Add(-time.Hour), keep); err != nil || uploads() != 1 {
				t.Errorf("after a sweep of old ones %d uploads are under way, %v", uploads(), err)
			}
			if _, err := s.Sweep(t.Context(), time.Now().Add(time.Hour), keep); err != nil || uploads() != 0 {
				t.Errorf("after the sweep %d uploads are under way, %v", uploads(), err)
			}
			if _, err := w.Commit(); err == nil {
				t.Error("a swept upload was committed")
			}
		})
	}
}

// A folder of files that is copied to S3 opens there: the form at rest is one.
func TestCopiedFromFiles(t *testing.T) {
	endpoint := ours(t)
	to := target(t, endpoint)
	r := ring(t)
	dir := t.TempDir()
	f, err := files.Open(dir, r)
	if err != nil {
		t.Fatal(err)
	}
	want := map[blob.ID][]byte{}
	for _, n := range []int{0, 10, 1 << 20, 9<<20 + 3} {
		b := blobtest.Bytes(uint64(n), n)
		want[put(t, f, b).ID] = b
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for id := range want {
		name := string(id[:2]) + "/" + string(id)
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := raw(endpoint).PutObject(t.Context(), &api.PutObjectInput{Bucket: bucket, Key: to.Prefix + name, Body: bytes.NewReader(b)}); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, to, r)
	for id, b := range want {
		if got, err := all(s, id); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
	if n, unreadable, err := s.Verify(t.Context(), func(err error) { t.Error(err) }); n != len(want) || unreadable != 0 || err != nil {
		t.Errorf("verified %d, %d unreadable, %v", n, unreadable, err)
	}
}
