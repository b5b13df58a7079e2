package dicom

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Image describes pixel data (PS3.3 C.7.6.3.1).
type Image struct {
	Rows, Columns, Samples             int
	BitsAllocated, BitsStored, HighBit int
	Signed                             bool // PixelRepresentation 1
	Planar                             bool // PlanarConfiguration 1: planes, not pixels, follow one another
	Photometric                        string
	Frames                             int
}

// FrameBytes is the size of one uncompressed frame; 1-bit frames are counted up to the next byte.
func (m Image) FrameBytes() int64 {
	if m.Subsampled() {
		return int64(m.Rows) * int64(m.Columns) * 2 * int64(m.BitsAllocated/8)
	}
	return (int64(m.Rows)*int64(m.Columns)*int64(m.Samples)*int64(m.BitsAllocated) + 7) / 8
}

// Subsampled reports whether uncompressed pixels share their chrominance two by two (PS3.3 C.7.6.3.1.2).
func (m Image) Subsampled() bool {
	return m.Samples == 3 && (m.Photometric == "YBR_FULL_422" || m.Photometric == "YBR_PARTIAL_422")
}

// Image reads the description. It is an error when the data set has pixel data and the description does not make sense.
func (d *Dataset) Image() (Image, error) {
	get := func(t Tag, def int64) int64 {
		if v, ok := d.Int(t); ok {
			return v
		}
		return def
	}
	m := Image{
		Rows: int(get(TagRows, 0)), Columns: int(get(TagColumns, 0)), Samples: int(get(TagSamplesPerPixel, 1)),
		BitsAllocated: int(get(TagBitsAllocated, 0)), Signed: get(TagPixelRepresentation, 0) == 1, Planar: get(TagPlanarConfiguration, 0) == 1,
		Photometric: strings.ToUpper(d.String(TagPhotometricInterpretation)),
	}
	if d.Has(TagFloatPixelData) && m.BitsAllocated == 0 {
		m.BitsAllocated = 32
	}
	if d.Has(TagDoubleFloatPixelData) && m.BitsAllocated == 0 {
		m.BitsAllocated = 64
	}
	m.BitsStored = int(get(TagBitsStored, int64(m.BitsAllocated)))
	m.HighBit = int(get(TagHighBit, int64(m.BitsStored-1)))
	frames := get(TagNumberOfFrames, 1)
	if frames == 0 {
		frames = 1
	}
	switch {
	case m.Rows <= 0 || m.Columns <= 0:
		return m, fmt.Errorf("dicom: the image has %d rows and %d columns", m.Rows, m.Columns)
	case m.BitsAllocated != 1 && (m.BitsAllocated%8 != 0 || m.BitsAllocated <= 0 || m.BitsAllocated > 64):
		return m, fmt.Errorf("dicom: BitsAllocated is %d", m.BitsAllocated)
	case m.BitsStored < 1 || m.BitsStored > m.BitsAllocated:
		return m, fmt.Errorf("dicom: BitsStored is %d of %d allocated", m.BitsStored, m.BitsAllocated)
	case m.Samples < 1 || m.Samples > 4:
		return m, fmt.Errorf("dicom: SamplesPerPixel is %d", m.Samples)
	case frames < 0 || frames > 1<<31-1:
		return m, fmt.Errorf("dicom: NumberOfFrames is %d", frames)
	}
	m.Frames = int(frames)
	return m, nil
}

// Frames gives the frames of a file as they are stored.
type Frames struct {
	Image
	Element *Element
	// OffsetTable tells of a basic or extended offset table that contradicts the fragments and was not used; nil when all is well.
	OffsetTable error
	file        *File
	spans       [][]Span // by frame, for encapsulated data
}

// Frames finds the pixel data and its frames; nil without error when the data set has no pixel data.
func (f *File) Frames() (*Frames, error) {
	d := f.Dataset
	e := d.Find(TagPixelData)
	for _, t := range []Tag{TagFloatPixelData, TagDoubleFloatPixelData} {
		if e == nil {
			e = d.Find(t)
		}
	}
	if e == nil || e.Len() == 0 {
		return nil, nil
	}
	m, err := d.Image()
	if err != nil {
		return nil, err
	}
	own := *e // the data set may change while frames are read
	e = &own
	fr := &Frames{Image: m, Element: e, file: f}
	if e.Fragments == nil {
		need := m.FrameBytes() * int64(m.Frames)
		if m.BitsAllocated == 1 {
			need = (int64(m.Rows)*int64(m.Columns)*int64(m.Samples)*int64(m.Frames) + 7) / 8
		}
		if m.FrameBytes() <= 0 || need/int64(m.Frames) > m.FrameBytes() || need > e.Len() {
			return nil, fmt.Errorf("dicom: pixel data has %d bytes; %d frames of %dx%d, %d samples of %d bits need %d",
				e.Len(), m.Frames, m.Columns, m.Rows, m.Samples, m.BitsAllocated, need)
		}
		return fr, nil
	}
	if len(e.Fragments) < 2 {
		return nil, fmt.Errorf("dicom: encapsulated pixel data without a fragment")
	}
	if m.Frames > len(e.Fragments)-1 {
		return nil, fmt.Errorf("dicom: %d frames in %d fragments", m.Frames, len(e.Fragments)-1)
	}
	fr.spans, err = fr.group()
	return fr, err
}

