package healthlake

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/errs"
)

// parseURI splits s3://bucket/key.
func parseURI(uri string) (bucket, key string, err error) {
	rest, ok := strings.CutPrefix(uri, "s3://")
	if !ok || rest == "" || rest[0] == '/' {
		return "", "", errs.New(errs.Invalid, "an S3 URI is s3://bucket/key")
	}
	bucket, key, _ = strings.Cut(rest, "/")
	return bucket, key, nil
}

// maxFiles bounds an import, as HealthLake's quota did.
const maxFiles = 10_000

// inputFile is one object of an import.
type inputFile struct {
	Key  string
	Size int64
	ETag string
}

// inputFiles lists the objects of a URI: the one that it names, or all below it as a prefix. Folder markers are not files.
func (s *Service) inputFiles(ctx context.Context, uri string) ([]inputFile, error) {
	bucket, prefix, err := parseURI(uri)
	if err != nil {
		return nil, err
	}
	var out []inputFile
	in := &s3.ListObjectsV2Input{Bucket: bucket, Prefix: prefix}
	for {
		page, err := s.cfg.S3.ListObjectsV2(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			if strings.HasSuffix(o.Key, "/") {
				continue
			}
			f := inputFile{o.Key, aws.Val(o.Size), o.ETag}
			if o.Key == prefix {
				return []inputFile{f}, nil
			}
			if out = append(out, f); len(out) > maxFiles {
				return nil, errs.New(errs.Invalid, "the input has more than %d files", maxFiles)
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

// open reads an object from an offset, and fails if it is not the one that was listed.
func (s *Service) open(ctx context.Context, bucket string, f inputFile, offset int64) (io.ReadCloser, error) {
	in := &s3.GetObjectInput{Bucket: bucket, Key: f.Key, IfMatch: f.ETag}
	if offset > 0 {
		in.Range = "bytes=" + strconv.FormatInt(offset, 10) + "-"
	}
	out, err := s.cfg.S3.GetObject(ctx, in)
	if errs.Is(err, errs.Precondition) {
		return nil, errs.New(errs.Conflict, "an input file changed while it was imported")
	}
	if err != nil {
		return nil, err
	}
	return out.Body, nil
}

// report is where a job writes: its folder below the URI that the caller gave, under the caller's key.
type report struct{ output, kmsKey, folder string }

// write puts one object of a job's report.
func (s *Service) write(ctx context.Context, to report, name, contentType string, body []byte) error {
	bucket, prefix, err := parseURI(to.output)
	if err != nil {
		return err
	}
	_, err = s.cfg.S3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: bucket, Key: join(prefix, to.folder) + name, Body: bytes.NewReader(body), ContentLength: aws.Ptr(int64(len(body))), ContentType: contentType,
		ServerSideEncryption: s3.ServerSideEncryptionAwsKms, SSEKMSKeyId: to.kmsKey,
	})
	return err
}

func join(prefix, name string) string {
	if prefix == "" || strings.HasSuffix(prefix, "/") {
		return prefix + name
	}
	return prefix + "/" + name
}
