package dicom

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// repertoire is one character set that an escape sequence may designate (PS3.3 tables C.12-2 to C.12-4).
type repertoire struct {
	g0, g1 string            // escape sequences after ESC that designate it; "" = cannot
	enc    encoding.Encoding // decodes bytes as they stand in the 8-bit form; nil = ASCII
	multi  bool              // two bytes a character
	lead   string            // put before each character for enc (the third EUC-JP set)
}

var (
	ascii  = &repertoire{g0: "(B"}
	romaji = &repertoire{g0: "(J"} // JIS X 0201 romaji: DICOM keeps backslash as separator and tilde
	kana   = &repertoire{g1: ")I", enc: japanese.ShiftJIS}
	jis208 = &repertoire{g0: "$B", enc: japanese.EUCJP, multi: true}
	jis212 = &repertoire{g0: "$(D", enc: japanese.EUCJP, multi: true, lead: "\x8f"}
	ksx    = &repertoire{g1: "$)C", enc: korean.EUCKR, multi: true}
	gb2312 = &repertoire{g1: "$)A", enc: simplifiedchinese.GBK, multi: true}

	single = map[string]*repertoire{ // by the number of the defined term
		"100": {g1: "-A", enc: charmap.ISO8859_1}, "101": {g1: "-B", enc: charmap.ISO8859_2}, "109": {g1: "-C", enc: charmap.ISO8859_3},
		"110": {g1: "-D", enc: charmap.ISO8859_4}, "144": {g1: "-L", enc: charmap.ISO8859_5}, "127": {g1: "-G", enc: charmap.ISO8859_6},
		"126": {g1: "-F", enc: charmap.ISO8859_7}, "138": {g1: "-H", enc: charmap.ISO8859_8}, "148": {g1: "-M", enc: charmap.ISO8859_9},
		"203": {g1: "-b", enc: charmap.ISO8859_15}, "166": {g1: "-T", enc: charmap.Windows874}, "13": kana,
	}
	all = func() []*repertoire {
		out := []*repertoire{ascii, romaji, jis208, jis212, ksx, gb2312}
		for _, r := range single {
			out = append(out, r)
		}
		return out
	}()
)

// Charset decodes the text of a data set according to its Specific Character Set (0008,0005).
type Charset struct {
	whole   encoding.Encoding // one encoding for the whole value without escapes: UTF-8 (nil with utf8), GB18030, GBK
	utf8    bool
	g0, g1  *repertoire // of the first value
	escapes bool        // further values allow ISO 2022 escapes
}

// NewCharset reads the values of (0008,0005). What it does not know is an error, and the returned set decodes as Latin-1.
func NewCharset(terms []string) (*Charset, error) {
	c := &Charset{g0: ascii}
	var unknown error
	for i, term := range terms {
		t := strings.ToUpper(strings.TrimSpace(term))
		t = strings.NewReplacer("ISO-IR", "ISO_IR", "ISO 2022-IR", "ISO 2022 IR", "ISO_2022_IR", "ISO 2022 IR").Replace(t)
		switch t {
		case "ISO_IR 192":
			return &Charset{utf8: true}, nil
		case "GB18030":
			return &Charset{whole: simplifiedchinese.GB18030}, nil
		case "GBK":
			return &Charset{whole: simplifiedchinese.GBK}, nil
		}
		num, iso2022 := strings.CutPrefix(t, "ISO 2022 IR ")
		if !iso2022 {
			num, _ = strings.CutPrefix(t, "ISO_IR ")
		}
		if iso2022 || len(terms) > 1 {
			c.escapes = true
		}
		switch num {
		case "", "6":
		case "87", "159", "149", "58": // multi-byte sets are reached by escapes only
			c.escapes = true
			if i == 0 && num == "149" {
				c.g1 = ksx
			} else if i == 0 && num == "58" {
				c.g1 = gb2312
			}
		default:
			r := single[num]
			if r == nil {
				unknown = fmt.Errorf("dicom: specific character set %q is not known", term)
				r = single["100"]
			}
			if i == 0 {
				c.g1 = r
				if num == "13" {
					c.g0 = romaji
				}
			}
		}
	}
	return c, unknown
}

