package cram

import (
	"bytes"
	"errors"
	"fmt"
	"sort"
)

// Encodings (CRAMv3 §12).
const (
	encNull = iota
	encExternal
	encGolomb
	encHuffman
	encByteArrayLen
	encByteArrayStop
	encBeta
	encSubexp
	encGolombRice
	encGamma
)

// codec tells how a data series is stored.
type codec struct {
	kind   int32
	slot   int // of its external block in the slice
	offset int32
	bits   int32
	stop   byte
	length *codec // of BYTE_ARRAY_LEN
	value  *codec
	huff   *huffman
}

// huffman is a canonical code (CRAMv3 §12.3).
type huffman struct {
	symbols []int32 // in the order of their codes
	levels  []level // of each length that occurs
}

type level struct {
	bits  int
	first uint32 // code
	from  int    // in symbols
	count int
}

func newHuffman(symbols, lengths []int32) (*huffman, error) {
	if len(symbols) != len(lengths) {
		return nil, errors.New("a Huffman code has other symbols than lengths")
	}
	order := make([]int, len(symbols))
	for i := range order {
		order[i] = i
		if lengths[i] < 0 || lengths[i] > 31 {
			return nil, errors.New("a Huffman code has a length beyond 31")
		}
	}
	sort.Slice(order, func(a, b int) bool {
		if lengths[order[a]] != lengths[order[b]] {
			return lengths[order[a]] < lengths[order[b]]
		}
		return symbols[order[a]] < symbols[order[b]]
	})
	h := &huffman{}
	code, bits := uint32(0), 0
	for i, k := range order {
		n := int(lengths[k])
		if i > 0 {
			code++
		}
		if len(h.levels) == 0 || n > bits {
			code <<= n - bits
			bits = n
			h.levels = append(h.levels, level{bits: n, first: code, from: i})
		}
		h.levels[len(h.levels)-1].count++
		h.symbols = append(h.symbols, symbols[k])
		if n > 0 && uint64(code) >= 1<<n || n == 0 && len(symbols) > 1 {
			return nil, errors.New("a Huffman code has more codes than fit their lengths")
		}
	}
	return h, nil
}

// readCodec reads an encoding; external collects the ids of the external blocks that are used.
func readCodec(c *cursor, external map[int32]int, depth int) (*codec, error) {
	kind := c.itf8()
	p := &cursor{b: c.take(int(c.itf8()))}
	if c.err != nil || depth > 3 {
		return nil, errShort
	}
	d := &codec{kind: kind}
	slot := func() int {
		id := p.itf8()
		if _, ok := external[id]; !ok {
			external[id] = len(external)
		}
		return external[id]
	}
	var err error
	switch kind {
	case encNull:
	case encExternal:
		d.slot = slot()
	case encHuffman:
		symbols := p.list()
		lengths := p.list()
		if p.err == nil {
			d.huff, err = newHuffman(symbols, lengths)
		}
	case encByteArrayLen:
		if d.length, err = readCodec(p, external, depth+1); err == nil {
			d.value, err = readCodec(p, external, depth+1)
		}
	case encByteArrayStop:
		d.stop = p.byte()
		d.slot = slot()
	case encBeta, encSubexp:
		d.offset, d.bits = p.itf8(), p.itf8()
		if d.bits < 0 || d.bits > 32 {
			err = errors.New("an encoding has more than 32 bits")
		}
	case encGamma:
		d.offset = p.itf8()
	default:
		err = fmt.Errorf("encoding %d is not known", kind)
	}
	if err == nil {
		err = p.err
	}
	return d, err
}

// bitReader reads the core block, the highest bit first.
type bitReader struct {
	b   []byte
	at  int // in bits
	err error
}

func (r *bitReader) bit() uint32 {
	if r.at>>3 >= len(r.b) {
		r.err = errShort
		return 0
	}
	v := r.b[r.at>>3] >> (7 - r.at&7) & 1
	r.at++
	return uint32(v)
}

func (r *bitReader) bits(n int32) uint32 {
	v := uint32(0)
	for range n {
		v = v<<1 | r.bit()
	}
	return v
}

var (
	errNoCodec = errors.New("a data series is used that the compression header does not define")
	errNoBlock = errors.New("an external block is missing")
)

