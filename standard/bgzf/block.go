package bgzf

import (
	"encoding/binary"
	"fmt"
	"io"
)

// MaxBlock bounds a block, compressed and inflated (SAMv1 §4.1).
const MaxBlock = 1 << 16

// EOF is the empty block that marks the end of a file (SAMv1 §4.1.2).
var EOF = []byte("\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff\x06\x00\x42\x43\x02\x00\x1b\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00")

// Offset is a virtual file offset: the place of a block in the file, and of a byte in the inflated block (SAMv1 §4.1.1).
type Offset uint64

// MakeOffset joins the two parts.
func MakeOffset(block int64, within int) Offset { return Offset(block<<16 | int64(within)) }

// Block is where the block starts in the file.
func (o Offset) Block() int64 { return int64(o >> 16) }

// Within is the place in the inflated block.
func (o Offset) Within() int { return int(o & 0xffff) }

// Error is a fault in a BGZF or gzip file.
type Error struct {
	Offset int64 // of the block in the file
	Reason string
	Cause  error
}

func (e *Error) Error() string { return fmt.Sprintf("bgzf: block at %d: %s", e.Offset, e.Reason) }

func (e *Error) Unwrap() error { return e.Cause }

const fixedHeader = 12 // up to and with XLEN

// header reads a block's header from the start of b and gives the length of the whole block and of its header. size is 0 when the gzip
// member has no BC field: then it is not BGZF. need > len(b) asks for more bytes.
func header(b []byte) (size, head, need int, reason string) {
	if len(b) < fixedHeader {
		return 0, 0, fixedHeader, ""
	}
	if b[0] != 0x1f || b[1] != 0x8b {
		return 0, 0, 0, fmt.Sprintf("begins with %02x %02x, a gzip member begins with 1f 8b", b[0], b[1])
	}
	if b[2] != 8 {
		return 0, 0, 0, fmt.Sprintf("compression method is %d, only 8 (deflate) exists", b[2])
	}
	if b[3]&4 == 0 {
		return 0, 0, 0, ""
	}
	head = fixedHeader + int(binary.LittleEndian.Uint16(b[10:]))
	if head > MaxBlock {
		return 0, 0, 0, "extra field of the header is larger than a block"
	}
	if len(b) < head {
		return 0, 0, head, ""
	}
	for x := b[fixedHeader:head]; len(x) >= 4; {
		n := int(binary.LittleEndian.Uint16(x[2:]))
		if len(x) < 4+n {
			return 0, 0, 0, "an extra field runs past the header"
		}
		if x[0] == 'B' && x[1] == 'C' && n == 2 {
			size = int(binary.LittleEndian.Uint16(x[4:])) + 1
		}
		x = x[4+n:]
	}
	if size != 0 && (b[3] != 4 || size < head+8+1) {
		return 0, 0, 0, fmt.Sprintf("size of %d is too small for its header", size)
	}
	return size, head, 0, ""
}

// Is reports whether the file that begins with b is BGZF; 18 bytes are enough for what common tools write, 64 KiB for any.
func Is(b []byte) bool {
	size, _, _, reason := header(b)
	return size > 0 && reason == ""
}

// IsGzip reports whether the file that begins with b is gzip, BGZF included.
func IsGzip(b []byte) bool { return len(b) >= 3 && b[0] == 0x1f && b[1] == 0x8b && b[2] == 8 }

// readBlock reads the next whole block into buf. io.EOF at the end of the file.
func readBlock(r io.Reader, offset int64, buf []byte) (block []byte, head int, err error) {
	n, err := io.ReadFull(r, buf[:18])
	if err == io.EOF {
		return nil, 0, io.EOF
	}
	if err != nil {
		return nil, 0, ended(offset, "its header", err)
	}
	size, head, need, reason := header(buf[:n])
	if need > n {
		if _, err := io.ReadFull(r, buf[n:need]); err != nil {
			return nil, 0, ended(offset, "its header", err)
		}
		n = need
		size, head, _, reason = header(buf[:n])
	}
	if reason != "" {
		return nil, 0, &Error{Offset: offset, Reason: reason}
	}
	if size < n {
		return nil, 0, &Error{Offset: offset, Reason: "a gzip member without the block size of BGZF"}
	}
	if _, err := io.ReadFull(r, buf[n:size]); err != nil {
		return nil, 0, ended(offset, "the block", err)
	}
	return buf[:size], head, nil
}

// ended tells a file that stops short from a source that fails.
func ended(offset int64, where string, err error) error {
	if err == io.ErrUnexpectedEOF || err == io.EOF {
		return &Error{Offset: offset, Reason: "the file ends within " + where, Cause: io.ErrUnexpectedEOF}
	}
	return err
}
