package medicalimaging

import (
	"context"
	"encoding/binary"
	"io"
	"slices"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/standard/dicom"
	"github.com/galen-health/galen/standard/dicom/pixel"
)

// given is an instance with what its image set says of it.
type given struct {
	*instance
	set *imageSet
}

// whole are all attributes of an instance, those of its set among them.
func (g given) whole() ([]member, error) {
	shared, err := g.set.shared()
	if err != nil {
		return nil, err
	}
	own, err := members(g.Attributes)
	if err != nil {
		return nil, err
	}
	return merge(shared, own), nil
}

// syntaxFor chooses the transfer syntax in which an instance is given: what the client names, "*" for the stored one, "" for explicit
// little endian where it can be had (PS3.18 §8.7.3).
func syntaxFor(in *instance, wanted string) (string, bool) {
	plain := in.Pixel == nil && dicom.Native(in.Stored) || in.Pixel != nil && !in.Pixel.Video && pixel.Decodable(in.Stored)
	switch {
	case wanted == "*", wanted == in.Stored:
		return in.Stored, true
	case wanted == dicom.ExplicitVRLittleEndian && plain:
		return wanted, true
	case wanted == "" && plain:
		return dicom.ExplicitVRLittleEndian, true
	case wanted == "":
		return in.Stored, true
	}
	return "", false
}

// writePart10 writes an instance as a DICOM file.
func (s *Service) writePart10(ctx context.Context, w io.Writer, g given, syntax string) error {
	photometric := ""
	if g.Pixel != nil && dicom.Native(syntax) && !dicom.Native(g.Stored) && !g.Pixel.Own {
		first, err := s.nativeFrame(ctx, g.instance, 0) // before anything is sent: it may not be possible
		if err != nil {
			return err
		}
		photometric = first.Photometric
	} else if g.Pixel != nil && !dicom.Native(syntax) && g.Pixel.Own {
		photometric = g.Pixel.Photometric
	}
	header, head, err := s.header(ctx, g, photometric)
	if err != nil {
		return err
	}
	b := dicom.AppendMeta(make([]byte, 0, 512+head), g.SOPClass, g.SOP, syntax)
	b = append(b, header[:head]...)
	if g.Pixel == nil {
		return put(w, append(b, header[head:]...))
	}
	if err := put(w, b); err != nil {
		return err
	}
	if dicom.Native(syntax) {
		err = s.writeNative(ctx, w, g, syntax)
	} else {
		err = s.writeEncapsulated(ctx, w, g)
	}
	if err != nil {
		return err
	}
	return put(w, header[head:])
}

func put(w io.Writer, b []byte) error {
	_, err := w.Write(b)
	return gone(err)
}

// header reads the data set without its pixels, with what was changed since it came, and where the pixels belong in it. photometric is
// what the pixels mean in the transfer syntax that is sent, "" for what the data set says.
func (s *Service) header(ctx context.Context, g given, photometric string) ([]byte, int, error) {
	b, err := s.read(ctx, g.Blob, g.Header)
	if err != nil {
		return nil, 0, err
	}
	changed := append(slices.Clone(g.set.Changed), g.Changed...)
	if photometric != "" {
		own, err := members(g.Attributes)
		if err != nil {
			return nil, 0, err
		}
		if text(own, dicom.TagPhotometricInterpretation.Hex()) == photometric {
			photometric = ""
		}
	}
	if len(changed) == 0 && photometric == "" {
		return b, int(g.Head), nil
	}
	f, err := dicom.ParseDataset(b, dicom.ExplicitVRLittleEndian, dicom.Limits{})
	if err != nil {
		return nil, 0, errs.Wrap(errs.Corrupt, err, "a stored data set cannot be read")
	}
	d := f.Dataset
	if len(changed) > 0 {
		d.ToUTF8()
		ms, err := g.whole()
		if err != nil {
			return nil, 0, err
		}
		for _, tag := range changed {
			t, _ := dicom.ParseTag(tag)
			raw := find(ms, tag)
			if raw == nil {
				d.Delete(t)
				continue
			}
			e, err := dicom.ParseJSONElement(t, raw)
			if err != nil {
				return nil, 0, errs.Wrap(errs.Corrupt, err, "a changed attribute cannot be read")
			}
			d.Set(e)
		}
	}
	if photometric != "" {
		d.SetStrings(dicom.TagPhotometricInterpretation, photometric)
		if d.Has(dicom.TagPlanarConfiguration) {
			d.SetInts(dicom.TagPlanarConfiguration, dicom.US, 0)
		}
	}
	out, head, err := encode(d, f)
	if err != nil {
		return nil, 0, errs.Wrap(errs.Corrupt, err, "a stored data set cannot be written")
	}
	return out, head, nil
}

