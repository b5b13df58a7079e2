// Package journal keeps audit entries durable from their acknowledgement until the Merkle tree has them. Adding to a tree costs several files; a journal
// costs one write and one sync for all entries that wait, and the tree takes them in large batches.
//
// Entries are numbered as the tree numbers them, so after a crash it is known which are missing in it. Groups are chained by MACs under a key that is never on the
// disk in clear: an entry that was changed, removed or moved is found, but for a cut at the very end, which nothing can tell from a crash.
package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"syscall"

	"github.com/galen-health/galen/platform/disk"
	"github.com/galen-health/galen/platform/errs"
)

// rotateAt is the size from which a new file is begun, so that old ones can go.
const rotateAt = 4 << 20

// room is how many zeros a file is made longer by beforehand: a sync that need not make a file longer takes half the time.
const room = 64 << 10

// Journal is open for one writer at a time: its methods are not to be called concurrently.
type Journal struct {
	fs     disk.FS
	key    []byte
	next   uint64 // number of the next entry
	prev   [macSize]byte
	file   disk.File // nil: the next group begins one
	size   int64     // of the groups in it
	end    int64     // of the file
	number uint64    // of the newest file
	old    []old     // oldest first, the newest file included
	buffer []byte
	broken error
}

// old is a file with the number of the first entry that is after it; 0 = the file is being written.
type old struct {
	name string
	end  uint64
}

// Open goes on after the entries that the tree has (from) and those that wait.
func Open(d disk.FS, key []byte, from uint64) (*Journal, *State, error) {
	s, err := Read(d, key, from)
	if err != nil {
		return nil, nil, err
	}
	j := &Journal{fs: d, key: key, next: from + uint64(len(s.Waiting)), prev: s.last}
	for _, n := range s.names {
		j.old = append(j.old, old{n, j.next})
		if j.number, err = strconv.ParseUint(n, 10, 64); err != nil {
			return nil, nil, errs.Wrap(errs.Internal, err, "a name that was a number")
		}
	}
	return j, s, nil
}

// Next is the number that the next entry gets.
func (j *Journal) Next() uint64 { return j.next }

// Append makes entries durable, or none of them. After an error that Broken reports nothing can be appended until the journal is opened anew.
func (j *Journal) Append(entries [][]byte) error {
	if j.broken != nil {
		return j.broken
	}
	if j.file == nil || j.size >= rotateAt {
		if err := j.rotate(); err != nil {
			return j.broke(err)
		}
	}
	j.buffer = appendGroup(j.buffer[:0], j.key, j.next, j.prev, entries)
	if need := j.size + int64(len(j.buffer)); need > j.end {
		n := (need - j.end + room - 1) / room * room
		if _, err := j.file.WriteAt(make([]byte, n), j.end); err != nil {
			return j.broke(err)
		}
		j.end += n
	}
	if _, err := j.file.WriteAt(j.buffer, j.size); err != nil {
		return j.broke(err) // a part of it may be there: what follows it would look like damage
	}
	if err := j.file.Sync(); err != nil {
		return j.broke(err)
	}
	if removed(j.file) { // what is synced to it is nowhere
		return j.broke(fmt.Errorf("its file %s was removed", fileName(j.number)))
	}
	j.size += int64(len(j.buffer))
	j.next += uint64(len(entries))
	j.prev = [macSize]byte(j.buffer[len(j.buffer)-macSize:])
	if cap(j.buffer) > rotateAt {
		j.buffer = nil
	}
	return nil
}

// removed reports whether a file has no name any more.
func removed(f disk.File) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t) // a disk of tests has none
	return ok && st.Nlink == 0
}

func (j *Journal) broke(err error) error {
	j.broken = errs.Wrap(errs.Unavailable, err, "the audit journal cannot be written; nothing is served without it")
	return j.broken
}

// rotate ends the file that is written, and begins the next.
func (j *Journal) rotate() error {
	if err := j.leave(); err != nil {
		return err
	}
	name := fileName(j.number + 1)
	f, err := j.fs.Create(name)
	if err != nil {
		return err
	}
	if err := j.fs.SyncDir("."); err != nil {
		return errors.Join(err, f.Close())
	}
	j.number++
	j.file, j.size, j.end = f, 0, 0
	j.old = append(j.old, old{name: name})
	return nil
}

func (j *Journal) leave() error {
	if j.file == nil {
		return nil
	}
	j.old[len(j.old)-1].end = j.next
	f := j.file
	j.file = nil
	return f.Close()
}

// Done tells that the tree has all entries below upTo: files without others go. It need not be durable: what comes back is known by its numbers.
func (j *Journal) Done(upTo uint64) error {
	for len(j.old) > 0 && j.old[0].end > 0 && j.old[0].end <= upTo {
		if err := j.fs.Remove(j.old[0].name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return errs.Wrap(errs.Unavailable, err, "a file of the audit journal cannot be removed")
		}
		j.old = j.old[1:]
	}
	return nil
}

// Close lets the files go; those whose entries are all below upTo are removed.
func (j *Journal) Close(upTo uint64) error {
	err := j.leave()
	if j.broken == nil {
		err = errors.Join(err, j.Done(upTo))
	}
	return errors.Join(err, j.fs.Close())
}
