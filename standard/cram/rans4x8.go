package cram

import (
	"encoding/binary"
	"errors"
)

var errRans = errors.New("the rANS data is damaged")

// rans4x8 unpacks a block of CRAM 3.0's rANS: four interleaved states, renormalised by bytes, frequencies that sum to 4096 (CRAMv3 §13).
func rans4x8(data []byte, size int) ([]byte, error) {
	c := &cursor{b: data}
	order := c.byte()
	packed, raw := int(c.uint32()), int(c.uint32())
	if c.err != nil || raw != size || packed > c.left() {
		return nil, errRans
	}
	if size == 0 {
		return nil, nil
	}
	switch order {
	case 0:
		return ransOrder0(c, size)
	case 1:
		return ransOrder1(c, size)
	}
	return nil, errRans
}

const (
	ransBits = 12
	ransLow  = 1 << 23
)

// symbols are the frequencies of one context, with the symbol of every slot.
type symbols struct {
	freq, first [256]uint16
	slot        [1 << ransBits]byte
}

// read reads a table: symbols with frequencies, runs of neighbours shortened. zero is what a frequency of 0 stands for: in the tables of contexts it is
// 4096, which does not fit.
func (t *symbols) read(c *cursor, zero int) error {
	at, run := 0, 0
	sym := int(c.byte())
	for {
		f := int(c.byte())
		if f >= 0x80 {
			f = (f&0x7f)<<8 | int(c.byte())
		}
		if f == 0 {
			f = zero
		}
		if at+f > 1<<ransBits || c.err != nil {
			return errRans
		}
		t.freq[sym], t.first[sym] = uint16(f), uint16(at)
		for i := range f {
			t.slot[at+i] = byte(sym)
		}
		at += f
		var more bool
		if sym, run, more = nextSymbol(c, sym, run); !more {
			return c.err
		}
		if sym > 255 {
			return errRans
		}
	}
}

// nextSymbol is the next entry of a table that shortens runs of neighbouring symbols.
func nextSymbol(c *cursor, sym, run int) (next, left int, more bool) {
	if run > 0 {
		return sym + 1, run - 1, true
	}
	next = int(c.byte())
	if next == sym+1 {
		return next, int(c.byte()), true
	}
	return next, 0, next != 0
}

// step decodes a symbol and renormalises.
func (t *symbols) step(x uint32, c *cursor) (byte, uint32) {
	m := x & (1<<ransBits - 1)
	s := t.slot[m]
	x = uint32(t.freq[s])*(x>>ransBits) + m - uint32(t.first[s])
	for x < ransLow {
		if c.at >= len(c.b) {
			break // the last symbols need no more; a short stream shows in what follows
		}
		x = x<<8 | uint32(c.b[c.at])
		c.at++
	}
	return s, x
}

func ransStates(c *cursor) (x [4]uint32, err error) {
	b := c.take(16)
	if b == nil {
		return x, errRans
	}
	for i := range x {
		x[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return x, nil
}

func ransOrder0(c *cursor, size int) ([]byte, error) {
	t := new(symbols)
	if err := t.read(c, 0); err != nil {
		return nil, err
	}
	x, err := ransStates(c)
	if err != nil {
		return nil, err
	}
	out := make([]byte, size)
	for i := range out {
		out[i], x[i&3] = t.step(x[i&3], c)
	}
	return out, nil
}

func ransOrder1(c *cursor, size int) ([]byte, error) {
	var tables [256]*symbols
	for ctx, run, more := int(c.byte()), 0, true; more; {
		if ctx > 255 {
			return nil, errRans
		}
		t := new(symbols)
		if err := t.read(c, 1<<ransBits); err != nil {
			return nil, err
		}
		tables[ctx] = t
		ctx, run, more = nextSymbol(c, ctx, run)
	}
	x, err := ransStates(c)
	if err != nil {
		return nil, err
	}
	out := make([]byte, size)
	quarter := size / 4
	var last [4]byte
	for i := range quarter {
		for k := range 4 {
			t := tables[last[k]]
			if t == nil {
				return nil, errRans
			}
			last[k], x[k] = t.step(x[k], c)
			out[k*quarter+i] = last[k]
		}
	}
	for i := 4 * quarter; i < size; i++ { // the rest belongs to the last state
		t := tables[last[3]]
		if t == nil {
			return nil, errRans
		}
		last[3], x[3] = t.step(x[3], c)
		out[i] = last[3]
	}
	return out, nil
}
