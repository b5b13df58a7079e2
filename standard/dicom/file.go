package dicom

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"strings"
)

// Limits bound what a file may cost. Zero fields take the defaults.
type Limits struct {
	Depth    int   // sequences within sequences; 32
	Elements int   // elements and items in all; 2,000,000. One data set or item has at most maxElements of them
	Inline   int64 // longest value that is read from a source that is not memory; 1 MiB. Longer ones become Spans
	Inflated int64 // size of a deflated data set, and of a big endian file, which are held in memory; 1 GiB, and of a small file less: see expansion
}

const (
	// maxElements bounds one data set: the registry has some five thousand elements, and each comes once (PS3.5 §7.1).
	maxElements = 1 << 16
	// A deflated data set may be freeInflated long whatever its size in the file, and expansion times as long as that beyond.
	freeInflated = 128 << 20
	expansion    = 100
)

func (l Limits) withDefaults() Limits {
	if l.Depth == 0 {
		l.Depth = 32
	}
	if l.Elements == 0 {
		l.Elements = 2_000_000
	}
	if l.Inline == 0 {
		l.Inline = 1 << 20
	}
	if l.Inflated == 0 {
		l.Inflated = 1 << 30
	}
	return l
}

// Error is a file that cannot be read: where and why.
type Error struct {
	Offset int64 // in the file, or in the inflated data set when Inflated
	Tag    Tag   // the element being read, 0 = none yet
	Reason string
	Inflated,
	Truncated bool // the file ends before what it announced
}

func (e *Error) Error() string {
	where := "dicom: at "
	if e.Inflated {
		where = "dicom: inflated, at "
	}
	if e.Tag != 0 {
		return fmt.Sprintf("%s%d, element %v: %s", where, e.Offset, e.Tag, e.Reason)
	}
	return fmt.Sprintf("%s%d: %s", where, e.Offset, e.Reason)
}

// File is a parsed DICOM file. It refers to its source: the source must stay readable and unchanged.
type File struct {
	Meta    *Dataset // group 0002
	Dataset *Dataset
	// TransferSyntax is the one that the meta information names, "" when it names none: the layout was then guessed.
	TransferSyntax string
	HasPreamble    bool // "DICM" stood at 128
	src            source
}

// Bytes returns the value of an element, loading it when it was left in the source.
func (f *File) Bytes(e *Element) ([]byte, error) {
	if e.Span.Length == 0 {
		return e.Value, nil
	}
	return f.src.bytes(e.Span.Offset, e.Span.Length)
}

// Reader streams the value of an element.
func (f *File) Reader(e *Element) io.Reader {
	if e.Span.Length == 0 {
		return bytes.NewReader(e.Value)
	}
	return f.src.section(e.Span)
}

// source is what a file is read from.
type source interface {
	size() int64
	bytes(off, n int64) ([]byte, error) // may alias the source
	section(s Span) io.Reader
}

type memory []byte

func (m memory) size() int64                        { return int64(len(m)) }
func (m memory) bytes(off, n int64) ([]byte, error) { return m[off : off+n : off+n], nil }
func (m memory) section(s Span) io.Reader           { return bytes.NewReader(m[s.Offset : s.Offset+s.Length]) }

// window reads a ReaderAt with a buffer for the small steps of parsing.
type window struct {
	r     io.ReaderAt
	total int64
	buf   []byte
	at    int64
}

func (w *window) size() int64 { return w.total }

func (w *window) bytes(off, n int64) ([]byte, error) {
	out := make([]byte, n)
	if off >= w.at && off+n <= w.at+int64(len(w.buf)) {
		copy(out, w.buf[off-w.at:])
		return out, nil
	}
	if n >= 32<<10 {
		_, err := io.ReadFull(io.NewSectionReader(w.r, off, n), out)
		return out, err
	}
	fill := min(int64(64<<10), w.total-off)
	if int64(cap(w.buf)) < fill {
		w.buf = make([]byte, fill)
	}
	w.buf = w.buf[:fill]
	if _, err := io.ReadFull(io.NewSectionReader(w.r, off, fill), w.buf); err != nil {
		w.buf = w.buf[:0]
		return nil, err
	}
	w.at = off
	copy(out, w.buf)
	return out, nil
}

func (w *window) section(s Span) io.Reader { return io.NewSectionReader(w.r, s.Offset, s.Length) }

// Parse reads a file whose bytes are in memory; values alias b.
func Parse(b []byte, l Limits) (*File, error) { return parse(memory(b), l) }

// ParseAt reads a file from a source that seeks. Pixel data and other long values stay there.
func ParseAt(r io.ReaderAt, size int64, l Limits) (*File, error) {
	return parse(&window{r: r, total: size}, l)
}

// ParseDataset reads a bare data set in the given transfer syntax, such as DIMSE carries.
func ParseDataset(b []byte, syntax string, l Limits) (*File, error) {
	f := &File{src: memory(b), Meta: &Dataset{}, TransferSyntax: syntax}
	if err := f.parseBody(0, layoutOf(syntax), l.withDefaults()); err != nil {
		return nil, err
	}
	return f, nil
}

