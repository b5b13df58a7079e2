package medicalimaging

import (
	"bytes"
	"context"
	"io"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/standard/dicom"
	"github.com/galen-health/galen/standard/dicom/pixel"
)

// openFrame opens frame i, from 0, as it is stored, and tells its size.
func (s *Service) openFrame(ctx context.Context, in *instance, i int) (io.ReadCloser, int64, error) {
	p := in.Pixel
	if p.Bits {
		b, err := s.cutFrame(ctx, in, i)
		return io.NopCloser(bytes.NewReader(b)), int64(len(b)), err
	}
	f := p.Frames[i]
	if f.Len == 0 {
		return io.NopCloser(bytes.NewReader(nil)), 0, nil
	}
	r, err := s.blobs.Open(ctx, in.Blob, blob.Range{Offset: f.Off, Length: f.Len})
	return r, f.Len, err
}

// cutFrame takes a frame out of 1-bit pixels that are kept whole.
func (s *Service) cutFrame(ctx context.Context, in *instance, i int) ([]byte, error) {
	m, err := in.image()
	if err != nil {
		return nil, err
	}
	bits := int64(m.Rows) * int64(m.Columns) * int64(m.Samples)
	from := bits * int64(i)
	w := in.Pixel.Whole
	b, err := s.read(ctx, in.Blob, span{w.Off + from/8, min((from+bits+7)/8, w.Len) - from/8})
	if err != nil {
		return nil, err
	}
	return dicom.CutBits(b, int(from%8), bits), nil
}

// read reads a range of a blob.
func (s *Service) read(ctx context.Context, id blob.ID, at span) ([]byte, error) {
	if at.Len == 0 {
		return nil, nil
	}
	r, err := s.blobs.Open(ctx, id, blob.Range{Offset: at.Off, Length: at.Len})
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // only read
	b := make([]byte, at.Len)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	return b, nil
}

// image describes the pixels of an instance as its data set does.
func (in *instance) image() (dicom.Image, error) {
	own, err := members(in.Attributes)
	if err != nil {
		return dicom.Image{}, err
	}
	d := &dicom.Dataset{}
	for _, t := range []dicom.Tag{dicom.TagSamplesPerPixel, dicom.TagRows, dicom.TagColumns, dicom.TagBitsAllocated, dicom.TagBitsStored, dicom.TagHighBit,
		dicom.TagPixelRepresentation, dicom.TagPlanarConfiguration, dicom.TagNumberOfFrames, dicom.TagPhotometricInterpretation} {
		if b := find(own, t.Hex()); b != nil {
			if e, err := dicom.ParseJSONElement(t, b); err == nil {
				d.Set(e)
			}
		}
	}
	m, err := d.Image()
	if err != nil {
		return m, errs.Wrap(errs.Corrupt, err, "the instance no longer describes its pixels")
	}
	return m, nil
}

// nativeFrame reads frame i, from 0, uncompressed, with what its pixels mean.
func (s *Service) nativeFrame(ctx context.Context, in *instance, i int) (out pixel.Frame, err error) {
	r, n, err := s.openFrame(ctx, in, i)
	if err != nil {
		return out, err
	}
	defer r.Close() //nolint:errcheck // only read
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return out, err
	}
	if dicom.Native(in.Stored) {
		return pixel.Frame{Pixels: b, Photometric: in.Pixel.Photometric}, nil
	}
	if !pixel.Decodable(in.Stored) {
		return out, notAcceptable(in.Stored)
	}
	m, err := in.image()
	if err != nil {
		return out, err
	}
	m.Photometric = in.Pixel.Photometric
	s.codecs <- struct{}{}
	defer func() { <-s.codecs }()
	dec, err := pixel.Decode(ctx, in.Stored, m, b)
	if err != nil && in.Pixel.Own {
		return out, errs.Wrap(errs.Corrupt, err, "a stored frame cannot be decoded")
	}
	if err != nil {
		return out, notAcceptable(in.Stored)
	}
	return dec, nil
}

func notAcceptable(stored string) error {
	return errs.New(errs.NotAcceptable, "the pixels are stored as %s and cannot be given otherwise: ask for transfer-syntax=*", stored)
}
