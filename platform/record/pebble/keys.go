package pebble

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/galen-health/galen/platform/record"
)

// Tables: the first byte of every key. All numbers are big endian, so that bytes sort as numbers.
const (
	tableMeta    = 0x01 // → counters
	tableSpace   = 0x02 // name → id, wrapped data key
	tableName    = 0x03 // kind or index name → number
	tableDir     = 0x10 // space kind id → pid, newest version
	tableHead    = 0x11 // space kind pid → facts and index entries of the newest version
	tableVersion = 0x12 // space kind pid ^version → time, commit, id, sealed body; the newest comes first
	tablePosting = 0x13 // space kind index value pid → nothing
	tableHistory = 0x14 // space kind commit n → pid version
	tableOutbox  = 0x15 // seq → time, space, topic, body
)

// Two indexes are the store's own. Names get the numbers between them.
const (
	indexLive = 0      // no value: the live records of a kind
	indexTime = 0xffff // 8 bytes: the commit time of a live record's newest version
	maxNames  = 0xff00
)

// maxValue bounds a value inside a posting key; longer ones keep their beginning and a hash, and are verified against the head's entries. The
// names of S3 objects, which are listed in their order, fit uncut.
const (
	maxValue = 1200
	keepFrom = 1160
	hashSize = 16
)

func appendSpace(b []byte, table byte, space uint32) []byte {
	b = append(b, table)
	return binary.BigEndian.AppendUint32(b, space)
}

func appendKind(b []byte, table byte, space uint32, kind uint16) []byte {
	return binary.BigEndian.AppendUint16(appendSpace(b, table, space), kind)
}

// kindSize is the length of what appendKind appends.
const kindSize = 7

func dirKey(space uint32, kind uint16, id string) []byte {
	return append(appendKind(make([]byte, 0, kindSize+len(id)), tableDir, space, kind), id...)
}

func headKey(space uint32, kind uint16, pid uint64) []byte {
	return binary.BigEndian.AppendUint64(appendKind(make([]byte, 0, kindSize+8), tableHead, space, kind), pid)
}

func versionKey(space uint32, kind uint16, pid uint64, version int64) []byte {
	b := binary.BigEndian.AppendUint64(appendKind(make([]byte, 0, kindSize+16), tableVersion, space, kind), pid)
	return binary.BigEndian.AppendUint64(b, ^uint64(version))
}

// versionOf is the version that a key of tableVersion names.
func versionOf(k []byte) int64 { return int64(^binary.BigEndian.Uint64(k[kindSize+8:])) }

func historyKey(space uint32, kind uint16, commit uint64, n uint32) []byte {
	b := binary.BigEndian.AppendUint64(appendKind(make([]byte, 0, kindSize+12), tableHistory, space, kind), commit)
	return binary.BigEndian.AppendUint32(b, n)
}

func outboxKey(seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{tableOutbox}, seq)
}

// indexPrefix is what all postings of one index share.
func indexPrefix(space uint32, kind, index uint16) []byte {
	b := appendKind(make([]byte, 0, kindSize+2+64), tablePosting, space, kind)
	return binary.BigEndian.AppendUint16(b, index)
}

func timeValue(micros int64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(micros))
	return string(b[:])
}

// short is the value as it stands in a posting key.
func short(v record.Value) string {
	if len(v) <= maxValue {
		return string(v)
	}
	sum := sha256.Sum256([]byte(v))
	return string(v[:keepFrom]) + "\x00\x02" + string(sum[:hashSize])
}

// isCut reports whether short cut this value. No whole value looks so: 00 02 is in none where an escaped text can be, and the fixed parts of values
// are shorter than what follows here.
func isCut(value []byte) bool {
	return len(value) == keepFrom+2+hashSize && value[keepFrom] == 0 && value[keepFrom+1] == 2
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