// group assigns fragments to frames (PS3.5 A.4): by the offset tables when they fit, else one to one, else by where code streams start.
func (fr *Frames) group() ([][]Span, error) {
	frags := fr.Element.Fragments[1:]
	if fr.Image.Frames == 1 {
		return [][]Span{frags}, nil
	}
	table, err := fr.offsets()
	if err == nil && table != nil {
		var out [][]Span
		if out, err = byOffsets(frags, table); err == nil {
			return out, nil
		}
	}
	fr.OffsetTable = err
	if len(frags) == fr.Image.Frames {
		out := make([][]Span, len(frags))
		for i := range frags {
			out[i] = frags[i : i+1]
		}
		return out, nil
	}
	var out [][]Span
	for i, s := range frags {
		if s.Length >= 2 {
			b, err := fr.file.src.bytes(s.Offset, 2)
			if err != nil {
				return nil, fmt.Errorf("dicom: pixel data: %w", err)
			}
			if b[0] == 0xFF && (b[1] == 0xD8 || b[1] == 0x4F) || i == 0 { // SOI of JPEG, SOC of JPEG 2000
				out = append(out, nil)
			}
		}
		if len(out) > 0 {
			out[len(out)-1] = append(out[len(out)-1], s)
		}
	}
	if len(out) != fr.Image.Frames {
		return nil, fmt.Errorf("dicom: %d fragments cannot be assigned to %d frames: no usable offset table, %d code streams", len(frags), fr.Image.Frames, len(out))
	}
	return out, nil
}

// offsets reads the extended offset table (PS3.3 C.7.6.3.1.8), else the basic one; nil when both are absent.
func (fr *Frames) offsets() ([]uint64, error) {
	var out []uint64
	if e := fr.file.Dataset.Find(TagExtendedOffsetTable); e != nil && e.Len() > 0 {
		b, err := fr.file.Bytes(e)
		if err != nil {
			return nil, err
		}
		for ; len(b) >= 8; b = b[8:] {
			out = append(out, binary.LittleEndian.Uint64(b))
		}
	} else if s := fr.Element.Fragments[0]; s.Length > 0 {
		b, err := fr.file.src.bytes(s.Offset, s.Length)
		if err != nil {
			return nil, err
		}
		for ; len(b) >= 4; b = b[4:] {
			out = append(out, uint64(binary.LittleEndian.Uint32(b)))
		}
	} else {
		return nil, nil
	}
	if len(out) != fr.Image.Frames {
		return nil, fmt.Errorf("dicom: the offset table has %d entries for %d frames", len(out), fr.Image.Frames)
	}
	return out, nil
}

// byOffsets cuts fragments at the offsets, which count from the header of the first fragment.
func byOffsets(frags []Span, table []uint64) ([][]Span, error) {
	base := frags[0].Offset - 8
	out := make([][]Span, 0, len(table))
	next := 0
	for _, s := range frags {
		at := uint64(s.Offset - 8 - base)
		if next < len(table) && at == table[next] {
			out = append(out, nil)
			next++
		}
		if len(out) == 0 {
			return nil, fmt.Errorf("dicom: the offset table does not start at the first fragment")
		}
		out[len(out)-1] = append(out[len(out)-1], s)
	}
	if next != len(table) {
		return nil, fmt.Errorf("dicom: offset %d of the table points to no fragment", table[next])
	}
	return out, nil
}

// Frame returns the stored bytes of frame i, from 0: the code stream, or the uncompressed pixels in little endian. 1-bit frames start at
// a byte. The result may alias the file.
func (fr *Frames) Frame(i int) ([]byte, error) {
	if i < 0 || i >= fr.Image.Frames {
		return nil, fmt.Errorf("dicom: frame %d of %d", i+1, fr.Image.Frames)
	}
	f := fr.file
	if fr.spans != nil {
		spans := fr.spans[i]
		if len(spans) == 1 {
			return f.src.bytes(spans[0].Offset, spans[0].Length)
		}
		var out []byte
		for _, s := range spans {
			b, err := f.src.bytes(s.Offset, s.Length)
			if err != nil {
				return nil, err
			}
			out = append(out, b...)
		}
		return out, nil
	}
	n := fr.FrameBytes()
	if fr.BitsAllocated == 1 {
		bits := int64(fr.Rows) * int64(fr.Columns) * int64(fr.Samples)
		from := bits * int64(i)
		b, err := fr.native(from/8, min((from+bits+7)/8, fr.Element.Len())-from/8)
		if err != nil {
			return nil, err
		}
		return CutBits(b, int(from%8), bits), nil
	}
	return fr.native(n*int64(i), n)
}

func (fr *Frames) native(off, n int64) ([]byte, error) {
	if s := fr.Element.Span; s.Length > 0 {
		return fr.file.src.bytes(s.Offset+off, n)
	}
	return fr.Element.Value[off : off+n : off+n], nil
}

// CutBits takes n bits from bit skip of b (least significant first, PS3.5 §8.1.1) and aligns them to a byte.
func CutBits(b []byte, skip int, n int64) []byte {
	out := make([]byte, (n+7)/8)
	for i := range out {
		v := uint16(b[i]) >> skip
		if i+1 < len(b) {
			v |= uint16(b[i+1]) << (8 - skip)
		}
		out[i] = byte(v)
	}
	if r := n % 8; r != 0 {
		out[len(out)-1] &= 1<<r - 1
	}
	return out
}
