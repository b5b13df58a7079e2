package dicom

import (
	"encoding/binary"
	"fmt"
	"math"
	"sort"
)

const undefined = math.MaxUint32

// parser walks the elements of one source.
type parser struct {
	src      source
	lim      Limits
	layout   layout
	count    int
	inflated bool
	limit    int64 // end of what may be read by meta
}

func (p *parser) fail(at int64, t Tag, format string, args ...any) *Error {
	return &Error{Offset: at, Tag: t, Reason: fmt.Sprintf(format, args...), Inflated: p.inflated}
}

func (p *parser) short(at int64, t Tag, format string, args ...any) *Error {
	e := p.fail(at, t, format, args...)
	e.Truncated = true
	return e
}

// header is the start of an element.
type header struct {
	tag    Tag
	vr     VR
	length uint32
	size   int64 // bytes of the header itself
}

// header reads an element's header at off, which must end before end (PS3.5 §7.1).
func (p *parser) header(off, end int64, lay layout, signed bool) (header, error) {
	if end-off < 8 {
		return header{}, p.short(off, 0, "the file ends within the header of an element")
	}
	b, err := p.src.bytes(off, 8)
	if err != nil {
		return header{}, p.fail(off, 0, "cannot be read: %v", err)
	}
	var order binary.ByteOrder = binary.LittleEndian
	if lay.big {
		order = binary.BigEndian
	}
	h := header{tag: Tag(order.Uint16(b))<<16 | Tag(order.Uint16(b[2:])), size: 8}
	if h.tag.Group() == 0xFFFE { // items and delimiters have no VR in any layout (PS3.5 §7.5)
		h.length = order.Uint32(b[4:])
		return h, nil
	}
	if lay.implicit {
		h.length = order.Uint32(b[4:])
		h.vr = vrOf(h.tag, signed)
		if h.length == undefined && h.vr == UN {
			h.vr = SQ
		}
		return h, nil
	}
	h.vr = VR(b[4])<<8 | VR(b[5])
	letters := b[4] >= 'A' && b[4] <= 'Z' && b[5] >= 'A' && b[5] <= 'Z'
	if !letters { // some writers leave the VR out of single elements: read those as implicit
		h.length = order.Uint32(b[4:])
		h.vr = vrOf(h.tag, signed)
		return h, nil
	}
	if !h.vr.long() {
		h.length = uint32(order.Uint16(b[6:]))
		if !h.vr.known() {
			h.vr = UN
		}
		return h, nil
	}
	if end-off < 12 {
		return header{}, p.short(off, h.tag, "the file ends within the header of an element")
	}
	if b, err = p.src.bytes(off+8, 4); err != nil {
		return header{}, p.fail(off, h.tag, "cannot be read: %v", err)
	}
	h.length, h.size = order.Uint32(b), 12
	return h, nil
}

// meta reads the file meta information, which is always explicit little endian (PS3.10 §7.1), and returns where it ends.
func (p *parser) meta(off int64, into *Dataset) (int64, error) {
	for off < p.limit {
		if p.limit-off < 8 {
			break
		}
		b, err := p.src.bytes(off, 2)
		if err != nil {
			return 0, p.fail(off, 0, "cannot be read: %v", err)
		}
		if b[0] != 2 || b[1] != 0 {
			break
		}
		h, err := p.header(off, p.limit, layout{}, false)
		if err != nil {
			return 0, err
		}
		if int64(h.length) > p.limit-off-h.size {
			return 0, p.short(off, h.tag, "its value of %d bytes ends after the file", h.length)
		}
		if int64(h.length) > 1<<20 {
			return 0, p.fail(off, h.tag, "%d bytes are too long for file meta information", h.length)
		}
		v, err := p.src.bytes(off+h.size, int64(h.length))
		if err != nil {
			return 0, p.fail(off, h.tag, "cannot be read: %v", err)
		}
		if p.count++; p.count > 1000 {
			return 0, p.fail(off, h.tag, "more than 1000 elements of file meta information")
		}
		into.Set(Element{Tag: h.tag, VR: h.vr, Value: v})
		off += h.size + int64(h.length)
	}
	return off, nil
}

