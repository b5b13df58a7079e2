package pixel

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/galen-health/galen/standard/dicom"
	"github.com/galen-health/galen/standard/htj2k"
	"github.com/galen-health/galen/standard/jpeg"
)

// ErrUnsupported is a transfer syntax or kind of image that this package has no codec for.
var ErrUnsupported = errors.New("pixel: not supported")

// Frame is one uncompressed frame.
type Frame struct {
	Pixels []byte
	// Photometric is what the pixels mean now: decoding may undo a colour transform.
	Photometric string
}

// Decodable reports whether Decode has a codec for the syntax.
func Decodable(syntax string) bool {
	if dicom.Native(syntax) {
		return true
	}
	switch syntax {
	case dicom.RLELossless, dicom.JPEGBaseline, dicom.JPEGExtended, dicom.JPEGLossless, dicom.JPEGLosslessSV1, dicom.JPEGLSLossless, dicom.JPEGLSNearLossless,
		dicom.JPEG2000Lossless, dicom.JPEG2000, dicom.HTJ2KLossless, dicom.HTJ2KLosslessRPCL, dicom.HTJ2K:
		return true
	}
	return false
}

// Lossless reports whether frames of the syntax are compressed without loss by definition.
func Lossless(syntax string) bool {
	switch syntax {
	case dicom.RLELossless, dicom.JPEGLossless, dicom.JPEGLosslessSV1, dicom.JPEGLSLossless, dicom.JPEG2000Lossless, dicom.HTJ2KLossless, dicom.HTJ2KLosslessRPCL:
		return true
	}
	return dicom.Native(syntax)
}

// Decode expands a frame.
func Decode(ctx context.Context, syntax string, m dicom.Image, frame []byte) (Frame, error) {
	if dicom.Native(syntax) {
		return Frame{frame, m.Photometric}, nil
	}
	if m.BitsAllocated == 1 {
		return Frame{}, fmt.Errorf("%w: compressed pixels of one bit", ErrUnsupported)
	}
	switch syntax {
	case dicom.RLELossless:
		px, err := rle(frame, m)
		return Frame{px, m.Photometric}, err
	case dicom.JPEGBaseline, dicom.JPEGExtended, dicom.JPEGLossless, dicom.JPEGLosslessSV1:
		return decodeJPEG(m, frame)
	case dicom.JPEGLSLossless, dicom.JPEGLSNearLossless:
		return decodeStream(ctx, htj2k.JPEGLS, m, frame)
	case dicom.JPEG2000Lossless, dicom.JPEG2000:
		return decodeStream(ctx, htj2k.JPEG2000, m, frame)
	case dicom.HTJ2KLossless, dicom.HTJ2KLosslessRPCL, dicom.HTJ2K:
		return decodeStream(ctx, htj2k.HTJ2K, m, frame)
	}
	return Frame{}, fmt.Errorf("%w: transfer syntax %s", ErrUnsupported, syntax)
}

// agree refuses a stream that is not the image that the data set describes.
func agree(m dicom.Image, width, height, components, bits int) error {
	if width != m.Columns || height != m.Rows || components != m.Samples || bits > m.BitsAllocated {
		return fmt.Errorf("pixel: the frame is %dx%d with %d samples of %d bits; the data set says %dx%d with %d of %d",
			width, height, components, bits, m.Columns, m.Rows, m.Samples, m.BitsAllocated)
	}
	return nil
}

func decodeStream(ctx context.Context, format htj2k.Format, m dicom.Image, frame []byte) (Frame, error) {
	h, err := htj2k.Header(frame)
	if err != nil {
		return Frame{}, err
	}
	if err := agree(m, h.Width, h.Height, h.Components, h.Bits); err != nil {
		return Frame{}, err
	}
	_, px, err := htj2k.Decode(ctx, format, frame)
	if errors.Is(err, htj2k.ErrUnsupported) {
		err = fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if err != nil {
		return Frame{}, err
	}
	p := m.Photometric
	if strings.HasPrefix(p, "YBR_RCT") || strings.HasPrefix(p, "YBR_ICT") {
		p = "RGB"
	}
	return Frame{widen(px, h.Bits, h.SampleBytes(), m), p}, nil
}

func decodeJPEG(m dicom.Image, frame []byte) (Frame, error) {
	img, err := jpeg.Decode(frame)
	if err != nil {
		return Frame{}, err
	}
	if err := agree(m, img.Width, img.Height, img.Components, img.Bits); err != nil {
		return Frame{}, err
	}
	size := 1
	if img.Bits > 8 {
		size = 2
	}
	p := m.Photometric
	if img.Components == 3 && !img.Lossless && img.Bits == 8 {
		if img.Transform == 1 || img.Transform < 0 && strings.HasPrefix(p, "YBR") {
			toRGB(img.Pixels)
		}
		p = "RGB"
	}
	return Frame{widen(img.Pixels, img.Bits, size, m), p}, nil
}

// toRGB undoes YBR_FULL (PS3.3 C.7.6.3.1.2).
func toRGB(b []byte) {
	clamp := func(v int) byte { return byte(max(0, min(255, v>>16))) }
	for i := 0; i+2 < len(b); i += 3 {
		y, cb, cr := int(b[i])<<16+1<<15, int(b[i+1])-128, int(b[i+2])-128
		b[i], b[i+1], b[i+2] = clamp(y+91881*cr), clamp(y-22554*cb-46802*cr), clamp(y+116130*cb)
	}
}

// widen brings samples of size bytes, of which bits count, to BitsAllocated; signed ones keep their sign.
func widen(px []byte, bits, size int, m dicom.Image) []byte {
	want := m.BitsAllocated / 8
	extend := m.Signed && bits < m.BitsAllocated
	if want == size && !extend {
		return px
	}
	out := make([]byte, len(px)/size*want)
	for i, o := 0, 0; i < len(px); i, o = i+size, o+want {
		v := uint64(px[i])
		if size == 2 {
			v |= uint64(px[i+1]) << 8
		}
		if extend {
			v = uint64(int64(v) << (64 - bits) >> (64 - bits))
		}
		for k := range want {
			out[o+k] = byte(v >> (8 * k))
		}
	}
	return out
}

// Interleave turns planes (PlanarConfiguration 1) into pixels.
func Interleave(b []byte, m dicom.Image) []byte {
	size, n := m.BitsAllocated/8, m.Rows*m.Columns
	if size == 0 || len(b) < n*size*m.Samples {
		return b
	}
	out := make([]byte, n*size*m.Samples)
	for s := range m.Samples {
		plane := b[s*n*size:]
		for i := range n {
			copy(out[(i*m.Samples+s)*size:][:size], plane[i*size:])
		}
	}
	return out
}
