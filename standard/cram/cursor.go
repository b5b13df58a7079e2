package cram

import (
	"encoding/binary"
	"errors"
)

var errShort = errors.New("the data ends too early")

// cursor reads numbers and bytes; after the first fault it gives zeros, and err tells.
type cursor struct {
	b   []byte
	at  int
	err error
}

func (c *cursor) fail() {
	if c.err == nil {
		c.err = errShort
	}
	c.at = len(c.b)
}

func (c *cursor) left() int { return len(c.b) - c.at }

func (c *cursor) byte() byte {
	if c.at >= len(c.b) {
		c.fail()
		return 0
	}
	v := c.b[c.at]
	c.at++
	return v
}

// take is the next n bytes, a part of the data.
func (c *cursor) take(n int) []byte {
	if n < 0 || n > c.left() {
		c.fail()
		return nil
	}
	v := c.b[c.at : c.at+n : c.at+n]
	c.at += n
	return v
}

func (c *cursor) uint32() uint32 {
	v := c.take(4)
	if v == nil {
		return 0
	}
	return binary.LittleEndian.Uint32(v)
}

// itf8 is a 32-bit number in one to five bytes (CRAMv3 §2.3).
func (c *cursor) itf8() int32 {
	if c.at < len(c.b) && c.b[c.at] < 0x80 {
		c.at++
		return int32(c.b[c.at-1])
	}
	first := c.byte()
	switch {
	case first < 0x80:
		return int32(first)
	case first < 0xc0:
		return int32(first&0x3f)<<8 | int32(c.byte())
	case first < 0xe0:
		v := int32(first&0x1f) << 16
		v |= int32(c.byte()) << 8
		return v | int32(c.byte())
	case first < 0xf0:
		v := int32(first&0x0f) << 24
		v |= int32(c.byte()) << 16
		v |= int32(c.byte()) << 8
		return v | int32(c.byte())
	}
	v := uint32(first&0x0f) << 28
	v |= uint32(c.byte()) << 20
	v |= uint32(c.byte()) << 12
	v |= uint32(c.byte()) << 4
	return int32(v | uint32(c.byte()&0x0f))
}

// ltf8 is a 64-bit number in one to nine bytes (CRAMv3 §2.3).
func (c *cursor) ltf8() int64 {
	first := c.byte()
	n := 0 // bytes that follow
	for m := byte(0x80); m != 0 && first&m != 0; m >>= 1 {
		n++
	}
	v := int64(0)
	if n < 7 {
		v = int64(first & (0xff >> (n + 1)))
	}
	for range n {
		v = v<<8 | int64(c.byte())
	}
	return v
}

// uint7 is a number in groups of seven bits, the highest first (CRAMcodecs §2.1, of 3.1).
func (c *cursor) uint7() int {
	v := uint64(0)
	for range 5 {
		b := c.byte()
		v = v<<7 | uint64(b&0x7f)
		if b < 0x80 {
			break
		}
	}
	return int(uint32(v))
}

// list is an array of itf8 numbers behind its length.
func (c *cursor) list() []int32 {
	n := int(c.itf8())
	if n < 0 || n > c.left() { // each takes a byte at least
		c.fail()
		return nil
	}
	out := make([]int32, n)
	for i := range out {
		out[i] = c.itf8()
	}
	return out
}
