package pebble

import (
	"strings"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// bounds is the index that a node reads and the span of it that it can match in: from low to every value that begins with high.
func bounds(x record.Expr) (index, low, high string, err error) {
	switch n := x.(type) {
	case record.Match:
		low = "t"
		if n.Value[0] == 'c' {
			low = clip(string(n.Value.CodePrefix()))
		}
		return n.Index, low, low, nil
	case record.Prefix:
		if len(n.Value) < 3 {
			return "", "", "", errs.New(errs.Internal, "a Prefix on index %s has no value", n.Index)
		}
		low = clip(string(n.Value.Stem()))
		return n.Index, low, low, nil
	case record.Contains:
		return n.Index, "s", "s", nil
	case record.TimeRange:
		if n.High < 0 || n.High < n.Low {
			return "@time", "\xff", "\xff", nil // nothing
		}
		return "@time", timeValue(max(0, n.Low)), timeValue(n.High), nil
	case record.Range:
		low, high = rangeBounds(n)
		return n.Index, low, high, nil
	}
	return "", "", "", unknown(x)
}

func rangeBounds(n record.Range) (low, high string) {
	head := ""
	if n.Head != "" {
		head = string(record.Pair(n.Head, ""))
	}
	low, high = startOf(n.Low), startOf(n.High)
	kind := "" // all values of the range have this type
	for _, b := range []record.Value{n.Low, n.High, n.EndLow, n.EndHigh} {
		if b != "" {
			kind = string(b[:1])
		}
	}
	if low == "" {
		low = kind
	}
	if high == "" {
		high = kind
	}
	return clip(head + low), clip(head + high)
}

// clip makes a bound one that values which were cut are not outside of.
func clip(v string) string { return v[:min(len(v), keepFrom)] }

// startOf is a bound as it compares: a Period by its start only.
func startOf(v record.Value) string {
	if len(v) == 17 && v[0] == 'p' {
		return string(v[:9])
	}
	return string(v)
}

// matches decides a node of one index on one whole value.
func matches(x record.Expr, v record.Value) (bool, error) {
	switch n := x.(type) {
	case record.Match:
		switch n.Value[0] {
		case 'c':
			return strings.HasPrefix(string(v), string(n.Value.CodePrefix())), nil
		case 'y':
			return v[0] == 't' && v.Second() == n.Value.Second(), nil
		}
		return v == n.Value, nil
	case record.Prefix:
		return strings.HasPrefix(string(v), string(n.Value.Stem())), nil
	case record.Contains:
		if v[0] != 's' {
			return false, nil
		}
		t, ok := v.Text()
		if !ok {
			return false, corrupt("an index value cannot be read")
		}
		return strings.Contains(t, n.Text), nil
	case record.TimeRange:
		return true, nil // the span is exact
	case record.Range:
		return inRange(n, v), nil
	}
	return false, unknown(x)
}

func inRange(n record.Range, v record.Value) bool {
	if n.Head != "" {
		head := string(record.Pair(n.Head, ""))
		if !strings.HasPrefix(string(v), head) {
			return false
		}
		v = v[len(head):]
	}
	for _, b := range []record.Value{n.Low, n.High, n.EndLow, n.EndHigh} {
		if b != "" && (len(v) == 0 || v[0] != b[0]) {
			return false
		}
	}
	start := startOf(v)
	if low := startOf(n.Low); low != "" && (start < low || n.LowOpen && start == low) {
		return false
	}
	if high := startOf(n.High); high != "" && (start > high || n.HighOpen && start == high) {
		return false
	}
	if n.EndLow != "" || n.EndHigh != "" {
		if len(v) != 17 {
			return false
		}
		end := v[9:]
		if n.EndLow != "" && end < n.EndLow[9:] || n.EndHigh != "" && end > n.EndHigh[9:] {
			return false
		}
	}
	return true
}
