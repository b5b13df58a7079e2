package authz

import (
	"bytes"
	"encoding/base64"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// keySet holds the condition keys of one request: lower-case key → values.
type keySet map[string][]string

// condition is one operator on one key: IAM user guide, "IAM JSON policy elements: Condition operators".
type condition struct {
	op, key  string // as the policy writes the operator; the key in lower case
	negated  bool
	ifExists bool
	set      string // "", "ForAllValues", "ForAnyValue"
	null     bool   // the Null operator
	wantNull bool
	tests    []test
	asks     []string // the variables of its values
}

// test compares one value of the request with one value of the policy.
type test func(value string, keys keySet) bool

// compileCondition reads an operator with its modifiers, a key and the values.
func compileCondition(op, key string, vals []string, variables bool) (c condition, err error) {
	c.op, c.key = op, strings.ToLower(key)
	if !strings.Contains(key, ":") {
		return c, malformed("a condition key must be of the form service:key")
	}
	if len(vals) == 0 {
		return c, malformed("a condition has no value")
	}
	name := op
	if set, rest, ok := strings.Cut(name, ":"); ok {
		if set != "ForAllValues" && set != "ForAnyValue" {
			return c, malformed("condition operator: the set operators are ForAllValues and ForAnyValue")
		}
		c.set, name = set, rest
	}
	if rest, ok := strings.CutSuffix(name, "IfExists"); ok {
		c.ifExists, name = true, rest
	}
	if name == "Null" {
		if c.ifExists || c.set != "" {
			return c, malformed("condition operator Null takes neither IfExists nor a set operator")
		}
		c.null = true
		for i, v := range vals {
			b := strings.EqualFold(v, "true")
			if !b && !strings.EqualFold(v, "false") || i > 0 && b != c.wantNull {
				return c, malformed("condition operator Null takes true or false")
			}
			c.wantNull = b
		}
		return c, nil
	}
	newTest, negated, ok := operator(name)
	if !ok {
		return c, malformed("condition operator %.40q is unknown", op)
	}
	c.negated = negated
	for _, v := range vals {
		t, err := newTest(v, variables)
		if err != nil {
			return c, err
		}
		c.tests = append(c.tests, t)
		if variables {
			c.asks = append(c.asks, compileTemplate(v, true).variables()...)
		}
	}
	return c, nil
}

type maker func(want string, variables bool) (test, error)

// operator finds an operator by its name; negated ones are their positive one turned around.
func operator(name string) (m maker, negated, ok bool) {
	switch name {
	case "StringEquals", "StringNotEquals":
		return textEquals(false), name != "StringEquals", true
	case "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase":
		return textEquals(true), name != "StringEqualsIgnoreCase", true
	case "StringLike", "StringNotLike":
		return textLike, name != "StringLike", true
	case "ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike":
		return arnLike, strings.HasPrefix(name, "ArnNot"), true
	case "IpAddress", "NotIpAddress":
		return inRange, name != "IpAddress", true
	case "Bool":
		return boolEquals, false, true
	case "BinaryEquals":
		return bytesEqual, false, true
	}
	if rest, ok := strings.CutPrefix(name, "Numeric"); ok {
		return ordered(rest, parseNumber)
	}
	if rest, ok := strings.CutPrefix(name, "Date"); ok {
		return ordered(rest, parseDate)
	}
	return nil, false, false
}

func textEquals(fold bool) maker {
	return func(want string, variables bool) (test, error) {
		t := compileTemplate(want, variables)
		return func(value string, keys keySet) bool {
			p, ok := t.pattern(keys, false)
			if !ok {
				return false
			}
			if fold {
				return strings.EqualFold(string(p), value)
			}
			return string(p) == value
		}, nil
	}
}

func textLike(want string, variables bool) (test, error) {
	t := compileTemplate(want, variables)
	return func(value string, keys keySet) bool { return t.match(value, keys) }, nil
}

// arnLike compares the six parts of an ARN one by one, so that a wildcard never reaches across a colon of the first five.
func arnLike(want string, variables bool) (test, error) {
	if want == "*" {
		return func(string, keySet) bool { return true }, nil
	}
	parts := splitARN(want)
	if len(parts) != 6 {
		return nil, malformed("an Arn condition needs an ARN")
	}
	var ts []template
	for _, p := range parts {
		ts = append(ts, compileTemplate(p, variables))
	}
	return func(value string, keys keySet) bool {
		v := splitARN(value)
		if len(v) != 6 {
			return false
		}
		for i, t := range ts {
			if !t.match(v[i], keys) {
				return false
			}
		}
		return true
	}, nil
}

// splitARN cuts at the first five colons that stand outside of ${…}.
func splitARN(s string) []string {
	var out []string
	depth, start := 0, 0
	for i := 0; i < len(s) && len(out) < 5; i++ {
		switch {
		case strings.HasPrefix(s[i:], "${"):
			depth = 1
		case s[i] == '}':
			depth = 0
		case s[i] == ':' && depth == 0:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

func inRange(want string, _ bool) (test, error) {
	p, err := netip.ParsePrefix(want)
	if err != nil {
		a, err := netip.ParseAddr(want)
		if err != nil {
			return nil, malformed("an IpAddress condition needs an address or a range like 10.0.0.0/24")
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	return func(value string, _ keySet) bool {
		a, err := netip.ParseAddr(value)
		return err == nil && p.Contains(a.Unmap().WithZone(""))
	}, nil
}

func boolEquals(want string, _ bool) (test, error) {
	if !strings.EqualFold(want, "true") && !strings.EqualFold(want, "false") {
		return nil, malformed("a Bool condition needs true or false")
	}
	return func(value string, _ keySet) bool { return strings.EqualFold(value, want) }, nil
}

func bytesEqual(want string, _ bool) (test, error) {
	w, err := base64.StdEncoding.DecodeString(want)
	if err != nil {
		return nil, malformed("a BinaryEquals condition needs base64")
	}
	return func(value string, _ keySet) bool {
		v, err := base64.StdEncoding.DecodeString(value)
		return err == nil && bytes.Equal(v, w)
	}, nil
}

// ordered makes the six comparisons of numbers and dates. A value of the request that is not one fails every comparison.
func ordered(name string, parse func(string) (float64, bool)) (m maker, negated, ok bool) {
	var holds func(value, want float64) bool
	switch name {
	case "Equals", "NotEquals":
		holds = func(v, w float64) bool { return v == w }
	case "LessThan":
		holds = func(v, w float64) bool { return v < w }
	case "LessThanEquals":
		holds = func(v, w float64) bool { return v <= w }
	case "GreaterThan":
		holds = func(v, w float64) bool { return v > w }
	case "GreaterThanEquals":
		holds = func(v, w float64) bool { return v >= w }
	default:
		return nil, false, false
	}
	return func(want string, _ bool) (test, error) {
		w, ok := parse(want)
		if !ok {
			return nil, malformed("a Numeric or Date condition needs a number or a date")
		}
		return func(value string, _ keySet) bool { v, ok := parse(value); return ok && holds(v, w) }, nil
	}, name == "NotEquals", true
}

func parseNumber(s string) (float64, bool) {
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
}

// parseDate takes the W3C profile of ISO 8601 and seconds since 1970, as aws:CurrentTime and aws:EpochTime have.
func parseDate(s string) (float64, bool) {
	if f, ok := parseNumber(s); ok && len(s) > 4 {
		return f, true
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02", "2006-01", "2006"} {
		if t, err := time.Parse(layout, s); err == nil {
			return float64(t.UnixMicro()) / 1e6, true
		}
	}
	return 0, false
}

// holds decides the condition. An absent key fails it, except: negated operators hold of what is not there, IfExists passes, ForAllValues
// holds of no values.
func (c *condition) holds(keys keySet) bool {
	vals, present := keys[c.key]
	if c.null {
		return c.wantNull == (len(vals) == 0)
	}
	if !present || len(vals) == 0 {
		return c.ifExists || c.set == "ForAllValues" || (c.negated && c.set == "")
	}
	// A key with many values and no set operator: one has to match, or with a negated operator none may.
	all := c.set == "ForAllValues" || (c.set == "" && c.negated)
	for _, v := range vals {
		if c.one(v, keys) != all {
			return !all
		}
	}
	return all
}

// one decides on one value of the request: equal to one of the policy's values, or with a negated operator to none.
func (c *condition) one(v string, keys keySet) bool {
	for _, t := range c.tests {
		if t(v, keys) {
			return !c.negated
		}
	}
	return c.negated
}
