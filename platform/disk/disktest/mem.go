package disktest

import (
	"io/fs"
	"math/rand/v2"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galen-health/galen/platform/disk"
)

// Mem is a disk in memory that knows which of its bytes and names were synced.
type Mem struct{ fs *vfs.MemFS }

// NewMem returns an empty one.
func NewMem() *Mem { return &Mem{vfs.NewCrashableMem()} }

// Crash returns the disk as a power cut at this moment could leave it: each unsynced write and name survives with the given chance in per cent.
func (m *Mem) Crash(unsyncedPercent int, rng *rand.Rand) *Mem {
	return &Mem{m.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsyncedPercent, RNG: rng})}
}

type memFile struct{ vfs.File }

func (f memFile) Stat() (fs.FileInfo, error) { return f.File.Stat() }

func (m *Mem) Create(name string) (disk.File, error) {
	if _, err := m.fs.Stat(name); err == nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	f, err := m.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	// The memory disk allows WriteAt only on files opened so; what was synced stays as it was.
	rw, err := m.fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	return memFile{rw}, nil
}

func (m *Mem) Open(name string) (disk.File, error) {
	f, err := m.fs.Open(name)
	if err != nil {
		return nil, err
	}
	return memFile{f}, nil
}

func (m *Mem) Rename(from, to string) error { return m.fs.Rename(from, to) }

func (m *Mem) Remove(name string) error { return m.fs.Remove(name) }

func (m *Mem) Mkdir(name string) error { return m.fs.MkdirAll(name, 0o700) }

func (m *Mem) List(dir string) ([]string, error) {
	if dir == "." {
		dir = ""
	}
	return m.fs.List(dir)
}

func (m *Mem) Stat(name string) (fs.FileInfo, error) { return m.fs.Stat(name) }

func (m *Mem) SyncDir(dir string) error {
	if dir == "." {
		dir = ""
	}
	f, err := m.fs.OpenDir(dir)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

func (m *Mem) Close() error { return nil }
