package pixel

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/galen-health/galen/standard/dicom"
	"github.com/galen-health/galen/standard/htj2k"
	"github.com/galen-health/galen/test/testdata"
)

var unzstd, _ = zstd.NewReader(nil)

func read(t testing.TB, path string) *dicom.File {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(path, ".zst") {
		if b, err = unzstd.DecodeAll(b, nil); err != nil {
			t.Fatal(err)
		}
	}
	f, err := dicom.Parse(b, dicom.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return f
}

func need(t testing.TB) {
	t.Helper()
	if err := htj2k.Ready(t.Context(), htj2k.HTJ2K); errors.Is(err, htj2k.ErrAssets) {
		t.Skip("the codec modules are not here: make assets")
	}
}

// The compressed twins of the NEMA WG04 set are bit for bit the pictures of their references.
func TestTwins(t *testing.T) {
	need(t)
	dir := testdata.Dir(t, "imaging/dicom-test-files/data/WG04")
	refs, _ := filepath.Glob(filepath.Join(dir, "REF", "*"))
	equal := map[string]int{}
	for _, ref := range refs {
		name, _, _ := strings.Cut(filepath.Base(ref), "_")
		r := read(t, ref)
		rf, err := r.Frames()
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"J2KR", "JLSL", "JPLL", "RLE"} {
			path := filepath.Join(dir, kind, name+"_"+kind)
			if _, err := os.Stat(path); err != nil {
				continue
			}
			f := read(t, path)
			fr, err := f.Frames()
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			for i := range fr.Image.Frames {
				want, _ := rf.Frame(i)
				if rf.Planar && rf.Samples > 1 {
					want = Interleave(want, rf.Image)
				}
				b, _ := fr.Frame(i)
				got, err := Decode(t.Context(), f.TransferSyntax, fr.Image, b)
				if err != nil {
					t.Errorf("%s frame %d: %v", path, i+1, err)
					continue
				}
				if !bytes.Equal(got.Pixels, want) {
					t.Errorf("%s frame %d: %d of %d bytes differ", path, i+1, differing(got.Pixels, want), len(want))
					continue
				}
			}
			equal[kind]++
		}
	}
	for kind, want := range map[string]int{"J2KR": 16, "JLSL": 11, "JPLL": 11, "RLE": 16} {
		if equal[kind] != want {
			t.Errorf("%s: %d twins compared, want %d", kind, equal[kind], want)
		}
	}
}

func differing(a, b []byte) (n int) {
	if len(a) != len(b) {
		return max(len(a), len(b))
	}
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

// Every uncompressed frame of the corpus comes back bit for bit from HTJ2K and from JPEG 2000.
func TestEncodeTheCorpus(t *testing.T) {
	need(t)
	root := testdata.Dir(t, "imaging")
	frames, unsupported := 0, 0
	filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(path, ".txt") {
			return err
		}
		b, _ := os.ReadFile(path)
		if strings.HasSuffix(path, ".zst") {
			b, _ = unzstd.DecodeAll(b, nil)
		}
		f, err := dicom.Parse(b, dicom.Limits{})
		if err != nil {
			return nil
		}
		fr, err := f.Frames()
		if err != nil || fr == nil {
			return nil
		}
		name := strings.TrimPrefix(path, root)
		for i := range min(fr.Image.Frames, 2) {
			stored, _ := fr.Frame(i)
			px, err := Decode(t.Context(), f.TransferSyntax, fr.Image, stored)
			if err != nil {
				if !errors.Is(err, ErrUnsupported) {
					t.Logf("%s: %v", name, err)
				}
				continue
			}
			if int64(len(px.Pixels)) != fr.FrameBytes() && !fr.Subsampled() {
				t.Errorf("%s: a frame of %d bytes, want %d", name, len(px.Pixels), fr.FrameBytes())
				continue
			}
			m := fr.Image
			m.Photometric = px.Photometric
			m.Planar = m.Planar && dicom.Native(f.TransferSyntax)
			for _, syntax := range []string{dicom.HTJ2KLosslessRPCL, dicom.JPEG2000Lossless} {
				if syntax == dicom.JPEG2000Lossless && len(px.Pixels) > 1<<18 {
					continue // slow
				}
				enc, err := Encode(t.Context(), syntax, m, px.Pixels)
				if errors.Is(err, ErrUnsupported) {
					unsupported++
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				back, err := Decode(t.Context(), syntax, m, enc.Stream)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				want := px.Pixels
				if m.Planar && m.Samples > 1 {
					want = Interleave(want, m)
				}
				if !bytes.Equal(back.Pixels, want) {
					t.Errorf("%s: %d of %d bytes differ after %s", name, differing(back.Pixels, want), len(want), syntax)
				}
				frames++
			}
		}
		return nil
	})
	t.Logf("%d frames came back, %d cannot be encoded", frames, unsupported)
	if frames < 250 {
		t.Errorf("only %d frames were encoded", frames)
	}
}

func FuzzRLE(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x40\x00\x00\x00"+strings.Repeat("\x00", 56)+"\xff\x07\x01ab"), 2, 2)
	f.Fuzz(func(t *testing.T, b []byte, rows, cols int) {
		if rows < 1 || cols < 1 || rows > 1000 || cols > 1000 {
			return
		}
		m := dicom.Image{Rows: rows, Columns: cols, Samples: 1, BitsAllocated: 8}
		if px, err := rle(b, m); err == nil && len(px) != rows*cols {
			t.Errorf("%d bytes for %dx%d", len(px), cols, rows)
		}
	})
}
