package medicalimaging

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/standard/dicom"
	"github.com/galen-health/galen/standard/dicom/pixel"
	"github.com/galen-health/galen/standard/htj2k"
)

// asIs are the transfer syntaxes whose frames are stored as they come (developer guide, "Supported transfer syntaxes").
func asIs(syntax string) bool {
	switch syntax {
	case dicom.JPEGBaseline, dicom.JPEG2000, dicom.HTJ2K, dicom.JPEGXL:
		return true
	}
	return dicom.Video(syntax)
}

// storePixels writes the frames of a file and takes the pixel data out of its data set. Pixels that do not make frames stay in the data
// set, with a warning.
func (s *Service) storePixels(ctx context.Context, d *datastore, f *dicom.File, p *prepared, out *counter) error {
	p.Stored = dicom.ExplicitVRLittleEndian
	e := f.Dataset.Find(dicom.TagPixelData)
	if e != nil && e.Fragments != nil {
		p.Stored = f.TransferSyntax
	}
	if dicom.Video(f.TransferSyntax) && e != nil && len(e.Fragments) > 1 {
		return storeVideo(f, e, p, out)
	}
	fr, err := f.Frames()
	if err != nil {
		p.Warnings = append(p.Warnings, warning{45328, "FramesExtractionFailure", "the pixel data cannot be cut into frames; it is kept whole in the instance"})
		return nil
	}
	if fr == nil {
		return nil
	}
	if fr.OffsetTable != nil {
		p.Warnings = append(p.Warnings, warning{45330, "InvalidOffsetTable", "The file was imported but contains an invalid offset table, may see issues when retrieving certain frames."})
	}
	px := &pixels{Key: frameKey(), Tag: fr.Element.Tag.Hex(), VR: fr.Element.VR.String(), Photometric: fr.Photometric}
	switch {
	case fr.BitsAllocated == 1 && fr.Element.Fragments == nil:
		err = storeBits(f, fr, px, out)
	case asIs(f.TransferSyntax):
		err = storeFrames(fr, px, out)
	case !pixel.Decodable(f.TransferSyntax):
		p.Warnings = append(p.Warnings, warning{45344, "UnsupportedTransferSyntax", "the transfer syntax is not supported; the frames are stored as they came"})
		err = storeFrames(fr, px, out)
	default:
		err = s.transcode(ctx, d, f, fr, px, p, out)
	}
	if err != nil {
		return err
	}
	p.Pixel = px
	for _, t := range []dicom.Tag{fr.Element.Tag, dicom.TagExtendedOffsetTable, dicom.TagExtendedOffsetTableLengths} {
		f.Dataset.Delete(t)
	}
	return nil
}

func frameKey() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// storeVideo writes one stream, whatever number of frames it holds.
func storeVideo(f *dicom.File, e *dicom.Element, p *prepared, out *counter) error {
	m, _ := f.Dataset.Image()
	start := out.n
	sum := crc32.NewIEEE()
	for _, sp := range e.Fragments[1:] {
		b, err := f.Fragment(sp)
		if err != nil {
			return errs.Wrap(errs.Unavailable, err, "the file could not be read")
		}
		_, _ = sum.Write(b)
		if _, err := out.Write(b); err != nil {
			return err
		}
	}
	n := out.n - start
	p.Pixel = &pixels{Key: frameKey(), Tag: e.Tag.Hex(), VR: "OB", Photometric: m.Photometric, Video: true,
		Frames: []frame{{span: span{start, n}, Size: n, Levels: [][3]uint32{{uint32(m.Columns), uint32(m.Rows), sum.Sum32()}}}}}
	f.Dataset.Delete(e.Tag)
	return nil
}

// storeBits writes 1-bit pixels whole, as their frames need not start at a byte.
func storeBits(f *dicom.File, fr *dicom.Frames, px *pixels, out *counter) error {
	b, err := f.Bytes(fr.Element)
	if err != nil {
		return errs.Wrap(errs.Unavailable, err, "the file could not be read")
	}
	px.Bits, px.Whole = true, span{out.n, int64(len(b))}
	if _, err := out.Write(b); err != nil {
		return err
	}
	for i := range fr.Image.Frames {
		one, err := fr.Frame(i)
		if err != nil {
			return refuse(reasonNotUnderstood, "frame %d cannot be read: %v", i+1, err)
		}
		px.Frames = append(px.Frames, asItCame(fr.Image, span{}, one))
	}
	return nil
}

func asItCame(m dicom.Image, sp span, b []byte) frame {
	return frame{span: sp, Size: int64(len(b)), Levels: [][3]uint32{{uint32(m.Columns), uint32(m.Rows), crc32.ChecksumIEEE(b)}}}
}

// storeFrames writes frames as they came.
func storeFrames(fr *dicom.Frames, px *pixels, out *counter) error {
	for i := range fr.Image.Frames {
		b, err := fr.Frame(i)
		if err != nil {
			return refuse(reasonNotUnderstood, "frame %d cannot be read: %v", i+1, err)
		}
		at := span{out.n, int64(len(b))}
		if _, err := out.Write(b); err != nil {
			return err
		}
		px.Frames = append(px.Frames, asItCame(fr.Image, at, b))
	}
	return nil
}

