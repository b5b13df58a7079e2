package tape

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Kind of a JSON value.
type Kind uint8

const (
	Null Kind = iota
	True
	False
	Number
	String
	Array
	Object
)

// Node is one value. A container's children follow it directly: the first is at i+1, the next after child c at Nodes[c].Next.
type Node struct {
	Start, End       uint32 // value bytes; of a string with its quotes
	KeyStart, KeyEnd uint32 // name in the enclosing object without quotes; both 0 in arrays and at the root
	Next             int32  // index of the node after this one and all below it
	Kind             Kind
	Escaped          bool // the string holds escapes
	KeyEscaped       bool
}

// Limits bound a document.
type Limits struct {
	Bytes int // 0 = 64 MiB
	Depth int // 0 = 64
	Nodes int // 0 = 8 million
}

// Doc is a parsed document. The zero Doc is ready for Parse; parsing again reuses its memory.
type Doc struct {
	Src   []byte
	Nodes []Node

	pos, depth, maxDepth, maxNodes int
}

// Error says where a document is not JSON as this package takes it.
type Error struct {
	Offset int
	Line   int // from 1
	Msg    string
	Limit  bool // over a bound rather than malformed
}

func (e *Error) Error() string { return fmt.Sprintf("line %d, byte %d: %s", e.Line, e.Offset, e.Msg) }

// Parse reads src, which the Doc keeps.
func (d *Doc) Parse(src []byte, l Limits) error {
	if l.Bytes == 0 {
		l.Bytes = 64 << 20
	}
	if l.Depth == 0 {
		l.Depth = 64
	}
	if l.Nodes == 0 {
		l.Nodes = 8 << 20
	}
	d.Src, d.Nodes, d.pos, d.depth, d.maxDepth, d.maxNodes = src, d.Nodes[:0], 0, 0, l.Depth, l.Nodes
	if len(src) > l.Bytes || len(src) > 1<<31 {
		return &Error{Line: 1, Msg: fmt.Sprintf("the document has %d bytes, at most %d are taken", len(src), l.Bytes), Limit: true}
	}
	if !utf8.Valid(src) {
		return d.fail("the document is not UTF-8")
	}
	d.space()
	if err := d.value(0, 0, false); err != nil {
		return err
	}
	d.space()
	if d.pos != len(src) {
		return d.fail("unexpected text after the value")
	}
	return nil
}

func (d *Doc) fail(msg string) error {
	at := min(d.pos, len(d.Src))
	return &Error{Offset: at, Line: 1 + bytes.Count(d.Src[:at], []byte("\n")), Msg: msg}
}

func (d *Doc) space() {
	for d.pos < len(d.Src) {
		switch d.Src[d.pos] {
		case ' ', '\n', '\r', '\t':
			d.pos++
		default:
			return
		}
	}
}

func (d *Doc) value(k0, k1 uint32, kesc bool) error {
	if d.pos >= len(d.Src) {
		return d.fail("unexpected end")
	}
	if len(d.Nodes) >= d.maxNodes {
		return &Error{Offset: d.pos, Line: 1, Msg: fmt.Sprintf("more than %d values", d.maxNodes), Limit: true}
	}
	i := len(d.Nodes)
	n := Node{Start: uint32(d.pos), KeyStart: k0, KeyEnd: k1, KeyEscaped: kesc}
	var err error
	switch c := d.Src[d.pos]; {
	case c == '"':
		n.Kind = String
		n.Escaped, err = d.str()
	case c == '{' || c == '[':
		if d.depth++; d.depth > d.maxDepth {
			e := d.fail(fmt.Sprintf("nested deeper than %d", d.maxDepth)).(*Error)
			e.Limit = true
			return e
		}
		n.Kind = Array
		if c == '{' {
			n.Kind = Object
		}
		d.Nodes = append(d.Nodes, n)
		if c == '{' {
			err = d.object(i)
		} else {
			err = d.array()
		}
		d.depth--
		d.Nodes[i].End, d.Nodes[i].Next = uint32(d.pos), int32(len(d.Nodes))
		return err
	case c == '-' || c >= '0' && c <= '9':
		n.Kind = Number
		err = d.number()
	case c == 't':
		n.Kind, err = True, d.word("true")
	case c == 'f':
		n.Kind, err = False, d.word("false")
	case c == 'n':
		n.Kind, err = Null, d.word("null")
	default:
		return d.fail("a value is expected")
	}
	n.End, n.Next = uint32(d.pos), int32(i+1)
	d.Nodes = append(d.Nodes, n)
	return err
}