// writeNative writes uncompressed pixel data.
func (s *Service) writeNative(ctx context.Context, w io.Writer, g given, syntax string) error {
	p := g.Pixel
	tag, _ := dicom.ParseTag(p.Tag)
	vr, _ := dicom.ParseVR(p.VR)
	m, err := g.image()
	if err != nil {
		return err
	}
	if tag == dicom.TagPixelData && !dicom.Native(g.Syntax) {
		vr = dicom.OW // PS3.5 A.2
		if m.BitsAllocated <= 8 {
			vr = dicom.OB
		}
	}
	if !dicom.Native(g.Stored) && m.Subsampled() {
		m.Photometric = "RGB" // decoded pixels have all their chrominance
	}
	total := p.Whole.Len
	if !p.Bits {
		total = m.FrameBytes() * int64(len(p.Frames))
	}
	even := total + total&1
	if even >= 1<<32-1 {
		return errs.New(errs.NotAcceptable, "the uncompressed pixels are too long for a DICOM file: ask for transfer-syntax=*")
	}
	if err := put(w, dicom.AppendPixelHeader(nil, tag, vr, even, syntax)); err != nil {
		return err
	}
	if p.Bits {
		b, err := s.read(ctx, g.Blob, p.Whole)
		if err != nil {
			return err
		}
		err = put(w, b)
		if err != nil {
			return err
		}
	}
	for i := range p.Frames {
		if p.Bits {
			break
		}
		b, err := s.nativeFrame(ctx, g.instance, i)
		if err != nil {
			return err
		}
		if int64(len(b.Pixels)) != m.FrameBytes() {
			return errs.New(errs.Corrupt, "a stored frame has %d bytes, not %d", len(b.Pixels), m.FrameBytes())
		}
		if err := put(w, b.Pixels); err != nil {
			return err
		}
	}
	if even > total {
		return put(w, []byte{0})
	}
	return nil
}

// writeEncapsulated writes frames as they are stored, a fragment each, after a basic offset table (PS3.5 A.4).
func (s *Service) writeEncapsulated(ctx context.Context, w io.Writer, g given) error {
	p := g.Pixel
	b := dicom.AppendEncapsulatedHeader(nil, dicom.OB)
	var table []byte
	at := int64(0)
	if !p.Video {
		for _, f := range p.Frames {
			table = binary.LittleEndian.AppendUint32(table, uint32(at))
			at += 8 + f.Len + f.Len&1
		}
	}
	if at >= 1<<32 {
		table = nil // PS3.5 A.4: an empty table says nothing
	}
	b = append(dicom.AppendItemHeader(b, len(table)), table...)
	for i, f := range p.Frames {
		if f.Len >= 1<<32-2 {
			return errs.New(errs.NotAcceptable, "a frame is too long for a fragment of a DICOM file")
		}
		b = dicom.AppendItemHeader(b, int(f.Len+f.Len&1))
		if err := put(w, b); err != nil {
			return err
		}
		r, _, err := s.openFrame(ctx, g.instance, i)
		if err != nil {
			return err
		}
		_, err = io.Copy(w, r)
		_ = r.Close() // only read
		if err != nil {
			return err
		}
		b = b[:0]
		if f.Len&1 == 1 {
			b = append(b, 0)
		}
	}
	return put(w, dicom.AppendSequenceEnd(b))
}
