package sealed

import (
	"context"
	"crypto/md5" //nolint:gosec // S3's ETag is an MD5; integrity rests on AES-GCM and SHA-256
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"time"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
)

// ErrDone is what a writer answers after its blob was committed or aborted.
var ErrDone = errors.New("the blob is committed or aborted")

// Writer seals one blob into an io.Writer. The header's room comes first, as zeros: its true bytes are known at Finish.
type Writer struct {
	out     io.Writer
	head    header
	dataKey []byte
	stream  *stream
	segment uint32
	plain   *[]byte // bytes not yet sealed
	sealed  *[]byte // one ciphertext segment, kept across segments
	used    int     // bytes of plain that were ever used, to be wiped
	sha     hash.Hash
	md5     hash.Hash
	err     error
}

// NewWriter makes a blob's data key under ref and starts its stream. The blob's id is random.
func NewWriter(ctx context.Context, keys key.Ring, ref key.Ref) (*Writer, error) {
	dk, err := keys.DataKey(ctx, ref)
	if err != nil {
		return nil, err
	}
	w := &Writer{dataKey: dk.Plain, sha: sha256.New(), md5: md5.New()} //nolint:gosec // see above
	w.head = header{length: headerLength(dk.Wrapped, ref.Context), wrapped: dk.Wrapped, context: ref.Context}
	w.head.info = blob.Info{ID: newID(), KeyARN: dk.KeyARN}
	if w.head.length > maxHeader || len(dk.Wrapped) > 1<<16-1 || len(ref.Context) > 1<<16-1 {
		clear(w.dataKey)
		return nil, errs.New(errs.Invalid, "the encryption context is longer than %d bytes", maxHeader)
	}
	w.plain, w.sealed = getBuffer(), getBuffer()
	if err := w.start(); err != nil {
		w.Release()
		return nil, err
	}
	return w, nil
}

func newID() blob.ID {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return blob.ID(hex.EncodeToString(b[:]))
}

// ID is the blob's.
func (w *Writer) ID() blob.ID { return w.head.info.ID }

// To says where the sealed bytes go, before the first of them is written. An error of out ends the writer with that error.
func (w *Writer) To(out io.Writer) { w.out = out }

// start puts room for the header and the stream's header in front of the first segment, to be written with it.
func (w *Writer) start() error {
	k, err := subkey(w.dataKey, "body")
	if err != nil {
		return err
	}
	defer clear(k)
	room := (*w.sealed)[:w.head.length]
	clear(room)
	*w.sealed, w.stream, err = startStream(room, k, bodyAAD(w.head.info.ID))
	return err
}

// limit is how much plaintext the segment in progress holds at most.
func (w *Writer) limit() int {
	if w.segment == 0 {
		return firstPlain
	}
	return otherPlain
}

func (w *Writer) Write(p []byte) (n int, err error) {
	for len(p) > 0 && w.err == nil {
		k := min(len(p), w.limit()-len(*w.plain))
		if k == 0 { // more comes, so this was not the last segment
			w.flush(false)
			continue
		}
		*w.plain = append(*w.plain, p[:k]...)
		p = p[k:]
		n += k
	}
	return n, w.err
}

// Fill reads r to its end straight into the segments. Only io.EOF is an end: a cut-off body is not a short one.
func (w *Writer) Fill(ctx context.Context, r io.Reader) error {
	for idle := 0; w.err == nil; {
		if err := ctx.Err(); err != nil {
			return err
		}
		have, limit := len(*w.plain), w.limit()
		n, err := r.Read((*w.plain)[have : limit+1])
		*w.plain = (*w.plain)[:have+n]
		if have+n > limit { // one byte too many shows that the segment before it is not the last
			next := (*w.plain)[limit]
			*w.plain = (*w.plain)[:limit]
			w.flush(false)
			if w.err != nil {
				break
			}
			*w.plain = append(*w.plain, next)
		}
		switch {
		case err == io.EOF: //nolint:errorlint // a wrapped EOF is another's
			return w.err
		case err != nil:
			return err
		case n > 0:
			idle = 0
		default:
			if idle++; idle == 100 {
				return io.ErrNoProgress
			}
		}
	}
	return w.err
}

// flush seals the segment in progress and writes it while both hashes run beside it.
func (w *Writer) flush(last bool) {
	if w.err != nil {
		return
	}
	if w.segment == 1<<32-2 && !last {
		w.err = errs.New(errs.TooLarge, "a blob is at most %d bytes", maxSize)
		return
	}
	plain := *w.plain
	hashed := make(chan struct{})
	if len(plain) < 32<<10 { // not worth a goroutine
		w.md5.Write(plain)
		close(hashed)
	} else {
		go func() { w.md5.Write(plain); close(hashed) }()
	}
	out := w.stream.seal(*w.sealed, plain, w.segment, last)
	if _, err := w.out.Write(out); err != nil {
		w.err = err
	}
	w.sha.Write(plain)
	<-hashed
	w.head.info.Size += int64(len(plain))
	w.segment++
	w.used = max(w.used, len(plain))
	*w.plain, *w.sealed = plain[:0], (*w.sealed)[:0]
}

// Finish seals the last segment and returns the header, whose bytes belong over the first ones that were written.
func (w *Writer) Finish(now time.Time) (head []byte, in blob.Info, err error) {
	if w.flush(true); w.err != nil {
		return nil, in, w.err
	}
	w.head.info.Created = now.UTC().Truncate(time.Microsecond)
	w.sha.Sum(w.head.info.SHA256[:0])
	w.md5.Sum(w.head.info.MD5[:0])
	head, err = w.head.encode(w.dataKey)
	return head, w.head.info, err
}

// Release wipes and gives back what the writer holds in memory; it takes no more bytes. Twice is fine.
func (w *Writer) Release() {
	w.err = ErrDone
	clear(w.dataKey)
	if w.plain != nil {
		*w.plain = (*w.plain)[:max(w.used, len(*w.plain))]
		*w.sealed = (*w.sealed)[:0]
		putBuffer(w.plain)
		putBuffer(w.sealed)
		w.plain, w.sealed = nil, nil
	}
	w.stream = nil
}
