package pebble

import (
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

// entry is a record's entry in the directory.
type entry struct {
	pid     uint64
	version int64 // the newest
	deleted bool
}

func (d *entry) encode() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 19), d.pid)
	b = binary.AppendUvarint(b, uint64(d.version))
	if d.deleted {
		return append(b, 1)
	}
	return append(b, 0)
}

func decodeEntry(b []byte) (*entry, error) {
	if len(b) < 10 {
		return nil, corrupt("a record's directory entry cannot be read")
	}
	r := &reader{s: string(b[8:])}
	d := &entry{pid: binary.BigEndian.Uint64(b), version: int64(r.uvarint()), deleted: r.byte() == 1}
	if r.bad || len(r.s) != 0 || d.version < 1 || d.pid == 0 {
		return nil, corrupt("a record's directory entry cannot be read")
	}
	return d, nil
}

// find looks a record up by its id; nil when there is none.
func find(r pebble.Reader, space uint32, kind uint16, id string) (*entry, error) {
	b, err := getFrom(r, dirKey(space, kind, id))
	if err != nil || b == nil {
		return nil, err
	}
	return decodeEntry(b)
}

func headOf(r pebble.Reader, space uint32, kind uint16, pid uint64) (*head, error) {
	v, closer, err := r.Get(headKey(space, kind, pid))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, corrupt("a record has no head")
	}
	if err != nil {
		return nil, storeError(err)
	}
	h, err := decodeHead(v) // copies what it keeps
	return h, errors.Join(err, closer.Close())
}

// stored is one version as it is kept.
type stored struct {
	time    int64
	commit  uint64
	deleted bool
	id      string
	sealed  []byte // part of what it was read from
}

// storedSize is what a version takes beside its sealed body.
func storedSize(id string) int { return 8 + 8 + 1 + 2 + len(id) }

func (v *stored) put(b []byte) {
	binary.BigEndian.PutUint64(b, uint64(v.time))
	binary.BigEndian.PutUint64(b[8:], v.commit)
	b[16] = 0
	if v.deleted {
		b[16] = 1
	}
	binary.BigEndian.PutUint16(b[17:], uint16(len(v.id)))
	copy(b[copy(b[19:], v.id)+19:], v.sealed)
}

func decodeVersion(b []byte) (*stored, error) {
	if len(b) < 19 {
		return nil, corrupt("a version of a record cannot be read")
	}
	v := &stored{time: int64(binary.BigEndian.Uint64(b)), commit: binary.BigEndian.Uint64(b[8:]), deleted: b[16] == 1}
	n := 19 + int(binary.BigEndian.Uint16(b[17:]))
	if len(b) < n || v.deleted != (len(b) == n) {
		return nil, corrupt("a version of a record cannot be read")
	}
	v.id, v.sealed = string(b[19:n]), b[n:]
	return v, nil
}
