package testbed

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/errs"
)

// page is how many keys a listing gives at once: few, so that paging is used.
const page = 3

// Objects is S3 as far as jobs use it. A key here is bucket/key. The hooks are called under the lock: they never call Objects.
type Objects struct {
	s3.Unimplemented
	OnGet func(*s3.GetObjectInput) error // what is to fail, before anything is read
	OnPut func(*s3.PutObjectInput) error // what is to fail, before anything is written

	mu     sync.Mutex
	body   map[string][]byte
	reads  []s3.GetObjectInput
	writes map[string]s3.PutObjectInput
	dir    string // "" = in memory only; else every object is a file here too
}

// NewObjects keeps objects in memory.
func NewObjects() *Objects {
	return &Objects{body: map[string][]byte{}, writes: map[string]s3.PutObjectInput{}}
}

// ObjectsIn keeps objects as files in a folder, so that they outlive a process that is killed.
func ObjectsIn(t testing.TB, dir string) *Objects {
	t.Helper()
	o := NewObjects()
	o.dir = dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".tmp") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		key, err := url.PathUnescape(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		o.body[key] = b
	}
	return o
}

// Put keeps an object as if somebody had uploaded it.
func (o *Objects) Put(key string, body []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.keep(key, body); err != nil {
		panic(err) // the test's own folder cannot be written
	}
}

func (o *Objects) keep(key string, body []byte) error {
	o.body[key] = body
	if o.dir == "" {
		return nil
	}
	path := filepath.Join(o.dir, url.PathEscape(key))
	if err := os.WriteFile(path+".tmp", body, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

// Get is an object, or nil.
func (o *Objects) Get(key string) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.body[key]
}

// All are the objects there are now.
func (o *Objects) All() map[string][]byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.body)
}

// Reads are the requests for an object so far.
func (o *Objects) Reads(key string) (out []s3.GetObjectInput) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, in := range o.reads {
		if in.Bucket+"/"+in.Key == key {
			out = append(out, in)
		}
	}
	return out
}

// Writes are the last request that wrote each object, without its body.
func (o *Objects) Writes() map[string]s3.PutObjectInput {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.writes)
}

func etag(b []byte) string { s := md5.Sum(b); return `"` + hex.EncodeToString(s[:]) + `"` }

func (o *Objects) ListObjectsV2(_ context.Context, in *s3.ListObjectsV2Input) (*s3.ListObjectsV2Output, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var keys []string
	for k := range o.body {
		if strings.HasPrefix(k, in.Bucket+"/"+in.Prefix) && k > in.Bucket+"/"+in.ContinuationToken {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	out := &s3.ListObjectsV2Output{IsTruncated: aws.Ptr(len(keys) > page)}
	for _, k := range keys[:min(page, len(keys))] {
		key := strings.TrimPrefix(k, in.Bucket+"/")
		out.Contents = append(out.Contents, s3.Object{Key: key, Size: aws.Ptr(int64(len(o.body[k]))), ETag: etag(o.body[k])})
		out.NextContinuationToken = key
	}
	return out, nil
}

func (o *Objects) GetObject(_ context.Context, in *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reads = append(o.reads, *in)
	if o.OnGet != nil {
		if err := o.OnGet(in); err != nil {
			return nil, err
		}
	}
	b, ok := o.body[in.Bucket+"/"+in.Key]
	if !ok {
		return nil, errs.Named(errs.NotFound, "NoSuchKey", "The specified key does not exist.")
	}
	tag := etag(b)
	if in.IfMatch != "" && in.IfMatch != tag {
		return nil, errs.New(errs.Precondition, "At least one of the pre-conditions you specified did not hold")
	}
	if in.Range != "" {
		var from int
		if _, err := fmt.Sscanf(in.Range, "bytes=%d-", &from); err != nil {
			return nil, err
		}
		b = b[from:]
	}
	return &s3.GetObjectOutput{Body: io.NopCloser(bytes.NewReader(b)), ContentLength: aws.Ptr(int64(len(b))), ETag: tag}, nil
}

func (o *Objects) PutObject(_ context.Context, in *s3.PutObjectInput) (*s3.PutObjectOutput, error) {
	b, err := io.ReadAll(in.Body)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.OnPut != nil {
		if err := o.OnPut(in); err != nil {
			return nil, err
		}
	}
	w := *in
	w.Body = nil
	o.writes[in.Bucket+"/"+in.Key] = w
	return &s3.PutObjectOutput{ETag: etag(b)}, o.keep(in.Bucket+"/"+in.Key, b)
}
