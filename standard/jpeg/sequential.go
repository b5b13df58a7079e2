package jpeg

import (
	"fmt"
	"math"
)

var zigzag = [64]int{0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63}

// cosines[x][u] = C(u)/2 · cos((2x+1)uπ/16), the kernel of A.3.3.
var cosines = func() (c [8][8]float32) {
	for x := range 8 {
		for u := range 8 {
			k := 0.5
			if u == 0 {
				k = 0.5 / math.Sqrt2
			}
			c[x][u] = float32(k * math.Cos(float64(2*x+1)*float64(u)*math.Pi/16))
		}
	}
	return c
}()

// sequential decodes a scan of 8x8 blocks (annex F.2).
func (d *decoder) sequential(comps []*component) error {
	mcusX, mcusY := (d.img.Width+8*d.hMax-1)/(8*d.hMax), (d.img.Height+8*d.vMax-1)/(8*d.vMax)
	alone := len(comps) == 1
	if alone { // a scan of one component has no padding to whole MCUs (A.2.2)
		c := comps[0]
		mcusX = ((d.img.Width*c.h+d.hMax-1)/d.hMax + 7) / 8
		mcusY = ((d.img.Height*c.v+d.vMax-1)/d.vMax + 7) / 8
	}
	left := d.restart
	var block [64]int32
	for my := range mcusY {
		for mx := range mcusX {
			if d.restart > 0 && left == 0 {
				if err := d.bits.marker(); err != nil {
					return err
				}
				left = d.restart
				for _, c := range comps {
					c.last = 0
				}
			}
			left--
			for _, c := range comps {
				h, v := c.h, c.v
				if alone {
					h, v = 1, 1
				}
				for by := range v {
					for bx := range h {
						if err := d.block(c, &block); err != nil {
							return err
						}
						d.inverse(c, &block, (mx*h+bx)*8, (my*v+by)*8)
					}
				}
			}
			if d.bits.over() {
				return errCut
			}
		}
	}
	return nil
}

// block reads and dequantizes the coefficients of one block.
func (d *decoder) block(c *component, out *[64]int32) error {
	*out = [64]int32{}
	q := &d.quant[c.quant]
	s, err := d.bits.symbol(c.dc)
	if err != nil {
		return err
	}
	if s > 16 {
		return fmt.Errorf("jpeg: a DC difference of %d bits", s)
	}
	c.last += d.bits.receive(uint(s))
	out[0] = int32(c.last) * q[0]
	for k := 1; k < 64; k++ {
		s, err := d.bits.symbol(c.ac)
		if err != nil {
			return err
		}
		run, size := int(s>>4), uint(s&15)
		if size == 0 {
			if run != 15 {
				break
			}
			k += 15
			continue
		}
		if k += run; k > 63 {
			return fmt.Errorf("jpeg: coefficients beyond the block")
		}
		z := zigzag[k]
		out[z] = int32(d.bits.receive(size)) * q[z]
	}
	return nil
}

// inverse transforms a block and puts it into the component's samples.
func (d *decoder) inverse(c *component, b *[64]int32, x0, y0 int) {
	var rows [64]float32
	for v := range 8 {
		r := b[v*8 : v*8+8]
		if r[1]|r[2]|r[3]|r[4]|r[5]|r[6]|r[7] == 0 {
			if r[0] != 0 {
				f := float32(r[0]) * cosines[0][0]
				for x := range 8 {
					rows[v*8+x] = f
				}
			}
			continue
		}
		for x := range 8 {
			k := &cosines[x]
			var s float32
			for u, f := range r {
				s += float32(f) * k[u]
			}
			rows[v*8+x] = s
		}
	}
	half, top := float32(int32(1)<<(d.img.Bits-1)), int32(1)<<d.img.Bits-1
	for y := range 8 {
		k := &cosines[y]
		line := c.samples[(y0+y)*c.width+x0:][:8]
		for x := range 8 {
			s := half + 0.5
			for v := range 8 {
				s += rows[v*8+x] * k[v]
			}
			line[x] = max(0, min(top, int32(math.Floor(float64(s)))))
		}
	}
}
