package cram

import "testing"

// The parsers below stand behind checksums, so they are fuzzed by themselves.

func FuzzRans4x8(f *testing.F) {
	f.Add([]byte("\x00\x18\x00\x00\x00\x02\x00\x00\x00\x41\x8f\xff\x00\x00\x00\x80\x00\x00\x00\x80\x00\x00\x00\x80\x00\x00\x00\x80\x00"), 2)
	f.Add([]byte("\x01\x18\x00\x00\x00\x02\x00\x00\x00\x00\x41\x00\x00\x00\x00\x00\x80\x00\x00\x00\x80\x00\x00\x00\x80\x00\x00\x00\x80\x00"), 2)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		if size < 0 || size > 1<<16 {
			return
		}
		if out, err := rans4x8(b, size); err == nil && len(out) != size {
			t.Fatalf("%d bytes, want %d", len(out), size)
		}
	})
}

func FuzzCompressionHeader(f *testing.F) {
	f.Add([]byte("\x15\x04RN\x01AP\x01SM\x1b\x1b\x1b\x1b\x1bTD\x04NMC\x00\x10\x02BF\x01\x01\x01RL\x03\x04\x01\x05\x01\x00\x08\x01\xe0NMC\x01\x01\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseCompression(b)
		if err != nil {
			return
		}
		// Whatever the header says, reading a record from nothing ends.
		s := &slice{h: h, head: &sliceHeader{ref: -1, records: 3}}
		s.external = make([]*cursor, len(h.external))
		for i := range s.external {
			s.external[i] = &cursor{b: b}
		}
		s.core.b = b
		_ = s.decode()
	})
}

func FuzzSliceHeader(f *testing.F) {
	f.Add([]byte("\x00\x01\x0a\x02\x00\x02\x01\x01\xff\xff\xff\xff\x0f0123456789abcdef"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := parseSliceHeader(b); err == nil && (h.records < 0 || h.blocks < 1) {
			t.Fatalf("header %+v", h)
		}
	})
}

func TestNumbers(t *testing.T) {
	for _, v := range []int32{0, 1, 127, 128, 16383, 16384, 1<<21 - 1, 1 << 21, 1<<28 - 1, 1 << 28, 1<<31 - 1, -1, -2, -1 << 31} {
		c := &cursor{b: appendItf8(nil, v)}
		if got := c.itf8(); got != v || c.err != nil || c.left() != 0 {
			t.Errorf("itf8 of %d is read as %d, error %v, %d bytes left", v, got, c.err, c.left())
		}
	}
	for text, want := range map[string]int64{"\x00": 0, "\x7f": 127, "\x80\x80": 128, "\xc1\x00\x00": 65536, "\xff\xff\xff\xff\xff\xff\xff\xff\xff": -1, "\xfe\x01\x00\x00\x00\x00\x00\x00": 1 << 48} {
		c := &cursor{b: []byte(text)}
		if got := c.ltf8(); got != want || c.left() != 0 {
			t.Errorf("ltf8 %x is %d, want %d", text, got, want)
		}
	}
	c := &cursor{b: []byte("\xf0\x00")}
	if c.itf8(); c.err == nil {
		t.Error("a number that is cut off is read")
	}
}
