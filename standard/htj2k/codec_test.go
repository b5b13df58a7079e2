package htj2k

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

func need(t testing.TB) {
	t.Helper()
	for _, f := range []Format{HTJ2K, JPEG2000, JPEGLS} {
		if err := Ready(t.Context(), f); errors.Is(err, ErrAssets) {
			t.Skip("the codec modules are not here: make assets")
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// picture makes pixels with structure and noise that use the whole range of the precision.
func picture(f Frame) []byte {
	r := rand.New(rand.NewPCG(1, uint64(f.Width*f.Bits)))
	b := make([]byte, 0, f.Bytes())
	for y := range f.Height {
		for x := range f.Width {
			for c := range f.Components {
				v := (x*7+y*3+c*50)<<f.Bits/(f.Width*7+f.Height*3+200) + r.IntN(1<<max(1, f.Bits-4))
				if r.IntN(50) == 0 {
					v = r.IntN(1 << f.Bits)
				}
				v &= 1<<f.Bits - 1
				if f.Signed {
					v -= 1 << (f.Bits - 1)
				}
				b = append(b, byte(v))
				if f.SampleBytes() == 2 {
					b = append(b, byte(v>>8))
				}
			}
		}
	}
	return b
}

func TestLossless(t *testing.T) {
	need(t)
	for _, f := range []Frame{
		{Width: 512, Height: 512, Components: 1, Bits: 12}, {Width: 512, Height: 512, Components: 1, Bits: 16}, {Width: 300, Height: 201, Components: 1, Bits: 16, Signed: true},
		{Width: 64, Height: 64, Components: 1, Bits: 12, Signed: true}, {Width: 640, Height: 480, Components: 3, Bits: 8}, {Width: 33, Height: 77, Components: 1, Bits: 8},
		{Width: 1, Height: 1, Components: 1, Bits: 8}, {Width: 1, Height: 700, Components: 1, Bits: 16}, {Width: 3, Height: 2, Components: 3, Bits: 8}, {Width: 100, Height: 90, Components: 1, Bits: 10},
		{Width: 20, Height: 20, Components: 3, Bits: 7},
	} {
		for _, format := range []Format{HTJ2K, JPEG2000, JPEGLS} {
			for _, transform := range []bool{false, true} {
				if transform && f.Components != 3 || format == JPEGLS && (f.Signed || transform) {
					continue
				}
				want := picture(f)
				stream, err := Encode(t.Context(), format, f, want, transform)
				if err != nil {
					t.Errorf("%v %+v: %v", format, f, err)
					continue
				}
				g, got, err := Decode(t.Context(), format, stream)
				if err != nil {
					t.Errorf("%v %+v: %v", format, f, err)
					continue
				}
				if g.Width != f.Width || g.Height != f.Height || g.Components != f.Components || g.Bits != f.Bits || g.Signed != f.Signed || !g.Reversible {
					t.Errorf("%v: header %+v, want %+v", format, g, f)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%v %+v: pixels differ", format, f)
				}
			}
		}
	}
}

func BenchmarkCodecs(b *testing.B) {
	need(b)
	f := Frame{Width: 512, Height: 512, Components: 1, Bits: 12}
	px := picture(f)
	for _, format := range []Format{HTJ2K, JPEGLS, JPEG2000} {
		stream, err := Encode(context.Background(), format, f, px, false)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("encode "+format.String(), func(b *testing.B) {
			b.SetBytes(f.Bytes())
			for b.Loop() {
				if _, err := Encode(context.Background(), format, f, px, false); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("decode "+format.String(), func(b *testing.B) {
			b.SetBytes(f.Bytes())
			for b.Loop() {
				if _, _, err := Decode(context.Background(), format, stream); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// PS3.5 §10.18: RPCL, tile part lengths, one tile part a resolution, base of at most 64.
func TestStreamIsFitForProgressiveRetrieval(t *testing.T) {
	need(t)
	for _, size := range []int{512, 1000, 5000} {
		f := Frame{Width: size, Height: size, Components: 1, Bits: 12}
		stream, err := Encode(t.Context(), HTJ2K, f, picture(f), false)
		if err != nil {
			t.Fatal(err)
		}
		levels, order, tlm := 0, byte(255), []int(nil)
		end := 2
		if err := segments(stream[2:], 0x90, func(m byte, s []byte) error {
			switch m {
			case 0x52:
				order, levels = s[1], int(s[5])
			case 0x55: // TLM: index, sizes, then per tile part the tile index (if any) and its length
				entry := 4 + int(s[1]>>4&3)
				if s[1]>>6&1 == 0 {
					entry -= 2
				}
				for at := 2; at+entry <= len(s); at += entry {
					n := 0
					for _, c := range s[at+int(s[1]>>4&3) : at+entry] {
						n = n<<8 | int(c)
					}
					tlm = append(tlm, n)
				}
			}
			if m != 0x90 {
				end += 4 + len(s)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if base := ceilShift(size, levels); order != 2 || base > 64 || len(tlm) != levels+1 {
			t.Errorf("%d: progression %d, base %d, %d tile parts for %d decompositions", size, order, base, len(tlm), levels)
		}
		for i, n := range tlm { // each length leads to the next tile part, the last to the end of the stream
			if stream[end] != 0xFF || stream[end+1] != 0x90 {
				t.Errorf("%d: tile part %d does not start at %d", size, i, end)
			}
			end += n
		}
		if stream[end] != 0xFF || stream[end+1] != 0xD9 {
			t.Errorf("%d: tile parts end at %d of %d", size, end, len(stream))
		}
	}
}

func TestLevels(t *testing.T) {
	need(t)
	f := Frame{Width: 300, Height: 201, Components: 1, Bits: 16, Signed: true}
	want := picture(f)
	stream, err := Encode(t.Context(), HTJ2K, f, want, false)
	if err != nil {
		t.Fatal(err)
	}
	var sizes [][2]int
	var last []byte
	g, err := DecodeLevels(t.Context(), stream, func(w, h int, px []byte) {
		sizes = append(sizes, [2]int{w, h})
		last = append([]byte(nil), px...)
	})
	if err != nil || g.Levels != 5 {
		t.Fatal(err, g)
	}
	if !slices.Equal(sizes, [][2]int{{10, 7}, {19, 13}, {38, 26}, {75, 51}, {150, 101}, {300, 201}}) || !bytes.Equal(last, want) {
		t.Errorf("sizes %v, full resolution equal: %v", sizes, bytes.Equal(last, want))
	}
}

// OpenJPEG's own program is the judge of our HTJ2K.
func TestForeignDecoderAgrees(t *testing.T) {
	need(t)
	tool, err := exec.LookPath("opj_decompress")
	if err != nil {
		t.Skip("opj_decompress (package libopenjp2-tools) is not installed")
	}
	for _, f := range []Frame{{Width: 512, Height: 400, Components: 1, Bits: 12}, {Width: 257, Height: 129, Components: 1, Bits: 16, Signed: true}, {Width: 320, Height: 200, Components: 3, Bits: 8}} {
		want := picture(f)
		stream, err := Encode(t.Context(), HTJ2K, f, want, true)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		in, out := filepath.Join(dir, "a.j2k"), filepath.Join(dir, "a.rawl")
		if err := os.WriteFile(in, stream, 0o600); err != nil {
			t.Fatal(err)
		}
		if msg, err := exec.Command(tool, "-i", in, "-o", out).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, msg)
		}
		got, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if f.Components > 1 { // raw output is plane by plane
			got = interleaved(got, f.Components, f.SampleBytes())
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%+v: opj_decompress sees other pixels", f)
		}
	}
}

// A broken stream is an error or, where the format tolerates it, a picture; the next stream is decoded as if nothing had been.
func TestHostileStreamsHurtNobody(t *testing.T) {
	need(t)
	r := rand.New(rand.NewPCG(7, 7))
	f := Frame{Width: 128, Height: 128, Components: 1, Bits: 12}
	want := picture(f)
	for _, format := range []Format{HTJ2K, JPEG2000, JPEGLS} {
		good, err := Encode(t.Context(), format, f, want, false)
		if err != nil {
			t.Fatal(err)
		}
		refused := 0
		for i := range 60 {
			bad := append([]byte(nil), good...)
			switch i % 3 {
			case 0:
				bad = bad[:r.IntN(len(bad))]
			case 1:
				for range 20 {
					bad[r.IntN(len(bad))] ^= byte(1 << r.IntN(8))
				}
			case 2:
				for k := range 200 {
					bad[(len(bad)/2+k)%len(bad)] = byte(r.IntN(256))
				}
			}
			if h, err := Header(bad); err == nil && h.Bytes() > 1<<20 {
				continue // would only take long
			}
			if _, _, err := Decode(t.Context(), format, bad); err != nil {
				refused++
			}
			if i%10 == 0 {
				if _, got, err := Decode(t.Context(), format, good); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%v: a good stream after a bad one: %v", format, err)
				}
			}
		}
		t.Logf("%v: %d of 60 broken streams refused", format, refused)
		if refused == 0 {
			t.Errorf("%v: not one broken stream was refused", format)
		}
	}
}

func TestHeadersAreBounded(t *testing.T) {
	siz := func(w, h, tw, th uint32, n byte) []byte {
		b := []byte{0xFF, 0x4F, 0xFF, 0x51, 0, 38 + 3*n, 0, 0}
		for _, v := range []uint32{w, h, 0, 0, tw, th, 0, 0} {
			b = binary.BigEndian.AppendUint32(b, v)
		}
		b = append(b, 0, n)
		for range n {
			b = append(b, 15, 1, 1)
		}
		return append(b, 0xFF, 0x90, 0, 10, 0, 0, 0, 0, 0, 0, 0, 1)
	}
	for name, b := range map[string][]byte{
		"huge": siz(1<<31, 1<<31, 64, 64, 1), "large": siz(1<<15, 1<<15, 1<<15, 1<<15, 1), "many tiles": siz(10000, 10000, 1, 1, 1), "no tiles": siz(100, 100, 0, 0, 1),
		"no components": siz(100, 100, 100, 100, 0), "empty": nil, "cut": siz(100, 100, 100, 100, 1)[:30], "JPEG": {0xFF, 0xD8, 0xFF, 0xE0, 0, 2, 0xFF, 0xD9},
	} {
		if _, err := Header(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if f, err := Header(siz(100, 90, 100, 90, 1)); err != nil || f.Width != 100 || f.Height != 90 || f.Bits != 16 {
		t.Errorf("%+v, %v", f, err)
	}
}

func FuzzDecode(f *testing.F) {
	fr := Frame{Width: 40, Height: 30, Components: 1, Bits: 8}
	for _, format := range []Format{HTJ2K, JPEG2000, JPEGLS} {
		if b, err := Encode(context.Background(), format, fr, picture(fr), false); err == nil {
			f.Add(int(format), b)
		}
	}
	f.Fuzz(func(t *testing.T, format int, b []byte) {
		h, err := Header(b)
		if err != nil || format < 0 || format > 2 || h.Bytes() > 1<<20 {
			return
		}
		if _, px, err := Decode(t.Context(), Format(format), b); err == nil && int64(len(px)) != h.Bytes() {
			t.Errorf("%d bytes of pixels for %+v", len(px), h)
		}
		if format == int(HTJ2K) {
			_, _ = DecodeLevels(t.Context(), b, func(w, h int, px []byte) {
				if w < 1 || h < 1 || len(px) == 0 {
					t.Errorf("a level of %dx%d with %d bytes", w, h, len(px))
				}
			})
		}
	})
}
