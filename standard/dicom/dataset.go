package dicom

import (
	"encoding/binary"
	"math"
	"sort"
	"strconv"
	"strings"
)

// Element is one data element. Exactly one of Value, Items, Span, Fragments says what it holds; all are empty for an empty value.
type Element struct {
	Tag       Tag
	VR        VR
	Value     []byte     // little endian, as in the file otherwise (padding included)
	Items     []*Dataset // SQ
	Span      Span       // a value left in the source
	Fragments []Span     // encapsulated pixel data: the basic offset table, then the fragments
}

// Span is a place in the source of a file.
type Span struct{ Offset, Length int64 }

// Len is the length of the value in bytes, the sum of fragments when encapsulated.
func (e *Element) Len() int64 {
	n := int64(len(e.Value)) + e.Span.Length
	for _, f := range e.Fragments {
		n += f.Length
	}
	return n
}

// Dataset is elements in ascending order of their tags.
type Dataset struct {
	Elements []Element
	charset  *Charset // nil = the default repertoire
}

// Find returns the element, nil when absent.
func (d *Dataset) Find(t Tag) *Element {
	i := sort.Search(len(d.Elements), func(i int) bool { return d.Elements[i].Tag >= t })
	if i < len(d.Elements) && d.Elements[i].Tag == t {
		return &d.Elements[i]
	}
	return nil
}

// Has reports whether the element is there, empty or not.
func (d *Dataset) Has(t Tag) bool { return d.Find(t) != nil }

// Set puts an element in its place, over the one that was there.
func (d *Dataset) Set(e Element) {
	i := sort.Search(len(d.Elements), func(i int) bool { return d.Elements[i].Tag >= e.Tag })
	if i < len(d.Elements) && d.Elements[i].Tag == e.Tag {
		d.Elements[i] = e
		return
	}
	d.Elements = append(d.Elements, Element{})
	copy(d.Elements[i+1:], d.Elements[i:])
	d.Elements[i] = e
}

// Delete removes an element.
func (d *Dataset) Delete(t Tag) {
	i := sort.Search(len(d.Elements), func(i int) bool { return d.Elements[i].Tag >= t })
	if i < len(d.Elements) && d.Elements[i].Tag == t {
		d.Elements = append(d.Elements[:i], d.Elements[i+1:]...)
	}
}

// Charset is the character set that the data set's text is in.
func (d *Dataset) Charset() *Charset { return d.charset }

// Strings returns the decoded values of a text element, each without its padding; nil when absent or empty.
func (d *Dataset) Strings(t Tag) []string {
	if e := d.Find(t); e != nil {
		return d.text(e)
	}
	return nil
}

// String returns the first value.
func (d *Dataset) String(t Tag) string {
	if v := d.Strings(t); len(v) > 0 {
		return v[0]
	}
	return ""
}

// text decodes a text value: character set, separator, padding (PS3.5 §6.2).
func (d *Dataset) text(e *Element) []string {
	if len(e.Value) == 0 || !e.VR.Text() {
		return nil
	}
	var s string
	if e.VR.charsetApplies() {
		s = d.charset.Decode(e.Value, e.VR)
	} else {
		s = latin(e.Value)
	}
	if e.VR.single() {
		return []string{strings.TrimRight(s, " \x00")}
	}
	if strings.IndexByte(s, '\\') < 0 {
		if s = trim(s, e.VR); s == "" {
			return nil
		}
		return []string{s}
	}
	out := strings.Split(s, "\\")
	for i := range out {
		out[i] = trim(out[i], e.VR)
	}
	return out
}

// trim takes padding off: trailing spaces and nulls always, leading spaces where they carry no meaning.
func trim(s string, v VR) string {
	s = strings.TrimRight(s, " \x00")
	switch v {
	case UC, PN:
		return s
	}
	return strings.TrimLeft(s, " ")
}

// latin turns bytes that should be ASCII into a valid string: what is above becomes Latin-1.
func latin(b []byte) string {
	for i, c := range b {
		if c >= 0x80 {
			r := make([]rune, 0, len(b))
			for _, c := range b[:i] {
				r = append(r, rune(c))
			}
			for _, c := range b[i:] {
				r = append(r, rune(c))
			}
			return string(r)
		}
	}
	return string(b)
}

// Ints returns whole numbers of a binary or IS element; what is not a number is left out.
func (d *Dataset) Ints(t Tag) []int64 {
	e := d.Find(t)
	if e == nil {
		return nil
	}
	return d.ints(e)
}

