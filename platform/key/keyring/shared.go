package keyring

import (
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/galen-health/galen/platform/disk"
	"github.com/galen-health/galen/platform/errs"
)

// holdWait is how long a change waits for another process's change.
const holdWait = 10 * time.Second

// gate is the ring's lock. When several processes have the folder it also keeps the ring as new as its files: whoever reads looks whether they were replaced,
// which costs two calls of the system, and whoever changes holds the folder meanwhile. So a key that one process disabled opens nothing in the others either.
type gate struct {
	sync.RWMutex
	r    *Ring  // nil: the folder is this process's alone
	dir  string // the folder
	seen [len(copies)]fs.FileInfo
	held io.Closer
	err  error // of holding the folder, while it is locked for a change
	lost error // the files cannot be read: nothing opens
}

// OpenShared is Open of a folder that other processes have open in the same way.
func OpenShared(dir string, rootKey []byte, cfg Config) (*Ring, error) {
	d, err := disk.OpenShared(dir)
	if err != nil {
		return nil, errs.Wrap(errs.Unavailable, err, "the key folder cannot be opened")
	}
	held, err := disk.Hold(dir, holdWait)
	if err != nil {
		_ = d.Close()
		return nil, errs.Wrap(errs.Conflict, err, "the key folder %s is held by a process that does not share it: end it", dir)
	}
	defer held.Close() //nolint:errcheck // only lets go
	r, err := OpenFS(d, rootKey, cfg)
	if err != nil {
		_ = d.Close()
		return nil, err
	}
	r.mu.r, r.mu.dir, r.mu.seen = r, dir, stamps(d)
	return r, nil
}

func stamps(d disk.FS) (out [len(copies)]fs.FileInfo) {
	for i, name := range copies {
		out[i], _ = d.Stat(name) // nil when it is not there
	}
	return out
}

// changed reports whether the files are others than those that were read.
func (g *gate) changed() bool {
	now := stamps(g.r.d)
	for i := range now {
		a, b := g.seen[i], now[i]
		if (a == nil) != (b == nil) || a != nil && (!os.SameFile(a, b) || !a.ModTime().Equal(b.ModTime()) || a.Size() != b.Size()) {
			return true
		}
	}
	return g.lost != nil
}

// reload reads the ring anew; the lock is held for writing.
func (g *gate) reload() {
	r := g.r
	seen := stamps(r.d) // of before: what changes while it is read is read again
	l, err := load(r.d, r.root)
	if err == nil && l.absent {
		err = errs.New(errs.Corrupt, "the key ring is gone: restore the key folder from a backup")
	}
	if g.lost = err; err != nil {
		return
	}
	old := r.keys
	r.keys, r.aliases = make(map[string]*Key), make(map[string]alias)
	r.sequence, g.seen = l.sequence, seen
	r.take(l.content)
	for _, k := range old {
		k.wipe()
	}
}

// RLock locks for reading what is newest.
func (g *gate) RLock() {
	g.RWMutex.RLock()
	for g.r != nil && g.r.keys != nil && g.changed() {
		g.RWMutex.RUnlock()
		g.RWMutex.Lock()
		if g.r.keys != nil {
			g.reload()
		}
		failed := g.lost != nil
		g.RWMutex.Unlock()
		g.RWMutex.RLock()
		if failed {
			return
		}
	}
}

// Lock locks for a change of what is newest; save tells when the folder could not be held.
func (g *gate) Lock() {
	g.RWMutex.Lock()
	if g.r == nil || g.r.keys == nil {
		return
	}
	if g.held, g.err = disk.Hold(g.dir, holdWait); g.err == nil && g.changed() {
		g.reload()
	}
}

// Unlock ends a change.
func (g *gate) Unlock() {
	if g.held != nil {
		g.seen = stamps(g.r.d)
		_ = g.held.Close() // only lets go
		g.held = nil
	}
	g.err = nil
	g.RWMutex.Unlock()
}

// fit is the error of using the ring as it is now.
func (g *gate) fit() error {
	switch {
	case g.err != nil:
		return errs.Wrap(errs.Unavailable, g.err, "the key ring is being changed by another process: try again")
	case g.lost != nil:
		return errs.Wrap(errs.Unavailable, g.lost, "the key ring cannot be read")
	}
	return nil
}
