package s3files

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/errs"
)

// bucket lists its keys two at a time, and answers like S3 to conditions and ranges.
type bucket struct {
	s3.Unimplemented
	keys []string
	etag string
}

func (b bucket) ListObjectsV2(_ context.Context, in *s3.ListObjectsV2Input) (*s3.ListObjectsV2Output, error) {
	out := &s3.ListObjectsV2Output{IsTruncated: aws.Ptr(false)}
	for _, k := range b.keys {
		if !strings.HasPrefix(k, in.Prefix) || k <= in.ContinuationToken {
			continue
		}
		if len(out.Contents) == 2 {
			out.IsTruncated, out.NextContinuationToken = aws.Ptr(true), out.Contents[1].Key
			break
		}
		out.Contents = append(out.Contents, s3.Object{Key: k, Size: aws.Ptr(int64(10)), ETag: b.etag})
	}
	return out, nil
}

func (b bucket) GetObject(_ context.Context, in *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	if in.IfMatch != b.etag {
		return nil, errs.New(errs.Precondition, "changed")
	}
	return &s3.GetObjectOutput{Body: io.NopCloser(strings.NewReader(in.Key + in.Range))}, nil
}

func TestParse(t *testing.T) {
	for uri, want := range map[string]string{"s3://b/k/x": "b k/x", "s3://b": "b ", "s3://b/": "b ", "s3:///k": "", "http://b/k": "", "s3://": "", "": "", "S3://b/k": ""} {
		b, k, err := Parse(uri)
		if got := strings.Trim(b+" "+k, ""); (err == nil) != (want != "") || err == nil && got != want || err != nil && !errs.Is(err, errs.Invalid) {
			t.Errorf("%s is %q, %v, want %q", uri, got, err, want)
		}
	}
}

func TestList(t *testing.T) {
	b := bucket{keys: []string{"a/", "a/1", "a/2", "a/3", "a/sub/", "a/sub/4", "ab", "b"}, etag: "e"}
	for _, tc := range []struct {
		uri  string
		most Most
		want string // keys, "" = refused
	}{
		{"s3://x/a/", Most{Files: 10}, "a/1 a/2 a/3 a/sub/4"},
		{"s3://x/a", Most{Files: 10}, "a/1 a/2 a/3 a/sub/4 ab"},
		{"s3://x/ab", Most{Files: 10}, "ab"},
		{"s3://x", Most{Files: 10}, "a/1 a/2 a/3 a/sub/4 ab b"},
		{"s3://x/a/", Most{Files: 4, Bytes: 40}, "a/1 a/2 a/3 a/sub/4"},
		{"s3://x/a/", Most{Files: 3}, ""},
		{"s3://x/a/", Most{Files: 10, Bytes: 39}, ""},
		{"s3://x/none", Most{Files: 10}, ""},
		{"x", Most{Files: 10}, ""},
	} {
		files, err := List(t.Context(), b, tc.uri, tc.most)
		var keys []string
		for _, f := range files {
			keys = append(keys, f.Key)
			if f.Size != 10 || f.ETag != "e" {
				t.Errorf("%+v", f)
			}
		}
		if got := strings.Join(keys, " "); got != tc.want || (err != nil) != (tc.want == "") || err != nil && !errs.Is(err, errs.Invalid) {
			t.Errorf("%s, at most %+v: %q, %v; want %q", tc.uri, tc.most, got, err, tc.want)
		}
		if !slices.IsSorted(keys) {
			t.Errorf("%q is not in order", keys)
		}
	}
}

func TestOpen(t *testing.T) {
	b := bucket{etag: "e"}
	for offset, want := range map[int64]string{0: "k", 7: "kbytes=7-"} {
		r, err := Open(t.Context(), b, "x", File{Key: "k", ETag: "e"}, offset)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != want {
			t.Errorf("from %d: %q, %v", offset, got, err)
		}
	}
	if _, err := Open(t.Context(), b, "x", File{Key: "k", ETag: "old"}, 0); !errs.Is(err, errs.Conflict) {
		t.Errorf("a changed file: %v", err)
	}
}

func TestJoin(t *testing.T) {
	for _, tc := range [][3]string{{"", "n", "n"}, {"p", "n", "p/n"}, {"p/", "n", "p/n"}} {
		if got := Join(tc[0], tc[1]); got != tc[2] {
			t.Error(fmt.Sprint(tc, got))
		}
	}
}