func parse(src source, l Limits) (*File, error) {
	l = l.withDefaults()
	f := &File{src: src, Meta: &Dataset{}}
	at := int64(0)
	if src.size() >= 132 {
		if b, err := src.bytes(128, 4); err != nil {
			return nil, &Error{Offset: 128, Reason: "cannot be read: " + err.Error()}
		} else if string(b) == "DICM" {
			f.HasPreamble = true
			at = 132
		}
	}
	if !f.HasPreamble && !plausible(src) {
		return nil, &Error{Offset: 0, Reason: "not a DICOM file: no DICM prefix at 128 and no data element at 0"}
	}
	p := &parser{src: src, lim: l, limit: src.size()}
	body, err := p.meta(at, f.Meta)
	if err != nil {
		return nil, err
	}
	f.TransferSyntax = strings.TrimRight(f.Meta.String(TagTransferSyntaxUID), " \x00")
	lay := layoutOf(f.TransferSyntax)
	if f.TransferSyntax == "" {
		lay = guess(src, body)
	}
	return f, f.parseBody(body, lay, l)
}

// parseBody reads the data set that starts at body; what must be transformed first is held in memory.
func (f *File) parseBody(body int64, lay layout, l Limits) error {
	inflated := f.TransferSyntax == DeflatedExplicitVRLittleEndian
	if inflated {
		deflated := f.src.size() - body
		open := func() io.Reader { return f.src.section(Span{body, deflated}) }
		b, err := inflate(open, min(l.Inflated, freeInflated+expansion*deflated))
		if err != nil {
			return &Error{Offset: body, Reason: err.Error()}
		}
		f.src, body = memory(b), 0
	}
	if _, inMemory := f.src.(memory); lay.big && !inMemory {
		if f.src.size() > l.Inflated {
			return &Error{Offset: body, Reason: fmt.Sprintf("a big endian file may have %d bytes, not %d", l.Inflated, f.src.size())}
		}
		b, err := f.src.bytes(0, f.src.size())
		if err != nil {
			return &Error{Offset: body, Reason: "cannot be read: " + err.Error()}
		}
		f.src = memory(b)
	}
	p := &parser{src: f.src, lim: l, layout: lay, inflated: inflated}
	d, err := p.dataset(body, f.src.size())
	if err != nil {
		return err
	}
	f.Dataset = d
	if lay.big {
		f.wideCells()
	}
	return nil
}

// wideCells finishes the byte order of big endian pixel cells wider than the words of OW, which writers turn as one number.
func (f *File) wideCells() {
	e := f.Dataset.Find(TagPixelData)
	bits, _ := f.Dataset.Int(TagBitsAllocated)
	if e == nil || e.VR != OW || e.Fragments != nil || bits != 32 && bits != 64 {
		return
	}
	e.Value = swapped(swapped(e.Value, 2), int(bits/8))
}

// inflate expands a deflated data set (PS3.5 A.5) up to a bound. It reads twice, so that one that is broken or too long takes no memory.
func inflate(open func() io.Reader, bound int64) ([]byte, error) {
	n, err := io.Copy(io.Discard, io.LimitReader(flate.NewReader(open()), bound+1))
	if err != nil {
		return nil, fmt.Errorf("the deflated data set is broken after %d bytes: %w", n, err)
	}
	if n > bound {
		return nil, fmt.Errorf("the deflated data set expands beyond %d bytes", bound)
	}
	out := make([]byte, n)
	if _, err := io.ReadFull(flate.NewReader(open()), out); err != nil {
		return nil, fmt.Errorf("the deflated data set cannot be read again: %w", err)
	}
	return out, nil
}

// plausible reports whether a file without preamble starts like a data set: an early group and a length that fits.
func plausible(src source) bool {
	if src.size() < 8 {
		return false
	}
	b, err := src.bytes(0, 8)
	if err != nil {
		return false
	}
	little := uint16(b[0]) | uint16(b[1])<<8
	big := uint16(b[0])<<8 | uint16(b[1])
	if (little == 2 || little == 8) && b[3] <= 0x20 {
		vr := VR(b[4])<<8 | VR(b[5])
		n := int64(b[4]) | int64(b[5])<<8 | int64(b[6])<<16 | int64(b[7])<<24
		return vr.known() || n <= src.size()-8
	}
	vr := VR(b[4])<<8 | VR(b[5])
	return (big == 2 || big == 8) && b[2] <= 0x20 && vr.known()
}

// guess tells the layout of a data set whose transfer syntax is not given, from its first element.
func guess(src source, at int64) layout {
	if at+8 > src.size() {
		return layout{implicit: true}
	}
	b, err := src.bytes(at, 8)
	if err != nil {
		return layout{implicit: true}
	}
	vr := VR(b[4])<<8 | VR(b[5])
	if !vr.known() {
		return layout{implicit: true}
	}
	return layout{big: b[0] == 0 && b[1] != 0}
}

// Fragment returns the bytes of a fragment of encapsulated pixel data.
func (f *File) Fragment(s Span) ([]byte, error) { return f.src.bytes(s.Offset, s.Length) }
