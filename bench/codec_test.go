package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/galen-health/galen/standard/htj2k"
)

// TestHTJ2K encodes and decodes one 2048² 16-bit image beside native OpenJPH's command line, whose start is counted with it (about 5 ms).
func TestHTJ2K(t *testing.T) {
	ctx := asked(t)
	compress, err1 := exec.LookPath("ojph_compress")
	expand, err2 := exec.LookPath("ojph_expand")
	if err1 != nil || err2 != nil {
		t.Skip("OpenJPH is not installed (Debian: openjph-tools)")
	}
	if err := htj2k.Ready(ctx, htj2k.HTJ2K); err != nil {
		t.Skip(err)
	}
	const n = 2048
	px := make([]uint16, n*n)
	for i := range px {
		x, y := i%n, i/n
		px[i] = uint16(2000 + (x*x+y*y)/4096 + (x*31+y*17)%61)
	}
	var le, pgm bytes.Buffer
	fmt.Fprintf(&pgm, "P5\n%d %d\n65535\n", n, n)
	if err := binary.Write(&le, binary.LittleEndian, px); err != nil {
		t.Fatal(err)
	}
	if err := binary.Write(&pgm, binary.BigEndian, px); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	in, code, out := filepath.Join(dir, "x.pgm"), filepath.Join(dir, "x.j2c"), filepath.Join(dir, "y.pgm")
	if err := os.WriteFile(in, pgm.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	const mb = 2 * n * n / 1e6
	var enc, dec, nEnc, nDec []float64
	for range rounds {
		start := time.Now()
		stream, err := htj2k.Encode(ctx, htj2k.HTJ2K, htj2k.Frame{Width: n, Height: n, Bits: 16, Components: 1}, le.Bytes(), false)
		if err != nil {
			t.Fatal(err)
		}
		enc = append(enc, mb/time.Since(start).Seconds())
		start = time.Now()
		_, back, err := htj2k.Decode(ctx, htj2k.HTJ2K, stream)
		if err != nil || !bytes.Equal(back, le.Bytes()) {
			t.Fatalf("not lossless: %v", err)
		}
		dec = append(dec, mb/time.Since(start).Seconds())
		start = time.Now()
		if b, err := exec.Command(compress, "-i", in, "-o", code, "-reversible", "true", "-num_decomps", "5").CombinedOutput(); err != nil {
			t.Fatalf("ojph_compress: %v %s", err, b)
		}
		nEnc = append(nEnc, mb/time.Since(start).Seconds())
		start = time.Now()
		if b, err := exec.Command(expand, "-i", code, "-o", out).CombinedOutput(); err != nil {
			t.Fatalf("ojph_expand: %v %s", err, b)
		}
		nDec = append(nDec, mb/time.Since(start).Seconds())
	}
	row(t, "HTJ2K encode, 2048² 16-bit, lossless", "MB/s", median(enc), "OpenJPH native (command)", median(nEnc))
	row(t, "HTJ2K decode", "MB/s", median(dec), "OpenJPH native (command)", median(nDec))
}
