package sealed

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
)

// The body of a blob is Tink's streaming AEAD AES256_GCM_HKDF_1MB, byte for byte:
//
//	stream header: 28 (its length) | salt 32 | nonce prefix 7
//	segment i:     AES-256-GCM(HKDF-SHA256(key, salt, aad), nonce = prefix | i as 32 bits | 01 for the last, else 00)
//
// A ciphertext segment is 1 MiB with its tag; the first one is shorter by the stream header. Tink's Go library reads such streams only
// from their start and takes 2 MiB of buffers for each, so the segments are sealed and opened here; its own reader and writer are the test.
const (
	segmentSize  = 1 << 20
	tagSize      = 16
	saltSize     = 32
	prefixSize   = 7
	streamHeader = 1 + saltSize + prefixSize

	firstPlain = segmentSize - streamHeader - tagSize // plaintext bytes of the first segment
	otherPlain = segmentSize - tagSize
)

// maxSize is what 2³²−1 segments hold, rounded down.
const maxSize = (1<<32 - 2) * int64(otherPlain)

// stream seals or opens the segments of one body.
type stream struct {
	aead   cipher.AEAD
	prefix [prefixSize]byte
}

func newStream(key, salt, prefix, aad []byte) (*stream, error) {
	k, err := hkdf.Key(sha256.New, key, salt, string(aad), 32)
	if err != nil {
		return nil, err
	}
	defer clear(k)
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &stream{aead, [prefixSize]byte(prefix)}, nil
}

// startStream makes a stream with a fresh salt and appends its header to dst.
func startStream(dst, key, aad []byte) ([]byte, *stream, error) {
	at := len(dst)
	dst = append(dst, make([]byte, streamHeader)...)
	h := dst[at:]
	h[0] = streamHeader
	_, _ = rand.Read(h[1:]) // never fails
	s, err := newStream(key, h[1:1+saltSize], h[1+saltSize:], aad)
	return dst, s, err
}

// openStream reads a stream header.
func openStream(h, key, aad []byte) (*stream, error) {
	if len(h) != streamHeader || h[0] != streamHeader {
		return nil, errors.New("stream header")
	}
	return newStream(key, h[1:1+saltSize], h[1+saltSize:], aad)
}

func (s *stream) nonce(segment uint32, last bool) []byte {
	n := make([]byte, 0, prefixSize+5)
	n = append(n, s.prefix[:]...)
	n = binary.BigEndian.AppendUint32(n, segment)
	if last {
		return append(n, 1)
	}
	return append(n, 0)
}

func (s *stream) seal(dst, plain []byte, segment uint32, last bool) []byte {
	return s.aead.Seal(dst, s.nonce(segment, last), plain, nil)
}

func (s *stream) open(dst, sealed []byte, segment uint32, last bool) ([]byte, error) {
	return s.aead.Open(dst, s.nonce(segment, last), sealed, nil)
}

// segments is the number of segments of a body: at least one.
func segments(size int64) int64 {
	if size <= firstPlain {
		return 1
	}
	return 1 + (size-firstPlain+otherPlain-1)/otherPlain
}

// sealedSize is the length of the stream of a body.
func sealedSize(size int64) int64 { return streamHeader + size + segments(size)*tagSize }

// segmentOf names the segment that holds a plaintext offset.
func segmentOf(off int64) int64 {
	if off < firstPlain {
		return 0
	}
	return 1 + (off-firstPlain)/otherPlain
}

// span is where a segment is: its plaintext [from, to) and where its ciphertext starts in the stream.
func span(segment, size int64) (from, to, at int64) {
	if segment == 0 {
		return 0, min(size, firstPlain), streamHeader
	}
	from = firstPlain + (segment-1)*otherPlain
	return from, min(size, from+otherPlain), segment * segmentSize
}

// buffers holds buffers for a segment and a header; the bytes in them are wiped before they come back.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, segmentSize+maxHeader); return &b }}

func getBuffer() *[]byte { return buffers.Get().(*[]byte) }

func putBuffer(b *[]byte) {
	clear(*b)
	*b = (*b)[:0]
	buffers.Put(b)
}
