package strictjson

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/galen-health/galen/platform/errs"
)

// Limits bound a document; zero fields take the defaults.
type Limits struct {
	Size   int // bytes; 0 = 1 MiB
	Depth  int // nested arrays and objects; 0 = 64
	Values int // all values together; 0 = 100,000
}

func (l Limits) or() Limits {
	if l.Size <= 0 {
		l.Size = 1 << 20
	}
	if l.Depth <= 0 {
		l.Depth = 64
	}
	if l.Values <= 0 {
		l.Values = 100_000
	}
	return l
}

type kind byte

const (
	null kind = iota
	boolean
	number
	text
	array
	object
)

func (k kind) String() string {
	return [...]string{"null", "a boolean", "a number", "a string", "an array", "an object"}[k]
}

// node is a parsed value; raw is its text in the document.
type node struct {
	kind    kind
	raw     []byte
	text    string // of a string
	items   []node // of an array, or the values of an object
	members []string
}

// Check reports whether data is one JSON value within the limits.
func Check(data []byte, lim Limits) error {
	_, err := parse(data, lim)
	return err
}

func parse(data []byte, lim Limits) (node, error) {
	lim = lim.or()
	if len(data) > lim.Size {
		return node{}, errs.New(errs.TooLarge, "the JSON document has %d bytes, the most is %d", len(data), lim.Size)
	}
	if !utf8.Valid(data) {
		return node{}, errs.New(errs.Invalid, "the JSON document is not valid UTF-8")
	}
	p := parser{data: data, lim: lim}
	n, err := p.value(0)
	if err != nil {
		return node{}, err
	}
	p.space()
	if p.pos != len(data) {
		return node{}, p.fail("data follow the JSON value")
	}
	return n, nil
}

type parser struct {
	data   []byte
	pos    int
	values int
	lim    Limits
}

func (p *parser) fail(format string, args ...any) error {
	return errs.New(errs.Invalid, "JSON at offset %d: %s", p.pos, fmt.Sprintf(format, args...))
}

func (p *parser) space() {
	for p.pos < len(p.data) {
		switch p.data[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

func (p *parser) peek() byte {
	if p.pos < len(p.data) {
		return p.data[p.pos]
	}
	return 0
}

func (p *parser) value(depth int) (n node, err error) {
	p.space()
	if p.values++; p.values > p.lim.Values {
		return n, errs.New(errs.TooLarge, "the JSON document has more than %d values", p.lim.Values)
	}
	start := p.pos
	switch c := p.peek(); {
	case c == '{' || c == '[':
		if depth >= p.lim.Depth {
			return n, errs.New(errs.TooLarge, "the JSON document nests deeper than %d", p.lim.Depth)
		}
		if c == '{' {
			n, err = p.object(depth)
		} else {
			n, err = p.array(depth)
		}
	case c == '"':
		n.kind = text
		n.text, err = p.string()
	case c == '-' || (c >= '0' && c <= '9'):
		n.kind = number
		err = p.number()
	default:
		n.kind, err = p.word()
	}
	n.raw = p.data[start:p.pos]
	return n, err
}

func (p *parser) word() (kind, error) {
	for w, k := range map[string]kind{"null": null, "true": boolean, "false": boolean} {
		if strings.HasPrefix(string(p.data[p.pos:min(len(p.data), p.pos+5)]), w) {
			p.pos += len(w)
			return k, nil
		}
	}
	return null, p.fail("want a value")
}

func (p *parser) digits() int {
	start := p.pos
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.pos++
	}
	return p.pos - start
}

// number follows RFC 8259 §6.
func (p *parser) number() error {
	if p.peek() == '-' {
		p.pos++
	}
	zero := p.peek() == '0'
	n := p.digits()
	if n == 0 || (zero && n > 1) {
		return p.fail("a number is malformed")
	}
	if p.peek() == '.' {
		p.pos++
		if p.digits() == 0 {
			return p.fail("a number is malformed")
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.pos++
		if c := p.peek(); c == '+' || c == '-' {
			p.pos++
		}
		if p.digits() == 0 {
			return p.fail("a number is malformed")
		}
	}
	return nil
}

// string checks escapes itself and leaves the decoding to encoding/json.
func (p *parser) string() (string, error) {
	start := p.pos
	plain := true
	for p.pos++; ; p.pos++ {
		if p.pos >= len(p.data) {
			return "", p.fail("a string does not end")
		}
		switch c := p.data[p.pos]; {
		case c == '"':
			p.pos++
			if plain {
				return string(p.data[start+1 : p.pos-1]), nil
			}
			var s string
			if err := json.Unmarshal(p.data[start:p.pos], &s); err != nil {
				return "", p.fail("a string is malformed")
			}
			return s, nil
		case c < 0x20:
			return "", p.fail("a control character stands in a string")
		case c == '\\':
			plain = false
			if p.pos++; p.pos == len(p.data) {
				return "", p.fail("a string does not end")
			}
			if p.data[p.pos] != 'u' {
				continue
			}
			r, ok := p.hex(p.pos + 1)
			if !ok {
				return "", p.fail("a \\u escape is malformed")
			}
			p.pos += 4
			if r >= 0xdc00 && r <= 0xdfff {
				return "", p.fail("a surrogate stands alone")
			}
			if r >= 0xd800 && r <= 0xdbff {
				low, ok := p.hex(p.pos + 3)
				if !ok || p.data[p.pos+1] != '\\' || p.data[p.pos+2] != 'u' || low < 0xdc00 || low > 0xdfff {
					return "", p.fail("a surrogate stands alone")
				}
				p.pos += 6
			}
		}
	}
}

// hex reads four hex digits at a position.
func (p *parser) hex(at int) (r rune, ok bool) {
	if at+4 > len(p.data) {
		return 0, false
	}
	for _, c := range p.data[at : at+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

func (p *parser) array(depth int) (n node, err error) {
	n.kind = array
	p.pos++
	for p.space(); p.peek() != ']'; p.space() {
		if len(n.items) > 0 {
			if p.peek() != ',' {
				return n, p.fail("want , or ] in an array")
			}
			p.pos++
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return n, err
		}
		n.items = append(n.items, v)
	}
	p.pos++
	return n, nil
}

func (p *parser) object(depth int) (n node, err error) {
	n.kind = object
	p.pos++
	seen := map[string]bool{}
	for p.space(); p.peek() != '}'; p.space() {
		if len(n.items) > 0 {
			if p.peek() != ',' {
				return n, p.fail("want , or } in an object")
			}
			p.pos++
			p.space()
		}
		if p.peek() != '"' {
			return n, p.fail("want a member name")
		}
		name, err := p.string()
		if err != nil {
			return n, err
		}
		if f := fold(name); seen[f] {
			return n, p.fail("a member name is repeated or differs from another only in case")
		} else {
			seen[f] = true
		}
		p.space()
		if p.peek() != ':' {
			return n, p.fail("want : after a member name")
		}
		p.pos++
		v, err := p.value(depth + 1)
		if err != nil {
			return n, err
		}
		n.members = append(n.members, name)
		n.items = append(n.items, v)
	}
	p.pos++
	return n, nil
}

// fold maps texts that strings.EqualFold calls equal to one text.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for x := unicode.SimpleFold(r); x != r; x = unicode.SimpleFold(x) {
			least = min(least, x)
		}
		return least
	}, s)
}
