package dicom

import (
	"testing"
	"time"
)

func TestWildcards(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"*", "", true}, {"", "", true}, {"", "a", false}, {"a*", "abc", true}, {"*c", "abc", true}, {"a?c", "abc", true}, {"a?c", "ac", false},
		{"*b*", "abc", true}, {"a*b*c", "axxbyyc", true}, {"a*b*c", "axxbyy", false}, {"*?", "", false}, {"Mü*", "Müller", true}, {"?", "ü", true},
		{"*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
	} {
		if got := MatchWildcard(c.pattern, c.s); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.s, got)
		}
	}
}

func TestNamesAreComparedFolded(t *testing.T) {
	for in, want := range map[string]string{
		"Müller^Jörg^^^": "muller^jorg", "  DOE ^ JANE  ANN": "doe^jane ann", "Yamada^Tarou=山田^太郎=": "yamada^tarou=山田^太郎", "": "",
	} {
		if got := FoldName(in); got != want {
			t.Errorf("FoldName(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestTimesAreSpans(t *testing.T) {
	for in, want := range map[string][2]string{
		"10": {"10h0m0s", "10h59m59.999999s"}, "1030": {"10h30m0s", "10h30m59.999999s"}, "103015": {"10h30m15s", "10h30m15.999999s"},
		"103015.5": {"10h30m15.5s", "10h30m15.599999s"}, "103015.123456": {"10h30m15.123456s", "10h30m15.123456s"}, "10:30:15": {"10h30m15s", "10h30m15.999999s"},
	} {
		a, b, err := ParseTime(in)
		if err != nil || a.String() != want[0] || b.String() != want[1] {
			t.Errorf("ParseTime(%q) = %v, %v, %v, want %v", in, a, b, err, want)
		}
	}
	for _, in := range []string{"", "1", "103", "2500", "1060", "10.5", "103015.1234567", "10301x", "-1"} {
		if _, _, err := ParseTime(in); err == nil {
			t.Errorf("ParseTime(%q) was accepted", in)
		}
	}
}

func TestDates(t *testing.T) {
	for _, in := range []string{"20200229", "2020.02.29", " 20200229 "} {
		if d, err := ParseDate(in); err != nil || !d.Equal(time.Date(2020, 2, 29, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("ParseDate(%q) = %v, %v", in, d, err)
		}
	}
	for _, in := range []string{"", "2020", "20210229", "2020-02-29", "20201301"} {
		if _, err := ParseDate(in); err == nil {
			t.Errorf("ParseDate(%q) was accepted", in)
		}
	}
}

func TestRanges(t *testing.T) {
	for _, c := range []struct {
		in        string
		vr        VR
		low, high string
		isRange   bool
	}{
		{"20200101-20201231", DA, "20200101", "20201231", true}, {"-20201231", DA, "", "20201231", true}, {"20200101-", DA, "20200101", "", true},
		{"20200101", DA, "20200101", "", false}, {"10-12", TM, "10", "12", true},
		{"20200101120000-0500", DT, "20200101120000-0500", "", false},
		{"20200101120000-0500-20210101120000-0500", DT, "20200101120000-0500", "20210101120000-0500", true},
		{"20200101-20210101", DT, "20200101", "20210101", true}, {"-20210101", DT, "", "20210101", true},
	} {
		low, high, is := SplitRange(c.in, c.vr)
		if low != c.low || high != c.high || is != c.isRange {
			t.Errorf("SplitRange(%q) = %q, %q, %v", c.in, low, high, is)
		}
	}
}