// dataset reads the elements of the root.
func (p *parser) dataset(off, end int64) (*Dataset, error) {
	d := &Dataset{}
	_, err := p.elements(d, off, end, false, 0, p.layout)
	return d, err
}

// elements reads into d and returns where it stopped: end, or, when open, behind the delimiter of the item (PS3.5 §7.5.2).
func (p *parser) elements(d *Dataset, off, end int64, open bool, depth int, lay layout) (int64, error) {
	sorted, signed := true, false
	var last Tag
	for off < end {
		if depth == 0 && p.trailing(off, end, last) {
			off = end
			break
		}
		h, err := p.header(off, end, lay, signed)
		if err != nil {
			return 0, err
		}
		if p.count++; p.count > p.lim.Elements {
			return 0, p.fail(off, h.tag, "the file has more than %d elements", p.lim.Elements)
		}
		if len(d.Elements) >= maxElements {
			return 0, p.fail(off, h.tag, "the data set has more than %d elements", maxElements)
		}
		if h.tag.Group() == 0xFFFE {
			if open && h.tag == tagItemDelimiter {
				d.order(sorted)
				return off + h.size, nil
			}
			if h.tag == tagItemDelimiter || h.tag == tagSequenceDelimiter { // a stray delimiter: harmless
				off += h.size
				continue
			}
			return 0, p.fail(off, h.tag, "an item stands where a data element should")
		}
		e := Element{Tag: h.tag, VR: h.vr}
		next, err := p.value(d, &e, off, end, h, depth, lay)
		if err != nil {
			return 0, err
		}
		switch {
		case h.tag == TagSpecificCharacterSet:
			d.charset, _ = NewCharset(d.text(&e))
		case h.tag == TagPixelRepresentation && len(e.Value) >= 2:
			signed = e.Value[0] == 1
		}
		sorted = sorted && (h.tag > last || len(d.Elements) == 0)
		last = h.tag
		d.Elements = append(d.Elements, e)
		off = next
	}
	if open {
		return 0, p.short(off, last, "the file ends before the item of undefined length does")
	}
	d.order(sorted)
	return off, nil
}

// order puts elements that came out of order into it; of doubles the last one stays.
func (d *Dataset) order(sorted bool) {
	if sorted {
		return
	}
	sort.SliceStable(d.Elements, func(i, j int) bool { return d.Elements[i].Tag < d.Elements[j].Tag })
	out := d.Elements[:0]
	for i, e := range d.Elements {
		if i+1 < len(d.Elements) && d.Elements[i+1].Tag == e.Tag {
			continue
		}
		out = append(out, e)
	}
	d.Elements = out
}

