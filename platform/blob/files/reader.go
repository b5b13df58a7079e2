package files

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // compared with the stored one
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"sync"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/disk"
	"github.com/galen-health/galen/platform/errs"
)

// reader reads one blob. It holds the blob's opened data key, so it asks for the state of the KMS key before each segment that it opens.
type reader struct {
	s      *Store
	f      disk.File
	head   *header
	stream *stream

	mu   sync.Mutex
	buf  *[]byte // the segment opened last
	held int64   // its number; -1 = none
}

var errLength = errors.New("length of the file")

// open opens a blob and proves its header.
func (s *Store) open(ctx context.Context, id blob.ID) (*reader, error) {
	name, ok := place(id)
	if !ok {
		return nil, notFound(id)
	}
	f, err := s.d.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, notFound(id)
	case err != nil:
		return nil, s.ioError(err, "a blob cannot be opened")
	}
	r := &reader{s: s, f: f, held: -1}
	if err := r.readHead(ctx, id); err != nil {
		_ = f.Close()
		return nil, err
	}
	return r, nil
}

func (r *reader) readHead(ctx context.Context, id blob.ID) error {
	first := make([]byte, firstRead)
	n, err := r.f.ReadAt(first, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return r.s.ioError(err, "a blob cannot be read")
	}
	length, err := peekLength(first[:n])
	if err != nil {
		return corrupt(id, err)
	}
	// The header and the stream's header behind it.
	b := first[:n]
	if need := length + streamHeader; need > n {
		b = make([]byte, need)
		if _, err := r.f.ReadAt(b, 0); errors.Is(err, io.EOF) {
			return corrupt(id, errLength)
		} else if err != nil {
			return r.s.ioError(err, "a blob cannot be read")
		}
	}
	h, err := decode(b[:length])
	if err != nil {
		return corrupt(id, err)
	}
	dk, err := r.s.keys.Open(ctx, h.wrapped, h.context)
	if errs.Is(err, errs.Invalid) {
		return corrupt(id, err)
	} else if err != nil {
		return err
	}
	defer clear(dk.Plain)
	if err := check(b[:length], id, h, dk.Plain); err != nil {
		return corrupt(id, err)
	}
	st, err := r.f.Stat()
	if err != nil {
		return r.s.ioError(err, "a blob cannot be read")
	}
	if st.Size() != int64(length)+sealedSize(h.info.Size) {
		return corrupt(id, errLength)
	}
	k, err := subkey(dk.Plain, "body")
	if err != nil {
		return err
	}
	defer clear(k)
	if r.stream, err = openStream(b[length:length+streamHeader], k, bodyAAD(id)); err != nil {
		return corrupt(id, err)
	}
	h.info.KeyARN = dk.KeyARN
	r.head = h
	return nil
}

// Size is the plaintext's.
func (r *reader) Size() int64 { return r.head.info.Size }

// ReadAt reads plaintext.
func (r *reader) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errs.New(errs.OutOfRange, "offset %d is negative", off)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for n < len(p) {
		if off >= r.head.info.Size {
			return n, io.EOF
		}
		segment := segmentOf(off)
		if err := r.hold(segment); err != nil {
			return n, err
		}
		from, _, _ := span(segment, r.head.info.Size)
		k := copy(p[n:], (*r.buf)[off-from:])
		n += k
		off += int64(k)
	}
	return n, nil
}

// hold opens a segment into buf.
func (r *reader) hold(segment int64) error {
	if r.f == nil {
		return fs.ErrClosed
	}
	if err := r.s.check(context.Background(), r.head.info.KeyARN); err != nil {
		return err
	}
	if r.held == segment {
		return nil
	}
	id := r.head.info.ID
	if r.buf == nil {
		r.buf = r.buffer()
	}
	r.held = -1
	from, to, at := span(segment, r.head.info.Size)
	was := len(*r.buf)
	sealed := (*r.buf)[:to-from+tagSize]
	if n, err := r.f.ReadAt(sealed, int64(r.head.length)+at); n < len(sealed) {
		if errors.Is(err, io.EOF) {
			return corrupt(id, errLength)
		}
		return r.s.ioError(err, "a blob cannot be read")
	}
	last := segment == segments(r.head.info.Size)-1
	plain, err := r.stream.open(sealed[:0], sealed, uint32(segment), last) // in place
	if err != nil {
		return corrupt(id, errors.New("segment"))
	}
	if len(plain) < was { // a shorter one leaves nothing of the longer one behind
		clear((*r.buf)[len(plain):was])
	}
	*r.buf, r.held = plain, segment
	return nil
}

// buffer is a shared one, or a small one for a small blob.
func (r *reader) buffer() *[]byte {
	if need := r.head.info.Size + tagSize; need < segmentSize/8 {
		b := make([]byte, 0, need)
		return &b
	}
	return getBuffer()
}

// Close forgets the key and the bytes.
func (r *reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.f == nil {
		return nil
	}
	if r.buf != nil {
		if cap(*r.buf) >= segmentSize {
			putBuffer(r.buf)
		} else {
			clear(*r.buf)
		}
		r.buf = nil
	}
	f := r.f
	r.f, r.stream = nil, nil
	return f.Close()
}

// rangeReader reads [at, end) in order.
type rangeReader struct {
	r       *reader
	at, end int64
}

func (q *rangeReader) Read(p []byte) (int, error) {
	if q.at >= q.end {
		return 0, io.EOF
	}
	if left := q.end - q.at; int64(len(p)) > left {
		p = p[:left]
	}
	n, err := q.r.ReadAt(p, q.at)
	q.at += int64(n)
	if errors.Is(err, io.EOF) && n > 0 {
		err = nil
	}
	return n, err
}

// WriteTo writes the rest segment by segment, without a buffer in between.
func (q *rangeReader) WriteTo(w io.Writer) (n int64, err error) {
	q.r.mu.Lock()
	defer q.r.mu.Unlock()
	for q.at < q.end {
		segment := segmentOf(q.at)
		if err := q.r.hold(segment); err != nil {
			return n, err
		}
		from, to, _ := span(segment, q.r.head.info.Size)
		k, err := w.Write((*q.r.buf)[q.at-from : min(to, q.end)-from])
		n += int64(k)
		q.at += int64(k)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (q *rangeReader) Close() error { return q.r.Close() }

// verify reads a whole blob and compares its hashes.
func (s *Store) verify(ctx context.Context, id blob.ID) error {
	r, err := s.open(ctx, id)
	if err != nil {
		return err
	}
	q := &rangeReader{r: r, end: r.head.info.Size}
	defer q.Close()                     //nolint:errcheck // only read
	sha, sum := sha256.New(), md5.New() //nolint:gosec // see above
	if q.end == 0 {                     // no range touches the one segment of an empty blob
		if err := r.hold(0); err != nil {
			return err
		}
	}
	if _, err := q.WriteTo(io.MultiWriter(sha, sum)); err != nil {
		return err
	}
	if !bytes.Equal(sha.Sum(nil), r.head.info.SHA256[:]) || !bytes.Equal(sum.Sum(nil), r.head.info.MD5[:]) {
		return corrupt(id, errors.New("hash"))
	}
	return nil
}
