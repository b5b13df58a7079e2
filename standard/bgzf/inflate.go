package bgzf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
)

// inflater inflates blocks one after another with one decompressor.
type inflater struct {
	src bytes.Reader
	z   io.ReadCloser
}

// inflate writes the content of a block into dst, which has room for MaxBlock bytes, and checks size and CRC.
func (f *inflater) inflate(dst, block []byte, head int, offset int64) ([]byte, error) {
	tail := block[len(block)-8:]
	want, size := binary.LittleEndian.Uint32(tail), binary.LittleEndian.Uint32(tail[4:])
	if size > MaxBlock {
		return nil, &Error{Offset: offset, Reason: fmt.Sprintf("inflates to %d bytes, a block has at most %d", size, MaxBlock)}
	}
	f.src.Reset(block[head : len(block)-8])
	if f.z == nil {
		f.z = flate.NewReader(&f.src)
	} else if err := f.z.(flate.Resetter).Reset(&f.src, nil); err != nil {
		return nil, err
	}
	dst = dst[:size]
	if _, err := io.ReadFull(f.z, dst); err != nil {
		return nil, &Error{Offset: offset, Reason: "its deflate data is damaged", Cause: err}
	}
	var one [1]byte
	if n, err := f.z.Read(one[:]); n != 0 || err != io.EOF {
		return nil, &Error{Offset: offset, Reason: fmt.Sprintf("inflates to more than the %d bytes that it says", size), Cause: err}
	}
	if got := crc32.ChecksumIEEE(dst); got != want {
		return nil, &Error{Offset: offset, Reason: fmt.Sprintf("CRC is %08x, the block says %08x", got, want)}
	}
	return dst, nil
}
