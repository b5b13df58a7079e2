package postgres

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
)

// veil hides index values from who reads the database and keeps what the database must compare: their order, their equality, and that one begins with
// another. Each byte becomes two, by a rising mapping of 256 bytes into 65,536 codes that is drawn anew, from the key, after every different beginning. What can
// still be learnt is in docs/formats/postgres.md.
//
// Two indexes have different mappings, so equal values of them do not look equal.
type veil struct {
	block  cipher.Block
	digest []byte // key of the digests of ids
}

const blockSize = aes.BlockSize

// newVeil derives the keys from a space's data key.
func newVeil(dataKey []byte) (*veil, error) {
	k, err := hkdf.Key(sha256.New, dataKey, nil, "galen record index values", 64)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(k[:32])
	clear(k[:32])
	if err != nil {
		return nil, err
	}
	return &veil{block: block, digest: k[32:]}, nil
}

// id is the digest that a record is looked up by.
func (v *veil) id(kind, id string) []byte {
	h := hmac.New(sha256.New, v.digest)
	h.Write([]byte(kind))
	h.Write([]byte{0})
	h.Write([]byte(id))
	return h.Sum(nil)[:16]
}

// A scope is one mapping: of the values of an index, or of the ends of its periods.
type scope struct {
	kind, index int16
	part        byte
}

// Parts of a scope.
const (
	ofValue = 0
	ofEnd   = 1
)

// walk is where an encoding stands: the state depends on everything before.
type walk struct {
	v                *veil
	state, in, drawn [blockSize]byte
}

func (v *veil) walk(s scope) *walk {
	w := &walk{v: v}
	binary.BigEndian.PutUint16(w.in[0:], uint16(s.kind))
	binary.BigEndian.PutUint16(w.in[2:], uint16(s.index))
	w.in[4] = s.part
	v.block.Encrypt(w.state[:], w.in[:])
	return w
}

// descend halves the 256 bytes eight times and splits the codes between the halves at random; left says which half to take, given where the right one begins.
// The random numbers are drawn three levels at a time: a block has 7 of them, for a node, its two halves and their four.
func (w *walk) descend(left func(symbols, middle uint32) bool) (b byte, code uint16) {
	low, width := uint32(0), uint32(1<<16)
	first, node, at := uint32(0), uint32(1), 0 // node of all, and place in the block
	random := func(n uint32) uint32 { return uint32(binary.BigEndian.Uint16(w.drawn[2*at:])) * n >> 16 }
	for symbols := uint32(128); ; symbols /= 2 {
		if at >= 7 || node == 1 {
			w.draw(node)
			at = 0
		}
		if symbols == 0 {
			return byte(first), uint16(low + random(width))
		}
		split := symbols + random(width-2*symbols+1) // each half has as many codes as bytes, at least
		if left(first+symbols, low+split) {
			width = split
			node, at = 2*node, 2*at+1
		} else {
			low, width = low+split, width-split
			first += symbols
			node, at = 2*node+1, 2*at+2
		}
	}
}

// draw fills the block of random numbers that depends on the state and on the node of the descent.
func (w *walk) draw(node uint32) {
	w.in = w.state
	w.in[0] ^= 1
	w.in[1] ^= byte(node >> 8)
	w.in[2] ^= byte(node)
	w.v.block.Encrypt(w.drawn[:], w.in[:])
}

// after moves the state on past a byte.
func (w *walk) after(b byte) {
	w.in = w.state
	w.in[15] ^= b
	w.in[0] ^= 2
	w.v.block.Encrypt(w.state[:], w.in[:])
}

// hide encodes a value.
func (v *veil) hide(s scope, plain string) []byte {
	out := make([]byte, 0, 2*len(plain))
	w := v.walk(s)
	for i := range len(plain) {
		b := plain[i]
		_, code := w.descend(func(middle, _ uint32) bool { return uint32(b) < middle })
		out = binary.BigEndian.AppendUint16(out, code)
		w.after(b)
	}
	return out
}

// show decodes what hide made; false when it was not made by it.
func (v *veil) show(s scope, hidden []byte) (string, bool) {
	if len(hidden)%2 != 0 {
		return "", false
	}
	out := make([]byte, 0, len(hidden)/2)
	w := v.walk(s)
	for ; len(hidden) > 0; hidden = hidden[2:] {
		code := uint32(binary.BigEndian.Uint16(hidden))
		b, made := w.descend(func(_, middle uint32) bool { return code < middle })
		if uint32(made) != code {
			return "", false
		}
		out = append(out, b)
		w.after(b)
	}
	return string(out), true
}

// beyond is the smallest value after all that begin with a prefix; nil when there is none.
func beyond(prefix []byte) []byte {
	out := bytes.Clone(prefix)
	for i := len(out) - 1; i >= 0; i-- {
		if out[i]++; out[i] != 0 {
			return out[:i+1]
		}
	}
	return nil
}
