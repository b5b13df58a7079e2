package record

import (
	"encoding/binary"
	"math"
	"strings"
	"time"
)

// Value is an index value in its canonical, order-preserving form: bytes whose comparison is the comparison of the values. The first
// byte names the type. Make values with the functions below only.
type Value string

// Types of values, the first byte of each.
const (
	typeToken     = 't' // code, system
	typeTokenCode = 'c' // query only: code in any system
	typeTokenSys  = 'y' // query only: any code of a system
	typeString    = 's'
	typeNumber    = 'n'
	typePeriod    = 'p' // start and end, both inclusive
	typeReference = 'r' // kind and id
	typeURI       = 'u'
	typePair      = 'w' // two values
)

// escape makes s self-delimiting and order-preserving: 00 becomes 00 FF, the end is 00 01.
func escape(b *strings.Builder, s string) {
	for {
		i := strings.IndexByte(s, 0)
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		b.WriteString("\x00\xff")
		s = s[i+1:]
	}
	b.WriteString("\x00\x01")
}

func pair(t byte, first, second string) Value {
	var b strings.Builder
	b.Grow(len(first) + len(second) + 5)
	b.WriteByte(t)
	escape(&b, first)
	escape(&b, second)
	return Value(b.String())
}

// Token is a code in a system; either may be "".
func Token(system, code string) Value { return pair(typeToken, code, system) }

// TokenCode is, in a query, a code in any system.
func TokenCode(code string) Value { return pair(typeTokenCode, code, "") }

// TokenSystem is, in a query, any code of a system.
func TokenSystem(system string) Value { return pair(typeTokenSys, "", system) }

// String is text as it shall be compared: the caller folds case and accents where its contract says so.
func String(s string) Value {
	var b strings.Builder
	b.Grow(len(s) + 3)
	b.WriteByte(typeString)
	escape(&b, s)
	return Value(b.String())
}

// URI is a uri, compared exactly.
func URI(s string) Value {
	var b strings.Builder
	b.Grow(len(s) + 3)
	b.WriteByte(typeURI)
	escape(&b, s)
	return Value(b.String())
}

// Reference points to a record of a kind in the same space.
func Reference(kind, id string) Value { return pair(typeReference, id, kind) }

// Number is a finite float64; −0 equals 0. NaN is stored as the smallest.
func Number(f float64) Value {
	var b [9]byte
	b[0] = typeNumber
	binary.BigEndian.PutUint64(b[1:], orderedFloat(f))
	return Value(b[:])
}

func orderedFloat(f float64) uint64 {
	if f == 0 {
		f = 0 // −0 equals 0
	}
	if math.IsNaN(f) {
		return 0
	}
	u := math.Float64bits(f)
	if u>>63 == 1 {
		return ^u
	}
	return u | 1<<63
}

// Instant is a point in time with microseconds: a Period that ends where it starts.
func Instant(t time.Time) Value { return Period(t, t) }

// Period is a span of time, both ends included; a zero time is unbounded on that side.
func Period(start, end time.Time) Value {
	lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
	if !start.IsZero() {
		lo = start.UnixMicro()
	}
	if !end.IsZero() {
		hi = end.UnixMicro()
	}
	return PeriodMicros(lo, hi)
}

// PeriodMicros is Period in microseconds since 1970 UTC; the smallest and largest int64 stand for unbounded.
func PeriodMicros(start, end int64) Value {
	var b [17]byte
	b[0] = typePeriod
	binary.BigEndian.PutUint64(b[1:], uint64(start)^1<<63)
	binary.BigEndian.PutUint64(b[9:], uint64(end)^1<<63)
	return Value(b[:])
}

// Pair is a composite of two values, in order; the second may be a range in queries.
func Pair(first, second Value) Value {
	var b strings.Builder
	b.WriteByte(typePair)
	escape(&b, string(first))
	b.WriteString(string(second))
	return Value(b.String())
}

// Quantity is a number in a unit: a Pair of the unit token and the number. The caller canonicalises units where it can.
func Quantity(system, code string, number float64) Value {
	return Pair(Token(system, code), Number(number))
}
