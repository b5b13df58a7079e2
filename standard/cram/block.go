package cram

import (
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/therootcompany/xz"
)

// Compression methods of a block (CRAMv3 §8.1).
const (
	methodRaw = iota
	methodGzip
	methodBzip2
	methodLzma
	methodRans4x8
	methodRansNx16
	methodArith
	methodFqzcomp
	methodTok3
)

// Kinds of a block's content (CRAMv3 §8.1).
const (
	kindFileHeader = iota
	kindCompression
	kindSlice
	_
	kindExternal
	kindCore
)

// block is a block as it stands in a container.
type block struct {
	method, kind byte
	id           int32
	size         int // unpacked
	data         []byte
}

// readBlock reads a block and checks its CRC.
func readBlock(c *cursor) (*block, error) {
	from := c.at
	b := &block{method: c.byte(), kind: c.byte(), id: c.itf8()}
	packed := int(c.itf8())
	b.size = int(c.itf8())
	b.data = c.take(packed)
	sum := crc32.ChecksumIEEE(c.b[from:c.at])
	if got := c.uint32(); c.err == nil && got != sum {
		return nil, fmt.Errorf("block at %d: CRC is %08x, it says %08x", from, sum, got)
	}
	if c.err != nil {
		return nil, fmt.Errorf("block at %d: %w", from, c.err)
	}
	if b.size < 0 || b.size > maxBlock {
		return nil, fmt.Errorf("block at %d says it unpacks to %d bytes, the most is %d", from, b.size, maxBlock)
	}
	return b, nil
}

// unpack gives the content of a block, exactly as long as the block says.
func (b *block) unpack() ([]byte, error) {
	if b.size == 0 { // some writers leave the codec's own frame out
		return nil, nil
	}
	var out []byte
	var err error
	switch b.method {
	case methodRaw:
		out = b.data
	case methodGzip:
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(b.data)); err == nil {
			out, err = readExactly(z, b.size)
		}
	case methodBzip2:
		out, err = readExactly(bzip2.NewReader(bytes.NewReader(b.data)), b.size)
	case methodLzma:
		var z *xz.Reader
		if z, err = xz.NewReader(bytes.NewReader(b.data), xz.DefaultDictMax); err == nil {
			out, err = readExactly(z, b.size)
		}
	case methodRans4x8:
		out, err = rans4x8(b.data, b.size)
	default:
		if unpack := codecs31[b.method]; unpack != nil {
			out, err = unpack(b.data, b.size)
		} else {
			err = errors.New("compression method is not known")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("block %d (method %d): %w", b.id, b.method, err)
	}
	if len(out) != b.size {
		return nil, fmt.Errorf("block %d (method %d) unpacks to %d bytes, it says %d", b.id, b.method, len(out), b.size)
	}
	return out, nil
}

// codecs31 are the codecs of CRAM 3.1 by method.
var codecs31 = map[byte]func(data []byte, size int) ([]byte, error){}

func readExactly(r io.Reader, n int) ([]byte, error) {
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(r, int64(n)+1)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