// Decode turns the bytes of a value into a string, separators kept. A nil Charset is the default repertoire, read as Latin-1 where it
// breaks its own rule, for old files say Latin-1 and nothing else so often. Bytes that have no meaning become U+FFFD.
func (c *Charset) Decode(b []byte, v VR) string {
	switch {
	case c == nil:
		if bytes.IndexByte(b, 0x1b) < 0 {
			return latin(b)
		}
		c = &Charset{g0: ascii, escapes: true}
	case c.utf8:
		return strings.ToValidUTF8(string(b), "\uFFFD")
	case c.whole != nil:
		return decodeWith(c.whole, b)
	}
	high := false
	for _, x := range b {
		if x >= 0x80 || x == 0x1b {
			high = true
			break
		}
	}
	if !high {
		return string(b)
	}
	return c.decode2022(b, v)
}

func decodeWith(e encoding.Encoding, b []byte) string {
	out, err := e.NewDecoder().Bytes(b)
	if err != nil {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return string(out)
}

// decode2022 follows escape sequences; every delimiter of PS3.5 §6.1.2.5.3 switches back to the first value's sets.
func (c *Charset) decode2022(b []byte, v VR) string {
	var out strings.Builder
	out.Grow(len(b) + len(b)/2)
	g0, g1 := c.g0, c.g1
	for i := 0; i < len(b); {
		x := b[i]
		if x == 0x1b {
			if r, in1, n := designated(b[i+1:]); r != nil {
				if in1 {
					g1 = r
				} else {
					g0 = r
				}
				i += 1 + n
				continue
			}
			out.WriteRune(utf8.RuneError)
			i++
			continue
		}
		if x < 0x80 {
			if g0.multi && x > 0x20 && x != 0x7f && i+1 < len(b) {
				out.WriteString(decodeWith(g0.enc, append([]byte(g0.lead), x|0x80, b[i+1]|0x80)))
				i += 2
				continue
			}
			if delimiter(x, v) {
				g0, g1 = c.g0, c.g1
			}
			out.WriteByte(x)
			i++
			continue
		}
		switch {
		case g1 == nil:
			out.WriteRune(rune(x))
			i++
		case g1.multi && i+1 < len(b):
			out.WriteString(decodeWith(g1.enc, b[i:i+2]))
			i += 2
		default:
			out.WriteString(decodeWith(g1.enc, b[i:i+1]))
			i++
		}
	}
	return out.String()
}

func designated(b []byte) (r *repertoire, g1 bool, n int) {
	for _, r := range all {
		if r.g0 != "" && bytes.HasPrefix(b, []byte(r.g0)) {
			return r, false, len(r.g0)
		}
		if r.g1 != "" && bytes.HasPrefix(b, []byte(r.g1)) {
			return r, true, len(r.g1)
		}
	}
	return nil, false, 0
}

func delimiter(x byte, v VR) bool {
	switch x {
	case '\n', '\f', '\r', '\t':
		return true
	case '\\':
		return !v.single()
	case '^', '=':
		return v == PN
	}
	return false
}

// Encode turns a string into bytes of the set: UTF-8, GB18030 and one-byte sets; what the set cannot say becomes '?'.
func (c *Charset) Encode(s string) []byte {
	if c != nil && c.utf8 {
		return []byte(s)
	}
	enc := encoding.Encoding(charmap.ISO8859_1)
	switch {
	case c != nil && c.whole != nil:
		enc = c.whole
	case c != nil && c.g1 != nil && !c.g1.multi:
		enc = c.g1.enc
	}
	isASCII := true
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			isASCII = false
			break
		}
	}
	if isASCII {
		return []byte(s)
	}
	out, err := encoding.ReplaceUnsupported(enc.NewEncoder()).Bytes([]byte(s))
	if err != nil {
		return []byte(strings.Repeat("?", utf8.RuneCountInString(s)))
	}
	return bytes.ReplaceAll(out, []byte{0x1a}, []byte{'?'})
}

// Says reports whether every character of s can be encoded in the set.
func (c *Charset) Says(s string) bool {
	return c != nil && c.utf8 || c.Decode(c.Encode(s), LT) == s
}
