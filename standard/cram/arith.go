package cram

import (
	"bytes"
	"compress/bzip2"
)

// rangeDecoder is the adaptive coder of CRAM 3.1 (CRAMcodecs §4).
type rangeDecoder struct {
	c           *cursor
	width, code uint32
}

func newRangeDecoder(c *cursor) *rangeDecoder {
	r := &rangeDecoder{c: c, width: 0xffffffff}
	for range 5 {
		r.code = r.code<<8 | uint32(c.byte())
	}
	return r
}

// next is the next byte; after the end come zeros, as encoders leave them out.
func (r *rangeDecoder) next() uint32 {
	if r.c.at >= len(r.c.b) {
		return 0
	}
	r.c.at++
	return uint32(r.c.b[r.c.at-1])
}

// model is an adaptive distribution; frequent symbols move to the front.
type model struct {
	total uint32
	freq  []uint32
	sym   []byte
}

func newModel(n int) *model {
	m := &model{total: uint32(n), freq: make([]uint32, n), sym: make([]byte, n)}
	for i := range n {
		m.freq[i], m.sym[i] = 1, byte(i)
	}
	return m
}

const (
	modelStep = 16
	modelMax  = 1<<16 - 17
)

func (m *model) decode(r *rangeDecoder) byte {
	r.width /= m.total
	if r.width == 0 {
		r.c.fail()
		return 0
	}
	target := r.code / r.width
	at, x := uint32(0), 0
	for at+m.freq[x] <= target {
		at += m.freq[x]
		if x++; x == len(m.freq) {
			r.c.fail()
			return 0
		}
	}
	r.code -= at * r.width
	r.width *= m.freq[x]
	for r.width < 1<<24 {
		r.width <<= 8
		r.code = r.code<<8 | r.next()
	}
	m.freq[x] += modelStep
	if m.total += modelStep; m.total > modelMax {
		m.total = 0
		for i, f := range m.freq {
			m.freq[i] -= f >> 1
			m.total += m.freq[i]
		}
	}
	s := m.sym[x]
	if x > 0 && m.freq[x] > m.freq[x-1] {
		m.freq[x], m.freq[x-1] = m.freq[x-1], m.freq[x]
		m.sym[x], m.sym[x-1] = m.sym[x-1], m.sym[x]
	}
	return s
}

// arithStream decodes a plain stream of the adaptive coder.
func arithStream(c *cursor, flags byte, size int) ([]byte, error) {
	if size == 0 {
		return nil, nil
	}
	if flags&flagX32 != 0 {
		out, err := readExactly(bzip2.NewReader(bytes.NewReader(c.b[c.at:])), size)
		c.at = len(c.b)
		if err != nil || len(out) != size {
			return nil, errCodec
		}
		return out, nil
	}
	n := int(c.byte())
	if n == 0 {
		n = 256
	}
	r := newRangeDecoder(c)
	contexts := 1
	if flags&flagOrder != 0 {
		contexts = 256
	}
	literals := make([]*model, contexts)
	var lengths [258]*model
	out := make([]byte, 0, min(size, 1<<24))
	for ctx := 0; len(out) < size; {
		if literals[ctx] == nil {
			literals[ctx] = newModel(n)
		}
		v := literals[ctx].decode(r)
		if c.err != nil {
			return nil, errCodec
		}
		out = append(out, v)
		if contexts > 1 {
			ctx = int(v)
		}
		if flags&flagRLE == 0 {
			continue
		}
		run, k := 0, int(v)
		for part := 3; part == 3; {
			if lengths[k] == nil {
				lengths[k] = newModel(4)
			}
			part = int(lengths[k].decode(r))
			run += part
			if k < 256 {
				k = 256
			} else {
				k = 257
			}
			if c.err != nil || run > size-len(out) {
				return nil, errCodec
			}
		}
		for range run {
			out = append(out, v)
		}
	}
	return out, nil
}
