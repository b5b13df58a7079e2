package dicom

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// MatchWildcard compares a value with a pattern in which * stands for any characters and ? for one (PS3.4 C.2.2.2.4).
func MatchWildcard(pattern, s string) bool {
	p, v := []rune(pattern), []rune(s)
	pi, vi, star, mark := 0, 0, -1, 0
	for vi < len(v) {
		switch {
		case pi < len(p) && p[pi] == '*':
			star, mark = pi, vi
			pi++
		case pi < len(p) && (p[pi] == '?' || p[pi] == v[vi]):
			pi++
			vi++
		case star >= 0:
			mark++
			pi, vi = star+1, mark
		default:
			return false
		}
	}
	for pi < len(p) && p[pi] == '*' {
		pi++
	}
	return pi == len(p)
}

// FoldName brings a person name into the form in which names are compared: case and accents do not count, empty trailing components
// and repeated spaces neither (PS3.4 C.2.2.2.1).
func FoldName(s string) string {
	var b strings.Builder
	space := false
	for _, r := range norm.NFD.String(s) {
		switch {
		case unicode.Is(unicode.Mn, r):
			continue
		case unicode.IsSpace(r):
			space = b.Len() > 0
			continue
		}
		if space && r != '^' && r != '=' && !strings.HasSuffix(b.String(), "^") {
			b.WriteByte(' ')
		}
		space = false
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.TrimRight(b.String(), "^= ")
}

// NameWords splits a person name into the folded words that fuzzy matching compares.
func NameWords(s string) []string {
	return strings.FieldsFunc(FoldName(s), func(r rune) bool { return r == '^' || r == '=' || unicode.IsSpace(r) || r == ',' })
}

// ParseDate reads DA (YYYYMMDD, and the YYYY.MM.DD of old files).
func ParseDate(s string) (time.Time, error) {
	s = strings.TrimSpace(s)
	if len(s) == 10 && s[4] == '.' && s[7] == '.' {
		s = s[:4] + s[5:7] + s[8:]
	}
	if len(s) != 8 {
		return time.Time{}, fmt.Errorf("dicom: a date has eight digits")
	}
	return time.Parse("20060102", s)
}

// ParseTime reads TM as the span since midnight that it stands for: 10 means 10:00:00 up to 10:59:59.999999 (PS3.5 §6.2).
func ParseTime(s string) (from, to time.Duration, err error) {
	s = strings.ReplaceAll(strings.TrimSpace(s), ":", "")
	whole, frac, hasFrac := strings.Cut(s, ".")
	units := [3]time.Duration{time.Hour, time.Minute, time.Second}
	bound := [3]int{24, 60, 61}
	if len(whole) == 0 || len(whole)%2 != 0 || len(whole) > 6 || hasFrac && (len(whole) != 6 || len(frac) > 6) {
		return 0, 0, fmt.Errorf("dicom: a time has the form HHMMSS.FFFFFF")
	}
	span := 24 * time.Hour
	for i := 0; i < len(whole); i += 2 {
		a, b := whole[i], whole[i+1]
		n := int(a-'0')*10 + int(b-'0')
		if a < '0' || a > '9' || b < '0' || b > '9' || n >= bound[i/2] {
			return 0, 0, fmt.Errorf("dicom: a time has the form HHMMSS.FFFFFF")
		}
		span = units[i/2]
		from += time.Duration(n) * span
	}
	for _, c := range frac {
		if c < '0' || c > '9' {
			return 0, 0, fmt.Errorf("dicom: a time has the form HHMMSS.FFFFFF")
		}
		span /= 10
		from += time.Duration(c-'0') * span
	}
	return from, from + span - time.Microsecond, nil
}

// SplitRange cuts a range key (PS3.4 C.2.2.2.5) into its ends, "" for an open one. isRange is false for a single value. A hyphen that
// belongs to the offset from UTC of a date and time does not count.
func SplitRange(s string, v VR) (low, high string, isRange bool) {
	if v != DT {
		low, high, isRange = strings.Cut(s, "-")
		return strings.TrimSpace(low), strings.TrimSpace(high), isRange
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '-' {
			continue
		}
		if i > 0 && len(s) >= i+5 && offset(s[i+1:i+5]) && (len(s) == i+5 || s[i+5] == '-') {
			i += 4
			continue
		}
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// offset reports whether four digits can be an offset from UTC: up to 14 hours.
func offset(s string) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s[:2] <= "14" && s[2] <= '5'
}
