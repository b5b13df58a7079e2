package dose_test

import (
	"strings"
	"testing"

	"github.com/galen-health/galen/standard/clinical/dose"
	"github.com/galen-health/galen/standard/clinical/text"
)

func TestNumber(t *testing.T) {
	for in, want := range map[string]struct {
		v float64
		n int
	}{
		"500 mg": {500, 1}, "1,000 units": {1000, 1}, "1/2 tab": {0.5, 3}, "1 and 1 / 2 tabs": {1.5, 5}, "5-10 mg": {10, 3}, "one to two tablets": {2, 3},
		"five hundred mg": {500, 2}, "one hundred and twenty five": {125, 5}, "twenty-five mg": {25, 3}, "two thousand five hundred": {2500, 4},
		"one and a half": {1.5, 4}, "half a tablet": {0.5, 2}, "a couple of days": {2, 3}, "one twenty": {1, 1}, "mg": {0, 0}, "120/80": {120, 1}, "2 thousand": {2000, 2},
		"ninety two": {92, 2}, "twenty twelve": {20, 1}, "and five": {0, 0},
	} {
		v, n := dose.Number(text.Tokenize(in), 0)
		if v != want.v || n != want.n {
			t.Errorf("Number(%q) = %v, %d tokens, want %v, %d", in, v, n, want.v, want.n)
		}
	}
}

func TestFind(t *testing.T) {
	for in, want := range map[string]string{
		"metformin 500 mg po bid":                           "AMOUNT:500 mg ROUTE:po FREQUENCY:bid",
		"take two tablets by mouth twice daily as needed":   "COUNT:two tablets ROUTE:by mouth FREQUENCY:twice daily as needed",
		"0.2 mgs -- 1 and 1 / 2 tabs p.o. qhs":              "AMOUNT:0.2 mgs COUNT:1 and 1 / 2 tabs ROUTE:p.o. FREQUENCY:qhs",
		"ten milligrams every morning for the next 10 days": "AMOUNT:ten milligrams FREQUENCY:every morning DURATION:for the next 10 days",
		"1 tab q6h prn x 5 days":                            "COUNT:1 tab FREQUENCY:q6h prn DURATION:x 5 days",
		"three times a day with meals":                      "FREQUENCY:three times a day with meals",
		"500-mg capsule every 8 hours":                      "AMOUNT:500-mg FORM:capsule FREQUENCY:every 8 hours",
		"heparin at 12 ml/hr iv":                            "RATE:12 ml/hr ROUTE:iv",
		"glucose 120 mg/dl":                                 "",
		"b.i.d. q.d. q.h.s.":                                "FREQUENCY:b.i.d. q.d. q.h.s.",
		"20 years old, two children, in the morning":        "FREQUENCY:in the morning",
		"has had pain for a couple of weeks":                "DURATION:for a couple of weeks",
		"":                                                  "",
	} {
		toks := text.Tokenize(in)
		var got []string
		for _, s := range dose.Find(toks) {
			got = append(got, string(s.Part)+":"+in[toks[s.Begin].Begin:toks[s.End-1].End])
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("Find(%q)\n got %s\nwant %s", in, s, want)
		}
	}
}

func FuzzFind(f *testing.F) {
	f.Add("one and a half q . d x 5 days 1/2 p.o. b.i.d.")
	f.Add("every 2 for a q 6 per")
	f.Fuzz(func(t *testing.T, s string) {
		toks := text.Tokenize(s)
		last := 0
		for _, sp := range dose.Find(toks) {
			if sp.Begin < last || sp.End <= sp.Begin || sp.End > len(toks) {
				t.Fatalf("%q: span %+v after %d of %d", s, sp, last, len(toks))
			}
			last = sp.End
		}
	})
}
