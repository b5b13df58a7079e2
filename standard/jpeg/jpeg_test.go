package jpeg

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	stdjpeg "image/jpeg"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/galen-health/galen/standard/dicom"
	"github.com/galen-health/galen/test/testdata"
)

// Baseline pictures agree with the standard library's decoder to the rounding of the transforms.
func TestBaselineAgreesWithTheLibrary(t *testing.T) {
	for _, size := range [][2]int{{64, 64}, {33, 17}, {1, 1}, {100, 7}} {
		gray := image.NewGray(image.Rect(0, 0, size[0], size[1]))
		rgb := image.NewRGBA(gray.Rect)
		for y := range size[1] {
			for x := range size[0] {
				gray.SetGray(x, y, color.Gray{uint8(x*3 + y*5)})
				rgb.SetRGBA(x, y, color.RGBA{uint8(x * 2), uint8(y * 2), uint8(x + y), 255})
			}
		}
		for _, src := range []image.Image{gray, rgb} {
			var b bytes.Buffer
			if err := stdjpeg.Encode(&b, src, &stdjpeg.Options{Quality: 90}); err != nil {
				t.Fatal(err)
			}
			got, err := Decode(b.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			ref, _ := stdjpeg.Decode(bytes.NewReader(b.Bytes()))
			for y := range size[1] {
				for x := range size[0] {
					var want [3]uint8
					n := 1
					switch r := ref.(type) {
					case *image.Gray:
						want[0] = r.GrayAt(x, y).Y
					case *image.YCbCr:
						c := r.YCbCrAt(x, y)
						want, n = [3]uint8{c.Y, c.Cb, c.Cr}, 3
					}
					for k := range n {
						if d := int(got.Pixels[(y*size[0]+x)*n+k]) - int(want[k]); d < -1 || d > 1 {
							t.Fatalf("%v: sample %d at %d,%d differs by %d", size, k, x, y, d)
						}
					}
				}
			}
		}
	}
}

// 12-bit pictures agree with DCMTK's decoder to the rounding of the transforms.
func TestExtendedAgreesWithDCMTK(t *testing.T) {
	tool, err := exec.LookPath("dcmdjpeg")
	if err != nil {
		t.Skip("dcmdjpeg (package dcmtk) is not installed")
	}
	files, _ := filepath.Glob(filepath.Join(testdata.Dir(t, "imaging/dicom-test-files/data/WG04/JPLY"), "*"))
	compared := 0
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(t.TempDir(), "out.dcm")
		if exec.Command(tool, path, out).Run() != nil {
			continue
		}
		ref, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		frame := func(b []byte) []byte {
			f, err := dicom.Parse(b, dicom.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			fr, err := f.Frames()
			if err != nil {
				t.Fatal(err)
			}
			px, err := fr.Frame(0)
			if err != nil {
				t.Fatal(err)
			}
			return px
		}
		got, err := Decode(frame(b))
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(path), err)
			continue
		}
		want := frame(ref)
		if len(want) != len(got.Pixels) {
			t.Errorf("%s: %d bytes, want %d", filepath.Base(path), len(got.Pixels), len(want))
			continue
		}
		worst := 0
		for i := 0; i+1 < len(want); i += 2 {
			x, y := int(binary.LittleEndian.Uint16(got.Pixels[i:])), int(binary.LittleEndian.Uint16(want[i:]))&(1<<got.Bits-1)
			worst = max(worst, x-y, y-x)
		}
		if worst > 2 {
			t.Errorf("%s: samples differ by up to %d", filepath.Base(path), worst)
		}
		compared++
	}
	if compared < 10 {
		t.Errorf("%d pictures compared", compared)
	}
}

func TestBrokenStreams(t *testing.T) {
	var b bytes.Buffer
	img := image.NewGray(image.Rect(0, 0, 64, 64))
	for i := range img.Pix {
		img.Pix[i] = byte(i * i)
	}
	stdjpeg.Encode(&b, img, nil)
	good := b.Bytes()
	for _, n := range []int{0, 1, 2, 20, len(good) / 2, len(good) - 20} {
		if _, err := Decode(good[:n]); err == nil {
			t.Errorf("the first %d of %d bytes were accepted", n, len(good))
		}
	}
	progressive := bytes.Replace(good, []byte{0xFF, 0xC0}, []byte{0xFF, 0xC2}, 1)
	if _, err := Decode(progressive); err == nil {
		t.Error("a progressive frame was accepted")
	}
}

func FuzzDecode(f *testing.F) {
	var b bytes.Buffer
	stdjpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 16, 16)), nil)
	f.Add(b.Bytes())
	if root := testdata.Root(); root != "" {
		for _, name := range []string{"JPGLosslessP14SV1_1s_1f_8b.dcm", "SC_rgb_small_odd_jpeg.dcm", "JPEG-lossy.dcm"} {
			if b, err := os.ReadFile(filepath.Join(root, "imaging/dicom-test-files/data/pydicom", name)); err == nil {
				if file, err := dicom.Parse(b, dicom.Limits{}); err == nil {
					if fr, err := file.Frames(); err == nil && fr != nil {
						px, _ := fr.Frame(0)
						f.Add(px)
					}
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if img, err := Decode(b); err == nil {
			size := 1
			if img.Bits > 8 {
				size = 2
			}
			if len(img.Pixels) != img.Width*img.Height*img.Components*size {
				t.Errorf("%d bytes for %+v", len(img.Pixels), *img)
			}
		}
	})
}
