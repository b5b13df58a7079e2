package jpeg

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Image is a decoded picture.
type Image struct {
	Width, Height, Components int
	Bits                      int  // precision of a sample
	Lossless                  bool // process 14 without point transform
	// Transform is the colour transform of an Adobe marker: 0 none, 1 YCbCr, 2 YCCK; −1 without the marker.
	Transform int
	Pixels    []byte // interleaved; one byte a sample up to 8 bits, else two, little endian
}

// MaxBytes bounds a decoded picture.
const MaxBytes = 256 << 20

type component struct {
	id, h, v int
	quant    byte
	dc, ac   *huffman
	last     int // DC prediction
	samples  []int32
	width    int // of samples, a multiple of the block
	height   int
}

type decoder struct {
	b          []byte
	img        Image
	comps      []component
	sof        byte
	quant      [4][64]int32
	dcTables   [4]*huffman
	acTables   [4]*huffman
	restart    int
	hMax, vMax int
	bits       bitReader
	scanned    int // components that a scan has filled
}

var errCut = errors.New("jpeg: the stream ends early")

// Decode reads one picture.
func Decode(b []byte) (*Image, error) {
	d := &decoder{b: b}
	d.img.Transform = -1
	if len(b) < 4 || b[0] != 0xFF || b[1] != 0xD8 {
		return nil, errors.New("jpeg: no start of image")
	}
	at := 2
	for {
		for at < len(b) && b[at] != 0xFF {
			at++ // fill between segments is tolerated
		}
		for at+1 < len(b) && b[at+1] == 0xFF {
			at++
		}
		if at+1 >= len(b) {
			return nil, errCut
		}
		m := b[at+1]
		at += 2
		if m == 0xD9 {
			break
		}
		if m == 0 || m == 1 || m >= 0xD0 && m <= 0xD7 {
			continue
		}
		if at+2 > len(b) {
			return nil, errCut
		}
		n := int(binary.BigEndian.Uint16(b[at:]))
		if n < 2 || at+n > len(b) {
			return nil, errCut
		}
		seg := b[at+2 : at+n]
		at += n
		var err error
		switch m {
		case 0xC0, 0xC1, 0xC3:
			err = d.frame(m, seg)
		case 0xC2, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF:
			err = fmt.Errorf("jpeg: process of marker FF%02X is not supported: sequential and lossless Huffman coding only", m)
		case 0xC4:
			err = d.huffmanTables(seg)
		case 0xDB:
			err = d.quantTables(seg)
		case 0xDD:
			if len(seg) < 2 {
				return nil, errCut
			}
			d.restart = int(binary.BigEndian.Uint16(seg))
		case 0xEE:
			if len(seg) >= 12 && string(seg[:5]) == "Adobe" {
				d.img.Transform = int(seg[11])
			}
		case 0xDA:
			at, err = d.scan(seg, at)
		}
		if err != nil {
			return nil, err
		}
		if d.sof != 0 && d.scanned >= len(d.comps) {
			break // all there; what follows does not matter
		}
	}
	if d.sof == 0 || d.scanned < len(d.comps) {
		return nil, errCut
	}
	d.paint()
	return &d.img, nil
}

// frame reads a frame header (B.2.2).
func (d *decoder) frame(m byte, s []byte) error {
	if d.sof != 0 || len(s) < 6 || len(s) < 6+3*int(s[5]) {
		return errors.New("jpeg: frame header broken or repeated")
	}
	d.sof = m
	d.img.Bits = int(s[0])
	d.img.Height, d.img.Width = int(binary.BigEndian.Uint16(s[1:])), int(binary.BigEndian.Uint16(s[3:]))
	d.img.Components = int(s[5])
	lossless := m == 0xC3
	switch {
	case d.img.Width == 0 || d.img.Height == 0 || d.img.Components < 1 || d.img.Components > 4:
		return fmt.Errorf("jpeg: a picture of %dx%d with %d components", d.img.Width, d.img.Height, d.img.Components)
	case lossless && (d.img.Bits < 2 || d.img.Bits > 16), !lossless && d.img.Bits != 8 && d.img.Bits != 12:
		return fmt.Errorf("jpeg: samples of %d bits", d.img.Bits)
	case int64(d.img.Width)*int64(d.img.Height)*int64(d.img.Components)*2 > MaxBytes:
		return fmt.Errorf("jpeg: a picture of %dx%d is too large", d.img.Width, d.img.Height)
	}
	d.hMax, d.vMax = 1, 1
	for i := range d.img.Components {
		c := component{id: int(s[6+3*i]), h: int(s[7+3*i] >> 4), v: int(s[7+3*i] & 15), quant: s[8+3*i]}
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.quant > 3 || lossless && (c.h != 1 || c.v != 1) {
			return errors.New("jpeg: sampling factors or table numbers are not supported")
		}
		d.hMax, d.vMax = max(d.hMax, c.h), max(d.vMax, c.v)
		d.comps = append(d.comps, c)
	}
	for i := range d.comps {
		c := &d.comps[i]
		if lossless {
			c.width, c.height = d.img.Width, d.img.Height
		} else {
			c.width = (d.img.Width + 8*d.hMax - 1) / (8 * d.hMax) * 8 * c.h
			c.height = (d.img.Height + 8*d.vMax - 1) / (8 * d.vMax) * 8 * c.v
		}
		c.samples = make([]int32, c.width*c.height)
	}
	return nil
}

