// Package seal compresses and encrypts the bodies of records, for every back end alike: Zstandard, then AES-256-GCM under the data key of the record's space.
//
// Promise: what was sealed in one place (the associated data) opens in that place only; anything else is errs.Corrupt.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"runtime"

	"github.com/klauspost/compress/zstd"

	"github.com/galen-health/galen/platform/errs"
)

// MaxBody bounds one record's body, also after decompression.
const MaxBody = 256 << 20

var (
	compressor, _   = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)), zstd.WithEncoderCRC(false), zstd.WithWindowSize(128<<10), zstd.WithLowerEncoderMem(true))
	decompressor, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(MaxBody), zstd.WithDecoderLowmem(true))
)

// New returns the cipher of a 32-byte data key.
func New(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Place binds a sealed body to where it stands: a body moved to another record or version does not open.
func Place(space uint32, kind uint16, id string, version int64) []byte {
	b := make([]byte, 0, 14+len(id))
	b = binary.BigEndian.AppendUint32(b, space)
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint64(b, uint64(version))
	return append(b, id...)
}

// Seal compresses and encrypts: nonce, then ciphertext.
func Seal(aead cipher.AEAD, body, place []byte) ([]byte, error) {
	n := aead.NonceSize()
	out := compressor.EncodeAll(body, make([]byte, n, n+len(body)/2+64+aead.Overhead()))
	if _, err := rand.Read(out[:n]); err != nil {
		return nil, err
	}
	return aead.Seal(out[:n], out[:n], out[n:], place), nil
}

// Open reads what Seal made for the same place.
func Open(aead cipher.AEAD, sealed, place []byte) ([]byte, error) {
	n := aead.NonceSize()
	if len(sealed) < n+aead.Overhead() {
		return nil, errs.New(errs.Corrupt, "a record's body is too short; run galen verify")
	}
	packed, err := aead.Open(nil, sealed[:n], sealed[n:], place)
	if err != nil {
		return nil, errs.New(errs.Corrupt, "a record's body does not authenticate; run galen verify")
	}
	body, err := decompressor.DecodeAll(packed, nil)
	if err != nil {
		return nil, errs.New(errs.Corrupt, "a record's body does not decompress; run galen verify")
	}
	return body, nil
}
