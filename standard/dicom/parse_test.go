package dicom

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// file makes a Part 10 file around encoded elements.
func file(syntax string, body []byte) []byte {
	return append(AppendMeta(nil, "1.2.840.10008.5.1.4.1.1.7", "1.2.3", syntax), body...)
}

func TestLiesAboutLengthNameTheOffset(t *testing.T) {
	name := []byte{0x10, 0, 0x10, 0, 'P', 'N', 0xFF, 0x7F, 'A'}
	item := []byte{0x08, 0, 0x40, 0x11, 'S', 'Q', 0, 0, 8, 0, 0, 0, 0xFE, 0xFF, 0, 0xE0, 0xFF, 0, 0, 0}
	fragment := []byte{0xE0, 0x7F, 0x10, 0, 'O', 'B', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0xFF, 0, 0xE0, 0xF0, 0xFF, 0xFF, 0x7F}
	endless := []byte{0x08, 0, 0x40, 0x11, 'S', 'Q', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0xFF, 0, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF}
	text := []byte{0x10, 0, 0x10, 0, 'U', 'T', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF}
	for _, c := range []struct {
		body   []byte
		at     int64
		reason string
		cut    bool
	}{
		{name, 0, "ends 32766 bytes after the file", true},
		{item, 12, "an item of 255 bytes ends 255 bytes after its sequence", true},
		{fragment, 12, "a fragment of 2147483632 bytes", true},
		{endless, 20, "the file ends before", true},
		{text, 0, "may not have an undefined length", false},
		{[]byte{0x10, 0, 0x10}, 0, "within the header", true},
		{[]byte{0xFE, 0xFF, 0, 0xE0, 0, 0, 0, 0}, 0, "an item stands where a data element should", false},
	} {
		b := file(ExplicitVRLittleEndian, c.body)
		start := int64(len(b) - len(c.body))
		_, err := Parse(b, Limits{})
		var e *Error
		if !errors.As(err, &e) || e.Offset != start+c.at || !strings.Contains(e.Reason, c.reason) || e.Truncated != c.cut {
			t.Errorf("% x: error %v, want offset %d, %q", c.body, err, start+c.at, c.reason)
		}
	}
}

