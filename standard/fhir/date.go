package fhir

import "time"

// Span is the time that a FHIR date, however partial, covers: both ends included, microseconds since 1970 UTC (R4 search #date).
type Span struct{ Low, High int64 }

// Unbounded ends of a Span.
const (
	Beginning int64 = -1 << 63
	End       int64 = 1<<63 - 1
)

type dateForm uint8

const (
	anyDate     dateForm = iota // dateTime
	onlyDate                    // date
	onlyInstant                 // instant
	searchDate                  // as in search: minutes without seconds, zone optional (UTC then)
)

// ParseDate reads a date, dateTime or instant. A date without a zone is taken as UTC.
func ParseDate(s string) (Span, bool) { return parseDate(s, anyDate) }

func parseDate(s string, form dateForm) (Span, bool) {
	year, ok := digits(s, 0, 4)
	if !ok || year == 0 {
		return Span{}, false
	}
	if len(s) == 4 {
		return span(year, 1, 1, 1, 0, 0), form != onlyInstant
	}
	month, ok := digits(s, 5, 2)
	if !ok || s[4] != '-' || month < 1 || month > 12 {
		return Span{}, false
	}
	if len(s) == 7 {
		return span(year, month, 1, 0, 1, 0), form != onlyInstant
	}
	day, ok := digits(s, 8, 2)
	if !ok || s[7] != '-' || day < 1 || day > daysIn(year, month) {
		return Span{}, false
	}
	if len(s) == 10 {
		return span(year, month, day, 0, 0, 1), form != onlyInstant
	}
	if form == onlyDate || s[10] != 'T' {
		return Span{}, false
	}
	midnight := days(year, month, day) * 86400e6
	rest := s[11:]
	if form == searchDate && (len(rest) == 5 || len(rest) > 5 && rest[5] != ':') {
		h, ok1 := digits(rest, 0, 2)
		m, ok2 := digits(rest, 3, 2)
		if !ok1 || !ok2 || rest[2] != ':' || h > 23 || m > 59 {
			return Span{}, false
		}
		off, ok := zone(rest[5:], true)
		low := midnight + int64(h*60+m)*60e6 - off
		return Span{low, low + 60e6 - 1}, ok
	}
	c, rest, ok := clock(rest)
	if !ok {
		return Span{}, false
	}
	off, ok := zone(rest, form == searchDate)
	low := midnight + c.low - off
	return Span{low, low + c.width - 1}, ok
}

type clockTime struct{ low, width int64 } // microseconds

// clock reads hh:mm:ss with an optional fraction; digits after the sixth are dropped.
func clock(s string) (clockTime, string, bool) {
	h, ok1 := digits(s, 0, 2)
	m, ok2 := digits(s, 3, 2)
	sec, ok3 := digits(s, 6, 2)
	if !ok1 || !ok2 || !ok3 || s[2] != ':' || s[5] != ':' || h > 23 || m > 59 || sec > 60 {
		return clockTime{}, "", false
	}
	c := clockTime{int64(h*3600+m*60+sec) * 1e6, 1e6}
	s = s[8:]
	if s == "" || s[0] != '.' {
		return c, s, true
	}
	i := 1
	for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		if c.width > 1 {
			c.width /= 10
			c.low += int64(s[i]-'0') * c.width
		}
	}
	return c, s[i:], i > 1
}

// zone reads Z or ±hh:mm as microseconds east of UTC.
func zone(s string, optional bool) (int64, bool) {
	if s == "Z" || s == "" && optional {
		return 0, true
	}
	if len(s) != 6 || s[0] != '+' && s[0] != '-' || s[3] != ':' {
		return 0, false
	}
	h, ok1 := digits(s, 1, 2)
	m, ok2 := digits(s, 4, 2)
	if !ok1 || !ok2 || h > 14 || m > 59 || h == 14 && m > 0 {
		return 0, false
	}
	off := int64(h*60+m) * 60e6
	if s[0] == '-' {
		off = -off
	}
	return off, true
}

func digits(s string, at, n int) (int, bool) {
	if len(s) < at+n {
		return 0, false
	}
	v := 0
	for _, c := range []byte(s[at : at+n]) {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int(c-'0')
	}
	return v, true
}

func span(y, m, d, dy, dm, dd int) Span {
	y2, m2 := y+dy, m+dm
	if m2 > 12 {
		y2, m2 = y2+1, 1
	}
	return Span{days(y, m, d) * 86400e6, (days(y2, m2, d)+int64(dd))*86400e6 - 1}
}

// days counts from 1970-01-01 in the proleptic Gregorian calendar.
func days(y, m, d int) int64 {
	if m <= 2 {
		y--
		m += 12
	}
	era := y / 400
	yoe := y - era*400
	doy := (153*(m-3)+2)/5 + d - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return int64(era)*146097 + int64(doe) - 719468
}

func daysIn(y, m int) int {
	switch m {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// FormatInstant writes a time as an R4 instant with milliseconds, in UTC.
func FormatInstant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
