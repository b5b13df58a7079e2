package bgzf

import (
	"bytes"
	"compress/flate"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// samples are texts of many kinds: random, repeating, skewed, long and short distances.
func samples() [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	out := [][]byte{nil, []byte("a"), []byte(strings.Repeat("a", 60_000)), []byte(strings.Repeat("abc", 20_000))}
	for _, n := range []int{2, 3, 4, 7, 40, 100, 256} {
		b := make([]byte, 1+r.IntN(65_000))
		for i := range b {
			k := r.IntN(n)
			b[i] = byte(k * k % 256)
		}
		out = append(out, b)
	}
	skew := make([]byte, 60_000) // codes of every length
	for i := range skew {
		skew[i] = byte(r.ExpFloat64() * 12)
	}
	far := append(append(bytes.Clone(out[9]), make([]byte, 20_000)...), out[9]...)
	return append(out, skew, far[:min(len(far), 65_000)])
}

func TestInflateIsFlate(t *testing.T) {
	tables := new(deflateTables)
	for i, text := range samples() {
		for level := -2; level <= 9; level++ {
			var b bytes.Buffer
			w, err := flate.NewWriter(&b, level)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = w.Write(text[:len(text)/2])
			_ = w.Flush() // several blocks
			_, _ = w.Write(text[len(text)/2:])
			_ = w.Close()
			got := make([]byte, len(text))
			if err := tables.inflateInto(got, b.Bytes()); err != nil || !bytes.Equal(got, text) {
				t.Fatalf("sample %d at level %d: error %v, %v", i, level, err, bytes.Equal(got, text))
			}
			for _, wrong := range []int{len(text) - 1, len(text) + 1} {
				if wrong >= 0 && tables.inflateInto(make([]byte, wrong), b.Bytes()) == nil {
					t.Fatalf("sample %d at level %d inflates to %d bytes too", i, level, wrong)
				}
			}
			if tables.inflateInto(got, append(b.Bytes(), 0)) == nil || tables.inflateInto(got, b.Bytes()[:b.Len()-1]) == nil {
				t.Fatalf("sample %d at level %d: a byte more or less passes", i, level)
			}
		}
	}
}

// FuzzInflate holds the decoder to compress/flate: what one accepts with this length, the other does, alike.
func FuzzInflate(f *testing.F) {
	for _, text := range samples()[:6] {
		var b bytes.Buffer
		w, _ := flate.NewWriter(&b, 6)
		_, _ = w.Write(text[:min(len(text), 300)])
		_ = w.Close()
		f.Add(b.Bytes())
	}
	f.Add([]byte{1, 0, 0, 0xff, 0xff})
	tables := new(deflateTables)
	f.Fuzz(func(t *testing.T, b []byte) {
		src := bytes.NewReader(b)
		want, err := io.ReadAll(io.LimitReader(flate.NewReader(src), 1<<20))
		if len(want) == 1<<20 {
			return
		}
		got := make([]byte, len(want))
		ours := tables.inflateInto(got, b)
		if ours == nil && (err != nil || !bytes.Equal(got, want)) {
			t.Fatalf("accepted what flate refuses: %v", err)
		}
		if err == nil && src.Len() == 0 && ours != nil {
			t.Fatalf("refused %x, which flate takes for %d bytes", b, len(want))
		}
	})
}

func BenchmarkInflate(b *testing.B) {
	r := rand.New(rand.NewPCG(3, 4))
	text := make([]byte, 65_280)
	for i := range text {
		text[i] = "ACGTIIIIFF#"[r.IntN(11)]
	}
	var z bytes.Buffer
	w, _ := flate.NewWriter(&z, 6)
	_, _ = w.Write(text)
	_ = w.Close()
	tables, out := new(deflateTables), make([]byte, len(text))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if err := tables.inflateInto(out, z.Bytes()); err != nil {
			b.Fatal(err)
		}
	}
}
