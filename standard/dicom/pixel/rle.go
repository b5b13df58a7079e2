package pixel

import (
	"encoding/binary"
	"fmt"

	"github.com/galen-health/galen/standard/dicom"
)

// rle expands an RLE frame (PS3.5 annex G): one segment for each byte of a sample, the most significant first, PackBits coded.
func rle(b []byte, m dicom.Image) ([]byte, error) {
	size, n := m.BitsAllocated/8, m.Rows*m.Columns
	want := size * m.Samples
	if len(b) < 64 {
		return nil, fmt.Errorf("pixel: an RLE frame of %d bytes has no header", len(b))
	}
	if got := binary.LittleEndian.Uint32(b); int(got) != want || want > 15 {
		return nil, fmt.Errorf("pixel: an RLE frame has %d segments, %d samples of %d bits need %d", got, m.Samples, m.BitsAllocated, want)
	}
	if int64(n)*int64(want) > 1<<30 || int64(n) > int64(len(b))*64 { // two bytes make 128 at the most
		return nil, fmt.Errorf("pixel: %d bytes of RLE cannot make %d pixels", len(b), n)
	}
	out := make([]byte, n*want)
	for s := range want {
		from := binary.LittleEndian.Uint32(b[4+4*s:])
		to := uint32(len(b))
		if s+1 < want {
			to = binary.LittleEndian.Uint32(b[8+4*s:])
		}
		if from < 64 || from > to || to > uint32(len(b)) {
			return nil, fmt.Errorf("pixel: RLE segment %d lies at %d to %d of %d", s+1, from, to, len(b))
		}
		// Segment s holds byte size−1−s%size of sample s/size.
		if err := unpack(b[from:to], out[s/size*size+size-1-s%size:], n, want); err != nil {
			return nil, fmt.Errorf("pixel: RLE segment %d: %w", s+1, err)
		}
	}
	return out, nil
}

// unpack writes n bytes into out, step apart.
func unpack(b, out []byte, n, step int) error {
	done := 0
	for done < n {
		if len(b) == 0 {
			return fmt.Errorf("ends after %d of %d bytes", done, n)
		}
		c := int(int8(b[0]))
		b = b[1:]
		switch {
		case c >= 0:
			k := min(c+1, n-done)
			if len(b) < k {
				return fmt.Errorf("ends after %d of %d bytes", done, n)
			}
			for i := range k {
				out[(done+i)*step] = b[i]
			}
			done += k
			b = b[min(c+1, len(b)):]
		case c > -128:
			if len(b) == 0 {
				return fmt.Errorf("ends after %d of %d bytes", done, n)
			}
			k := min(1-c, n-done)
			for i := range k {
				out[(done+i)*step] = b[0]
			}
			done += k
			b = b[1:]
		}
	}
	return nil
}
