package cram

import (
	"encoding/binary"
	"errors"
)

// Flags of the codecs of CRAM 3.1 (CRAMcodecs §3, §4).
const (
	flagOrder  = 1
	flagX32    = 4 // of rANS; of the adaptive coder: bzip2 inside
	flagStripe = 8
	flagNoSize = 16
	flagCat    = 32
	flagRLE    = 64
	flagPack   = 128
)

var errCodec = errors.New("its data is damaged")

func init() {
	codecs31[methodRansNx16] = func(data []byte, size int) ([]byte, error) { return rans.unpack(&cursor{b: data}, size, 0) }
	codecs31[methodArith] = func(data []byte, size int) ([]byte, error) { return arith.unpack(&cursor{b: data}, size, 0) }
	codecs31[methodTok3] = tok3
}

// entropy is one of the two coders of CRAM 3.1.
type entropy struct {
	decode func(c *cursor, flags byte, size int) ([]byte, error) // size bytes of one plain stream
	beside bool                                                  // run lengths stand beside the literals, not in the stream
}

var rans, arith = entropy{ransStream, true}, entropy{arithStream, false}

// unpack undoes what wraps a stream: sizes, stripes, packing of few symbols, run lengths. size is that of the result, −1 when only the stream
// says it.
func (e entropy) unpack(c *cursor, size, depth int) ([]byte, error) {
	flags := c.byte()
	if flags&flagNoSize == 0 {
		n := c.uint7()
		if size >= 0 && n != size {
			return nil, errCodec
		}
		size = n
	}
	if c.err != nil || size < 0 || size > maxBlock {
		return nil, errCodec
	}
	if flags&flagStripe != 0 {
		return e.unstripe(c, size, depth)
	}
	var pack *packing
	n := size
	if flags&flagPack != 0 {
		var err error
		if pack, err = readPacking(c); err != nil {
			return nil, err
		}
		n = pack.size
	}
	var runs *runLengths
	if flags&flagRLE != 0 && e.beside {
		var err error
		if runs, err = readRuns(c); err != nil {
			return nil, err
		}
		runs.size = n
		n = runs.literals
	}
	if n < 0 || n > maxBlock {
		return nil, errCodec
	}
	var out []byte
	var err error
	if flags&flagCat != 0 {
		if out = c.take(n); c.err != nil {
			err = errCodec
		}
	} else {
		out, err = e.decode(c, flags, n)
	}
	if err == nil && runs != nil {
		out, err = runs.expand(out)
	}
	if err == nil && pack != nil {
		out, err = pack.expand(out, size)
	}
	return out, err
}

// unstripe joins streams of every n-th byte.
func (e entropy) unstripe(c *cursor, size, depth int) ([]byte, error) {
	n := int(c.byte())
	if n == 0 || depth > 0 {
		return nil, errCodec
	}
	lengths := make([]int, n)
	for i := range lengths {
		lengths[i] = c.uint7()
	}
	out := make([]byte, size)
	for i, packed := range lengths {
		part := size / n
		if size%n > i {
			part++
		}
		data := &cursor{b: c.take(packed)}
		if c.err != nil {
			return nil, errCodec
		}
		b, err := e.unpack(data, part, depth+1)
		if err != nil || len(b) != part {
			return nil, errCodec
		}
		for k, v := range b {
			out[k*n+i] = v
		}
	}
	return out, nil
}

// packing keeps few symbols in fewer bits (CRAMcodecs §3.4).
type packing struct {
	symbols []byte
	size    int
}

func readPacking(c *cursor) (*packing, error) {
	n := int(c.byte())
	p := &packing{symbols: c.take(n), size: c.uint7()}
	if c.err != nil || n == 0 || n > 16 {
		return nil, errCodec
	}
	return p, nil
}

func (p *packing) expand(in []byte, size int) ([]byte, error) {
	out := make([]byte, size)
	n := len(p.symbols)
	bits := 0
	switch {
	case n == 1:
		for i := range out {
			out[i] = p.symbols[0]
		}
		return out, nil
	case n <= 2:
		bits = 1
	case n <= 4:
		bits = 2
	default:
		bits = 4
	}
	per := 8 / bits
	if len(in) < (size+per-1)/per {
		return nil, errCodec
	}
	for i := range out {
		v := int(in[i/per]>>(i%per*bits)) & (1<<bits - 1)
		if v >= n {
			return nil, errCodec
		}
		out[i] = p.symbols[v]
	}
	return out, nil
}

// runLengths are the repeats of literals (CRAMcodecs §3.5).
type runLengths struct {
	repeats  [256]bool
	lengths  cursor
	literals int
	size     int // of the result
}

func readRuns(c *cursor) (*runLengths, error) {
	head := c.uint7()
	r := &runLengths{literals: c.uint7()}
	size := head / 2
	if c.err != nil || size > maxBlock {
		return nil, errCodec
	}
	if head&1 != 0 {
		r.lengths.b = c.take(size)
	} else {
		data := &cursor{b: c.take(c.uint7())}
		b, err := ransStream(data, 0, size)
		if err != nil {
			return nil, err
		}
		r.lengths.b = b
	}
	n := int(r.lengths.byte())
	if n == 0 {
		n = 256
	}
	for range n {
		r.repeats[r.lengths.byte()] = true
	}
	if c.err != nil || r.lengths.err != nil {
		return nil, errCodec
	}
	return r, nil
}

