package pixel

import (
	"strings"
	"testing"

	"github.com/galen-health/galen/standard/dicom"
)

// FuzzDecode: a frame of any syntax becomes pixels of the size that the data set says, or an error.
func FuzzDecode(f *testing.F) {
	syntaxes := []string{dicom.RLELossless, dicom.JPEGBaseline, dicom.JPEGExtended, dicom.JPEGLossless, dicom.JPEGLosslessSV1, dicom.JPEGLSLossless, dicom.JPEG2000Lossless, dicom.HTJ2K}
	f.Add([]byte("\x01\x00\x00\x00\x40\x00\x00\x00"+strings.Repeat("\x00", 56)+"\xff\x07\x01ab"), 0, 2, 2, 8, 1)
	f.Add([]byte("\xff\xd8\xff\xc0\x00\x0b\x08\x00\x02\x00\x02\x01\x01\x11\x00\xff\xd9"), 1, 2, 2, 8, 1)
	f.Add([]byte("\xff\xd8\xff\xf7\x00\x0b\x08\x00\x02\x00\x02\x01\x01\x11\x00\xff\xd9"), 5, 2, 2, 8, 1)
	f.Add([]byte("\xff\x4f\xff\x51"), 6, 2, 2, 16, 3)
	f.Fuzz(func(t *testing.T, frame []byte, syntax, rows, cols, bits, samples int) {
		if syntax < 0 || syntax >= len(syntaxes) || rows < 1 || cols < 1 || rows > 300 || cols > 300 || bits != 8 && bits != 16 || samples != 1 && samples != 3 {
			return
		}
		m := dicom.Image{Rows: rows, Columns: cols, Samples: samples, BitsAllocated: bits, BitsStored: bits, HighBit: bits - 1, Frames: 1, Photometric: map[int]string{1: "MONOCHROME2", 3: "RGB"}[samples]}
		if fr, err := Decode(t.Context(), syntaxes[syntax], m, frame); err == nil && int64(len(fr.Pixels)) != m.FrameBytes() {
			t.Errorf("%d bytes of pixels, the data set says %d", len(fr.Pixels), m.FrameBytes())
		}
	})
}
