package record_test

import (
	"math"
	"sort"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/record"
)

func TestNumbersSortAsNumbers(t *testing.T) {
	in := []float64{math.Inf(-1), -1e300, -2, -1, -math.SmallestNonzeroFloat64, 0, math.SmallestNonzeroFloat64, 0.5, 1, 2, 1e300, math.Inf(1)}
	vals := make([]string, len(in))
	for i, f := range in {
		vals[i] = string(record.Number(f))
	}
	if !sort.StringsAreSorted(vals) {
		t.Error("encoded numbers are not in numeric order")
	}
	if record.Number(math.Copysign(0, -1)) != record.Number(0) {
		t.Error("-0 differs from 0")
	}
}

func TestPeriodsSortByStart(t *testing.T) {
	a := record.Period(time.Time{}, time.Unix(0, 0))
	b := record.Period(time.Unix(-5, 0), time.Unix(9, 0))
	c := record.Period(time.Unix(1, 0), time.Unix(1, 0))
	d := record.Period(time.Unix(1, 0), time.Time{})
	if !(a < b && b < c && c < d) {
		t.Error("periods are not ordered by start, then end")
	}
}

func TestStringsKeepOrderAndDoNotCollide(t *testing.T) {
	in := []string{"", "\x00", "\x00\x00", "\x00a", "\x01", "a", "a\x00b", "ab", "b"}
	for i := 1; i < len(in); i++ {
		if !(record.String(in[i-1]) < record.String(in[i])) {
			t.Errorf("%q does not sort before %q", in[i-1], in[i])
		}
	}
	if record.Token("a", "bc") == record.Token("ab", "c") {
		t.Error("tokens collide across their parts")
	}
}
