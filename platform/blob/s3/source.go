package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	api "github.com/galen-health/galen/aws/s3"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
)

// ahead is how much the first request of a blob asks for: its header, and all of a small blob.
const ahead = 64 << 10

// source reads one object. A range that is read in order is one request; another place is a request of its own.
type source struct {
	b     *bucket
	id    blob.ID
	key   string
	ctx   context.Context // of the reader's life: its values, not its opener's end
	end   context.CancelFunc
	first []byte // the object's first bytes
	size  int64  // of the object; -1 = not known yet
	body  *body  // an answer that is being read
	until int64  // where the range in order ends
}

func (b *bucket) source(ctx context.Context, id blob.ID, key string) *source {
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	return &source{b: b, id: id, key: key, ctx: ctx, end: end, size: -1}
}

func (s *source) Size() (int64, error) { return s.size, nil }

func (s *source) Expect(_, to int64) { s.until = to }

func (s *source) Close() error {
	s.drop()
	s.end()
	return nil
}

func (s *source) drop() {
	if s.body != nil {
		s.body.close()
		s.body = nil
	}
}

// ReadAt implements sealed.Source.
func (s *source) ReadAt(p []byte, off int64) (n int, err error) {
	if s.size < 0 {
		if err := s.begin(); err != nil {
			return 0, err
		}
	}
	if off < int64(len(s.first)) {
		n = copy(p, s.first[off:])
	}
	if left := max(s.size-off, 0); int64(len(p)) > left {
		p, err = p[:left], io.EOF
	}
	for tries := 0; n < len(p); {
		k, rerr := s.next(p[n:], off+int64(n), off+int64(len(p)))
		if n += k; k > 0 {
			tries = 0
		}
		if rerr != nil {
			// A body that broke off goes on from where it was, a bounded number of times without progress.
			if tries++; tries == attempts || errors.Is(rerr, errStuck) || !again(rerr) {
				return n, rerr
			}
		}
	}
	return n, err
}

// begin reads the object's first bytes, and with them its size.
func (s *source) begin() error {
	var first []byte
	var size int64
	_, err := s.b.do(s.ctx, "reading a blob", func(ctx context.Context) error {
		out, err := s.b.GetObject(ctx, &api.GetObjectInput{Bucket: s.b.name, Key: s.key, Range: fmt.Sprintf("bytes=0-%d", ahead-1)})
		if errs.Is(err, errs.OutOfRange) { // an empty object has no first byte
			first, size = nil, 0
			return nil
		}
		if err != nil {
			return err
		}
		defer out.Body.Close() //nolint:errcheck // only read
		if size, err = sizeOf(out.ContentRange, 0); err != nil {
			return err
		}
		first, err = io.ReadAll(io.LimitReader(out.Body, ahead))
		if err == nil && int64(len(first)) != min(size, ahead) {
			err = io.ErrUnexpectedEOF
		}
		return err
	})
	if err != nil {
		return s.failed(err)
	}
	s.first, s.size = first, size
	return nil
}

// failed turns the S3's missing object into a missing blob.
func (s *source) failed(err error) error {
	if errs.Is(err, errs.NotFound) {
		return notFound(s.id)
	}
	return err
}

// sizeOf reads a Content-Range (RFC 9110 §14.4) that must begin at from.
func sizeOf(contentRange string, from int64) (int64, error) {
	span, total, ok := strings.Cut(strings.TrimPrefix(contentRange, "bytes "), "/")
	start, _, _ := strings.Cut(span, "-")
	at, err1 := strconv.ParseInt(start, 10, 64)
	size, err2 := strconv.ParseInt(total, 10, 64)
	if !ok || err1 != nil || err2 != nil || at != from || size < 0 {
		return 0, noS3("Content-Range of what was asked for")
	}
	return size, nil
}

// next reads some bytes at off into p, from the answer in hand when it is there, else from a new one up to the end of the range in order or to.
func (s *source) next(p []byte, off, to int64) (int, error) {
	if s.body == nil || s.body.at != off {
		s.drop()
		if s.until > off {
			to = max(to, min(s.until, s.size))
		}
		var err error
		if s.body, err = s.get(off, to); err != nil {
			return 0, err
		}
	}
	n, err := s.body.read(p)
	if err != nil || s.body.at == s.body.to {
		s.drop()
	}
	return n, err
}

// get asks for [from, to).
func (s *source) get(from, to int64) (*body, error) {
	var got *body
	_, err := s.b.do(s.ctx, "reading a blob", func(attempt context.Context) error {
		// The body is read long after this attempt's time: it has a context of its own, which ends with the attempt only when that fails.
		ctx, cancel := context.WithCancel(s.ctx)
		stop := context.AfterFunc(attempt, cancel)
		out, err := s.b.GetObject(ctx, &api.GetObjectInput{Bucket: s.b.name, Key: s.key, Range: fmt.Sprintf("bytes=%d-%d", from, to-1)})
		if err == nil {
			if _, err = sizeOf(out.ContentRange, from); err != nil {
				_ = out.Body.Close()
			}
		}
		if !stop() && err == nil {
			_ = out.Body.Close()
			err = context.DeadlineExceeded
		}
		if err != nil {
			cancel()
			if attempt.Err() != nil {
				err = attempt.Err()
			}
			return err
		}
		got = &body{r: out.Body, cancel: cancel, at: from, to: to, b: s.b}
		return nil
	})
	if err != nil {
		return nil, s.failed(err)
	}
	return got, nil
}

// errStuck is the cause of a read that waited for the whole budget: it is not made again.
var errStuck = errors.New("no bytes came")

// body is an answer that is being read. One that does not go on for the bucket's time budget is cut off.
type body struct {
	b      *bucket
	r      io.ReadCloser
	cancel context.CancelFunc
	at, to int64
}

func (q *body) close() {
	q.cancel()
	_ = q.r.Close()
}

func (q *body) read(p []byte) (int, error) {
	if left := q.to - q.at; int64(len(p)) > left {
		p = p[:left]
	}
	stuck := time.AfterFunc(q.b.budget, q.cancel)
	n, err := q.r.Read(p)
	q.at += int64(n)
	switch {
	case !stuck.Stop() && err != nil:
		return n, errs.Wrap(errs.Unavailable, errStuck, "reading a blob: the S3 at %s sent nothing for %v", q.b.endpoint, q.b.budget)
	case errors.Is(err, io.EOF) && q.at == q.to:
		err = nil
	case err != nil: // not wrapped: an io.EOF in it would be the blob's end to whoever reads it
		err = errs.New(errs.Unavailable, "reading a blob: the answer of the S3 at %s broke off: %v", q.b.endpoint, err)
	case n == 0 && len(p) > 0:
		err = errs.New(errs.Unavailable, "reading a blob: the S3 at %s sends nothing", q.b.endpoint)
	}
	return n, err
}
