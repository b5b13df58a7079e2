// Package s3files is what jobs do with S3: they list the files that a URI names, read each as it was listed, and write reports below a URI. Calls go through
// the S3 contract with the rights of their context, which is the role that the job's caller gave.
package s3files

import (
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/errs"
)

// Parse splits s3://bucket/key; the key may be "".
func Parse(uri string) (bucket, key string, err error) {
	rest, ok := strings.CutPrefix(uri, "s3://")
	bucket, key, _ = strings.Cut(rest, "/")
	if !ok || bucket == "" {
		return "", "", errs.New(errs.Invalid, "an S3 URI is s3://bucket/key")
	}
	return bucket, key, nil
}

// Join is a key below a prefix, which may end in a slash or not.
func Join(prefix, name string) string {
	if prefix == "" || strings.HasSuffix(prefix, "/") {
		return prefix + name
	}
	return prefix + "/" + name
}

// File is one object as it was listed; jobs keep it in their state.
type File struct {
	Key  string
	Size int64
	ETag string
}

// Most bounds what a job may read.
type Most struct {
	Files int
	Bytes int64 // 0 = no bound
}

// List is the object that a URI names, or all below it as a prefix. Folder markers are not files. None, or more than allowed, is errs.Invalid.
func List(ctx context.Context, objects s3.Service, uri string, most Most) ([]File, error) {
	bucket, prefix, err := Parse(uri)
	if err != nil {
		return nil, err
	}
	var out []File
	total := int64(0)
	in := &s3.ListObjectsV2Input{Bucket: bucket, Prefix: prefix}
	for {
		page, err := objects.ListObjectsV2(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			if strings.HasSuffix(o.Key, "/") {
				continue
			}
			f := File{o.Key, aws.Val(o.Size), o.ETag}
			if o.Key == prefix {
				return []File{f}, nil
			}
			if out = append(out, f); len(out) > most.Files {
				return nil, errs.New(errs.Invalid, "the input has more than %d files", most.Files)
			}
			if total += f.Size; most.Bytes > 0 && total > most.Bytes {
				return nil, errs.New(errs.Invalid, "the input has more than %d bytes", most.Bytes)
			}
		}
		if !aws.Val(page.IsTruncated) || page.NextContinuationToken == "" {
			break
		}
		in.ContinuationToken = page.NextContinuationToken
	}
	if len(out) == 0 {
		return nil, errs.New(errs.Invalid, "the input S3 URI names no files")
	}
	return out, nil
}

// Open reads a file from an offset; one that is not as it was listed is errs.Conflict.
func Open(ctx context.Context, objects s3.Service, bucket string, f File, offset int64) (io.ReadCloser, error) {
	in := &s3.GetObjectInput{Bucket: bucket, Key: f.Key, IfMatch: f.ETag}
	if offset > 0 {
		in.Range = "bytes=" + strconv.FormatInt(offset, 10) + "-"
	}
	out, err := objects.GetObject(ctx, in)
	if errs.Is(err, errs.Precondition) {
		return nil, errs.New(errs.Conflict, "an input file changed while it was imported")
	}
	if err != nil {
		return nil, err
	}
	return out.Body, nil
}
