package sealed

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // compared with the stored one
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"sync"
	"time"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
)

// Source is where the sealed bytes of one blob are. Its errors come from errs and are passed on, but io.EOF itself past the end. (An error that wraps
// io.EOF is another: a connection that broke says so too.)
type Source interface {
	io.ReaderAt
	io.Closer
	// Size is the number of sealed bytes. It is asked for after the first read.
	Size() (int64, error)
	// Expect says that the bytes [from, to) will be read next, in order.
	Expect(from, to int64)
}

// Reader reads one blob. It holds the blob's opened data key, so it asks for the state of the KMS key before each segment that it opens.
type Reader struct {
	src    Source
	check  func(ctx context.Context, arn string) error
	head   *header
	stream *stream

	mu   sync.Mutex
	buf  *[]byte // the segment opened last
	held int64   // its number; -1 = none
}

var errLength = errors.New("length of the file")

func corrupt(id blob.ID, cause error) error {
	return errs.Wrap(errs.Corrupt, cause, "blob %s is damaged", id)
}

// NewReader proves the header of what src holds: that it is blob id, whole in length. The reader owns src from then on, also when it fails.
func NewReader(ctx context.Context, keys key.Ring, src Source, id blob.ID) (*Reader, error) {
	r := &Reader{src: src, held: -1, check: func(context.Context, string) error { return nil }}
	if c, ok := keys.(key.Checker); ok {
		r.check = c.Check
	}
	if err := r.readHead(ctx, keys, id); err != nil {
		_ = src.Close()
		return nil, err
	}
	return r, nil
}

func (r *Reader) readHead(ctx context.Context, keys key.Ring, id blob.ID) error {
	first := make([]byte, firstRead)
	n, err := r.src.ReadAt(first, 0)
	if err != nil && err != io.EOF { //nolint:errorlint // see Source
		return err
	}
	length, err := peekLength(first[:n])
	if err != nil {
		return corrupt(id, err)
	}
	// The header and the stream's header behind it.
	b := first[:n]
	if need := length + streamHeader; need > n {
		b = make([]byte, need)
		if _, err := r.src.ReadAt(b, 0); err == io.EOF { //nolint:errorlint // see Source
			return corrupt(id, errLength)
		} else if err != nil {
			return err
		}
	}
	h, err := decode(b[:length])
	if err != nil {
		return corrupt(id, err)
	}
	dk, err := keys.Open(ctx, h.wrapped, h.context)
	if errs.Is(err, errs.Invalid) {
		return corrupt(id, err)
	} else if err != nil {
		return err
	}
	defer clear(dk.Plain)
	if err := check(b[:length], id, h, dk.Plain); err != nil {
		return corrupt(id, err)
	}
	size, err := r.src.Size()
	if err != nil {
		return err
	}
	if size != int64(length)+sealedSize(h.info.Size) {
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

// Info is what the header says.
func (r *Reader) Info() blob.Info { return r.head.info }

// Size is the plaintext's.
func (r *Reader) Size() int64 { return r.head.info.Size }

// ReadAt reads plaintext.
func (r *Reader) ReadAt(p []byte, off int64) (n int, err error) {
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
func (r *Reader) hold(segment int64) error {
	if r.src == nil {
		return fs.ErrClosed
	}
	if err := r.check(context.Background(), r.head.info.KeyARN); err != nil {
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
	if n, err := r.src.ReadAt(sealed, int64(r.head.length)+at); n < len(sealed) {
		if err == io.EOF { //nolint:errorlint // see Source
			return corrupt(id, errLength)
		}
		return err
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
func (r *Reader) buffer() *[]byte {
	if need := r.head.info.Size + tagSize; need < segmentSize/8 {
		b := make([]byte, 0, need)
		return &b
	}
	return getBuffer()
}

// Close forgets the key and the bytes.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.src == nil {
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
	src := r.src
	r.src, r.stream = nil, nil
	return src.Close()
}

// Check reads the whole blob and compares its hashes.
func (r *Reader) Check() error {
	q := r.from(0, r.head.info.Size)
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
		return corrupt(r.head.info.ID, errors.New("hash"))
	}
	return nil
}

// Made is when a blob's header says that it was made, without proof of it; the zero time when there is no header.
func Made(src Source) (time.Time, error) {
	b := make([]byte, fixedSize)
	if _, err := src.ReadAt(b, 0); err == io.EOF { //nolint:errorlint // see Source
		return time.Time{}, nil
	} else if err != nil {
		return time.Time{}, err
	}
	if _, err := peekLength(b); err != nil {
		return time.Time{}, nil
	}
	return time.UnixMicro(int64(binary.BigEndian.Uint64(b[38:]))), nil
}
