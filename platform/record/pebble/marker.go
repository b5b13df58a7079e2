package pebble

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
)

// format is the version of the layout; see docs/formats/record.md.
const format = 1

var keyMagic = []byte("GALENREC")

func fsContext() map[string]string { return map[string]string{"galen:purpose": "records"} }

// folderKey reads the folder's marker, which names the format and holds the wrapped key of the folder's files, or makes one in an empty folder. The
// caller holds the folder's lock.
func folderKey(fs vfs.FS, dir string, ring key.Ring) ([]byte, error) {
	path := fs.PathJoin(dir, "KEY")
	marker, err := readFile(fs, path)
	if errors.Is(err, os.ErrNotExist) {
		return newFolderKey(fs, dir, path, ring)
	}
	if err != nil {
		return nil, errs.Wrap(errs.Unavailable, err, "the record folder's key file cannot be read")
	}
	if len(marker) < len(keyMagic)+2 || !bytes.HasPrefix(marker, keyMagic) {
		return nil, errs.New(errs.Corrupt, "the key file in %s is not one: restore it from a backup", dir)
	}
	if f := binary.BigEndian.Uint16(marker[len(keyMagic):]); f != format {
		return nil, errs.New(errs.Unsupported, "the record folder has format %d, this version of Galen reads %d: use the version that wrote it", f, format)
	}
	dk, err := ring.Open(context.Background(), marker[len(keyMagic)+2:], fsContext())
	if err != nil {
		return nil, fmt.Errorf("open the record folder's key: %w", err)
	}
	return dk.Plain, nil
}

func newFolderKey(fs vfs.FS, dir, path string, ring key.Ring) ([]byte, error) {
	if _, err := fs.Stat(fs.PathJoin(dir, "db")); err == nil {
		return nil, errs.New(errs.Corrupt, "the record folder %s has data but no key file: restore it from a backup", dir)
	}
	dk, err := ring.DataKey(context.Background(), key.Ref{Context: fsContext()})
	if err != nil {
		return nil, err
	}
	marker := binary.BigEndian.AppendUint16(bytes.Clone(keyMagic), format)
	if err := writeFile(fs, dir, path, append(marker, dk.Wrapped...)); err != nil {
		return nil, errs.Wrap(errs.Unavailable, err, "the record folder's key file cannot be written")
	}
	return dk.Plain, nil
}

func readFile(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b := make([]byte, info.Size())
	_, err = f.ReadAt(b, 0)
	if len(b) == 0 {
		err = nil
	}
	return b, errors.Join(err, f.Close())
}

// writeFile makes a file whole and durable or not at all.
func writeFile(fs vfs.FS, dir, path string, b []byte) error {
	tmp := path + ".new"
	f, err := fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(fs, dir)
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// makeDir makes a folder whose name survives a power cut, with its parents.
func makeDir(fs vfs.FS, dir string) error {
	parent := fs.PathDir(dir)
	if parent == dir {
		return nil
	}
	if _, err := fs.Stat(dir); errors.Is(err, os.ErrNotExist) {
		if err := makeDir(fs, parent); err != nil {
			return err
		}
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(fs, parent)
}
