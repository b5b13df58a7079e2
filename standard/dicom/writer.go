package dicom

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Implementation identifies this writer in file meta information (PS3.10 §7.1); a UUID-derived UID (PS3.5 B.2).
const (
	ImplementationClassUID    = "2.25.38823005090918558168619358231301406935"
	ImplementationVersionName = "GALEN_1"
)

// AppendMeta appends the preamble, prefix and file meta information of a file that holds this instance in this transfer syntax. The
// preamble is zero: nothing else than DICOM may hide there.
func AppendMeta(dst []byte, sopClass, sopInstance, syntax string) []byte {
	dst = append(dst, make([]byte, 128)...)
	dst = append(dst, "DICM"...)
	m := &Dataset{}
	m.Set(Element{Tag: TagFileMetaInformationVersion, VR: OB, Value: []byte{0, 1}})
	m.SetStrings(TagMediaStorageSOPClassUID, sopClass)
	m.SetStrings(TagMediaStorageSOPInstanceUID, sopInstance)
	m.SetStrings(TagTransferSyntaxUID, syntax)
	m.SetStrings(TagImplementationClassUID, ImplementationClassUID)
	m.SetStrings(TagImplementationVersionName, ImplementationVersionName)
	group, _ := appendElements(nil, m.Elements, layout{}, nil)
	m = &Dataset{}
	m.SetInts(TagFileMetaInformationGroupLength, UL, int64(len(group)))
	dst, _ = appendElements(dst, m.Elements, layout{}, nil)
	return append(dst, group...)
}

// AppendDataset appends the elements of a data set, little endian, implicit when syntax says so, else explicit. Sequences get definite
// lengths. Group lengths are left out (retired, PS3.5 §7.2). Values left in the source and encapsulated pixel data are read from f, which may be
// nil when there are none.
func AppendDataset(dst []byte, d *Dataset, syntax string, f *File) ([]byte, error) {
	elements := d.Elements
	for len(elements) > 0 && elements[0].Tag.Group() <= 2 {
		elements = elements[1:] // commands and meta information have no place in a data set and would be taken for them; group 1 is forbidden (PS3.5 §7.8.1)
	}
	return appendElements(dst, elements, layout{implicit: syntax == ImplicitVRLittleEndian}, f)
}

func appendElements(dst []byte, elements []Element, lay layout, f *File) ([]byte, error) {
	var err error
	for i := range elements {
		e := &elements[i]
		if e.Tag.Element() == 0 && e.Tag != TagFileMetaInformationGroupLength {
			continue
		}
		if dst, err = appendElement(dst, e, lay, f); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func appendElement(dst []byte, e *Element, lay layout, f *File) ([]byte, error) {
	if e.Fragments != nil {
		dst = AppendEncapsulatedHeader(dst, e.VR)
		for _, s := range e.Fragments {
			if f == nil {
				return nil, fmt.Errorf("dicom: %v: fragments without their file", e.Tag)
			}
			b, err := f.src.bytes(s.Offset, s.Length)
			if err != nil {
				return nil, fmt.Errorf("dicom: %v: %w", e.Tag, err)
			}
			dst = append(AppendItemHeader(dst, len(b)), b...)
		}
		return AppendSequenceEnd(dst), nil
	}
	value := e.Value
	if e.Span.Length > 0 {
		if f == nil {
			return nil, fmt.Errorf("dicom: %v: a value without its file", e.Tag)
		}
		var err error
		if value, err = f.Bytes(e); err != nil {
			return nil, fmt.Errorf("dicom: %v: %w", e.Tag, err)
		}
	}
	if e.VR == SQ {
		dst = appendHeader(dst, e.Tag, SQ, 0, lay)
		start := len(dst)
		unknown := lay.implicit && vrOf(e.Tag, false) != SQ // only an undefined length lets a reader see that it is a sequence
		for _, item := range e.Items {
			dst = AppendItemHeader(dst, 0)
			at := len(dst)
			var err error
			if dst, err = appendElements(dst, item.Elements, lay, f); err != nil {
				return nil, err
			}
			binary.LittleEndian.PutUint32(dst[at-4:], uint32(len(dst)-at))
		}
		if unknown {
			binary.LittleEndian.PutUint32(dst[start-4:], undefined)
			return AppendSequenceEnd(dst), nil
		}
		binary.LittleEndian.PutUint32(dst[start-4:], uint32(len(dst)-start))
		return dst, nil
	}
	n := len(value) + len(value)&1
	if int64(n) >= undefined {
		return nil, fmt.Errorf("dicom: %v: a value of %d bytes has no definite length", e.Tag, n)
	}
	vr := e.VR
	if !lay.implicit && !vr.long() && n > 0xFFFE {
		vr = UN // PS3.5 §6.2.2: what is too long for a 16-bit length is written as UN
	}
	dst = append(appendHeader(dst, e.Tag, vr, n, lay), value...)
	if len(value)&1 == 1 {
		if e.VR.Text() && e.VR != UI {
			return append(dst, ' '), nil
		}
		return append(dst, 0), nil
	}
	return dst, nil
}

func appendHeader(dst []byte, t Tag, v VR, n int, lay layout) []byte {
	dst = appendTag(dst, t)
	if lay.implicit {
		return binary.LittleEndian.AppendUint32(dst, uint32(n))
	}
	dst = append(dst, byte(v>>8), byte(v))
	if v.long() {
		dst = append(dst, 0, 0)
		return binary.LittleEndian.AppendUint32(dst, uint32(n))
	}
	return binary.LittleEndian.AppendUint16(dst, uint16(n))
}

func appendTag(dst []byte, t Tag) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, t.Group())
	return binary.LittleEndian.AppendUint16(dst, t.Element())
}

// AppendPixelHeader appends the header of native pixel data of n bytes, n even; the bytes follow.
func AppendPixelHeader(dst []byte, t Tag, v VR, n int64, syntax string) []byte {
	return appendHeader(dst, t, v, int(n), layout{implicit: syntax == ImplicitVRLittleEndian})
}

// AppendEncapsulatedHeader appends the header of encapsulated pixel data; items follow: the basic offset table, then fragments.
func AppendEncapsulatedHeader(dst []byte, v VR) []byte {
	if v != OW {
		v = OB
	}
	dst = appendTag(dst, TagPixelData)
	dst = append(dst, byte(v>>8), byte(v), 0, 0)
	return binary.LittleEndian.AppendUint32(dst, undefined)
}

// AppendItemHeader appends the header of an item of n bytes.
func AppendItemHeader(dst []byte, n int) []byte {
	return binary.LittleEndian.AppendUint32(appendTag(dst, tagItem), uint32(n))
}

// AppendSequenceEnd appends the delimiter that ends a value of undefined length.
func AppendSequenceEnd(dst []byte) []byte {
	return binary.LittleEndian.AppendUint32(appendTag(dst, tagSequenceDelimiter), 0)
}

// Write writes the file again: in its own transfer syntax when that is encapsulated or little endian and not deflated, else as
// explicit little endian. The meta information is made anew.
func (f *File) Write(w io.Writer) error {
	syntax := f.TransferSyntax
	switch syntax {
	case "", ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian:
		syntax = ExplicitVRLittleEndian
	}
	b := AppendMeta(nil, f.Dataset.String(TagSOPClassUID), f.Dataset.String(TagSOPInstanceUID), syntax)
	b, err := AppendDataset(b, f.Dataset, syntax, f)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}
