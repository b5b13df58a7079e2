package sealed

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"sort"
	"time"

	"github.com/galen-health/galen/platform/blob"
)

// A file starts with its header:
//
//	magic 8 | format 2 | header length 4 | id 16 | size 8 | created 8 (µs) | SHA-256 32 | MD5 16
//	| wrapped length 2, wrapped data key | number of context pairs 2, each two strings with 4 bytes of length | zeros | HMAC-SHA256 32
//
// Its length is a multiple of 512 and the HMAC, under a key derived from the data key, covers all before it.
const (
	magic      = "GALENBLB"
	format     = 1
	fixedSize  = 8 + 2 + 4 + 16 + 8 + 8 + 32 + 16
	macSize    = 32
	headerUnit = 512
	maxHeader  = 64 << 10 // an encryption context is at most 8 KiB by KMS's rules
	firstRead  = 1 << 10
)

type header struct {
	length  int // of the header
	info    blob.Info
	wrapped []byte
	context map[string]string
}

var errHeader = errors.New("header")

// subkey derives one of a blob's two keys from its data key.
func subkey(dataKey []byte, purpose string) ([]byte, error) {
	return hkdf.Key(sha256.New, dataKey, nil, "galen blob 1 "+purpose, 32)
}

// headerLength is the length that a header with these variable parts takes.
func headerLength(wrapped []byte, context map[string]string) int {
	n := fixedSize + 2 + len(wrapped) + 2 + macSize
	for k, v := range context {
		n += 8 + len(k) + len(v)
	}
	return (n + headerUnit - 1) / headerUnit * headerUnit
}

func (h *header) encode(dataKey []byte) ([]byte, error) {
	id, err := rawID(h.info.ID)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, h.length)
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint16(b, format)
	b = binary.BigEndian.AppendUint32(b, uint32(h.length))
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.info.Size))
	b = binary.BigEndian.AppendUint64(b, uint64(h.info.Created.UnixMicro()))
	b = append(b, h.info.SHA256[:]...)
	b = append(b, h.info.MD5[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.wrapped)))
	b = append(b, h.wrapped...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.context)))
	keys := make([]string, 0, len(h.context))
	for k := range h.context {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		b = appendString(appendString(b, k), h.context[k])
	}
	b = b[:h.length-macSize]
	mac, err := headerMAC(b, dataKey)
	if err != nil {
		return nil, err
	}
	return append(b, mac...), nil
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

func headerMAC(b, dataKey []byte) ([]byte, error) {
	k, err := subkey(dataKey, "header")
	if err != nil {
		return nil, err
	}
	defer clear(k)
	m := hmac.New(sha256.New, k)
	m.Write(b)
	return m.Sum(nil), nil
}

// peekLength reads the header's length from its first bytes.
func peekLength(b []byte) (int, error) {
	if len(b) < fixedSize || string(b[:8]) != magic || binary.BigEndian.Uint16(b[8:]) != format {
		return 0, errHeader
	}
	n := binary.BigEndian.Uint32(b[10:])
	if n == 0 || n%headerUnit != 0 || n > maxHeader {
		return 0, errHeader
	}
	return int(n), nil
}

// decode reads a whole header. Nothing of it is proven until check.
func decode(b []byte) (*header, error) {
	n, err := peekLength(b)
	if err != nil || len(b) != n {
		return nil, errHeader
	}
	h := &header{length: n, context: map[string]string{}}
	h.info.ID = blob.ID(hex.EncodeToString(b[14:30]))
	h.info.Size = int64(binary.BigEndian.Uint64(b[30:]))
	h.info.Created = time.UnixMicro(int64(binary.BigEndian.Uint64(b[38:]))).UTC()
	copy(h.info.SHA256[:], b[46:78])
	copy(h.info.MD5[:], b[78:94])
	if h.info.Size < 0 || h.info.Size > maxSize {
		return nil, errHeader
	}
	rest := b[fixedSize : n-macSize]
	if len(rest) < 2 {
		return nil, errHeader
	}
	w := int(binary.BigEndian.Uint16(rest))
	if len(rest) < 2+w+2 {
		return nil, errHeader
	}
	h.wrapped = bytes.Clone(rest[2 : 2+w])
	pairs := int(binary.BigEndian.Uint16(rest[2+w:]))
	rest = rest[4+w:]
	for range pairs {
		var k, v string
		var ok bool
		if k, rest, ok = takeString(rest); !ok {
			return nil, errHeader
		}
		if v, rest, ok = takeString(rest); !ok {
			return nil, errHeader
		}
		h.context[k] = v
	}
	return h, nil
}

func takeString(b []byte) (s string, rest []byte, ok bool) {
	if len(b) < 4 {
		return "", nil, false
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return "", nil, false
	}
	return string(b[4 : 4+n]), b[4+n:], true
}

// check proves a header: that its data key made it, and for this id.
func check(b []byte, id blob.ID, h *header, dataKey []byte) error {
	mac, err := headerMAC(b[:len(b)-macSize], dataKey)
	if err != nil {
		return err
	}
	if !hmac.Equal(mac, b[len(b)-macSize:]) || h.info.ID != id {
		return errHeader
	}
	return nil
}

// IsID reports whether id can be a blob's.
func IsID(id blob.ID) bool {
	_, err := rawID(id)
	return err == nil
}

func rawID(id blob.ID) (raw [16]byte, err error) {
	if len(id) != 32 {
		return raw, errHeader
	}
	for _, c := range []byte(id) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return raw, errHeader
		}
	}
	_, err = hex.Decode(raw[:], []byte(id))
	return raw, err
}

// bodyAAD binds a body to its blob.
func bodyAAD(id blob.ID) []byte { return []byte("galen blob 1 " + string(id)) }
