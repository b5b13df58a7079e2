package journal

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
)

// A group is what one sync makes durable. Integers are big-endian.
//
//	8  magic
//	4  bytes of the entries with their lengths
//	4  number of entries
//	8  number of the first entry
//	32 MAC of the group before it, zeros in the first of a journal
//	…  each entry with 4 bytes of length before it
//	4  CRC-32C of all before it: damage, seen without the key
//	32 HMAC-SHA256 of all before it: changes, seen with the key
const (
	magic   = "GALENAJ1"
	head    = 8 + 4 + 4 + 8 + macSize
	macSize = sha256.Size
	tail    = 4 + macSize
	// maxGroup bounds the entries of a group; one that claims more is damaged.
	maxGroup = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type group struct {
	first   uint64
	prev    [macSize]byte
	mac     [macSize]byte
	entries [][]byte
	size    int // bytes that it takes
}

// appendGroup writes a group; its MAC is its last 32 bytes.
func appendGroup(b []byte, key []byte, first uint64, prev [macSize]byte, entries [][]byte) []byte {
	n := 0
	for _, e := range entries {
		n += 4 + len(e)
	}
	start := len(b)
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	b = binary.BigEndian.AppendUint32(b, uint32(len(entries)))
	b = binary.BigEndian.AppendUint64(b, first)
	b = append(b, prev[:]...)
	for _, e := range entries {
		b = binary.BigEndian.AppendUint32(b, uint32(len(e)))
		b = append(b, e...)
	}
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
	h := hmac.New(sha256.New, key)
	h.Write(b[start:])
	return h.Sum(b)
}

// parse reads the group that b begins with; nil when there is no whole one. Without a key the MAC is not checked. Entries are parts of b.
func parse(b, key []byte) *group {
	if len(b) < head+tail || !bytes.HasPrefix(b, []byte(magic)) {
		return nil
	}
	n, count := binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[12:])
	if n > maxGroup || uint64(n)+head+tail > uint64(len(b)) || uint64(count)*4 > uint64(n) {
		return nil
	}
	end := head + int(n)
	if crc32.Checksum(b[:end], castagnoli) != binary.BigEndian.Uint32(b[end:]) {
		return nil
	}
	g := &group{first: binary.BigEndian.Uint64(b[16:]), prev: [macSize]byte(b[24:]), mac: [macSize]byte(b[end+4:]), size: end + tail}
	if key != nil {
		h := hmac.New(sha256.New, key)
		h.Write(b[:end+4])
		if !hmac.Equal(h.Sum(nil), g.mac[:]) {
			return nil
		}
	}
	for body := b[head:end]; len(body) > 0; {
		if len(body) < 4 {
			return nil
		}
		l := binary.BigEndian.Uint32(body)
		if uint64(l)+4 > uint64(len(body)) {
			return nil
		}
		g.entries = append(g.entries, body[4:4+l:4+l])
		body = body[4+l:]
	}
	if uint32(len(g.entries)) != count {
		return nil
	}
	return g
}
