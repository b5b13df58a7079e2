package backup

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/galen-health/galen/platform/blob/sealed"
	"github.com/galen-health/galen/platform/disk"
	"github.com/galen-health/galen/platform/errs"
)

// Place is where named files are: a folder, or a bucket's prefix. Names are made of letters, digits, dots, dashes and slashes.
type Place interface {
	// Put writes a file; it is there whole or not at all. It is sure to stay only after Settle.
	Put(ctx context.Context, name string, r io.Reader) error
	Settle(ctx context.Context) error
	// Open reads a file; errs.NotFound.
	Open(ctx context.Context, name string) (sealed.Source, error)
	// List calls fn for the files whose names begin with a folder's ("" = all).
	List(ctx context.Context, folder string, fn func(name string) error) error
	Remove(ctx context.Context, name string) error
	String() string
	Close() error
}

// Folder is a Place on the disk.
type Folder struct {
	dir  string
	d    disk.FS // nil: it is only read
	mu   sync.Mutex
	made map[string]bool // folders to be synced at Settle
}

// tmpFolder has the files that are being written.
const tmpFolder = "tmp"

// OpenFolder opens a folder for writing, made when absent. One process at a time.
func OpenFolder(dir string) (*Folder, error) {
	d, err := disk.Open(dir)
	if errors.Is(err, disk.ErrHeld) {
		return nil, errs.Wrap(errs.Conflict, err, "%s is in use by another backup or restore: wait for it to end", dir)
	}
	if err != nil {
		return nil, errs.Wrap(errs.Unavailable, err, "the folder %s cannot be written", dir)
	}
	f := &Folder{dir: dir, d: d, made: map[string]bool{}}
	if err := d.Mkdir(tmpFolder); err != nil {
		return nil, errors.Join(f.failed(err), d.Close())
	}
	left, err := d.List(tmpFolder)
	for _, n := range left { // of one that was cut off
		err = errors.Join(err, d.Remove(tmpFolder+"/"+n))
	}
	if err != nil {
		return nil, errors.Join(f.failed(err), d.Close())
	}
	return f, nil
}

// ReadFolder is a folder that is only read; another process may hold it.
func ReadFolder(dir string) *Folder { return &Folder{dir: dir} }

func (f *Folder) String() string { return f.dir }

func (f *Folder) failed(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errs.Wrap(errs.NotFound, err, "%s has no such file", f.dir)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return errs.Wrap(errs.Exhausted, err, "the disk of %s is full: make room and run it again, it goes on from what is there", f.dir)
	}
	return errs.Wrap(errs.Unavailable, err, "the folder %s cannot be used", f.dir)
}

// Put implements Place.
func (f *Folder) Put(_ context.Context, name string, r io.Reader) (err error) {
	if err := f.folders(path.Dir(name)); err != nil {
		return f.failed(err)
	}
	tmp := tmpFolder + "/" + strings.ReplaceAll(name, "/", "-")
	_ = f.d.Remove(tmp) // of an attempt that failed
	w, err := f.d.Create(tmp)
	if err != nil {
		return f.failed(err)
	}
	_, err = io.Copy(w, r)
	if err == nil {
		err = disk.Sync(w)
	}
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = f.d.Rename(tmp, name)
	}
	if err != nil {
		_ = f.d.Remove(tmp) // err tells
		var ours *errs.Error
		if errors.As(err, &ours) { // of what was read
			return err
		}
		return f.failed(err)
	}
	return nil
}

// folders makes the folders of a name, and notes them.
func (f *Folder) folders(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made["."] = true
	if dir == "." || f.made[dir] {
		return nil
	}
	for i, c := range dir + "/" {
		if c != '/' {
			continue
		}
		if err := f.d.Mkdir(dir[:i]); err != nil {
			return err
		}
		f.made[dir[:i]] = true
	}
	return nil
}

// Settle implements Place.
func (f *Folder) Settle(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for dir := range f.made {
		if err := disk.SyncDir(f.d, dir); err != nil {
			return f.failed(err)
		}
	}
	clear(f.made)
	return nil
}

// Remove implements Place.
func (f *Folder) Remove(_ context.Context, name string) error {
	if err := f.d.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f.failed(err)
	}
	return nil
}

// Open implements Place.
func (f *Folder) Open(_ context.Context, name string) (sealed.Source, error) {
	file, err := os.OpenInRoot(f.dir, name)
	if err != nil {
		return nil, f.failed(err)
	}
	return fileSource{f, file}, nil
}

// List implements Place.
func (f *Folder) List(ctx context.Context, folder string, fn func(name string) error) error {
	err := filepath.WalkDir(filepath.Join(f.dir, filepath.FromSlash(folder)), func(p string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(f.dir, p)
		if err != nil {
			return err
		}
		if name := filepath.ToSlash(rel); !strings.HasPrefix(name, tmpFolder+"/") && name != "LOCK" {
			return fn(name)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Close lets the folder go.
func (f *Folder) Close() error {
	if f.d == nil {
		return nil
	}
	return f.d.Close()
}

type fileSource struct {
	f *Folder
	*os.File
}

func (s fileSource) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.File.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		err = s.f.failed(err)
	}
	return n, err
}

func (s fileSource) Size() (int64, error) {
	st, err := s.Stat()
	if err != nil {
		return 0, s.f.failed(err)
	}
	return st.Size(), nil
}

func (fileSource) Expect(int64, int64) {} // the kernel reads ahead
