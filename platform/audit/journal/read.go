package journal

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/galen-health/galen/platform/disk"
	"github.com/galen-health/galen/platform/errs"
)

// maxFile bounds a file that is read whole.
const maxFile = rotateAt + 2*maxGroup

// State is what a journal's files hold.
type State struct {
	Waiting   [][]byte // entries from the asked number on, in order
	Discarded int64    // bytes at the end that are no whole group: what was being written when the power went, or damage of the last group
	Damaged   int64    // bytes before a whole group that are none, of entries below the asked number: nobody needs them, and they are still damage
	last      [macSize]byte
	names     []string
}

// Folder is what reading needs of a disk.
type Folder interface {
	List(dir string) ([]string, error)
	Open(name string) (disk.File, error)
}

// Read reads the entries numbered from and above. Files that do not continue each other, or a damaged group before a whole one, are errs.Corrupt.
// Without a key, damage is found and deliberate changes are not.
func Read(fs Folder, key []byte, from uint64) (*State, error) {
	names, err := fs.List(".")
	if err != nil {
		return nil, errs.Wrap(errs.Unavailable, err, "the audit journal cannot be read")
	}
	s := &State{}
	for _, n := range names {
		if _, err := strconv.ParseUint(n, 10, 64); err == nil && len(n) == nameSize {
			s.names = append(s.names, n)
		}
	}
	slices.Sort(s.names)
	next, begun := uint64(0), false
	for _, n := range s.names {
		b, err := readFile(fs, n)
		if err != nil {
			return nil, errs.Wrap(errs.Unavailable, err, "file %s of the audit journal cannot be read", n)
		}
		s.Discarded = 0
		for len(b) > 0 {
			g := parse(b, key)
			if g == nil && len(bytes.TrimLeft(b, "\x00")) == 0 {
				break // not written yet
			}
			if g == nil { // to the next whole group, which shows whether something is missing
				skip := bytes.Index(b[1:], []byte(magic))
				if skip < 0 {
					skip = len(b) - 1
				}
				s.Discarded += int64(skip + 1)
				b = b[skip+1:]
				continue
			}
			s.Damaged += s.Discarded // within a file nothing is torn but the end
			b = b[g.size:]
			switch expected := max(next, from); {
			case g.first > expected:
				return nil, errs.New(errs.Corrupt, "entries %d to %d of the audit journal are damaged or missing (file %s): restore the audit folder from a backup", expected, g.first-1, n)
			case begun && g.first < next, begun && g.first == next && g.prev != s.last: // a gap below from is of files that were removed
				return nil, errs.New(errs.Corrupt, "entry %d of the audit journal does not follow the one before it (file %s): entries were replaced", g.first, n)
			}
			next, begun, s.last, s.Discarded = g.first+uint64(len(g.entries)), true, g.mac, 0
			if at := max(from, g.first); at < next {
				s.Waiting = append(s.Waiting, g.entries[at-g.first:]...)
			}
		}
	}
	return s, nil
}

// nameSize is the length of a file's name, a number that rises.
const nameSize = 16

func fileName(n uint64) string { return fmt.Sprintf("%0*d", nameSize, n) }

func readFile(fs Folder, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s is longer than %d bytes", name, maxFile)
	}
	return b, err
}
