package bgzf

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// A decoder of whole DEFLATE streams (RFC 1951) whose result is as long as said beforehand: nothing is streamed, so codes are looked up in one step from
// a 64-bit window, and what is copied is copied within the result. It is about twice as fast here as a streaming decoder.

const (
	litBits  = 11 // of the first table; longer codes have a second one
	distBits = 8
	maxCode  = 15
)

// An entry of a table: bits to drop (0–7), extra bits (8–12), what it is (13–15), value (16–31).
const (
	entrySub     = 1 << 13 // value is where the second table begins, extra how many bits it is indexed by
	entryEnd     = 1 << 14
	entryLiteral = 1 << 15
)

type deflateTables struct {
	lit     [1<<litBits + 1<<litBits]uint32
	dist    [1<<distBits + 1<<(maxCode+1)]uint32
	lengths [320]uint8
}

var errDeflate = errors.New("the codes or lengths are damaged")

var codeOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// litValue and distValue are the entries of each symbol, without the bits to drop (RFC 1951 §3.2.5).
var litValue, distValue = func() (lit [288]uint32, dist [32]uint32) {
	for i := range 256 {
		lit[i] = uint32(i)<<16 | entryLiteral
	}
	lit[256] = entryEnd
	base := uint32(3)
	for i := range 28 {
		extra := uint32(max(0, i/4-1))
		lit[257+i] = base<<16 | extra<<8
		base += 1 << extra
	}
	lit[285] = 258 << 16
	base = 1
	for i := range 30 {
		extra := uint32(max(0, i/2-1))
		dist[i] = base<<16 | extra<<8
		base += 1 << extra
	}
	return
}()

// fixed are the tables of the fixed codes (RFC 1951 §3.2.6).
var fixed = func() *deflateTables {
	t := new(deflateTables)
	l := t.lengths[:]
	for i := range 288 {
		switch {
		case i < 144:
			l[i] = 8
		case i < 256:
			l[i] = 9
		case i < 280:
			l[i] = 7
		default:
			l[i] = 8
		}
	}
	for i := range 32 {
		l[288+i] = 5
	}
	if !build(t.lit[:], litBits, l[:288], litValue[:]) || !build(t.dist[:], distBits, l[288:320], distValue[:]) {
		panic("bgzf: the fixed codes cannot be built")
	}
	return t
}()

// build makes a table of code lengths; false when they are no prefix code. A code may be incomplete only when it has one symbol or none.
func build(table []uint32, first uint, lengths []uint8, values []uint32) bool {
	var count [maxCode + 1]int
	for _, n := range lengths {
		count[n]++
	}
	count[0] = 0
	var next [maxCode + 2]uint32
	code, used := uint32(0), 0
	for n := 1; n <= maxCode; n++ {
		code = (code + uint32(count[n-1])) << 1
		next[n] = code
		used += count[n]
		if code+uint32(count[n]) > 1<<n {
			return false
		}
	}
	complete := next[maxCode]+uint32(count[maxCode]) == 1<<maxCode
	if !complete && used > 1 {
		return false
	}
	clear(table[:1<<first])
	end := 1 << first // of the tables so far
	for sym, n := range lengths {
		if n == 0 {
			continue
		}
		c := next[n]
		next[n]++
		if values[sym] == 0 { // 30 and 31 of the distances, 286 and 287 of the lengths: never used
			continue
		}
		rev := bits.Reverse32(c) >> (32 - n)
		if uint(n) <= first {
			e := values[sym] | uint32(n)
			for i := rev; i < 1<<first; i += 1 << n {
				table[i] = e
			}
			continue
		}
		head := &table[rev&(1<<first-1)]
		if *head == 0 { // a second table for all codes that begin so
			width := uint(maxCode) - first
			if end+1<<width > len(table) {
				return false
			}
			*head = uint32(end)<<16 | uint32(width)<<8 | entrySub | uint32(first)
			clear(table[end : end+1<<width])
			end += 1 << width
		}
		start, width := *head>>16, uint(*head>>8&31)
		e := values[sym] | uint32(n) - uint32(first)
		for i := rev >> first; i < 1<<width; i += 1 << (uint(n) - first) {
			table[start+i] = e
		}
	}
	return true
}

// window is the input with up to 63 bits of it in a word.
type window struct {
	src  []byte
	at   int
	word uint64
	n    uint
}

// fill brings the word to at least 56 bits, or to all that is left.
func (w *window) fill() {
	if w.at+8 <= len(w.src) {
		w.word |= binary.LittleEndian.Uint64(w.src[w.at:]) << w.n
		w.at += int((63 - w.n) >> 3)
		w.n |= 56
		return
	}
	for w.n <= 56 && w.at < len(w.src) {
		w.word |= uint64(w.src[w.at]) << w.n
		w.at++
		w.n += 8
	}
}

// take drops n bits and gives them; false when there are fewer.
func (w *window) take(n uint) (uint32, bool) {
	if w.n < n {
		w.fill()
	}
	if w.n < n {
		return 0, false
	}
	v := uint32(w.word & (1<<n - 1))
	w.word >>= n
	w.n -= n
	return v, true
}

// inflateInto decodes src, all of it, to exactly len(dst) bytes.
func (t *deflateTables) inflateInto(dst, src []byte) error {
	w := &window{src: src}
	o := 0
	for last := false; !last; {
		head, ok := w.take(3)
		if !ok {
			return errDeflate
		}
		last = head&1 != 0
		var err error
		switch head >> 1 {
		case 0:
			o, err = w.stored(dst, o)
		case 1:
			o, err = fixed.codes(w, dst, o)
		case 2:
			if err = t.readCodes(w); err == nil {
				o, err = t.codes(w, dst, o)
			}
		default:
			err = errDeflate
		}
		if err != nil {
			return err
		}
	}
	if o != len(dst) || w.at-int(w.n/8) != len(src) {
		return errDeflate
	}
	return nil
}

