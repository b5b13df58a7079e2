package dicom

import (
	"strings"
	"testing"
)

// The examples of PS3.5 annexes H, I, J and K, and one of each single-byte repertoire.
func TestCharacterSets(t *testing.T) {
	for _, c := range []struct{ terms, bytes, want string }{
		{"ISO_IR 100", "Buc^J\xe9r\xf4me", "Buc^Jérôme"},
		{"ISO_IR 101", "W\xe6\xb3cz", "Wćłcz"},
		{"ISO_IR 109", "\xf8u", "ĝu"},
		{"ISO_IR 110", "\xf0ukis", "đukis"},
		{"ISO_IR 144", "\xbb\xee\xdace\xdc\xd1yp\xd3", "Люкceмбypг"},
		{"ISO_IR 126", "\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "Διονυσιος"},
		{"ISO_IR 127", "\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1", "قباني^لنزار"},
		{"ISO_IR 138", "\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4", "שרון^דבורה"},
		{"ISO_IR 148", "\xc7avu\xfeo\xf0lu", "Çavuşoğlu"},
		{"ISO_IR 203", "\xa4\xbd", "€œ"},
		{"ISO_IR 166", "\xb9\xd2\xc1\xca\xa1\xd8\xc5", "นามสกุล"},
		{"ISO_IR 13", "\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ"},
		{"ISO_IR 192", "Wang^XiaoDong=王^小東", "Wang^XiaoDong=王^小東"},
		{"GB18030", "Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", "Wang^XiaoDong=王^小东"},
		{"GBK", "Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", "Wang^XiaoDong=王^小东"},
		{`\ISO 2022 IR 87`, "Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B", "Yamada^Tarou=山田^太郎=やまだ^たろう"},
		{`ISO 2022 IR 13\ISO 2022 IR 87`, "\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"},
		{`\ISO 2022 IR 149`, "Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf", "Hong^Gildong=洪^吉洞=홍^길동"},
		{`\ISO 2022 IR 58`, "Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=", "Zhang^XiaoDong=张^小东="},
		{`ISO 2022 IR 100\ISO 2022 IR 144`, "Buc^J\xe9r\xf4me=\x1b-L\xbb\xee", "Buc^Jérôme=Лю"},
		{`\ISO 2022 IR 159`, "\x1b$(D\x22\x2f", "˘"},
		{"", "J\xe9r\xf4me", "Jérôme"}, // wrong, and common
	} {
		set, err := NewCharset(strings.Split(c.terms, `\`))
		if err != nil {
			t.Errorf("%s: %v", c.terms, err)
		}
		if got := set.Decode([]byte(c.bytes), PN); got != c.want {
			t.Errorf("%s: %q, want %q", c.terms, got, c.want)
		}
	}
}

func TestUnknownCharacterSetIsAnErrorAndStillReadable(t *testing.T) {
	set, err := NewCharset([]string{"ISO_IR 999"})
	if err == nil {
		t.Error("no error")
	}
	if got := set.Decode([]byte("J\xe9"), LO); got != "Jé" {
		t.Errorf("decoded %q", got)
	}
}

// A separator may hide as the second byte of a multi-byte character: it must not split the value.
func TestSeparatorsWithinCharacters(t *testing.T) {
	d := &Dataset{}
	d.charset, _ = NewCharset([]string{"GB18030"})
	d.Set(Element{Tag: 0x00081030, VR: LO, Value: []byte("\x81\x5c\\b ")}) // 乗 then a separator
	if got := d.Strings(0x00081030); len(got) != 2 || got[1] != "b" {
		t.Errorf("values %q", got)
	}
}

func TestReencodingKeepsTheText(t *testing.T) {
	d := &Dataset{}
	d.charset, _ = NewCharset([]string{"", "ISO 2022 IR 87"})
	d.SetStrings(TagSpecificCharacterSet, "", "ISO 2022 IR 87")
	d.Set(Element{Tag: TagPatientName, VR: PN, Value: []byte("Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B")})
	inner := &Dataset{charset: d.charset}
	inner.Set(Element{Tag: TagSeriesDescription, VR: LO, Value: []byte("\x1b$B;3\x1b(B")})
	d.Set(Element{Tag: 0x00081140, VR: SQ, Items: []*Dataset{inner}})
	d.ToUTF8()
	b, err := AppendDataset(nil, d, ExplicitVRLittleEndian, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := ParseDataset(b, ExplicitVRLittleEndian, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Dataset.String(TagPatientName); got != "Yamada^Tarou=山田^太郎" {
		t.Errorf("name %q", got)
	}
	if got := f.Dataset.Items(0x00081140)[0].String(TagSeriesDescription); got != "山" {
		t.Errorf("description in the item %q", got)
	}
}

func FuzzCharset(f *testing.F) {
	f.Add(`\ISO 2022 IR 87`, []byte("Yamada^Tarou=\x1b$B;3ED\x1b(B"))
	f.Add("GB18030", []byte("\xcd\xf5"))
	f.Fuzz(func(t *testing.T, terms string, b []byte) {
		set, _ := NewCharset(strings.Split(terms, `\`))
		set.Encode(set.Decode(b, PN))
	})
}
