package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/blob/sealed"
	"github.com/galen-health/galen/platform/disk"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
)

// tmp is the folder of blobs that are being written.
const tmp = "tmp"

// Store keeps blobs in a folder.
type Store struct {
	d      disk.FS
	keys   key.Ring
	now    func() time.Time
	broken atomic.Bool // a sync failed
}

var _ blob.Store = (*Store)(nil)

// Open opens the store in a folder, made when absent; what a crash left half-written is removed.
func Open(dir string, keys key.Ring) (*Store, error) {
	d, err := disk.Open(dir)
	if err != nil {
		return nil, errs.Wrap(errs.Unavailable, err, "the blob folder cannot be opened")
	}
	s, err := OpenFS(d, keys)
	if err != nil {
		_ = d.Close()
		return nil, err
	}
	return s, nil
}

// OpenFS is Open on any disk; Close closes it.
func OpenFS(d disk.FS, keys key.Ring) (*Store, error) {
	s := &Store{d: d, keys: keys, now: time.Now}
	if err := s.prepare(); err != nil {
		return nil, errs.Wrap(errs.Unavailable, err, "the blob folder cannot be prepared")
	}
	return s, nil
}

// prepare makes the folders and empties tmp.
func (s *Store) prepare() error {
	have, err := s.d.List(".")
	if err != nil {
		return err
	}
	if len(have) < 257 {
		for i := range 256 {
			if err := s.d.Mkdir(fmt.Sprintf("%02x", i)); err != nil {
				return err
			}
		}
		if err := s.d.Mkdir(tmp); err != nil {
			return err
		}
		if err := s.d.SyncDir("."); err != nil {
			return err
		}
	}
	left, err := s.d.List(tmp)
	if err != nil {
		return err
	}
	for _, name := range left {
		if err := s.d.Remove(tmp + "/" + name); err != nil {
			return err
		}
	}
	return nil
}

// Close lets the folder go. Writers and readers must be done.
func (s *Store) Close() error { return s.d.Close() }

// place is the file of a blob; ok is false for what is no id.
func place(id blob.ID) (name string, ok bool) {
	if !sealed.IsID(id) {
		return "", false
	}
	return string(id[:2]) + "/" + string(id), true
}

func notFound(id blob.ID) error { return errs.New(errs.NotFound, "there is no blob %q", string(id)) }

// ioError translates a failed operation on the disk and remembers a failed sync.
func (s *Store) ioError(err error, what string) error {
	if disk.IsSync(err) {
		s.broken.Store(true)
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return errs.Wrap(errs.Unavailable, err, "the disk is full")
	}
	return errs.Wrap(errs.Unavailable, err, "%s", what)
}

// Put stores what r gives.
func (s *Store) Put(ctx context.Context, ref key.Ref, r io.Reader) (blob.Info, error) {
	w, err := s.create(ctx, ref)
	if err != nil {
		return blob.Info{}, err
	}
	defer w.Abort()
	if err := w.Fill(ctx, r); err != nil {
		return blob.Info{}, err
	}
	return w.Commit()
}

// Create starts a blob.
func (s *Store) Create(ctx context.Context, ref key.Ref) (blob.Writer, error) {
	return s.create(ctx, ref)
}

// Stat reads and proves the header.
func (s *Store) Stat(ctx context.Context, id blob.ID) (blob.Info, error) {
	r, err := s.open(ctx, id)
	if err != nil {
		return blob.Info{}, err
	}
	defer r.Close() //nolint:errcheck // only read
	return r.Info(), nil
}

// Open reads a range.
func (s *Store) Open(ctx context.Context, id blob.ID, rg blob.Range) (io.ReadCloser, error) {
	r, err := s.open(ctx, id)
	if err != nil {
		return nil, err
	}
	return r.Range(rg)
}

// ReaderAt opens a blob for reads anywhere, also at once from many goroutines.
func (s *Store) ReaderAt(ctx context.Context, id blob.ID) (blob.ReaderAt, error) {
	r, err := s.open(ctx, id)
	if err != nil {
		return nil, err // not a nil *Reader in the interface
	}
	return r, nil
}

// Delete removes a blob.
func (s *Store) Delete(_ context.Context, id blob.ID) error {
	name, ok := place(id)
	if !ok {
		return nil
	}
	if err := s.d.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s.ioError(err, "the blob cannot be deleted")
	}
	return nil
}

// each calls fn for every blob file. Names that are no blob's go to stray.
func (s *Store) each(ctx context.Context, fn func(id blob.ID, name string) error, stray func(name string) error) error {
	for i := range 256 {
		dir := fmt.Sprintf("%02x", i)
		names, err := s.d.List(dir)
		if err != nil {
			return err
		}
		for _, n := range names {
			if err := ctx.Err(); err != nil {
				return err
			}
			name := dir + "/" + n
			if want, ok := place(blob.ID(n)); ok && want == name {
				err = fn(blob.ID(n), name)
			} else {
				err = stray(name)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Sweep deletes old blobs that keep does not name. A blob's age is its file's: when a restore made files look younger, they stay longer.
func (s *Store) Sweep(ctx context.Context, before time.Time, keep func(blob.ID) (bool, error)) (deleted int, err error) {
	err = s.each(ctx, func(id blob.ID, name string) error {
		st, err := s.d.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return s.ioError(err, "a blob cannot be looked at")
		}
		if !st.ModTime().Before(before) {
			return nil
		}
		if kept, err := keep(id); err != nil || kept {
			return err
		}
		if err := s.Delete(ctx, id); err != nil {
			return err
		}
		deleted++
		return nil
	}, func(string) error { return nil })
	return deleted, err
}

// Verify reads every blob to its end and checks it against its header. It calls fault for each that fails, and for files that are no
// blobs, and returns how many blobs there are. A blob whose key is disabled or deleted cannot be checked and is no fault: unreadable counts those.
func (s *Store) Verify(ctx context.Context, fault func(error)) (blobs, unreadable int, err error) {
	v := sealed.Verification{Open: s.open, Fault: fault}
	err = s.each(ctx, func(id blob.ID, _ string) error { return v.Check(ctx, id) }, v.Stray)
	return v.Blobs, v.Unreadable, err
}
