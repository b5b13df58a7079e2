package text

import "unicode/utf8"

// Offsets maps byte offsets of one text to character offsets (Unicode code points; an ill-formed byte counts as one).
type Offsets struct {
	ascii bool
	at    []int32 // characters before every 64th byte
	s     string
}

const stride = 64

// NewOffsets prepares the map.
func NewOffsets(s string) *Offsets {
	o := &Offsets{s: s, ascii: true}
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			o.ascii = false
			break
		}
	}
	if o.ascii {
		return o
	}
	n := int32(0)
	for i := range s {
		for len(o.at)*stride <= i {
			o.at = append(o.at, n)
		}
		n++
	}
	return o
}

// Characters returns the number of characters before byte offset b, which must lie on a character boundary.
func (o *Offsets) Characters(b int) int {
	if o.ascii {
		return b
	}
	k := b / stride
	for k > 0 && (k >= len(o.at) || !utf8.RuneStart(o.s[k*stride])) {
		k-- // a character that lies across the mark was counted after it
	}
	from := k * stride
	n := 0
	if k < len(o.at) {
		n = int(o.at[k])
	}
	return n + utf8.RuneCountInString(o.s[from:b])
}
