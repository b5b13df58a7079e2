package cram

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/galen-health/galen/standard/sam"
)

// Bounds of a file.
const (
	maxContainer = 1 << 30
	maxBlock     = 1 << 30
	maxUnpacked  = 4 << 30   // of all blocks of a container
	maxRecords   = 4 << 20   // of a slice
	maxBases     = 256 << 20 // of a slice
)

// Error is a fault in a CRAM file.
type Error struct {
	Offset int64 // of the container in the file
	Reason string
	Cause  error
}

func (e *Error) Error() string { return fmt.Sprintf("cram: container at %d: %s", e.Offset, e.Reason) }

func (e *Error) Unwrap() error { return e.Cause }

// container is a container as it stands in the file.
type container struct {
	offset    int64 // in the file
	head      int   // bytes of its header
	ref       int32 // −1 unmapped, −2 several
	start     int32
	records   int32
	landmarks []int32
	data      []byte
}

func (c *container) fault(format string, args ...any) error {
	return &Error{Offset: c.offset, Reason: fmt.Sprintf(format, args...)}
}

// eof is the container that marks the end (CRAMv3 §9): no records, and "EOF" as its start.
func (c *container) eof() bool { return c.ref == -1 && c.start == 4542278 && c.records == 0 }

// file reads containers one after another.
type file struct {
	r      io.Reader
	offset int64
	minor  byte
	ended  bool
}

// open reads the file definition (CRAMv3 §6).
func open(r io.Reader) (*file, error) {
	var b [26]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil, errors.New("cram: the file ends within its definition")
		}
		return nil, err
	}
	switch {
	case string(b[:4]) != "CRAM":
		return nil, errors.New("cram: not a CRAM file: it does not begin with CRAM")
	case b[4] != 3 || b[5] > 1:
		return nil, fmt.Errorf("cram: version %d.%d is not read here, only 3.0 and 3.1: convert it with samtools view -C", b[4], b[5])
	}
	return &file{r: r, offset: 26, minor: b[5]}, nil
}

// next reads a container. io.EOF after the one that marks the end.
func (f *file) next() (*container, error) {
	c := &container{offset: f.offset}
	var raw bytes.Buffer
	t := &byteReader{r: io.TeeReader(f.r, &raw)}
	length := int32(t.uint32())
	if t.err == io.EOF && raw.Len() == 0 {
		if f.ended {
			return nil, io.EOF
		}
		return nil, &Error{Offset: f.offset, Reason: "the file ends without the container that marks its end: it is truncated", Cause: io.ErrUnexpectedEOF}
	}
	c.ref = t.itf8()
	c.start = t.itf8()
	t.itf8() // span
	c.records = t.itf8()
	t.ltf8() // record counter
	t.ltf8() // bases
	t.itf8() // blocks
	n := t.itf8()
	if n < 0 || n > 1<<20 {
		return nil, c.fault("says it has %d slices", n)
	}
	for range n {
		c.landmarks = append(c.landmarks, t.itf8())
	}
	if t.err == nil {
		sum := crc32.ChecksumIEEE(raw.Bytes())
		if got := t.uint32(); t.err == nil && got != sum {
			return nil, c.fault("CRC of its header is %08x, it says %08x", sum, got)
		}
	}
	if t.err != nil {
		return nil, f.cut(c, t.err)
	}
	if length < 0 || length > maxContainer {
		return nil, c.fault("says it has %d bytes, the most is %d", length, maxContainer)
	}
	c.head = raw.Len()
	var body bytes.Buffer
	if _, err := io.CopyN(&body, f.r, int64(length)); err != nil {
		return nil, f.cut(c, err)
	}
	c.data = body.Bytes()
	f.offset += int64(c.head) + int64(length)
	f.ended = c.eof()
	return c, nil
}

func (f *file) cut(c *container, err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return &Error{Offset: c.offset, Reason: "the file ends within the container", Cause: io.ErrUnexpectedEOF}
	}
	return err
}

// byteReader reads numbers from a stream, a byte at a time.
type byteReader struct {
	r   io.Reader
	err error
	buf [9]byte
}

func (t *byteReader) read(n int) []byte {
	if t.err == nil {
		_, t.err = io.ReadFull(t.r, t.buf[:n])
	}
	if t.err != nil {
		clear(t.buf[:])
	}
	return t.buf[:n]
}

func (t *byteReader) uint32() uint32 { return binary.LittleEndian.Uint32(t.read(4)) }

// number reads as many bytes as the first one says and hands them to a cursor.
func (t *byteReader) number(most int) cursor {
	first := t.read(1)[0]
	n := 0
	for m := byte(0x80); m != 0 && first&m != 0 && n < most; m >>= 1 {
		n++
	}
	rest := append([]byte{first}, t.read(n)...)
	return cursor{b: rest}
}

func (t *byteReader) itf8() int32 { c := t.number(4); return c.itf8() }

func (t *byteReader) ltf8() int64 { c := t.number(8); return c.ltf8() }

// header reads the SAM header from the first container (CRAMv3 §7).
func (c *container) header() (*sam.Header, error) {
	cur := &cursor{b: c.data}
	b, err := readBlock(cur)
	if err == nil && b.kind != kindFileHeader {
		err = errors.New("does not begin with a file header block")
	}
	var raw []byte
	if err == nil {
		raw, err = b.unpack()
	}
	if err != nil {
		return nil, c.fault("%v", err)
	}
	h := &cursor{b: raw}
	text := h.take(int(int32(h.uint32())))
	if h.err != nil {
		return nil, c.fault("the header text is cut off")
	}
	return sam.ParseHeader(string(text))
}

// Comment returns the CRAM file r with an @CO line added to its header, and the header as it was. Only the first container is written anew.
func Comment(r io.Reader, comment string) (io.Reader, *sam.Header, error) {
	f, err := open(r)
	if err != nil {
		return nil, nil, err
	}
	c, err := f.next()
	if err != nil {
		return nil, nil, err
	}
	h, err := c.header()
	if err != nil {
		return nil, nil, err
	}
	text := h.Text + sam.CommentLine(comment)
	content := append(binary.LittleEndian.AppendUint32(nil, uint32(len(text))), text...)
	block := appendItf8(appendItf8([]byte{methodRaw, kindFileHeader, 0}, int32(len(content))), int32(len(content)))
	block = append(block, content...)
	block = binary.LittleEndian.AppendUint32(block, crc32.ChecksumIEEE(block))
	// As htslib writes it: no reference, no records, one block at landmark 0.
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(block)))
	head = append(head, 0, 0, 0, 0, 0, 0, 1, 1, 0)
	head = binary.LittleEndian.AppendUint32(head, crc32.ChecksumIEEE(head))
	var id [20]byte
	definition := append([]byte{'C', 'R', 'A', 'M', 3, f.minor}, id[:]...)
	return io.MultiReader(bytes.NewReader(definition), bytes.NewReader(head), bytes.NewReader(block), r), h, nil
}

func appendItf8(b []byte, v int32) []byte {
	u := uint32(v)
	switch {
	case u < 1<<7:
		return append(b, byte(u))
	case u < 1<<14:
		return append(b, byte(u>>8)|0x80, byte(u))
	case u < 1<<21:
		return append(b, byte(u>>16)|0xc0, byte(u>>8), byte(u))
	case u < 1<<28:
		return append(b, byte(u>>24)|0xe0, byte(u>>16), byte(u>>8), byte(u))
	}
	return append(b, byte(u>>28)|0xf0, byte(u>>20), byte(u>>12), byte(u>>4), byte(u&0x0f))
}