// source is what codecs read from: the core block and the external ones of a slice.
type source struct {
	core     bitReader
	external []*cursor // by slot; nil when the slice has no such block
	err      error
}

func (s *source) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

func (s *source) block(slot int) *cursor {
	if c := s.external[slot]; c != nil {
		return c
	}
	s.fail(errNoBlock)
	return &cursor{}
}

// integer reads a number of a data series.
func (s *source) integer(d *codec) int32 {
	if d == nil {
		s.fail(errNoCodec)
		return 0
	}
	switch d.kind {
	case encExternal:
		c := s.block(d.slot)
		v := c.itf8()
		if c.err != nil {
			s.fail(c.err)
		}
		return v
	case encByteArrayLen, encByteArrayStop, encNull:
		s.fail(errors.New("a number has an encoding of byte arrays"))
		return 0
	}
	return s.coded(d)
}

// coded reads from the core block.
func (s *source) coded(d *codec) int32 {
	r := &s.core
	v := int32(0)
	switch d.kind {
	case encHuffman:
		v = s.huffman(d.huff)
	case encBeta:
		v = int32(r.bits(d.bits)) - d.offset
	case encGamma:
		n := int32(0)
		for r.err == nil && r.bit() == 0 {
			if n++; n > 31 {
				s.fail(errShort)
				return 0
			}
		}
		v = int32(1<<n|r.bits(n)) - d.offset
	case encSubexp:
		n := int32(0)
		for r.err == nil && r.bit() == 1 {
			if n++; n > 31 {
				s.fail(errShort)
				return 0
			}
		}
		if n == 0 {
			v = int32(r.bits(d.bits)) - d.offset
		} else {
			k := n + d.bits - 1
			if k < 0 || k > 31 {
				s.fail(errShort)
				return 0
			}
			v = int32(1<<k|r.bits(k)) - d.offset
		}
	default:
		s.fail(errNoCodec)
	}
	if r.err != nil {
		s.fail(r.err)
	}
	return v
}

func (s *source) huffman(h *huffman) int32 {
	code, have := uint32(0), 0
	for i := range h.levels {
		l := &h.levels[i]
		if n := l.bits - have; n > 0 {
			code = code<<n | s.core.bits(int32(n))
			have = l.bits
		}
		if k := int(code) - int(l.first); k >= 0 && k < l.count {
			return h.symbols[l.from+k]
		}
	}
	s.fail(errors.New("a Huffman code stands for nothing"))
	return 0
}

// byte reads one byte of a data series.
func (s *source) byte(d *codec) byte {
	if d != nil && d.kind == encExternal {
		c := s.block(d.slot)
		v := c.byte()
		if c.err != nil {
			s.fail(c.err)
		}
		return v
	}
	return byte(s.integer(d))
}

// fill reads len(to) bytes of a data series of single bytes.
func (s *source) fill(d *codec, to []byte) {
	if d != nil && d.kind == encExternal {
		c := s.block(d.slot)
		copy(to, c.take(len(to)))
		if c.err != nil {
			s.fail(c.err)
		}
		return
	}
	for i := range to {
		if s.err != nil {
			return
		}
		to[i] = s.byte(d)
	}
}

// array appends a byte array of a data series.
func (s *source) array(d *codec, to []byte) []byte {
	if d == nil {
		s.fail(errNoCodec)
		return to
	}
	switch d.kind {
	case encByteArrayStop:
		c := s.block(d.slot)
		i := bytes.IndexByte(c.b[c.at:], d.stop)
		if i < 0 {
			s.fail(errShort)
			return to
		}
		to = append(to, c.b[c.at:c.at+i]...)
		c.at += i + 1
		return to
	case encByteArrayLen:
		n := int(s.integer(d.length))
		if n < 0 || n > maxArray {
			s.fail(errors.New("a byte array has a length out of bounds"))
			return to
		}
		if d.value.kind == encExternal && n > s.block(d.value.slot).left() {
			s.fail(errShort)
			return to
		}
		at := len(to)
		to = append(to, make([]byte, n)...)
		s.fill(d.value, to[at:])
		return to
	}
	s.fail(errors.New("a byte array has an encoding of single values"))
	return to
}

// maxArray bounds a name, a tag or a run of bases.
const maxArray = 64 << 20