// stored copies a block that is not compressed (RFC 1951 §3.2.4).
func (w *window) stored(dst []byte, o int) (int, error) {
	w.at -= int(w.n / 8) // back to the byte after the bits
	w.word, w.n = 0, 0
	if w.at+4 > len(w.src) {
		return 0, errDeflate
	}
	n := int(binary.LittleEndian.Uint16(w.src[w.at:]))
	if n != int(^binary.LittleEndian.Uint16(w.src[w.at+2:])) {
		return 0, errDeflate
	}
	w.at += 4
	if n > len(w.src)-w.at || n > len(dst)-o {
		return 0, errDeflate
	}
	copy(dst[o:], w.src[w.at:w.at+n])
	w.at += n
	return o + n, nil
}

// readCodes reads the codes of a block (RFC 1951 §3.2.7).
func (t *deflateTables) readCodes(w *window) error {
	head, ok := w.take(14)
	if !ok {
		return errDeflate
	}
	lits, dists, codes := int(head&31)+257, int(head>>5&31)+1, int(head>>10)+4
	if lits > 286 || dists > 30 {
		return errDeflate
	}
	var lengths [19]uint8
	for i := range codes {
		v, ok := w.take(3)
		if !ok {
			return errDeflate
		}
		lengths[codeOrder[i]] = uint8(v)
	}
	var table [1 << 7]uint32
	var values [19]uint32
	for i := range values {
		values[i] = uint32(i)<<16 | entryLiteral
	}
	if !build(table[:], 7, lengths[:], values[:]) {
		return errDeflate
	}
	l := t.lengths[:lits+dists]
	for i := 0; i < len(l); {
		w.fill()
		e := table[w.word&127]
		n := uint(e & 0xff)
		if e == 0 || n > w.n {
			return errDeflate
		}
		w.word >>= n
		w.n -= n
		sym := e >> 16
		if sym < 16 {
			l[i] = uint8(sym)
			i++
			continue
		}
		v, run := uint8(0), 0
		var extra uint32
		switch sym {
		case 16:
			if i == 0 {
				return errDeflate
			}
			v = l[i-1]
			extra, ok = w.take(2)
			run = 3 + int(extra)
		case 17:
			extra, ok = w.take(3)
			run = 3 + int(extra)
		default:
			extra, ok = w.take(7)
			run = 11 + int(extra)
		}
		if !ok || run > len(l)-i {
			return errDeflate
		}
		for range run {
			l[i] = v
			i++
		}
	}
	if l[256] == 0 || !build(t.lit[:], litBits, l[:lits], litValue[:]) || !build(t.dist[:], distBits, l[lits:], distValue[:]) {
		return errDeflate
	}
	return nil
}

// codes decodes the symbols of a block from place o on.
func (t *deflateTables) codes(w *window, dst []byte, o int) (int, error) {
	src, at, word, n := w.src, w.at, w.word, w.n
	for {
		if at+8 <= len(src) { // as fill
			word |= binary.LittleEndian.Uint64(src[at:]) << n
			at += int((63 - n) >> 3)
			n |= 56
		} else {
			for n <= 56 && at < len(src) {
				word |= uint64(src[at]) << n
				at++
				n += 8
			}
		}
		e := t.lit[word&(1<<litBits-1)]
		for e&entryLiteral != 0 { // literals come in runs: up to three from one fill
			k := uint(e & 0xff)
			if k > n || o >= len(dst) {
				return 0, errDeflate
			}
			word >>= k
			n -= k
			dst[o] = byte(e >> 16)
			o++
			if n < 48 {
				break
			}
			e = t.lit[word&(1<<litBits-1)]
		}
		if e&entryLiteral != 0 {
			continue
		}
		if e&entrySub != 0 {
			word >>= litBits
			if n < litBits {
				return 0, errDeflate
			}
			n -= litBits
			e = t.lit[uint64(e>>16)+word&(1<<(e>>8&31)-1)]
		}
		k := uint(e & 0xff)
		if e == 0 || k > n {
			return 0, errDeflate
		}
		word >>= k
		n -= k
		if e&entryLiteral != 0 {
			if o >= len(dst) {
				return 0, errDeflate
			}
			dst[o] = byte(e >> 16)
			o++
			continue
		}
		if e&entryEnd != 0 {
			w.at, w.word, w.n = at, word, n
			return o, nil
		}
		extra := uint(e >> 8 & 31)
		length := int(e>>16) + int(word&(1<<extra-1))
		word >>= extra
		d := t.dist[word>>0&(1<<distBits-1)]
		drop := extra
		if n < drop {
			return 0, errDeflate
		}
		n -= drop
		if d&entrySub != 0 {
			if n < distBits {
				return 0, errDeflate
			}
			word >>= distBits
			n -= distBits
			d = t.dist[uint64(d>>16)+word&(1<<(d>>8&31)-1)]
		}
		k, extra = uint(d&0xff), uint(d>>8&31)
		if d == 0 || k+extra > n {
			return 0, errDeflate
		}
		word >>= k
		from := o - int(d>>16) - int(word&(1<<extra-1))
		word >>= extra
		n -= k + extra
		if from < 0 || length > len(dst)-o {
			return 0, errDeflate
		}
		if o-from >= length {
			copy(dst[o:o+length], dst[from:])
			o += length
			continue
		}
		for end := o + length; o < end; o++ { // the copy reads what it writes
			dst[o] = dst[from]
			from++
		}
	}
}