// trailing reports whether only null bytes follow the data set: block padding of old media.
func (p *parser) trailing(off, end int64, last Tag) bool {
	if last == 0 || end-off > 1<<16 {
		return false
	}
	b, err := p.src.bytes(off, min(8, end-off))
	if err != nil {
		return false
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	if b, err = p.src.bytes(off, end-off); err != nil {
		return false
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// value reads what follows a header and returns where the next element starts.
func (p *parser) value(d *Dataset, e *Element, off, end int64, h header, depth int, lay layout) (int64, error) {
	at := off + h.size
	if h.length == undefined {
		switch {
		case h.tag == TagPixelData && h.vr != SQ:
			return p.fragments(e, at, end)
		case h.vr == SQ:
			return p.sequence(d, e, at, end, true, depth, lay)
		case h.vr == UN: // an implicit little endian sequence in disguise (PS3.5 §6.2.2)
			e.VR = SQ
			return p.sequence(d, e, at, end, true, depth, layout{implicit: true})
		}
		return 0, p.fail(off, h.tag, "a value of %v may not have an undefined length", h.vr)
	}
	n := int64(h.length)
	if n > end-at {
		what := "the enclosing item"
		if depth == 0 {
			what = "the file"
		}
		return 0, p.short(off, h.tag, "its value of %d bytes ends %d bytes after %s", n, n-(end-at), what)
	}
	if h.vr == SQ {
		_, err := p.sequence(d, e, at, at+n, false, depth, lay)
		return at + n, err
	}
	if h.vr == UN && !lay.implicit && !h.tag.Private() { // written by one who did not know the element; implicit little endian (PS3.5 §6.2.2)
		known := *e
		known.VR = vrOf(h.tag, false)
		if known.VR == SQ {
			if _, err := p.sequence(d, &known, at, at+n, false, depth, layout{implicit: true}); err == nil {
				*e = known
				return at + n, nil
			}
		} else if known.VR != UN {
			e.VR, lay = known.VR, layout{}
		}
	}
	if _, ok := p.src.(memory); !ok && n > p.lim.Inline {
		e.Span = Span{at, n}
		return at + n, nil
	}
	v, err := p.src.bytes(at, n)
	if err != nil {
		return 0, p.fail(off, h.tag, "cannot be read: %v", err)
	}
	if lay.big {
		v = swapped(v, h.vr.Word())
	}
	e.Value = v
	return at + n, nil
}

// sequence reads items (PS3.5 §7.5.2) up to end, or to the sequence delimiter when open.
func (p *parser) sequence(d *Dataset, e *Element, off, end int64, open bool, depth int, lay layout) (int64, error) {
	if depth >= p.lim.Depth {
		return 0, p.fail(off, e.Tag, "sequences are nested deeper than %d", p.lim.Depth)
	}
	for off < end {
		h, err := p.header(off, end, lay, false)
		if err != nil {
			return 0, err
		}
		if p.count++; p.count > p.lim.Elements {
			return 0, p.fail(off, e.Tag, "the file has more than %d elements", p.lim.Elements)
		}
		switch h.tag {
		case tagSequenceDelimiter:
			if open {
				return off + h.size, nil
			}
			off += h.size
			continue
		case tagItem:
		default:
			return 0, p.fail(off, e.Tag, "%v stands where an item of the sequence should", h.tag)
		}
		item := &Dataset{charset: d.charset}
		start := off + h.size
		if h.length == undefined {
			off, err = p.elements(item, start, end, true, depth+1, lay)
		} else {
			n := int64(h.length)
			if n > end-start {
				return 0, p.short(off, e.Tag, "an item of %d bytes ends %d bytes after its sequence", n, n-(end-start))
			}
			off = start + n
			_, err = p.elements(item, start, off, false, depth+1, lay)
		}
		if err != nil {
			return 0, err
		}
		e.Items = append(e.Items, item)
	}
	if open {
		return 0, p.short(off, e.Tag, "the file ends before the sequence of undefined length does")
	}
	return off, nil
}

// fragments records the items of encapsulated pixel data (PS3.5 A.4). Encapsulation is always little endian.
func (p *parser) fragments(e *Element, off, end int64) (int64, error) {
	e.Fragments = []Span{}
	for {
		h, err := p.header(off, end, layout{}, false)
		if err != nil {
			err.(*Error).Tag = e.Tag
			return 0, err
		}
		if p.count++; p.count > p.lim.Elements {
			return 0, p.fail(off, e.Tag, "the file has more than %d elements", p.lim.Elements)
		}
		if h.tag == tagSequenceDelimiter {
			return off + h.size, nil
		}
		if h.tag != tagItem || h.length == undefined {
			return 0, p.fail(off, e.Tag, "%v stands where a fragment should", h.tag)
		}
		at, n := off+h.size, int64(h.length)
		if n > end-at {
			return 0, p.short(off, e.Tag, "a fragment of %d bytes ends %d bytes after the file", n, n-(end-at))
		}
		e.Fragments = append(e.Fragments, Span{at, n})
		off = at + n
	}
}

// swapped copies a value with the bytes of every word turned round; what is left over at the end stays as it is.
func swapped(b []byte, word int) []byte {
	if word == 1 {
		return b
	}
	out := make([]byte, len(b))
	copy(out, b)
	for i := 0; i+word <= len(out); i += word {
		for a, z := i, i+word-1; a < z; a, z = a+1, z-1 {
			out[a], out[z] = out[z], out[a]
		}
	}
	return out
}