func (r *runLengths) expand(in []byte) ([]byte, error) {
	out := make([]byte, 0, min(r.size, 1<<24))
	for _, v := range in {
		n := 1
		if r.repeats[v] {
			n += r.lengths.uint7()
		}
		if n > r.size-len(out) || r.lengths.err != nil {
			return nil, errCodec
		}
		for range n {
			out = append(out, v)
		}
	}
	return out, nil
}

// context are the frequencies of one context in a table of 1<<bits slots.
type context struct {
	freq, first [256]uint32
	slot        []byte
}

func alphabet(c *cursor) (a []int) {
	for sym, run, more := int(c.byte()), 0, true; more && sym < 256 && c.err == nil; sym, run, more = nextSymbol(c, sym, run) {
		a = append(a, sym)
	}
	return a
}

// settle scales the frequencies up to the table's size, by doubling, and fills the slots.
func (t *context) settle(bits uint) error {
	total := uint32(0)
	for _, f := range t.freq {
		total += f
		if f > 1<<bits || total > 1<<bits {
			return errCodec
		}
	}
	if total == 0 {
		return nil
	}
	shift := 0
	for total<<shift < 1<<bits {
		shift++
	}
	if total<<shift != 1<<bits {
		return errCodec
	}
	t.slot = make([]byte, 1<<bits)
	at := uint32(0)
	for s := range t.freq {
		t.freq[s] <<= shift
		t.first[s] = at
		for range t.freq[s] {
			t.slot[at] = byte(s)
			at++
		}
	}
	return nil
}

const ransLow16 = 1 << 15

// step decodes a symbol and renormalises by sixteen bits.
func (t *context) step(x uint32, bits uint, c *cursor) (byte, uint32, bool) {
	if t == nil || t.slot == nil {
		return 0, 0, false
	}
	m := x & (1<<bits - 1)
	s := t.slot[m]
	x = t.freq[s]*(x>>bits) + m - t.first[s]
	if x < ransLow16 && c.at+2 <= len(c.b) {
		x = x<<16 | uint32(binary.LittleEndian.Uint16(c.b[c.at:]))
		c.at += 2
	}
	return s, x, true
}

// ransStream decodes a plain rANS Nx16 stream (CRAMcodecs §3.1, §3.2).
func ransStream(c *cursor, flags byte, size int) ([]byte, error) {
	n := 4
	if flags&flagX32 != 0 {
		n = 32
	}
	if size == 0 {
		return nil, nil
	}
	if flags&flagOrder != 0 {
		return ransContexts(c, n, size)
	}
	t := new(context)
	for _, s := range alphabet(c) {
		t.freq[s] = uint32(c.uint7())
	}
	if err := t.settle(12); err != nil {
		return nil, err
	}
	x, err := states(c, n)
	if err != nil {
		return nil, err
	}
	out := make([]byte, size)
	ok := true
	for i := range out {
		k := i % n
		if out[i], x[k], ok = t.step(x[k], 12, c); !ok {
			return nil, errCodec
		}
	}
	return out, nil
}

func states(c *cursor, n int) ([]uint32, error) {
	x := make([]uint32, n)
	for i := range x {
		x[i] = c.uint32()
	}
	if c.err != nil {
		return nil, errCodec
	}
	return x, nil
}

func ransContexts(c *cursor, n, size int) ([]byte, error) {
	head := c.byte()
	bits := uint(head >> 4)
	table := c
	if head&1 != 0 {
		full, packed := c.uint7(), c.uint7()
		data := &cursor{b: c.take(packed)}
		if c.err != nil || full > 1<<20 {
			return nil, errCodec
		}
		b, err := ransStream(data, 0, full)
		if err != nil {
			return nil, err
		}
		table = &cursor{b: b}
	}
	if bits != 10 && bits != 12 {
		return nil, errCodec
	}
	var all [256]*context
	symbols := alphabet(table)
	for _, s := range symbols {
		t := new(context)
		zeros := 0
		for _, o := range symbols {
			if zeros > 0 {
				zeros--
				continue
			}
			f := table.uint7()
			if t.freq[o] = uint32(f); f == 0 {
				zeros = int(table.byte())
			}
		}
		if table.err != nil {
			return nil, errCodec
		}
		if err := t.settle(bits); err != nil {
			return nil, err
		}
		all[s] = t
	}
	x, err := states(c, n)
	if err != nil {
		return nil, err
	}
	out := make([]byte, size)
	part := size / n
	last := make([]byte, n)
	ok := true
	for i := range part {
		for k := range n {
			if last[k], x[k], ok = all[last[k]].step(x[k], bits, c); !ok {
				return nil, errCodec
			}
			out[k*part+i] = last[k]
		}
	}
	for i := n * part; i < size; i++ { // the rest belongs to the last state
		k := n - 1
		if last[k], x[k], ok = all[last[k]].step(x[k], bits, c); !ok {
			return nil, errCodec
		}
		out[i] = last[k]
	}
	return out, nil
}