func (d *Doc) word(w string) error {
	if len(d.Src)-d.pos < len(w) || string(d.Src[d.pos:d.pos+len(w)]) != w {
		return d.fail("a value is expected")
	}
	d.pos += len(w)
	return nil
}

func (d *Doc) object(self int) error {
	d.pos++
	d.space()
	if d.peek() == '}' {
		d.pos++
		return nil
	}
	for {
		if d.peek() != '"' {
			return d.fail("a name in quotes is expected")
		}
		k0 := d.pos + 1
		esc, err := d.str()
		if err != nil {
			return err
		}
		k1 := d.pos - 1
		d.space()
		if d.peek() != ':' {
			return d.fail("a colon is expected")
		}
		d.pos++
		d.space()
		if err := d.value(uint32(k0), uint32(k1), esc); err != nil {
			return err
		}
		d.space()
		switch d.peek() {
		case ',':
			d.pos++
			d.space()
		case '}':
			d.pos++
			return d.unique(self)
		default:
			return d.fail("a comma or closing brace is expected")
		}
	}
}

func (d *Doc) array() error {
	d.pos++
	d.space()
	if d.peek() == ']' {
		d.pos++
		return nil
	}
	for {
		if err := d.value(0, 0, false); err != nil {
			return err
		}
		d.space()
		switch d.peek() {
		case ',':
			d.pos++
			d.space()
		case ']':
			d.pos++
			return nil
		default:
			return d.fail("a comma or closing bracket is expected")
		}
	}
}

// unique refuses an object that names a member twice: which of them counts is nobody's to guess.
func (d *Doc) unique(self int) error {
	first := self + 1
	count, escaped := 0, false
	for c := first; c < len(d.Nodes); c = int(d.Nodes[c].Next) {
		count++
		escaped = escaped || d.Nodes[c].KeyEscaped
	}
	if count > 12 || escaped {
		seen := make(map[string]bool, count)
		for c := first; c < len(d.Nodes); c = int(d.Nodes[c].Next) {
			k := d.Key(c)
			if seen[k] {
				return d.duplicate(c)
			}
			seen[k] = true
		}
		return nil
	}
	for c := first; c < len(d.Nodes); c = int(d.Nodes[c].Next) {
		n := &d.Nodes[c]
		size := n.KeyEnd - n.KeyStart
		for o := first; o < c; o = int(d.Nodes[o].Next) {
			m := &d.Nodes[o]
			if m.KeyEnd-m.KeyStart == size && string(d.Src[m.KeyStart:m.KeyEnd]) == string(d.Src[n.KeyStart:n.KeyEnd]) {
				return d.duplicate(c)
			}
		}
	}
	return nil
}

func (d *Doc) duplicate(c int) error {
	d.pos = int(d.Nodes[c].KeyStart)
	return d.fail("the object has this name twice")
}

func (d *Doc) peek() byte {
	if d.pos < len(d.Src) {
		return d.Src[d.pos]
	}
	return 0
}

// str passes a string; d.pos is at its opening quote.
func (d *Doc) str() (escaped bool, err error) {
	s := d.Src
	for i := d.pos + 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			d.pos = i + 1
			return escaped, nil
		case c < 0x20:
			d.pos = i
			return escaped, d.fail("a control character in a string")
		case c == '\\':
			escaped = true
			n, ok := escape(s[i:])
			if !ok {
				d.pos = i
				return escaped, d.fail("a bad escape in a string")
			}
			i += n - 1
		}
	}
	d.pos = len(s)
	return escaped, d.fail("a string without end")
}

// escape gives the length of the escape at the start of s; a surrogate pair is one.
func escape(s []byte) (int, bool) {
	if len(s) < 2 {
		return 0, false
	}
	switch s[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, true
	case 'u':
		r, ok := hex4(s)
		if !ok {
			return 0, false
		}
		if !utf16.IsSurrogate(r) {
			return 6, true
		}
		r2, ok := hex4(s[6:])
		if !ok || utf16.DecodeRune(r, r2) == utf8.RuneError {
			return 0, false
		}
		return 12, true
	}
	return 0, false
}

func hex4(s []byte) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	v, err := strconv.ParseUint(string(s[2:6]), 16, 16)
	return rune(v), err == nil
}

func (d *Doc) number() error {
	s, i := d.Src, d.pos
	digits := func() bool {
		from := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		return i > from
	}
	if s[i] == '-' {
		i++
	}
	zero := i < len(s) && s[i] == '0'
	from := i
	ok := digits() && (!zero || i == from+1)
	if ok && i < len(s) && s[i] == '.' {
		i++
		ok = digits()
	}
	if ok && i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		if i++; i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		ok = digits()
	}
	if !ok {
		return d.fail("a malformed number")
	}
	d.pos = i
	return nil
}
