package bgzf

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// inflater inflates blocks one after another.
type inflater struct{ t deflateTables }

// inflate writes the content of a block into dst, which has room for MaxBlock bytes, and checks size and CRC.
func (f *inflater) inflate(dst, block []byte, head int, offset int64) ([]byte, error) {
	tail := block[len(block)-8:]
	want, size := binary.LittleEndian.Uint32(tail), binary.LittleEndian.Uint32(tail[4:])
	if size > MaxBlock {
		return nil, &Error{Offset: offset, Reason: fmt.Sprintf("inflates to %d bytes, a block has at most %d", size, MaxBlock)}
	}
	dst = dst[:size]
	if err := f.t.inflateInto(dst, block[head:len(block)-8]); err != nil {
		return nil, &Error{Offset: offset, Reason: fmt.Sprintf("its deflate data is damaged or does not inflate to the %d bytes that it says", size), Cause: err}
	}
	if got := crc32.ChecksumIEEE(dst); got != want {
		return nil, &Error{Offset: offset, Reason: fmt.Sprintf("CRC is %08x, the block says %08x", got, want)}
	}
	return dst, nil
}