func (d *decoder) quantTables(s []byte) error {
	for len(s) > 0 {
		id, wide := s[0]&15, s[0]>>4
		s = s[1:]
		if id > 3 || wide > 1 || len(s) < 64<<wide {
			return errors.New("jpeg: quantization table broken")
		}
		for i := range 64 {
			if wide == 1 {
				d.quant[id][zigzag[i]] = int32(binary.BigEndian.Uint16(s[2*i:]))
			} else {
				d.quant[id][zigzag[i]] = int32(s[i])
			}
		}
		s = s[64<<wide:]
	}
	return nil
}

func (d *decoder) huffmanTables(s []byte) error {
	for len(s) > 0 {
		if len(s) < 17 {
			return errors.New("jpeg: Huffman table broken")
		}
		class, id := s[0]>>4, s[0]&15
		h, n, err := newHuffman(s[1:])
		if err != nil {
			return err
		}
		if class > 1 || id > 3 {
			return errors.New("jpeg: Huffman table broken")
		}
		if class == 0 {
			d.dcTables[id] = h
		} else {
			d.acTables[id] = h
		}
		s = s[1+n:]
	}
	return nil
}

// scan reads a scan header (B.2.3) and the coded data behind it, and returns where that ends.
func (d *decoder) scan(s []byte, at int) (int, error) {
	if d.sof == 0 || len(s) < 1 || len(s) < 4+2*int(s[0]) || s[0] < 1 || int(s[0]) > len(d.comps) {
		return 0, errors.New("jpeg: scan header broken")
	}
	var comps []*component
	for i := range int(s[0]) {
		id, tables := int(s[1+2*i]), s[2+2*i]
		var c *component
		for k := range d.comps {
			if d.comps[k].id == id {
				c = &d.comps[k]
			}
		}
		if c == nil || tables>>4 > 3 || tables&15 > 3 {
			return 0, errors.New("jpeg: scan header names what is not there")
		}
		c.dc, c.ac, c.last = d.dcTables[tables>>4], d.acTables[tables&15], 0
		if c.dc == nil || d.sof != 0xC3 && c.ac == nil {
			return 0, errors.New("jpeg: scan without its Huffman tables")
		}
		comps = append(comps, c)
	}
	tail := s[1+2*int(s[0]):]
	d.bits = bitReader{b: d.b, at: at}
	d.scanned += len(comps)
	var err error
	if d.sof == 0xC3 {
		err = d.lossless(comps, int(tail[0]), int(tail[2]&15))
	} else {
		err = d.sequential(comps)
	}
	return d.bits.end(), err
}

// paint brings the samples of all components together.
func (d *decoder) paint() {
	size := 1
	if d.img.Bits > 8 {
		size = 2
	}
	w, h, n := d.img.Width, d.img.Height, len(d.comps)
	out := make([]byte, w*h*n*size)
	for k := range d.comps {
		c := &d.comps[k]
		for y := range h {
			row := c.samples[y*c.v/d.vMax*c.width:]
			at := (y*w*n + k) * size
			for x := range w {
				v := row[x*c.h/d.hMax]
				out[at] = byte(v)
				if size == 2 {
					out[at+1] = byte(v >> 8)
				}
				at += n * size
			}
		}
	}
	d.img.Pixels = out
}
