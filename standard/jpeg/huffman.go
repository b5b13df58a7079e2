package jpeg

import "errors"

// huffman decodes codes of up to 16 bits: the first eight by table, the rest by length (annex F.2.2.3).
type huffman struct {
	fast    [256]uint16 // length << 8 | value, 0 = longer
	maxCode [18]int32
	delta   [17]int32 // values index = code + delta
	values  []byte
}

// newHuffman reads counts and values, and returns how many bytes they took.
func newHuffman(s []byte) (*huffman, int, error) {
	bad := errors.New("jpeg: Huffman table broken")
	total := 0
	for _, n := range s[:16] {
		total += int(n)
	}
	if total > 256 || len(s) < 16+total {
		return nil, 0, bad
	}
	h := &huffman{values: s[16 : 16+total]}
	code, k := int32(0), int32(0)
	for length := 1; length <= 16; length++ {
		h.delta[length] = k - code
		for range int(s[length-1]) {
			if code >= 1<<length {
				return nil, 0, bad
			}
			if length <= 8 {
				first := code << (8 - length)
				for i := range int32(1) << (8 - length) {
					h.fast[first+i] = uint16(length)<<8 | uint16(h.values[k])
				}
			}
			code++
			k++
		}
		h.maxCode[length] = code
		if s[length-1] == 0 {
			h.maxCode[length] = -1
		}
		code <<= 1
	}
	return h, 16 + total, nil
}

// bitReader reads the bits of coded data, without stuffed bytes, up to the next marker.
type bitReader struct {
	b    []byte
	at   int
	acc  uint64
	n    uint
	fake uint // bits that were made up behind the end
}

func (r *bitReader) fill() {
	for r.n <= 48 {
		c := uint64(0)
		if r.at < len(r.b) && (r.b[r.at] != 0xFF || r.at+1 < len(r.b) && r.b[r.at+1] == 0) {
			c = uint64(r.b[r.at])
			if c == 0xFF {
				r.at++
			}
			r.at++
		} else {
			r.fake += 8
		}
		r.acc = r.acc<<8 | c
		r.n += 8
	}
}

// over reports whether bits were used that are not in the data.
func (r *bitReader) over() bool { return r.fake > r.n }

func (r *bitReader) symbol(h *huffman) (byte, error) {
	if r.n < 16 {
		r.fill()
	}
	if f := h.fast[byte(r.acc>>(r.n-8))]; f != 0 {
		r.n -= uint(f >> 8)
		return byte(f), nil
	}
	peek := int32(r.acc>>(r.n-16)) & 0xFFFF
	for length := 9; length <= 16; length++ {
		if code := peek >> (16 - length); code < h.maxCode[length] {
			i := code + h.delta[length]
			if i < 0 || int(i) >= len(h.values) {
				break
			}
			r.n -= uint(length)
			return h.values[i], nil
		}
	}
	if r.over() || r.fake > 0 {
		return 0, errCut
	}
	return 0, errors.New("jpeg: a code that the Huffman table does not have")
}

// receive reads s bits and extends their sign (F.2.2.1).
func (r *bitReader) receive(s uint) int {
	if s == 0 {
		return 0
	}
	if r.n < s {
		r.fill()
	}
	r.n -= s
	v := int(r.acc>>r.n) & (1<<s - 1)
	if v < 1<<(s-1) {
		v += -1<<s + 1
	}
	return v
}

// marker skips to the restart marker that must come now.
func (r *bitReader) marker() error {
	r.acc, r.n, r.fake = 0, 0, 0
	for r.at+1 < len(r.b) && !(r.b[r.at] == 0xFF && r.b[r.at+1] != 0 && r.b[r.at+1] != 0xFF) {
		r.at++
	}
	if r.at+1 >= len(r.b) || r.b[r.at+1] < 0xD0 || r.b[r.at+1] > 0xD7 {
		return errCut
	}
	r.at += 2
	return nil
}

// end is where the coded data ends: at the next marker that is not a restart.
func (r *bitReader) end() int {
	at := r.at
	for at+1 < len(r.b) && !(r.b[at] == 0xFF && r.b[at+1] != 0 && r.b[at+1] != 0xFF && (r.b[at+1] < 0xD0 || r.b[at+1] > 0xD7)) {
		at++
	}
	return at
}
