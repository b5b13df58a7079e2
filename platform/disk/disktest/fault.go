package disktest

import (
	"sync"

	"github.com/galen-health/galen/platform/disk"
)

// Op is a kind of operation that can fail.
type Op int

// What can fail.
const (
	Create Op = 1 << iota
	Write
	Sync
	Rename
	Remove
	SyncDir
	Read

	Writes = Create | Write | Rename // what a full disk refuses
	Syncs  = Sync | SyncDir
)

// Fault is a disk whose n-th operation of some kinds fails, once or from then on.
type Fault struct {
	disk.FS
	Ops    Op
	Err    error
	Sticky bool // all later operations of these kinds fail too

	mu    sync.Mutex
	left  int
	fired bool
}

// Arm makes the n-th operation from now fail (1 = the next).
func (f *Fault) Arm(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.fired = n, false
}

// Disarm lets everything pass.
func (f *Fault) Disarm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.fired = 0, false
}

// Fired reports whether the armed fault has happened.
func (f *Fault) Fired() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fired
}

func (f *Fault) hit(op Op) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Ops&op == 0 {
		return nil
	}
	if f.fired && f.Sticky {
		return f.Err
	}
	if f.left > 0 {
		if f.left--; f.left == 0 {
			f.fired = true
			return f.Err
		}
	}
	return nil
}

func (f *Fault) Create(name string) (disk.File, error) {
	if err := f.hit(Create); err != nil {
		return nil, err
	}
	g, err := f.FS.Create(name)
	if err != nil {
		return nil, err
	}
	return faultFile{g, f}, nil
}

func (f *Fault) Open(name string) (disk.File, error) {
	g, err := f.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return faultFile{g, f}, nil
}

func (f *Fault) Rename(from, to string) error {
	if err := f.hit(Rename); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

func (f *Fault) Remove(name string) error {
	if err := f.hit(Remove); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f *Fault) SyncDir(dir string) error {
	if err := f.hit(SyncDir); err != nil {
		return err
	}
	return f.FS.SyncDir(dir)
}

type faultFile struct {
	disk.File
	f *Fault
}

// Write fails half-way: a full disk takes a part.
func (g faultFile) Write(b []byte) (int, error) {
	if err := g.f.hit(Write); err != nil {
		n, _ := g.File.Write(b[:len(b)/2])
		return n, err
	}
	return g.File.Write(b)
}

func (g faultFile) WriteAt(b []byte, off int64) (int, error) {
	if err := g.f.hit(Write); err != nil {
		return 0, err
	}
	return g.File.WriteAt(b, off)
}

func (g faultFile) ReadAt(b []byte, off int64) (int, error) {
	if err := g.f.hit(Read); err != nil {
		return 0, err
	}
	return g.File.ReadAt(b, off)
}

func (g faultFile) Sync() error {
	if err := g.f.hit(Sync); err != nil {
		return err
	}
	return g.File.Sync()
}
