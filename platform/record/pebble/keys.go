package pebble

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/galen-health/galen/platform/record"
)

// Tables: the first byte of every key. All numbers are big endian, so that bytes sort as numbers.
const (
	tableMeta    = 0x01 // name → counters, format
	tableSpace   = 0x02 // name → id, wrapped data key
	tableName    = 0x03 // kind or index name → number
	tableDir     = 0x10 // space kind id → pid
	tableHead    = 0x11 // space kind pid → newest version's facts and index entries
	tableVersion = 0x12 // space kind pid version → time, commit, sealed body
	tablePosting = 0x13 // space kind index value pid → nothing
	tableHistory = 0x14 // space kind commit n → pid version
	tableOutbox  = 0x15 // seq → space, topic, time, body
)

// maxValue bounds a value inside a posting key; longer ones keep their beginning and a hash, and are verified against the head's entries. The
// names of S3 objects, which are listed in their order, fit uncut.
const (
	maxValue = 1200
	keepFrom = 1160
)

func appendSpace(b []byte, table byte, space uint32) []byte {
	b = append(b, table)
	return binary.BigEndian.AppendUint32(b, space)
}

func appendKind(b []byte, table byte, space uint32, kind uint16) []byte {
	return binary.BigEndian.AppendUint16(appendSpace(b, table, space), kind)
}

func dirKey(space uint32, kind uint16, id string) []byte {
	return append(appendKind(make([]byte, 0, 7+len(id)), tableDir, space, kind), id...)
}

func headKey(space uint32, kind uint16, pid uint64) []byte {
	return binary.BigEndian.AppendUint64(appendKind(make([]byte, 0, 15), tableHead, space, kind), pid)
}

func versionKey(space uint32, kind uint16, pid uint64, version int64) []byte {
	b := binary.BigEndian.AppendUint64(appendKind(make([]byte, 0, 23), tableVersion, space, kind), pid)
	return binary.BigEndian.AppendUint64(b, uint64(version))
}

func historyKey(space uint32, kind uint16, commit uint64, n uint32) []byte {
	b := binary.BigEndian.AppendUint64(appendKind(make([]byte, 0, 19), tableHistory, space, kind), commit)
	return binary.BigEndian.AppendUint32(b, n)
}

func outboxKey(seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{tableOutbox}, seq)
}

// indexPrefix is what all postings of one index share.
func indexPrefix(space uint32, kind, index uint16) []byte {
	b := appendKind(make([]byte, 0, 9+64), tablePosting, space, kind)
	return binary.BigEndian.AppendUint16(b, index)
}

// short is the value as it stands in a posting key, and whether it was cut.
func short(v record.Value) (string, bool) {
	if len(v) <= maxValue {
		return string(v), false
	}
	sum := sha256.Sum256([]byte(v))
	return string(v[:keepFrom]) + "\x00\x02" + string(sum[:16]), true
}

// next is the smallest key after all keys with this prefix; nil when there is none.
func next(prefix []byte) []byte {
	out := append([]byte(nil), prefix...)
	for i := len(out) - 1; i >= 0; i-- {
		if out[i]++; out[i] != 0 {
			return out[:i+1]
		}
	}
	return nil
}

// head is what is kept of a record's newest version beside its body.
type head struct {
	id      string
	version int64
	commit  uint64
	time    int64 // microseconds
	deleted bool
	entries []posting
}

// posting is one index entry with its index as number.
type posting struct {
	index uint16
	value record.Value
}

func (h *head) encode() []byte {
	b := make([]byte, 0, 64+len(h.id)+24*len(h.entries))
	b = binary.AppendUvarint(b, uint64(len(h.id)))
	b = append(b, h.id...)
	b = binary.AppendUvarint(b, uint64(h.version))
	b = binary.AppendUvarint(b, h.commit)
	b = binary.AppendVarint(b, h.time)
	if h.deleted {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(h.entries)))
	for _, e := range h.entries {
		b = binary.AppendUvarint(b, uint64(e.index))
		b = binary.AppendUvarint(b, uint64(len(e.value)))
		b = append(b, e.value...)
	}
	return b
}

// reader reads the varint-based encodings; any short or impossible input sets bad.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func decodeHead(b []byte) (*head, error) {
	r := &reader{b: b}
	h := &head{id: string(r.bytes(r.uvarint())), version: int64(r.uvarint()), commit: r.uvarint(), time: r.varint(), deleted: r.byte() == 1}
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad = true
		n = 0
	}
	h.entries = make([]posting, 0, n)
	for range n {
		h.entries = append(h.entries, posting{uint16(r.uvarint()), record.Value(r.bytes(r.uvarint()))})
	}
	if r.bad || len(r.b) != 0 {
		return nil, corrupt("a record's head cannot be read")
	}
	return h, nil
}