func (d *Dataset) ints(e *Element) []int64 {
	if e.VR.Text() {
		var out []int64
		for _, s := range d.text(e) {
			if n, err := strconv.ParseInt(strings.TrimPrefix(strings.TrimSpace(s), "+"), 10, 64); err == nil {
				out = append(out, n)
			}
		}
		return out
	}
	n := e.VR.size()
	if n == 0 {
		return nil
	}
	out := make([]int64, 0, len(e.Value)/n)
	for v := e.Value; len(v) >= n; v = v[n:] {
		switch e.VR {
		case US:
			out = append(out, int64(binary.LittleEndian.Uint16(v)))
		case SS:
			out = append(out, int64(int16(binary.LittleEndian.Uint16(v))))
		case UL:
			out = append(out, int64(binary.LittleEndian.Uint32(v)))
		case SL:
			out = append(out, int64(int32(binary.LittleEndian.Uint32(v))))
		case SV, UV:
			out = append(out, int64(binary.LittleEndian.Uint64(v)))
		case AT:
			out = append(out, int64(binary.LittleEndian.Uint16(v))<<16|int64(binary.LittleEndian.Uint16(v[2:])))
		case FL:
			out = append(out, int64(math.Float32frombits(binary.LittleEndian.Uint32(v))))
		case FD:
			out = append(out, int64(math.Float64frombits(binary.LittleEndian.Uint64(v))))
		}
	}
	return out
}

// Int returns the first whole number.
func (d *Dataset) Int(t Tag) (int64, bool) {
	if v := d.Ints(t); len(v) > 0 {
		return v[0], true
	}
	return 0, false
}

// Items returns the items of a sequence.
func (d *Dataset) Items(t Tag) []*Dataset {
	if e := d.Find(t); e != nil {
		return e.Items
	}
	return nil
}

// SetStrings puts a text element, encoded in the data set's character set (UTF-8 text that it cannot say makes the caller's set
// UTF-8 first: see ToUTF8). The VR is the dictionary's; unknown tags need SetText.
func (d *Dataset) SetStrings(t Tag, values ...string) { d.SetText(t, vrOf(t, false), values...) }

// SetText is SetStrings with a VR.
func (d *Dataset) SetText(t Tag, v VR, values ...string) {
	s := strings.Join(values, "\\")
	b := []byte(s)
	if v.charsetApplies() {
		b = d.charset.Encode(s)
	}
	d.Set(Element{Tag: t, VR: v, Value: pad(b, v)})
}

// pad makes a value even: UI and bytes with null, text with a space (PS3.5 §6.2).
func pad(b []byte, v VR) []byte {
	if len(b)&1 == 0 {
		return b
	}
	if v == UI || !v.Text() {
		return append(b, 0)
	}
	return append(b, ' ')
}

// SetInts puts binary whole numbers.
func (d *Dataset) SetInts(t Tag, v VR, values ...int64) {
	var b []byte
	for _, n := range values {
		switch v {
		case US, SS:
			b = binary.LittleEndian.AppendUint16(b, uint16(n))
		case UL, SL:
			b = binary.LittleEndian.AppendUint32(b, uint32(n))
		case SV, UV:
			b = binary.LittleEndian.AppendUint64(b, uint64(n))
		case AT:
			b = binary.LittleEndian.AppendUint16(b, uint16(n>>16))
			b = binary.LittleEndian.AppendUint16(b, uint16(n))
		}
	}
	d.Set(Element{Tag: t, VR: v, Value: b})
}

// ToUTF8 re-encodes every text of the data set and its items into UTF-8 (ISO_IR 192).
func (d *Dataset) ToUTF8() {
	d.toUTF8()
	d.SetStrings(TagSpecificCharacterSet, "ISO_IR 192")
	d.charset, _ = NewCharset([]string{"ISO_IR 192"})
}

func (d *Dataset) toUTF8() {
	utf, _ := NewCharset([]string{"ISO_IR 192"})
	for i := range d.Elements {
		e := &d.Elements[i]
		switch {
		case e.VR == SQ:
			for _, it := range e.Items {
				it.toUTF8()
				it.Delete(TagSpecificCharacterSet)
			}
		case e.VR.charsetApplies() && len(e.Value) > 0:
			e.Value = pad([]byte(strings.TrimRight(d.charset.Decode(e.Value, e.VR), " \x00")), e.VR)
		}
	}
	d.charset = utf
}
