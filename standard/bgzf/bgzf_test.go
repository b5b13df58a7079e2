package bgzf_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/galen-health/galen/standard/bgzf"
	"github.com/galen-health/galen/test/testdata"
)

// text is size bytes that compress somewhat.
func text(size int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, size)
	for i := range b {
		b[i] = "ACGTN\n"[r.IntN(6)]
	}
	return b
}

func noise(size int) []byte {
	r := rand.New(rand.NewPCG(7, 7))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func compress(t testing.TB, data []byte, level, workers int) []byte {
	t.Helper()
	var out bytes.Buffer
	w := bgzf.NewWriter(&out, level, workers)
	for p := data; len(p) > 0; { // in odd pieces
		n := min(len(p), 7919)
		if _, err := w.Write(p[:n]); err != nil {
			t.Fatal(err)
		}
		p = p[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Size() != int64(out.Len()) {
		t.Errorf("Size() = %d, wrote %d bytes", w.Size(), out.Len())
	}
	return out.Bytes()
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	for _, data := range [][]byte{nil, []byte("x"), text(65280, 1), text(65281, 2), text(1_000_000, 3), noise(300_000)} {
		for _, level := range []int{0, 1, 6, 9} {
			for _, workers := range []int{1, 3} {
				file := compress(t, data, level, workers)
				r := bgzf.NewReader(bytes.NewReader(file), workers)
				got, err := io.ReadAll(r)
				if err != nil || !bytes.Equal(got, data) {
					t.Fatalf("%d bytes at level %d with %d workers: read %d bytes, error %v", len(data), level, workers, len(got), err)
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
				// Any gzip reader reads it too.
				z, err := gzip.NewReader(bytes.NewReader(file))
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, data) {
					t.Fatalf("compress/gzip reads %d bytes, error %v", len(got), err)
				}
			}
		}
	}
}

func TestBlocksTileTheFile(t *testing.T) {
	data := text(500_000, 4)
	file := compress(t, data, 6, 2)
	r := bgzf.NewReader(bytes.NewReader(file), 2)
	defer r.Close()
	var at int64
	var got []byte
	for {
		b, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if b.Offset != at {
			t.Fatalf("block at %d, want %d", b.Offset, at)
		}
		at += int64(b.Size)
		got = append(got, b.Data...)
	}
	if at != int64(len(file)) || !bytes.Equal(got, data) {
		t.Errorf("blocks end at %d of %d and hold %d of %d bytes", at, len(file), len(got), len(data))
	}
}

func TestVirtualOffsetsLeadBack(t *testing.T) {
	data := text(400_000, 5)
	file := compress(t, data, 6, 2)
	r := bgzf.NewReader(bytes.NewReader(file), 2)
	defer r.Close()
	buf := make([]byte, 10_007)
	for pos := 0; pos+2*len(buf) < len(data); pos += len(buf) {
		o := r.Offset()
		if _, err := io.ReadFull(r, buf); err != nil {
			t.Fatal(err)
		}
		again, err := bgzf.At(bytes.NewReader(file[o.Block():]), o, 1)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(buf))
		if _, err := io.ReadFull(again, got); err != nil || !bytes.Equal(got, data[pos:pos+len(buf)]) {
			t.Fatalf("offset %x does not lead to byte %d: %v", o, pos, err)
		}
		_ = again.Close()
	}
}

func TestDamageIsFoundAndPlaced(t *testing.T) {
	file := compress(t, text(200_000, 6), 6, 1)
	first, size, err := bgzf.ReadBlock(file)
	if err != nil || len(first) != 65280 {
		t.Fatalf("first block has %d bytes, error %v", len(first), err)
	}
	change := func(at int, by byte) []byte {
		f := bytes.Clone(file)
		f[at] ^= by
		return f
	}
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"no end marker":     {file[:len(file)-28], "truncated"},
		"ends in a block":   {file[:len(file)-40], "the file ends within"},
		"ends in a header":  {file[:len(file)-20], "the file ends within"},
		"CRC of block 2":    {change(2*size-30, 1), ""},
		"CRC field":         {change(size-8, 1), "block at 0: CRC is"},
		"size field":        {change(size-4, 1), "block at 0: "},
		"size over 64 KiB":  {change(size-2, 2), "a block has at most 65536"},
		"not gzip":          {change(0, 1), "a gzip member begins with 1f 8b"},
		"not deflate":       {change(2, 1), "only 8 (deflate) exists"},
		"no BC field":       {change(12, 1), "without the block size"},
		"extra field":       {change(14, 0x40), "extra field"},
		"deflate data":      {change(18, 0x06), "deflate data is damaged"},
		"plain gzip":        {gz("hello"), "without the block size"},
		"text":              {[]byte("@read1\nACGTACGTACGTACGT\n"), "a gzip member begins with"},
		"nothing":           {nil, "truncated"},
		"less than a block": {[]byte{0x1f, 0x8b, 8, 4}, "the file ends within its header"},
	} {
		t.Run(name, func(t *testing.T) {
			r := bgzf.NewReader(bytes.NewReader(c.file), 2)
			defer r.Close()
			_, err := io.Copy(io.Discard, r)
			var e *bgzf.Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
			if _, again := r.Next(); again != err {
				t.Errorf("the next read gives %v, want the same error", again)
			}
		})
	}
}

func gz(s string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.Bytes()
}

func TestAFailingSourceIsNotCalledDamage(t *testing.T) {
	broken := errors.New("the disk is gone")
	file := compress(t, text(200_000, 8), 6, 1)
	r := bgzf.NewReader(io.MultiReader(bytes.NewReader(file[:50_000]), failing{broken}), 2)
	defer r.Close()
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, broken) {
		t.Errorf("error %v, want the source's own", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestAFailingTargetIsReported(t *testing.T) {
	w := bgzf.NewWriter(limited{}, 6, 2)
	_, _ = w.Write(text(1_000_000, 9))
	if err := w.Close(); err != io.ErrShortWrite {
		t.Errorf("Close() = %v, want the target's error", err)
	}
}

type limited struct{}

func (limited) Write(p []byte) (int, error) { return 0, io.ErrShortWrite }

func TestOpenKnowsFormatsByContent(t *testing.T) {
	data := text(100_000, 10)
	members := append(gz(string(data[:40_000])), gz(string(data[40_000:]))...)
	for _, c := range []struct {
		file []byte
		want bgzf.Format
	}{{data, bgzf.Plain}, {members, bgzf.Gzip}, {compress(t, data, 6, 1), bgzf.BGZF}, {nil, bgzf.Plain}} {
		r, f, err := bgzf.Open(bytes.NewReader(c.file), 1)
		if err != nil || f != c.want {
			t.Fatalf("format %q, error %v, want %q", f, err, c.want)
		}
		got, err := io.ReadAll(r)
		if err != nil || len(c.file) > 0 && !bytes.Equal(got, data) {
			t.Errorf("%s: read %d bytes, error %v", f, len(got), err)
		}
		_ = r.Close()
	}
	for _, bad := range [][]byte{members[:len(members)-4], append(bytes.Clone(members[:1000]), members[1100:]...)} {
		r, _, err := bgzf.Open(bytes.NewReader(bad), 1)
		if err != nil {
			t.Fatal(err)
		}
		var e *bgzf.Error
		if _, err := io.Copy(io.Discard, r); !errors.As(err, &e) {
			t.Errorf("damaged gzip: error %v", err)
		}
	}
}

// TestCorpus reads every BGZF file of the public corpora as compress/gzip does.
func TestCorpus(t *testing.T) {
	n := 0
	read := func(name string, file []byte) {
		if !bgzf.Is(file) {
			return
		}
		z, err := gzip.NewReader(bytes.NewReader(file))
		if err != nil {
			return
		}
		want, err := io.ReadAll(z)
		if err != nil {
			return
		}
		n++
		r := bgzf.NewReader(bytes.NewReader(file), 2)
		defer r.Close()
		got, err := io.ReadAll(r)
		if !bytes.HasSuffix(file, bgzf.EOF) {
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s has no end marker: error %v", name, err)
			}
			return
		}
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, error %v, want %d bytes", name, len(got), err, len(want))
		}
	}
	for _, archive := range []string{"htslib-test", "bcftools-test", "hts-specs-test"} {
		testdata.Tar(t, "omics/"+archive+".tar.gz", read)
	}
	if n < 20 {
		t.Errorf("only %d BGZF files in the corpora", n)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(compress(f, text(100, 11), 6, 1))
	f.Add(compress(f, noise(70_000), 1, 1)[:40_000])
	f.Add(gz("x"))
	f.Add(bgzf.EOF)
	f.Fuzz(func(t *testing.T, file []byte) {
		if _, size, err := bgzf.ReadBlock(slices.Clip(file)); err == nil && (size < 1 || size > len(file)) {
			t.Fatalf("a block of %d bytes in %d", size, len(file))
		}
		r := bgzf.NewReader(bytes.NewReader(file), 1)
		defer r.Close()
		got, err := io.ReadAll(r)
		if err != nil {
			return
		}
		// Whatever we accept, gzip reads alike.
		z, zerr := gzip.NewReader(bytes.NewReader(file))
		if zerr != nil {
			t.Fatalf("accepted a file that gzip refuses: %v", zerr)
		}
		want, zerr := io.ReadAll(z)
		if zerr != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, gzip has %d and error %v", len(got), len(want), zerr)
		}
	})
}
