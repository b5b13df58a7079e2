package tagger

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// bits is the width of feature hashes: features that collide share a weight.
const bits = 22

// fnv is 64-bit FNV-1a, folded to the table's width at the end.
type fnv uint64

const offset64, prime64 fnv = 14695981039346656037, 1099511628211

func (h fnv) text(s string) fnv {
	for i := 0; i < len(s); i++ {
		h = (h ^ fnv(s[i])) * prime64
	}
	return h
}

func (h fnv) mark(b byte) fnv { return (h ^ fnv(b)) * prime64 }

func (h fnv) fold() uint32 {
	h ^= h >> 32
	h *= 0x9e3779b97f4a7c15
	return uint32(h >> (64 - bits))
}

// word is what features see of a token.
type word struct {
	lower string // digits as 0
	shape string // "Xx", "X", "x0", runs collapsed
}

func see(token string) word {
	var lower, shape strings.Builder
	last := byte(0)
	for _, r := range token {
		c := byte('.')
		switch {
		case unicode.IsUpper(r):
			c = 'X'
		case unicode.IsLower(r):
			c = 'x'
		case unicode.IsDigit(r):
			c, r = '0', '0'
		}
		if c != last {
			shape.WriteByte(c)
			last = c
		}
		lower.WriteRune(unicode.ToLower(r))
	}
	return word{lower.String(), shape.String()}
}

func prefix(s string, n int) (string, bool) {
	i := 0
	for ; n > 0 && i < len(s); n-- {
		_, w := utf8.DecodeRuneInString(s[i:])
		i += w
	}
	return s[:i], n == 0 && i < len(s)
}

func suffix(s string, n int) (string, bool) {
	i := len(s)
	for ; n > 0 && i > 0; n-- {
		_, w := utf8.DecodeLastRuneInString(s[:i])
		i -= w
	}
	return s[i:], n == 0 && i > 0
}

// features appends the hashed features of token i.
func features(out []uint32, ws []word, i int) []uint32 {
	at := func(j int) word {
		if j < 0 || j >= len(ws) {
			return word{"", ""}
		}
		return ws[j]
	}
	add := func(kind byte, parts ...string) {
		h := offset64.mark(kind)
		for _, p := range parts {
			h = h.text(p).mark(0)
		}
		out = append(out, h.fold())
	}
	w, p1, n1 := at(i), at(i-1), at(i+1)
	add('b')
	add('w', w.lower)
	add('s', w.shape)
	for n := 1; n <= 5; n++ {
		if s, ok := prefix(w.lower, n); ok {
			add('p'+byte(n)<<4, s)
		}
		if s, ok := suffix(w.lower, n); ok {
			add('q'+byte(n)<<4, s)
		}
	}
	p2, n2 := at(i-2), at(i+2)
	add('1', p1.lower)
	add('2', n1.lower)
	add('3', p2.lower)
	add('4', n2.lower)
	add('5', p1.lower, w.lower)
	add('6', w.lower, n1.lower)
	add('7', p1.shape, w.shape)
	add('8', w.shape, n1.shape)
	add('9', p1.lower, n1.lower)
	add('a', p2.lower, p1.lower)
	add('c', n1.lower, n2.lower)
	if s, ok := suffix(p1.lower, 3); ok {
		add('d', s, w.shape)
	}
	if s, ok := suffix(n1.lower, 3); ok {
		add('e', s)
	}
	add('f', p1.shape, w.shape, n1.shape)
	return out
}
