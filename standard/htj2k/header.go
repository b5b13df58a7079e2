package htj2k

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Frame describes an image: what a code stream's header says.
type Frame struct {
	Width, Height int
	Components    int
	Bits          int // precision of a sample
	Signed        bool
	// Reversible is set by Header for HTJ2K and JPEG 2000 streams of the reversible wavelet, and for JPEG-LS with NEAR 0.
	Reversible bool
	// ColorTransform says that the components were decorrelated (RCT, ICT).
	ColorTransform bool
	// Levels is the number of wavelet decompositions.
	Levels int
}

// SampleBytes is what a decoded sample takes.
func (f Frame) SampleBytes() int {
	switch {
	case f.Bits <= 8:
		return 1
	case f.Bits <= 16:
		return 2
	}
	return 4
}

// Bytes is the size of the decoded frame.
func (f Frame) Bytes() int64 {
	return int64(f.Width) * int64(f.Height) * int64(f.Components) * int64(f.SampleBytes())
}

// MaxFrameBytes bounds a decoded frame; what claims to be larger is refused unread.
const MaxFrameBytes = 512 << 20

func (f Frame) check() error {
	switch {
	case f.Width <= 0 || f.Height <= 0 || f.Components < 1 || f.Components > 4:
		return fmt.Errorf("htj2k: an image of %dx%d with %d components", f.Width, f.Height, f.Components)
	case f.Bits < 1 || f.Bits > 16:
		return fmt.Errorf("htj2k: samples of %d bits; 1 to 16 are supported", f.Bits)
	case f.Bytes() > MaxFrameBytes:
		return fmt.Errorf("htj2k: a frame of %d bytes; at most %d are decoded", f.Bytes(), MaxFrameBytes)
	}
	return nil
}

var errHeader = errors.New("htj2k: the code stream's header is broken")

// codestream finds a JPEG 2000 code stream, which some writers wrap in a JP2 file.
func codestream(b []byte) []byte {
	if len(b) > 12 && bytes.Equal(b[4:8], []byte("jP  ")) {
		if i := bytes.Index(b, []byte{0xFF, 0x4F, 0xFF, 0x51}); i >= 0 {
			return b[i:]
		}
	}
	return b
}

// Header reads the main header of an HTJ2K or JPEG 2000 code stream (ISO 15444-1 annex A) or of JPEG-LS (ISO 14495-1 annex C).
func Header(b []byte) (Frame, error) {
	b = codestream(b)
	if len(b) < 4 || b[0] != 0xFF {
		return Frame{}, errHeader
	}
	var f Frame
	var err error
	switch b[1] {
	case 0x4F:
		f, err = headerJ2K(b)
	case 0xD8:
		f, err = headerLS(b)
	default:
		return f, errHeader
	}
	if err != nil {
		return f, err
	}
	return f, f.check()
}

func headerJ2K(b []byte) (f Frame, err error) {
	seen := false
	err = segments(b[2:], 0x90, func(marker byte, s []byte) error {
		switch marker {
		case 0x51: // SIZ
			if len(s) < 36 {
				return errHeader
			}
			u := func(i int) int64 { return int64(binary.BigEndian.Uint32(s[i:])) }
			w, h := u(2)-u(10), u(6)-u(14)
			n := int(binary.BigEndian.Uint16(s[34:]))
			if w <= 0 || h <= 0 || w > 1<<20 || h > 1<<20 || n < 1 || n > 4 || len(s) < 36+3*n {
				return fmt.Errorf("htj2k: an image of %dx%d with %d components", w, h, n)
			}
			tw, th := u(18), u(22)
			if tw == 0 || th == 0 || ((w+tw-1)/tw+1)*((h+th-1)/th+1) > 1<<16 {
				return fmt.Errorf("htj2k: tiles of %dx%d in an image of %dx%d", tw, th, w, h)
			}
			f.Width, f.Height, f.Components = int(w), int(h), n
			f.Bits, f.Signed = int(s[36]&0x7F)+1, s[36]&0x80 != 0
			for i := range n {
				if c := s[36+3*i:]; c[0] != s[36] || c[1] != 1 || c[2] != 1 {
					return errors.New("htj2k: components of unlike size or precision")
				}
			}
			seen = true
		case 0x52: // COD
			if len(s) < 10 {
				return errHeader
			}
			f.ColorTransform = s[4] == 1
			f.Levels = int(s[5])
			f.Reversible = s[9] == 1
			if f.Levels > 32 {
				return errHeader
			}
		}
		return nil
	})
	if err == nil && !seen {
		err = errHeader
	}
	return f, err
}

// whole checks that the tile parts of a code stream follow one another up to its end marker (ISO 15444-1 A.4.2): the codecs paint what they
// have of a cut stream and say nothing.
func whole(b []byte) error {
	at := 2
	if err := segments(b[2:], 0x90, func(m byte, s []byte) error {
		if m != 0x90 {
			at += 4 + len(s)
		}
		return nil
	}); err != nil {
		return err
	}
	for at+12 <= len(b) && b[at] == 0xFF && b[at+1] == 0x90 {
		n := int64(binary.BigEndian.Uint32(b[at+6:]))
		if n == 0 { // up to the end
			if end := bytes.TrimRight(b[at:], "\x00"); bytes.HasSuffix(end, []byte{0xFF, 0xD9}) {
				return nil
			}
			break
		}
		if n < 14 || n > int64(len(b)-at) {
			return fmt.Errorf("htj2k: a tile part of %d bytes at %d ends after the code stream of %d", n, at, len(b))
		}
		at += int(n)
	}
	if at+2 > len(b) || b[at] != 0xFF || b[at+1] != 0xD9 {
		return fmt.Errorf("htj2k: the code stream is cut off or broken at %d of %d", at, len(b))
	}
	return nil
}

func headerLS(b []byte) (f Frame, err error) {
	seen := false
	err = segments(b[2:], 0xDA, func(marker byte, s []byte) error {
		if marker == 0xF7 { // SOF55
			if len(s) < 6 {
				return errHeader
			}
			f.Bits = int(s[0])
			f.Height, f.Width = int(binary.BigEndian.Uint16(s[1:])), int(binary.BigEndian.Uint16(s[3:]))
			f.Components = int(s[5])
			seen = true
		}
		if marker == 0xDA && len(s) > 0 { // SOS: components, then NEAR
			if i := 1 + 2*int(s[0]); i < len(s) {
				f.Reversible = s[i] == 0
			}
		}
		return nil
	})
	if err == nil && !seen {
		err = errHeader
	}
	return f, err
}

// segments walks marker segments up to and with the last one.
func segments(b []byte, last byte, fn func(marker byte, s []byte) error) error {
	for len(b) >= 4 {
		if b[0] != 0xFF {
			return errHeader
		}
		m := b[1]
		if m == 0xFF {
			b = b[1:]
			continue
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		if n < 2 || n+2 > len(b) {
			return errHeader
		}
		if err := fn(m, b[4:2+n]); err != nil || m == last {
			return err
		}
		b = b[2+n:]
	}
	return errHeader
}
