package pebble

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galen-health/galen/platform/errs"
)

// The file TAIL says which commit was the last that reached the disk: 8 bytes of magic, its number, a CRC-32C over both. It is written after the commit's
// sync and before its acknowledgement, in place and without a sync of its own.
//
// It closes a gap of every write-ahead log: damage in the log's last block looks like the torn end that a crash leaves, so what the block held would be gone in
// silence. A store that ends before its tail has lost commits, and is not opened. After a kill the tail is exact; after a power cut it may be older, never newer.
const tailName = "TAIL"

var tailMagic = []byte("GALENTAL")

const tailSize = 8 + 8 + 4

type tail struct {
	mu  sync.Mutex
	f   vfs.File // nil = it could not be written
	seq uint64
}

func encodeTail(seq uint64) []byte {
	b := binary.BigEndian.AppendUint64(bytes.Clone(tailMagic), seq)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

var errTail = errors.New("it is damaged; what it guards is whole if nothing else is found, and the next start makes it anew")

func readTail(fs vfs.FS, dir string) (uint64, error) {
	b, err := readFile(fs, fs.PathJoin(dir, tailName))
	if err != nil {
		return 0, err
	}
	if len(b) != tailSize || !bytes.HasPrefix(b, tailMagic) || binary.BigEndian.Uint32(b[16:]) != crc32.Checksum(b[:16], castagnoli) {
		return 0, errTail
	}
	return binary.BigEndian.Uint64(b[8:]), nil
}

// openTail compares the store, which ends at commit seq, with its tail, and goes on with it.
func openTail(fs vfs.FS, dir string, seq uint64) (*tail, error) {
	was, err := readTail(fs, dir)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, errTail):
		if err := writeFile(fs, dir, fs.PathJoin(dir, tailName), encodeTail(seq)); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	case was > seq:
		return nil, errs.New(errs.Corrupt, "the records end at commit %d, but commit %d was acknowledged: the log in %s is damaged. Restore records/ from a backup; to go on without the last %d commits, remove %s", seq, was, dir, was-seq, fs.PathJoin(dir, tailName))
	}
	f, err := fs.OpenReadWrite(fs.PathJoin(dir, tailName), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	t := &tail{f: f, seq: was}
	t.note(seq)
	return t, nil
}

// note says that commit seq, and with it every earlier one, is on the disk.
func (t *tail) note(seq uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.f == nil || seq <= t.seq {
		return
	}
	if _, err := t.f.WriteAt(encodeTail(seq), 0); err != nil { // an older tail is true too
		_ = t.f.Close()
		t.f = nil
		return
	}
	t.seq = seq
}

func (t *tail) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.f == nil {
		return nil
	}
	f := t.f
	t.f = nil
	return errors.Join(f.Sync(), f.Close())
}
