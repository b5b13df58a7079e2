package pixel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/galen-health/galen/standard/dicom"
	"github.com/galen-health/galen/standard/htj2k"
)

// Encoded is a compressed frame.
type Encoded struct {
	Stream      []byte
	Photometric string // what the stream's components mean (YBR_RCT after the reversible colour transform)
	Min, Max    int64  // over all samples
}

// Encode compresses an uncompressed frame without loss: into HTJ2KLosslessRPCL or JPEG2000Lossless. ErrUnsupported when the format cannot hold
// such pixels: one bit, more than 16 bits, shared chrominance, several samples of more than 8 bits.
func Encode(ctx context.Context, syntax string, m dicom.Image, px []byte) (Encoded, error) {
	format := htj2k.HTJ2K
	switch syntax {
	case dicom.HTJ2KLosslessRPCL:
	case dicom.JPEG2000Lossless:
		format = htj2k.JPEG2000
	default:
		return Encoded{}, fmt.Errorf("%w: encoding into %s", ErrUnsupported, syntax)
	}
	if m.BitsAllocated != 8 && m.BitsAllocated != 16 || m.Subsampled() || m.Samples == 2 || m.Samples > 1 && m.BitsAllocated > 8 {
		return Encoded{}, fmt.Errorf("%w: %d samples of %d bits, %s, in %v", ErrUnsupported, m.Samples, m.BitsAllocated, m.Photometric, format)
	}
	if m.Planar && m.Samples > 1 {
		px = Interleave(px, m)
	}
	e := Encoded{Photometric: m.Photometric}
	e.Min, e.Max = extremes(px, m)
	f := htj2k.Frame{Width: m.Columns, Height: m.Rows, Components: m.Samples, Bits: precision(m, e.Min, e.Max), Signed: m.Signed}
	transform := m.Samples == 3 && m.Photometric == "RGB"
	if transform {
		e.Photometric = "YBR_RCT"
	}
	var err error
	e.Stream, err = htj2k.Encode(ctx, format, f, px, transform)
	if errors.Is(err, htj2k.ErrUnsupported) {
		err = fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return e, err
}

// precision is BitsStored when every cell, as a number of BitsAllocated bits, lies within it, else BitsAllocated: what stands in the bits that
// do not count must come back too. Cells of two bytes need at least nine bits to stay two bytes.
func precision(m dicom.Image, lo, hi int64) int {
	bits := m.BitsStored
	if m.BitsAllocated == 16 {
		bits = max(bits, 9)
	}
	least, most := int64(0), int64(1)<<bits-1
	if m.Signed {
		least, most = -(int64(1) << (bits - 1)), int64(1)<<(bits-1)-1
	}
	if lo < least || hi > most {
		return m.BitsAllocated
	}
	return bits
}

// extremes finds the smallest and the largest sample of 8 or 16 bits.
func extremes(px []byte, m dicom.Image) (lo, hi int64) {
	if m.BitsAllocated == 8 {
		lo, hi = 255, 0
		if m.Signed {
			lo, hi = 127, -128
		}
		for _, b := range px {
			v := int64(b)
			if m.Signed {
				v = int64(int8(b))
			}
			lo, hi = min(lo, v), max(hi, v)
		}
		return lo, hi
	}
	if m.Signed {
		l, h := int16(32767), int16(-32768)
		for i := 0; i+1 < len(px); i += 2 {
			v := int16(binary.LittleEndian.Uint16(px[i:]))
			l, h = min(l, v), max(h, v)
		}
		return int64(l), int64(h)
	}
	l, h := uint16(65535), uint16(0)
	for i := 0; i+1 < len(px); i += 2 {
		v := binary.LittleEndian.Uint16(px[i:])
		l, h = min(l, v), max(h, v)
	}
	return int64(l), int64(h)
}