func TestDepthIsBounded(t *testing.T) {
	d := &Dataset{}
	d.SetStrings(TagPatientID, "deep")
	for range 40 {
		outer := &Dataset{}
		outer.Set(Element{Tag: 0x00081140, VR: SQ, Items: []*Dataset{d}})
		d = outer
	}
	body, err := AppendDataset(nil, d, ExplicitVRLittleEndian, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(file(ExplicitVRLittleEndian, body), Limits{}); err == nil || !strings.Contains(err.Error(), "deeper than 32") {
		t.Errorf("40 levels: %v", err)
	}
	f, err := Parse(file(ExplicitVRLittleEndian, body), Limits{Depth: 40})
	if err != nil {
		t.Fatal(err)
	}
	in := f.Dataset
	for len(in.Items(0x00081140)) > 0 {
		in = in.Items(0x00081140)[0]
	}
	if got := in.String(TagPatientID); got != "deep" {
		t.Errorf("innermost PatientID = %q", got)
	}
}

func TestNumberOfElementsIsBounded(t *testing.T) {
	body := bytes.Repeat([]byte{0x11, 0, 0x10, 0, 'U', 'S', 0, 0}, 100)
	if _, err := Parse(file(ExplicitVRLittleEndian, body), Limits{Elements: 99}); err == nil || !strings.Contains(err.Error(), "more than 99 elements") {
		t.Errorf("error %v", err)
	}
}

func TestOneDataSetIsBounded(t *testing.T) {
	body := bytes.Repeat([]byte{0x11, 0, 0x10, 0, 'U', 'S', 0, 0}, maxElements+1)
	if _, err := Parse(file(ExplicitVRLittleEndian, body), Limits{}); err == nil || !strings.Contains(err.Error(), "the data set has more than 65536 elements") {
		t.Errorf("error %v", err)
	}
}

// A deflated file of a few hundred kilobytes may not take a gigabyte, as one of many megabytes may.
func TestDeflationIsBoundedByTheFile(t *testing.T) {
	var z bytes.Buffer
	w, _ := flate.NewWriter(&z, 9)
	for range 300 {
		w.Write(make([]byte, 1<<20))
	}
	w.Close()
	want := fmt.Sprintf("expands beyond %d bytes", freeInflated+expansion*z.Len())
	if _, err := Parse(file(DeflatedExplicitVRLittleEndian, z.Bytes()), Limits{}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one that %s", err, want)
	}
}

func TestDeflationIsBounded(t *testing.T) {
	var z bytes.Buffer
	w, _ := flate.NewWriter(&z, 9)
	w.Write([]byte{0x10, 0, 0x00, 0x40, 'U', 'T', 0, 0, 0, 0, 0x40, 0})
	w.Write(make([]byte, 4<<20))
	w.Close()
	b := file(DeflatedExplicitVRLittleEndian, z.Bytes())
	if _, err := Parse(b, Limits{Inflated: 1 << 20}); err == nil || !strings.Contains(err.Error(), "expands beyond 1048576 bytes") {
		t.Errorf("error %v", err)
	}
	f, err := Parse(b, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if n := f.Dataset.Find(0x00104000).Len(); n != 4<<20 {
		t.Errorf("inflated value has %d bytes", n)
	}
}

func TestLongValuesStayInTheSource(t *testing.T) {
	d := &Dataset{}
	d.Set(Element{Tag: TagPixelData, VR: OB, Value: bytes.Repeat([]byte{7}, 5000)})
	body, _ := AppendDataset(nil, d, ExplicitVRLittleEndian, nil)
	b := file(ExplicitVRLittleEndian, body)
	f, err := ParseAt(bytes.NewReader(b), int64(len(b)), Limits{Inline: 4999})
	if err != nil {
		t.Fatal(err)
	}
	e := f.Dataset.Find(TagPixelData)
	if e.Value != nil || e.Span.Length != 5000 {
		t.Fatalf("value %d bytes, span %+v", len(e.Value), e.Span)
	}
	if v, err := f.Bytes(e); err != nil || len(v) != 5000 || v[4999] != 7 {
		t.Errorf("bytes: %d, %v", len(v), err)
	}
}

// Elements that arrive out of order are put into order, and of doubles the last stays.
func TestDisorderIsMended(t *testing.T) {
	a := &Dataset{}
	a.SetStrings(TagPatientID, "first")
	b := &Dataset{}
	b.SetStrings(TagSOPInstanceUID, "1.2")
	c := &Dataset{}
	c.SetStrings(TagPatientID, "last")
	var body []byte
	for _, d := range []*Dataset{a, b, c} {
		body, _ = AppendDataset(body, d, ExplicitVRLittleEndian, nil)
	}
	f, err := Parse(file(ExplicitVRLittleEndian, body), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if n, got := len(f.Dataset.Elements), f.Dataset.String(TagPatientID); n != 2 || got != "last" || f.Dataset.Elements[0].Tag != TagSOPInstanceUID {
		t.Errorf("%d elements, PatientID %q", n, got)
	}
}

func FuzzParse(f *testing.F) {
	corpus(f, func(name string, b []byte) {
		if len(b) < 20_000 {
			f.Add(b)
		}
	})
	f.Add(file(ImplicitVRLittleEndian, []byte{0x10, 0, 0x10, 0, 2, 0, 0, 0, 'A', '^'}))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := Limits{Elements: 10_000, Inflated: 1 << 20}
		file, err := Parse(b, l)
		if err != nil {
			return
		}
		JSON{}.Append(nil, file.Dataset)
		fr, err := file.Frames()
		if err == nil && fr != nil {
			for i := range min(fr.Image.Frames, 3) {
				if _, err := fr.Frame(i); err != nil {
					t.Errorf("frame %d of a file whose frames were found: %v", i, err)
				}
			}
		}
		var out bytes.Buffer
		if err := file.Write(&out); err != nil {
			return
		}
		if _, err := Parse(out.Bytes(), l); err != nil {
			t.Errorf("what was written cannot be read: %v", err)
		}
	})
}

// An element that its writer did not know stands as UN, and is what the dictionary says (PS3.5 §6.2.2).
func TestUnknownOfKnownElements(t *testing.T) {
	inner := []byte{0x08, 0, 0x50, 0x11, 4, 0, 0, 0, '1', '.', '2', 0}
	item := append([]byte{0xFE, 0xFF, 0, 0xE0, 12, 0, 0, 0}, inner...)
	body := append([]byte{0x08, 0, 0x18, 0, 'U', 'N', 0, 0, 4, 0, 0, 0, '1', '.', '9', 0, 0x08, 0, 0x40, 0x11, 'U', 'N', 0, 0, 20, 0, 0, 0}, item...)
	body = append(body, 0x28, 0, 0x10, 0, 'U', 'N', 0, 0, 2, 0, 0, 0, 7, 0, 0x29, 0, 0x10, 0x10, 'U', 'N', 0, 0, 2, 0, 0, 0, 'x', 'y')
	f, err := Parse(file(ExplicitVRLittleEndian, body), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	d := f.Dataset
	if rows, _ := d.Int(TagRows); d.String(TagSOPInstanceUID) != "1.9" || rows != 7 || len(d.Items(0x00081140)) != 1 || d.Items(0x00081140)[0].String(0x00081150) != "1.2" || d.Find(0x00291010).VR != UN {
		t.Errorf("%s", JSON{}.Append(nil, d))
	}
}
