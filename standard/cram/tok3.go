package cram

import (
	"bytes"
	"strconv"
)

// Token types of the name tokeniser (CRAMcodecs §5).
const (
	tokType = iota
	tokAlpha
	tokChar
	tokDigits0
	tokZeros
	tokDup
	tokDiff
	tokDigits
	tokDelta
	tokDelta0
	tokMatch
	tokNop
	tokEnd
	tokTypes
)

const maxTokens = 128

// tok3 unpacks read names, each ended by NUL: a name is tokens, most of them told by how they differ from an earlier name's.
func tok3(data []byte, size int) ([]byte, error) {
	c := &cursor{b: data}
	total, names, adaptive := int(c.uint32()), int(c.uint32()), c.byte()
	if c.err != nil || total != size || names > size {
		return nil, errCodec
	}
	t := &tokens{names: names}
	if err := t.read(c, adaptive != 0, size); err != nil {
		return nil, err
	}
	out := make([]byte, 0, size)
	for n := range names {
		var err error
		if out, err = t.name(out, n); err != nil {
			return nil, err
		}
		if out = append(out, 0); len(out) > size {
			return nil, errCodec
		}
	}
	return out, nil
}

// tokens are the streams of all token positions, and the tokens of the names so far.
type tokens struct {
	names   int
	streams [][tokTypes]*cursor
	done    [][][]byte // by name: tokens from position 1
	text    [][]byte   // by name
}

// read reads the streams (CRAMcodecs §5.3).
func (t *tokens) read(c *cursor, adaptive bool, size int) error {
	coder := rans
	if adaptive {
		coder = arith
	}
	left := 16*(size+t.names) + 1<<20 // no honest set of streams is larger
	for c.left() > 0 {
		head := c.byte()
		typ := int(head & 63)
		if typ >= tokTypes {
			return errCodec
		}
		if head&128 != 0 {
			if len(t.streams) >= maxTokens {
				return errCodec
			}
			t.streams = append(t.streams, [tokTypes]*cursor{})
			if typ != tokType { // the first name has this type here, all others match
				b := bytes.Repeat([]byte{tokMatch}, max(t.names, 1))
				b[0] = byte(typ)
				t.streams[len(t.streams)-1][tokType] = &cursor{b: b}
			}
		}
		if len(t.streams) == 0 {
			return errCodec
		}
		at := &t.streams[len(t.streams)-1][typ]
		if head&64 != 0 {
			pos, from := int(c.byte()), int(c.byte())
			if c.err != nil || pos >= len(t.streams) || from >= tokTypes || t.streams[pos][from] == nil {
				return errCodec
			}
			*at = &cursor{b: t.streams[pos][from].b}
			continue
		}
		packed := &cursor{b: c.take(c.uint7())}
		if c.err != nil {
			return errCodec
		}
		b, err := coder.unpack(packed, -1, 0)
		if err != nil {
			return err
		}
		if left -= len(b); left < 0 {
			return errCodec
		}
		*at = &cursor{b: b}
	}
	return nil
}

func (t *tokens) stream(pos, typ int) *cursor {
	if pos < len(t.streams) && t.streams[pos][typ] != nil {
		return t.streams[pos][typ]
	}
	return &cursor{}
}

// name appends name n (CRAMcodecs §5.4).
func (t *tokens) name(out []byte, n int) ([]byte, error) {
	head := t.stream(0, tokType)
	typ := int(head.byte())
	if head.err != nil || typ != tokDup && typ != tokDiff {
		return nil, errCodec
	}
	d := t.stream(0, typ)
	dist := int(d.uint32())
	if d.err != nil || dist > n || typ == tokDup && dist == 0 {
		return nil, errCodec
	}
	before := n - dist
	if typ == tokDup {
		t.done = append(t.done, t.done[before])
		t.text = append(t.text, t.text[before])
		return append(out, t.text[before]...), nil
	}
	var old [][]byte
	if dist > 0 {
		old = t.done[before]
	}
	from := len(out)
	var list [][]byte
	for pos := 1; ; pos++ {
		types := t.stream(pos, tokType)
		typ := int(types.byte())
		if types.err != nil || pos > maxTokens {
			return nil, errCodec
		}
		if typ == tokEnd {
			break
		}
		var past []byte
		if pos <= len(old) {
			past = old[pos-1]
		}
		tok, err := t.token(pos, typ, past)
		if err != nil {
			return nil, err
		}
		list = append(list, tok)
		out = append(out, tok...)
	}
	t.done = append(t.done, list)
	t.text = append(t.text, bytes.Clone(out[from:]))
	return out, nil
}

// token reads one token; past is the one of the earlier name at the same position.
func (t *tokens) token(pos, typ int, past []byte) ([]byte, error) {
	if typ >= tokTypes {
		return nil, errCodec
	}
	c := t.stream(pos, typ)
	var out []byte
	switch typ {
	case tokChar:
		out = []byte{c.byte()}
	case tokAlpha:
		i := bytes.IndexByte(c.b[c.at:], 0)
		if i < 0 {
			return nil, errCodec
		}
		out = c.take(i)
		c.byte()
	case tokDigits:
		out = strconv.AppendUint(nil, uint64(c.uint32()), 10)
	case tokDigits0:
		z := t.stream(pos, tokZeros)
		out = padded(c.uint32(), int(z.byte()))
		if z.err != nil {
			return nil, errCodec
		}
	case tokDelta, tokDelta0:
		v, err := strconv.ParseUint(string(past), 10, 32)
		if err != nil {
			return nil, errCodec
		}
		v += uint64(c.byte())
		if typ == tokDelta {
			out = strconv.AppendUint(nil, v, 10)
		} else {
			out = padded(uint32(v), len(past))
		}
	case tokMatch:
		return past, nil
	case tokNop:
		return nil, nil
	default:
		return nil, errCodec
	}
	if c.err != nil {
		return nil, errCodec
	}
	return out, nil
}

// padded is a number with zeros before it up to a width.
func padded(v uint32, width int) []byte {
	b := strconv.AppendUint(nil, uint64(v), 10)
	if n := width - len(b); n > 0 {
		b = append(bytes.Repeat([]byte{'0'}, n), b...)
	}
	return b
}
