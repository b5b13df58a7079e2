package medicalimaging

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"strings"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/blob"
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

// Quotas of an import job, as HealthImaging's.
const (
	maxFiles = 5_000
	maxBytes = 10 << 30
)

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
	total := int64(0)
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
			if total += f.Size; total > maxBytes {
				return nil, errs.New(errs.Invalid, "the input has more than %d bytes", int64(maxBytes))
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

// open reads an object, and fails if it is not the one that was listed.
func (s *Service) open(ctx context.Context, bucket string, f inputFile) (io.ReadCloser, error) {
	out, err := s.cfg.S3.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: f.Key, IfMatch: f.ETag})
	if errs.Is(err, errs.Precondition) {
		return nil, errs.New(errs.Conflict, "an input file changed while it was imported")
	}
	if err != nil {
		return nil, err
	}
	return out.Body, nil
}

// write puts one object of a job's report.
func (s *Service) write(ctx context.Context, uri, contentType string, body []byte) error {
	bucket, key, err := parseURI(uri)
	if err != nil {
		return err
	}
	_, err = s.cfg.S3.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader(body), ContentLength: aws.Ptr(int64(len(body))), ContentType: contentType})
	return err
}

// spoolFrom is from which size on an object waits in a blob instead of in memory.
const spoolFrom = 32 << 20

// gather takes a whole file in: into memory, or when it is long into a blob under the store's key. done gives the room back.
func (s *Service) gather(ctx context.Context, d *datastore, r io.Reader) (o part10, done func(), err error) {
	head, err := io.ReadAll(io.LimitReader(r, spoolFrom+1))
	if err != nil {
		return o, nil, cutOff(err)
	}
	if len(head) <= spoolFrom {
		return inMemory(head), func() {}, nil
	}
	w, err := s.blobs.Create(ctx, s.keyRef(d))
	if err != nil {
		return o, nil, err
	}
	defer w.Abort()
	sum := sha256.New()
	both := io.MultiWriter(w, sum)
	if _, err := both.Write(head); err != nil {
		return o, nil, err
	}
	n, err := io.Copy(both, io.LimitReader(r, maxObject-int64(len(head))+1))
	if err != nil {
		return o, nil, cutOff(err)
	}
	if n += int64(len(head)); n > maxObject {
		return o, nil, errs.New(errs.TooLarge, "the file is larger than %d bytes", int64(maxObject))
	}
	info, err := w.Commit()
	if err != nil {
		return o, nil, err
	}
	at, err := s.blobs.ReaderAt(ctx, info.ID)
	if err != nil {
		return o, nil, err
	}
	done = func() {
		_ = at.Close()                                                   // only read
		_ = s.blobs.Delete(context.WithoutCancel(ctx), blob.ID(info.ID)) // else the sweep finds it
	}
	return part10{at: at, size: n, sha256: [32]byte(sum.Sum(nil))}, done, nil
}

// cutOff is a body that could not be read to its end; what the store says of its own stays.
func cutOff(err error) error {
	if e := errs.As(err); e.Code != errs.Internal {
		return err
	}
	return errs.Wrap(errs.Unavailable, err, "the file could not be read to its end")
}
