package dicom

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

func image(rows, cols, bits, frames int64) *Dataset {
	d := &Dataset{}
	d.SetInts(TagSamplesPerPixel, US, 1)
	d.SetStrings(TagPhotometricInterpretation, "MONOCHROME2")
	d.SetInts(TagRows, US, rows)
	d.SetInts(TagColumns, US, cols)
	d.SetInts(TagBitsAllocated, US, bits)
	d.SetText(TagNumberOfFrames, IS, []string{"0", "1", "2", "3"}[frames])
	return d
}

func parsed(t *testing.T, syntax string, d *Dataset, tail []byte) *File {
	t.Helper()
	body, err := AppendDataset(nil, d, syntax, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse(file(syntax, append(body, tail...)), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// encapsulated makes pixel data with this basic offset table and these fragments.
func encapsulated(table []uint32, fragments ...string) []byte {
	b := AppendEncapsulatedHeader(nil, OB)
	b = AppendItemHeader(b, 4*len(table))
	for _, o := range table {
		b = binary.LittleEndian.AppendUint32(b, o)
	}
	for _, f := range fragments {
		b = append(AppendItemHeader(b, len(f)), f...)
	}
	return AppendSequenceEnd(b)
}

func TestFragmentsBecomeFrames(t *testing.T) {
	extended := image(2, 2, 8, 2)
	var table []byte
	for _, o := range []uint64{0, 12} {
		table = binary.LittleEndian.AppendUint64(table, o)
	}
	extended.Set(Element{Tag: TagExtendedOffsetTable, VR: OV, Value: table})
	for name, c := range map[string]struct {
		d     *Dataset
		pixel []byte
		want  string
		warn  bool
	}{
		"one frame in many fragments": {image(2, 2, 8, 1), encapsulated(nil, "abcd", "efgh"), "abcdefgh", false},
		"one to one":                  {image(2, 2, 8, 2), encapsulated(nil, "abcd", "efgh"), "abcd efgh", false},
		"basic offset table":          {image(2, 2, 8, 2), encapsulated([]uint32{0, 24}, "abcd", "efgh", "ijkl"), "abcdefgh ijkl", false},
		"extended offset table":       {extended, encapsulated(nil, "abcd", "efgh", "ijkl"), "abcd efghijkl", false},
		"code streams":                {image(2, 2, 8, 2), encapsulated(nil, "\xff\xd8ab", "cdef", "\xff\xd8gh"), "\xff\xd8abcdef \xff\xd8gh", false},
		"a table that lies":           {image(2, 2, 8, 2), encapsulated([]uint32{0, 13}, "abcd", "efgh"), "abcd efgh", true},
		"a table too short":           {image(2, 2, 8, 2), encapsulated([]uint32{0}, "abcd", "efgh"), "abcd efgh", true},
	} {
		f := parsed(t, JPEGBaseline, c.d, c.pixel)
		fr, err := f.Frames()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for i := range fr.Image.Frames {
			b, err := fr.Frame(i)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			got = append(got, string(b))
		}
		if s := strings.Join(got, " "); s != c.want || (fr.OffsetTable != nil) != c.warn {
			t.Errorf("%s: %q, table %v, want %q", name, s, fr.OffsetTable, c.want)
		}
	}
	f := parsed(t, JPEGBaseline, image(2, 2, 8, 2), encapsulated(nil, "abcd", "efgh", "ijkl"))
	if _, err := f.Frames(); err == nil {
		t.Error("three fragments without a table were assigned to two frames")
	}
}

// 1-bit frames need not start at a byte (PS3.5 §8.2).
func TestBitFrames(t *testing.T) {
	d := image(3, 3, 1, 2)
	d.Set(Element{Tag: TagPixelData, VR: OB, Value: []byte{0b10110101, 0b01001101, 0b11, 0}})
	fr, err := parsed(t, ExplicitVRLittleEndian, d, nil).Frames()
	if err != nil {
		t.Fatal(err)
	}
	a, _ := fr.Frame(0)
	b, _ := fr.Frame(1)
	if !bytes.Equal(a, []byte{0b10110101, 1}) || !bytes.Equal(b, []byte{0b10100110, 1}) {
		t.Errorf("frames %08b %08b", a, b)
	}
}

func TestPixelDataTooShort(t *testing.T) {
	d := image(100, 100, 16, 3)
	d.Set(Element{Tag: TagPixelData, VR: OW, Value: make([]byte, 59_998)})
	if _, err := parsed(t, ExplicitVRLittleEndian, d, nil).Frames(); err == nil || !strings.Contains(err.Error(), "need 60000") {
		t.Errorf("error %v", err)
	}
}

// Uncompressed twins in both byte orders hold the same pixels.
func TestBigEndianTwins(t *testing.T) {
	files := map[string]*Frames{}
	corpus(t, func(name string, b []byte) {
		f, err := Parse(b, Limits{})
		if err != nil {
			return
		}
		if fr, err := f.Frames(); err == nil && fr != nil {
			files[name[strings.LastIndexByte(name, '/')+1:]] = fr
		}
	})
	for little, big := range map[string]string{
		"SC_rgb.dcm": "SC_rgb_expb.dcm", "SC_rgb_16bit.dcm": "SC_rgb_expb_16bit.dcm", "SC_rgb_32bit.dcm": "SC_rgb_expb_32bit.dcm",
		"SC_rgb_32bit_2frame.dcm": "SC_rgb_expb_32bit_2frame.dcm", "MR_small.dcm": "MR_small_expb.dcm", "rtdose.dcm": "rtdose_expb.dcm",
		"liver.dcm": "liver_expb.dcm", "OBXXXX1A.dcm": "OBXXXX1A_expb.dcm", "emri_small.dcm": "emri_small_big_endian.dcm",
	} {
		a, b := files[little], files[big]
		if a == nil || b == nil {
			t.Errorf("%s or %s is missing", little, big)
			continue
		}
		for i := range a.Image.Frames {
			x, _ := a.Frame(i)
			y, err := b.Frame(i)
			if strings.HasPrefix(big, "OBXXXX1A") { // its writer left 8-bit cells unturned within the words of OW
				y = swapped(y, 2)
			}
			if err != nil || !bytes.Equal(x, y) {
				t.Errorf("%s and %s differ in frame %d (%v)", little, big, i+1, err)
				break
			}
		}
	}
}
