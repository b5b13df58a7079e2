package dicom

import (
	"bytes"
	"testing"
)

// FuzzDataset: a data set is read from memory and from a file alike, in each uncompressed syntax.
func FuzzDataset(f *testing.F) {
	f.Add([]byte("\x10\x00\x10\x00PN\x04\x00A^B "), 0)
	f.Add([]byte("\x10\x00\x10\x00\x04\x00\x00\x00A^B "), 1)
	f.Add([]byte("\x00\x10\x00\x10PN\x00\x04A^B "), 2)
	f.Add([]byte("\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff\x08\x00\x50\x11UI\x04\x001.2\x00\xfe\xff\x0d\xe0\x00\x00\x00\x00\xfe\xff\xdd\xe0\x00\x00\x00\x00"), 0)
	syntaxes := []string{ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian}
	f.Fuzz(func(t *testing.T, b []byte, syntax int) {
		if syntax < 0 || syntax >= len(syntaxes) {
			return
		}
		l := Limits{Elements: 10_000, Inflated: 1 << 20}
		whole, err := ParseDataset(b, syntaxes[syntax], l)
		if err == nil {
			JSON{}.Append(nil, whole.Dataset)
		}
		mem, merr := Parse(b, l)
		at, aerr := ParseAt(bytes.NewReader(b), int64(len(b)), l)
		if (merr == nil) != (aerr == nil) {
			t.Fatalf("from memory %v, from a file %v", merr, aerr)
		}
		if merr == nil && !bytes.Equal(JSON{}.Append(nil, mem.Dataset), JSON{}.Append(nil, at.Dataset)) {
			t.Fatal("memory and file hold different data sets")
		}
	})
}

// FuzzText: the short forms of the standard, as they stand in queries and JSON.
func FuzzText(f *testing.F) {
	for _, s := range []string{"PatientName", "00100010", "20240102", "2024.01.02", "101112.123456", "1011", "(0010,0010)", "PN", "OB", "\x00", "99999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if tag, ok := ParseKey(s); ok {
			if back, ok := ParseKey(tag.Hex()); !ok || back != tag {
				t.Fatalf("%q names tag %s, whose number names %s", s, tag.Hex(), back.Hex())
			}
		}
		if tag, ok := ParseTag(s); ok {
			if back, ok := ParseTag(tag.Hex()); !ok || back != tag {
				t.Fatalf("%q is tag %s, which reads as %s", s, tag.Hex(), back.Hex())
			}
		}
		if vr, ok := ParseVR(s); ok && vr.String() != s {
			t.Fatalf("%q became %s", s, vr)
		}
		if d, err := ParseDate(s); err == nil && (d.Year() < 0 || d.Year() > 9999) {
			t.Fatalf("%q is in the year %d", s, d.Year())
		}
		if from, to, err := ParseTime(s); err == nil && (from < 0 || to < from) {
			t.Fatalf("%q is from %v to %v", s, from, to)
		}
		_, _ = ParseJSONElement(TagPatientName, []byte(s)) // it must only not panic
	})
}
