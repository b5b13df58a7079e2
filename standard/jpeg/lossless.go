package jpeg

import "fmt"

// lossless decodes a scan of process 14 (annex H): differences to a prediction from the neighbours left, above, and left above.
func (d *decoder) lossless(comps []*component, predictor, shift int) error {
	if predictor < 1 || predictor > 7 || shift >= d.img.Bits {
		return fmt.Errorf("jpeg: predictor %d with point transform %d", predictor, shift)
	}
	d.img.Lossless = shift == 0
	w, h := d.img.Width, d.img.Height
	start := int32(1) << (d.img.Bits - shift - 1)
	left := d.restart
	fresh := true // the first row after a start or restart is predicted from the left alone
	for y := range h {
		for x := range w {
			if d.restart > 0 && left == 0 {
				if err := d.bits.marker(); err != nil {
					return err
				}
				left, fresh = d.restart, true
				if x != 0 {
					return fmt.Errorf("jpeg: a restart within a row of a lossless picture")
				}
			}
			left--
			for _, c := range comps {
				s, err := d.bits.symbol(c.dc)
				if err != nil {
					return err
				}
				var diff int32
				switch {
				case s == 16:
					diff = 32768
				case s < 16:
					diff = int32(d.bits.receive(uint(s)))
				default:
					return fmt.Errorf("jpeg: a difference of %d bits", s)
				}
				i := y*w + x
				var p int32
				switch {
				case x == 0 && fresh:
					p = start
				case fresh:
					p = c.samples[i-1]
				case x == 0:
					p = c.samples[i-w]
				default:
					p = predict(predictor, c.samples[i-1], c.samples[i-w], c.samples[i-w-1])
				}
				c.samples[i] = (p + diff) & 0xFFFF
			}
		}
		fresh = false
		if d.bits.over() {
			return errCut
		}
	}
	for _, c := range comps {
		for i := range c.samples {
			c.samples[i] = c.samples[i] << shift & 0xFFFF
		}
	}
	return nil
}

// predict is table H.1: a is left, b above, c left above.
func predict(p int, a, b, c int32) int32 {
	switch p {
	case 1:
		return a
	case 2:
		return b
	case 3:
		return c
	case 4:
		return a + b - c
	case 5:
		return a + (b-c)>>1
	case 6:
		return b + (a-c)>>1
	}
	return (a + b) >> 1
}
