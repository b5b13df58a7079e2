package files

import (
	"context"
	"crypto/md5" //nolint:gosec // S3's ETag is an MD5; integrity rests on AES-GCM and SHA-256
	"crypto/sha256"
	"errors"
	"hash"
	"io"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/disk"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
)

// errDone is what a writer answers after Commit or Abort.
var errDone = errors.New("the blob is committed or aborted")

// writer writes one blob. Its temporary file has the blob's id as its name.
type writer struct {
	s       *Store
	f       disk.File
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

func (s *Store) create(ctx context.Context, ref key.Ref) (*writer, error) {
	if s.broken.Load() {
		return nil, errs.New(errs.Unavailable, "the blob store takes no writes since a sync failed: mend the disk and restart")
	}
	dk, err := s.keys.DataKey(ctx, ref)
	if err != nil {
		return nil, err
	}
	w := &writer{s: s, dataKey: dk.Plain, sha: sha256.New(), md5: md5.New()} //nolint:gosec // see above
	w.head = header{length: headerLength(dk.Wrapped, ref.Context), wrapped: dk.Wrapped, context: ref.Context}
	w.head.info = blob.Info{ID: newID(), KeyARN: dk.KeyARN}
	if w.head.length > maxHeader || len(dk.Wrapped) > 1<<16-1 || len(ref.Context) > 1<<16-1 {
		clear(w.dataKey)
		return nil, errs.New(errs.Invalid, "the encryption context is longer than %d bytes", maxHeader)
	}
	if w.f, err = s.d.Create(tmp + "/" + string(w.head.info.ID)); err != nil {
		clear(w.dataKey)
		return nil, s.ioError(err, "a blob cannot be made")
	}
	w.plain, w.sealed = getBuffer(), getBuffer()
	if err := w.start(); err != nil {
		w.Abort()
		return nil, err
	}
	return w, nil
}

// start puts room for the header and the stream's header in front of the first segment, to be written with it.
func (w *writer) start() error {
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
func (w *writer) limit() int {
	if w.segment == 0 {
		return firstPlain
	}
	return otherPlain
}

func (w *writer) Write(p []byte) (n int, err error) {
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

// readFrom reads r to its end straight into the segments. Only io.EOF is an end: a cut-off body is not a short one.
func (w *writer) readFrom(ctx context.Context, r io.Reader) error {
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

// flush seals the segment in progress and appends it to the file while both hashes run beside it.
func (w *writer) flush(last bool) {
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
	if _, err := w.f.Write(out); err != nil {
		w.err = w.s.ioError(err, "a blob cannot be written")
	}
	w.sha.Write(plain)
	<-hashed
	w.head.info.Size += int64(len(plain))
	w.segment++
	w.used = max(w.used, len(plain))
	*w.plain, *w.sealed = plain[:0], (*w.sealed)[:0]
}

// Commit makes the blob durable, then visible, then its name durable.
func (w *writer) Commit() (blob.Info, error) {
	w.flush(true)
	if w.err == nil {
		w.err = w.finish()
	}
	if w.err != nil {
		err := w.err
		w.Abort()
		return blob.Info{}, err
	}
	w.release()
	w.err = errDone
	return w.head.info, nil
}

func (w *writer) finish() error {
	in := &w.head.info
	in.Created = w.s.now().UTC().Truncate(1000)
	w.sha.Sum(in.SHA256[:0])
	w.md5.Sum(in.MD5[:0])
	h, err := w.head.encode(w.dataKey)
	if err != nil {
		return err
	}
	if _, err = w.f.WriteAt(h, 0); err != nil {
		return w.s.ioError(err, "a blob cannot be written")
	}
	if err = disk.Sync(w.f); err != nil {
		return w.s.ioError(err, "a blob cannot be made durable")
	}
	f := w.f
	w.f = nil
	if err = f.Close(); err != nil {
		return w.s.ioError(err, "a blob cannot be written")
	}
	if w.s.broken.Load() { // another blob's sync failed: what this one's sync said proves nothing
		return errs.New(errs.Unavailable, "the blob store takes no writes since a sync failed: mend the disk and restart")
	}
	name, _ := place(in.ID)
	if err = w.s.d.Rename(tmp+"/"+string(in.ID), name); err != nil {
		return w.s.ioError(err, "a blob cannot be named")
	}
	if err = disk.SyncDir(w.s.d, name[:2]); err != nil {
		_ = w.s.d.Remove(name)
		return w.s.ioError(err, "a blob's name cannot be made durable")
	}
	return nil
}

// Abort removes what was written.
func (w *writer) Abort() {
	if errors.Is(w.err, errDone) {
		return
	}
	if w.f != nil {
		_ = w.f.Close()
	}
	_ = w.s.d.Remove(tmp + "/" + string(w.head.info.ID)) // if it stays, the next start removes it
	w.release()
	w.err = errDone
}

// release wipes and gives back what the writer holds in memory.
func (w *writer) release() {
	clear(w.dataKey)
	if w.plain != nil {
		*w.plain = (*w.plain)[:max(w.used, len(*w.plain))]
		*w.sealed = (*w.sealed)[:0]
		putBuffer(w.plain)
		putBuffer(w.sealed)
		w.plain, w.sealed = nil, nil
	}
	w.stream, w.f = nil, nil
}
