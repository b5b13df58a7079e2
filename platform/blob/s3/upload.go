package s3

import (
	"bytes"
	"context"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/s3"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/blob/sealed"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
)

// An S3 takes parts from 5 MiB, 10,000 of them: parts double in size every 1,000, so a blob of the greatest size that an S3 takes (5 TiB) fits.
const (
	firstPart  = 8 << 20
	stepParts  = 1000
	mostParts  = 10_000
	abortTime  = 10 * time.Second
	objectType = "application/octet-stream"
)

func partSize(number int) int { return firstPart << ((number - 1) / stepParts) }

// writer writes one blob.
type writer struct {
	*sealed.Writer
	s    *Store
	up   upload
	done bool
}

func (s *Store) create(ctx context.Context, ref key.Ref) (*writer, error) {
	body, err := sealed.NewWriter(ctx, s.keys, ref)
	if err != nil {
		return nil, err
	}
	w := &writer{Writer: body, s: s, up: upload{b: s.b, ctx: context.WithoutCancel(ctx), key: s.place(body.ID())}}
	body.To(&w.up)
	return w, nil
}

// Commit puts the header in its place and makes the object: at once whole, visible and durable.
func (w *writer) Commit() (blob.Info, error) {
	if w.done {
		return blob.Info{}, sealed.ErrDone
	}
	defer w.Abort()
	head, in, err := w.Finish(w.s.now())
	if err == nil {
		copy(w.up.first, head)
		err = w.up.finish()
	}
	if err != nil {
		return blob.Info{}, err
	}
	w.done = true
	w.Release()
	return in, nil
}

// Abort forgets the parts that were sent; what it cannot, the sweep does.
func (w *writer) Abort() {
	if w.done {
		return
	}
	w.done = true
	w.Release()
	w.up.abort()
}

// upload takes an object's bytes in order. The first part is held back to the end: its header is written last.
type upload struct {
	b     *bucket
	ctx   context.Context
	key   string
	first []byte // part 1
	part  []byte // the part in progress
	id    string // of the multipart upload; "" = none was begun
	parts []api.CompletedPart
}

func (u *upload) Write(p []byte) (n int, err error) {
	if k := min(len(p), firstPart-len(u.first)); k > 0 {
		u.first = append(u.first, p[:k]...)
		p, n = p[k:], k
	}
	for len(p) > 0 {
		number := len(u.parts) + 2
		room := partSize(number) - len(u.part)
		if room == 0 {
			if err := u.send(number); err != nil {
				return n, err
			}
			continue
		}
		k := min(len(p), room)
		u.part = append(u.part, p[:k]...)
		p, n = p[k:], n+k
	}
	return n, nil
}

// send uploads the part in progress.
func (u *upload) send(number int) error {
	if number > mostParts {
		return errs.New(errs.TooLarge, "the blob is larger than an S3 takes")
	}
	if u.id == "" {
		if _, err := u.b.do(u.ctx, "writing a blob", func(ctx context.Context) error {
			out, err := u.b.CreateMultipartUpload(ctx, &api.CreateMultipartUploadInput{Bucket: u.b.name, Key: u.key, ContentType: objectType})
			if err == nil && out.UploadId == "" {
				err = noS3("UploadId")
			}
			if err == nil {
				u.id = out.UploadId // one that a repetition begins anew is left to the sweep
			}
			return err
		}); err != nil {
			return err
		}
	}
	done, err := u.sendPart(number, u.part)
	if err == nil {
		u.parts = append(u.parts, done)
		u.part = u.part[:0]
	}
	return err
}

func (u *upload) sendPart(number int, p []byte) (done api.CompletedPart, err error) {
	_, err = u.b.do(u.ctx, "writing a blob", func(ctx context.Context) error {
		out, err := u.b.UploadPart(ctx, &api.UploadPartInput{Bucket: u.b.name, Key: u.key, UploadId: u.id, PartNumber: int32(number), Body: bytes.NewReader(p)})
		if err == nil && out.ETag == "" {
			err = noS3("ETag")
		}
		if err == nil {
			done = api.CompletedPart{ETag: out.ETag, PartNumber: aws.Ptr(int32(number))}
		}
		return err
	})
	return done, u.forgotten(err)
}

// forgotten is what a missing upload means: somebody aborted it.
func (u *upload) forgotten(err error) error {
	if errs.Is(err, errs.NotFound) {
		return errs.Wrap(errs.Unavailable, err, "writing a blob: the S3 at %s has forgotten the upload: write it again", u.b.endpoint)
	}
	return err
}

// finish makes the object.
func (u *upload) finish() error {
	if u.id == "" && len(u.part) == 0 {
		_, err := u.b.do(u.ctx, "writing a blob", func(ctx context.Context) error {
			out, err := u.b.PutObject(ctx, &api.PutObjectInput{Bucket: u.b.name, Key: u.key, ContentType: objectType, Body: bytes.NewReader(u.first)})
			if err == nil && out.ETag == "" {
				err = noS3("ETag")
			}
			return err
		})
		return err
	}
	if len(u.part) > 0 {
		if err := u.send(len(u.parts) + 2); err != nil {
			return err
		}
	}
	first, err := u.sendPart(1, u.first)
	if err != nil {
		return err
	}
	parts := append([]api.CompletedPart{first}, u.parts...)
	tried, err := u.b.do(u.ctx, "completing a blob", func(ctx context.Context) error {
		out, err := u.b.CompleteMultipartUpload(ctx, &api.CompleteMultipartUploadInput{Bucket: u.b.name, Key: u.key, UploadId: u.id, MultipartUpload: &api.CompletedMultipartUpload{Parts: parts}})
		if err == nil && out.ETag == "" {
			err = noS3("ETag")
		}
		return err
	})
	if errs.Is(err, errs.NotFound) && tried > 1 { // an attempt whose answer was lost may have completed it
		return u.completed(err)
	}
	return u.forgotten(err)
}

// completed is nil when the object is there after all. Its id is random and its upload was ours alone, so it can only be what we sent.
func (u *upload) completed(cause error) error {
	_, err := u.b.do(u.ctx, "completing a blob", func(ctx context.Context) error {
		_, err := u.b.HeadObject(ctx, &api.HeadObjectInput{Bucket: u.b.name, Key: u.key})
		return err
	})
	if errs.Is(err, errs.NotFound) {
		return u.forgotten(cause)
	}
	return err
}

func (u *upload) abort() {
	if u.id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(u.ctx, min(abortTime, u.b.budget))
	defer cancel()
	_, _ = u.b.AbortMultipartUpload(ctx, &api.AbortMultipartUploadInput{Bucket: u.b.name, Key: u.key, UploadId: u.id}) // else the sweep does
	u.id = ""
}
