package text_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/galen-health/galen/standard/clinical/text"
)

func TestTokenize(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		"Takes 10mg of B12, 1,000 IU.": "takes|10|mg|of|b12|,|1,000|iu|.",
		"pt's BP 120/80; T 98.6°F":     "pt|'|s|bp|120|/|80|;|t|98.6|°|f",
		"don’t — post‑op":              "don|'|t|-|post|-|op",
		"on 1.2.2020 at 10:30":         "on|1|.|2|.|2020|at|10|:|30",
		"1,2 and 12,34 and 1,234,567":  "1|,|2|and|12|,|34|and|1,234,567",
		"naïve Ménière":                "naïve|ménière",
	} {
		var got []string
		for _, tok := range text.Tokenize(in) {
			got = append(got, tok.Lower)
		}
		if s := strings.Join(got, "|"); s != want {
			t.Errorf("Tokenize(%q) = %s, want %s", in, s, want)
		}
	}
}

func TestSentences(t *testing.T) {
	for in, want := range map[string]int{
		"Seen by Dr. Smith today. He feels well.": 2,
		"No fever. No cough; no rash? Well!":      4,
		"Takes 2.5 mg daily.":                     1,
		"PLAN:\nRest\n- fluids\n- sleep":          4,
		"first line\ncontinues here":              1,
		"One.\n\nTwo":                             2,
		"John Q. Public is here":                  1,
	} {
		toks := text.Tokenize(in)
		if got := text.Sentences(in, toks); len(got) != want {
			t.Errorf("Sentences(%q) = %d, want %d: %v", in, len(got), want, got)
		}
	}
}

// invariants checks what the package promises for any string.
func invariants(t *testing.T, s string) {
	toks := text.Tokenize(s)
	last := 0
	gap := func(g string) {
		for i, r := range g {
			if r == utf8.RuneError {
				if _, n := utf8.DecodeRuneInString(g[i:]); n == 1 {
					t.Fatalf("%q: an ill-formed byte is in no token", s)
				}
			}
			if !unicode.IsSpace(r) && !unicode.IsControl(r) {
				t.Fatalf("%q: %q is in no token", s, r)
			}
		}
	}
	for _, tok := range toks {
		if tok.Begin < last || tok.End <= tok.Begin || tok.End > len(s) {
			t.Fatalf("%q: token %+v after %d", s, tok, last)
		}
		gap(s[last:tok.Begin])
		if strings.ContainsFunc(s[tok.Begin:tok.End], unicode.IsSpace) {
			t.Fatalf("%q: token %q holds white space", s, s[tok.Begin:tok.End])
		}
		last = tok.End
	}
	gap(s[last:])
	at := 0
	for _, r := range text.Sentences(s, toks) {
		if r.Begin != at || r.End <= r.Begin || r.End-r.Begin > text.MaxSentence {
			t.Fatalf("%q: sentence %v does not go on from %d", s, r, at)
		}
		at = r.End
	}
	if at != len(toks) {
		t.Fatalf("%q: sentences end at token %d of %d", s, at, len(toks))
	}
	o := text.NewOffsets(s)
	n := 0
	for i := range s {
		if got := o.Characters(i); got != n {
			t.Fatalf("%q: byte %d is character %d, want %d", s, i, got, n)
		}
		n++
	}
	if got := o.Characters(len(s)); got != n {
		t.Fatalf("%q: the end is character %d, want %d", s, got, n)
	}
}

var samples = []string{"", "Ménière’s disease — 10 µg/dL", "a\x00b\n\n• c", "\xff\xfe broken \xc3", strings.Repeat("é", 200) + "x", "日本語 10mg", strings.Repeat("a😀", 90), strings.Repeat("no pain ", 500)}

func TestInvariants(t *testing.T) {
	for _, s := range samples {
		invariants(t, s)
	}
}

func FuzzTokenize(f *testing.F) {
	for _, s := range samples {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) < 1<<16 {
			invariants(t, s)
		}
	})
}
