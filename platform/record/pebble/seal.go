package pebble

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"runtime"

	"github.com/klauspost/compress/zstd"

	"github.com/galen-health/galen/platform/errs"
)

// maxBody bounds one record's body, also after decompression.
const maxBody = 256 << 20

var (
	compressor, _   = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)), zstd.WithEncoderCRC(false), zstd.WithWindowSize(128<<10), zstd.WithLowerEncoderMem(true))
	decompressor, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxBody), zstd.WithDecoderLowmem(true))
)

func newSealer(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// place binds a sealed body to where it stands: a body moved to another record or version does not open.
func place(space uint32, kind uint16, id string, version int64) []byte {
	b := make([]byte, 0, 14+len(id))
	b = binary.BigEndian.AppendUint32(b, space)
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint64(b, uint64(version))
	return append(b, id...)
}

// seal compresses and encrypts: nonce, then ciphertext.
func seal(aead cipher.AEAD, body, aad []byte) ([]byte, error) {
	n := aead.NonceSize()
	out := compressor.EncodeAll(body, make([]byte, n, n+len(body)/2+64+aead.Overhead()))
	if _, err := rand.Read(out[:n]); err != nil {
		return nil, err
	}
	return aead.Seal(out[:n], out[:n], out[n:], aad), nil
}

func unseal(aead cipher.AEAD, sealed, aad []byte) ([]byte, error) {
	n := aead.NonceSize()
	if len(sealed) < n+aead.Overhead() {
		return nil, corrupt("a record's body is too short")
	}
	packed, err := aead.Open(nil, sealed[:n], sealed[n:], aad)
	if err != nil {
		return nil, corrupt("a record's body does not authenticate")
	}
	body, err := decompressor.DecodeAll(packed, nil)
	if err != nil {
		return nil, corrupt("a record's body does not decompress")
	}
	return body, nil
}

func corrupt(format string, args ...any) error {
	return errs.New(errs.Corrupt, format+"; run galen verify", args...)
}
