package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS is one folder and what is below it. Names are slash-separated and relative; "." is the folder itself.
type FS interface {
	// Create makes a new file, readable by its owner only; fs.ErrExist when the name is taken.
	Create(name string) (File, error)
	// Open opens a file for reading.
	Open(name string) (File, error)
	// Rename moves a file over whatever has the new name. It is durable after SyncDir of both folders.
	Rename(from, to string) error
	// Remove removes a file; fs.ErrNotExist when there is none.
	Remove(name string) error
	// Mkdir makes a folder below an existing one; one that exists is fine.
	Mkdir(name string) error
	// List names the entries of a folder in no particular order.
	List(dir string) ([]string, error)
	Stat(name string) (fs.FileInfo, error)
	// SyncDir makes the entries of a folder durable.
	SyncDir(dir string) error
	// Close lets the folder go.
	Close() error
}

// File is an open file.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Closer
	Sync() error
	Stat() (fs.FileInfo, error)
}

// lockName is the file whose lock says that a process holds the folder.
const lockName = "LOCK"

// ErrHeld is what Open's error is when another process holds the folder.
var ErrHeld = errors.New("held by another process")

// Open opens a real folder, made when absent, and holds it until Close.
func Open(dir string) (FS, error) {
	if err := makeDirs(dir); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	return &folder{root: root, lock: lock}, nil
}

// OpenShared opens a real folder, made when absent, without holding it: other processes have it too. Hold it for changes.
func OpenShared(dir string) (FS, error) {
	if err := makeDirs(dir); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &folder{root: root, lock: io.NopCloser(nil)}, nil
}

// Hold holds a folder until the result is closed. It waits for other processes for so long, then its error is ErrHeld. Within one process the caller sees to it that
// it is held once.
func Hold(dir string, wait time.Duration) (io.Closer, error) {
	for end := time.Now().Add(wait); ; time.Sleep(2 * time.Millisecond) {
		lock, err := lockFolder(dir)
		if err == nil {
			return lock, nil
		}
		if !errors.Is(err, ErrHeld) || time.Now().After(end) {
			return nil, err
		}
	}
}

// lockFolder takes the lock, or says that another process has it; a lock file that cannot be opened (a disk without room or rights) is another error.
func lockFolder(dir string) (io.Closer, error) {
	lock, err := vfs.Default.Lock(filepath.Join(dir, lockName))
	var open *fs.PathError
	switch {
	case err == nil:
		return lock, nil
	case errors.As(err, &open):
		return nil, fmt.Errorf("%s cannot be locked: %w", dir, err)
	}
	return nil, fmt.Errorf("%s is %w: %w", dir, ErrHeld, err)
}

// makeDirs makes a folder and its parents and syncs the parent of each one that it made.
func makeDirs(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDirs(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncPath(parent)
}

func syncPath(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}

type folder struct {
	root *os.Root
	lock io.Closer
}

func (d *folder) Create(name string) (File, error) {
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (d *folder) Open(name string) (File, error) {
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (d *folder) Rename(from, to string) error { return d.root.Rename(from, to) }
func (d *folder) Remove(name string) error     { return d.root.Remove(name) }

func (d *folder) Mkdir(name string) error {
	if err := d.root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func (d *folder) List(dir string) ([]string, error) {
	f, err := d.root.Open(dir)
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if dir == "." {
		for i, n := range names {
			if n == lockName {
				names = append(names[:i], names[i+1:]...)
				break
			}
		}
	}
	return names, err
}

func (d *folder) Stat(name string) (fs.FileInfo, error) { return d.root.Stat(name) }

func (d *folder) SyncDir(dir string) error {
	f, err := d.root.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	return errors.Join(err, f.Close())
}

func (d *folder) Close() error { return errors.Join(d.root.Close(), d.lock.Close()) }

// Replace writes a whole file so that a crash leaves the old content or the new: temporary file, sync, rename, sync of the folder. A crash
// may leave name+".tmp", which the next Replace removes. An error that IsSync reports means that the owner must stop writing.
func Replace(d FS, name string, content []byte) error {
	tmp := name + ".tmp"
	if err := d.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := d.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = Sync(f)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = d.Rename(tmp, name)
	}
	if err != nil {
		_ = d.Remove(tmp)
		return err
	}
	return SyncDir(d, path.Dir(name))
}

// syncError marks a failed sync.
type syncError struct{ error }

func (e syncError) Unwrap() error { return e.error }

// Sync is f.Sync with a failure that IsSync knows.
func Sync(f File) error {
	if err := f.Sync(); err != nil {
		return syncError{err}
	}
	return nil
}

// SyncDir is d.SyncDir with a failure that IsSync knows.
func SyncDir(d FS, dir string) error {
	if err := d.SyncDir(dir); err != nil {
		return syncError{err}
	}
	return nil
}

// IsSync reports whether err is a failed sync.
func IsSync(err error) bool { return errors.As(err, new(syncError)) }

// ReadFile reads a whole file of at most limit bytes.
func ReadFile(d FS, name string, limit int64) ([]byte, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s is longer than %d bytes", name, limit)
	}
	return b, err
}

// Held reports whether a process has a folder open. It changes nothing; a folder without a lock file was never opened.
func Held(dir string) (bool, error) {
	if _, err := os.Stat(filepath.Join(dir, lockName)); err != nil {
		return false, err
	}
	lock, err := lockFolder(dir)
	switch {
	case errors.Is(err, ErrHeld):
		return true, nil
	case err != nil:
		return false, err
	}
	return false, lock.Close()
}
