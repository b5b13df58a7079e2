package medicalimaging

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/s3files"
)

// most bounds an import job, as HealthImaging's quotas.
var most = s3files.Most{Files: 5_000, Bytes: 10 << 30}

// write puts one object of a job's report.
func (s *Service) write(ctx context.Context, uri, contentType string, body []byte) error {
	bucket, key, err := s3files.Parse(uri)
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