// coded is a frame on its way from the file to the body.
type coded struct {
	frame
	stream      []byte
	photometric string // of the stream
	native      string // of the decoded pixels
	stored      string // transfer syntax
	err         error
}

// transcode compresses frames into the store's format, several at once, and writes them in order. What the format cannot hold is stored uncompressed.
// Frames that cannot be decoded are stored as they came, with a warning.
func (s *Service) transcode(ctx context.Context, d *datastore, f *dicom.File, fr *dicom.Frames, px *pixels, p *prepared, out *counter) error {
	type place chan coded
	queue := make(chan place, cap(s.codecs))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer close(queue)
		for i := range fr.Image.Frames {
			b, err := fr.Frame(i)
			slot := make(place, 1)
			select {
			case queue <- slot:
			case <-ctx.Done():
				return
			}
			if err != nil {
				slot <- coded{err: err}
				return
			}
			s.codecs <- struct{}{}
			go func() {
				defer func() { <-s.codecs }()
				slot <- s.code(ctx, d.storageSyntax(), f.TransferSyntax, fr.Image, b)
			}()
		}
	}()
	first := true
	for slot := range queue {
		c := <-slot
		if c.err != nil {
			if errors.Is(c.err, htj2k.ErrAssets) {
				return errs.Wrap(errs.Unavailable, c.err, "the image codecs are not part of this build: run make assets and build again")
			}
			if ctx.Err() != nil || errs.Is(c.err, errs.Corrupt) {
				return c.err
			}
			cancel()
			for rest := range queue {
				<-rest
			}
			p.Warnings = append(p.Warnings, warning{45312, "TranscodingException", "the pixel data could not be transcoded; the frames are stored as they came"})
			px.Frames, px.Own = nil, false
			p.Stored = f.TransferSyntax
			if dicom.Native(p.Stored) {
				p.Stored = dicom.ExplicitVRLittleEndian
			}
			return storeFrames(fr, px, out) // what was written before is left unused in the body
		}
		if first {
			first = false
			p.Stored, px.Photometric = c.stored, c.photometric
			px.Own = c.stored == d.storageSyntax()
			describe(f.Dataset, fr.Image, c)
		} else if c.stored != p.Stored {
			return errs.New(errs.Internal, "frames of one instance came out in two formats")
		}
		c.Off, c.Len = out.n, int64(len(c.stream))
		if _, err := out.Write(c.stream); err != nil {
			return err
		}
		px.Frames = append(px.Frames, c.frame)
	}
	return ctx.Err()
}

// describe makes the data set say what decoded frames are, where that changed: colours back from YBR, pixels instead of planes.
func describe(d *dicom.Dataset, m dicom.Image, c coded) {
	if c.native != m.Photometric {
		d.SetStrings(dicom.TagPhotometricInterpretation, c.native)
	}
	if m.Planar && m.Samples > 1 {
		d.SetInts(dicom.TagPlanarConfiguration, dicom.US, 0)
	}
}

// code brings one frame into the store's format and proves that it decodes to the same pixels.
func (s *Service) code(ctx context.Context, target, syntax string, m dicom.Image, b []byte) (c coded) {
	dec, err := pixel.Decode(ctx, syntax, m, b)
	if err != nil {
		return coded{err: err}
	}
	native := dec.Pixels
	if dicom.Native(syntax) && m.Planar && m.Samples > 1 && !m.Subsampled() {
		native = pixel.Interleave(native, m)
	}
	m.Planar = false
	m.Photometric = dec.Photometric
	c.native = dec.Photometric
	want := crc32.ChecksumIEEE(native)
	c.Size = int64(len(native))
	full := [3]uint32{uint32(m.Columns), uint32(m.Rows), want}
	enc, err := pixel.Encode(ctx, target, m, native)
	if errors.Is(err, pixel.ErrUnsupported) {
		c.stream, c.stored, c.photometric, c.Levels = native, dicom.ExplicitVRLittleEndian, dec.Photometric, [][3]uint32{full}
		return c
	}
	if err != nil {
		return coded{err: err}
	}
	c.stream, c.stored, c.photometric = enc.Stream, target, enc.Photometric
	c.Min, c.Max = &enc.Min, &enc.Max
	if err := c.verify(ctx, m, want); err != nil {
		return coded{err: err}
	}
	return c
}

// verify decodes the stream again, at every resolution where the format has them, and takes the checksums.
func (c *coded) verify(ctx context.Context, m dicom.Image, want uint32) error {
	var last uint32
	if c.stored == dicom.HTJ2KLosslessRPCL {
		if _, err := htj2k.DecodeLevels(ctx, c.stream, func(w, h int, px []byte) {
			last = crc32.ChecksumIEEE(px)
			c.Levels = append(c.Levels, [3]uint32{uint32(w), uint32(h), last})
		}); err != nil {
			return fmt.Errorf("the encoded frame: %w", err)
		}
	} else {
		back, err := pixel.Decode(ctx, c.stored, m, c.stream)
		if err != nil {
			return fmt.Errorf("the encoded frame: %w", err)
		}
		last = crc32.ChecksumIEEE(back.Pixels)
		c.Levels = [][3]uint32{{uint32(m.Columns), uint32(m.Rows), last}}
	}
	if last != want {
		return errs.New(errs.Corrupt, "an encoded frame does not decode to the pixels that it was made of")
	}
	return nil
}
