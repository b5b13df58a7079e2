package fhirtest

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Definition is a published SearchParameter.
type Definition struct {
	Code, Type, Expression string
	Base, Target           []string
}

// Matches decides whether a resource meets code[:modifier]=value, for one value without commas, by R4's search page.
func (d Definition) Matches(r Resource, modifier, value string) bool {
	found := r.Eval(d.Expression)
	if modifier == "missing" {
		return (len(d.present(found)) == 0) == (value == "true")
	}
	for _, f := range found {
		if d.match(f, modifier, value) {
			return modifier != "not"
		}
	}
	return modifier == "not"
}

// present are the found values that mean anything to a search.
func (d Definition) present(found []Found) []Found {
	var out []Found
	for _, f := range found {
		switch {
		case d.Type == "date":
			if _, _, ok := period(f); !ok {
				continue
			}
		case d.Type == "reference":
			m, obj := f.Value.(map[string]any)
			ref, _ := m["reference"].(string)
			if obj && (ref == "" || ref[0] == '#') && m["identifier"] == nil {
				continue
			}
		case d.Type == "quantity":
			if len(numbers(f)) == 0 {
				continue
			}
		case d.Type == "token":
			if len(tokens(f)) == 0 && texts(f) == nil {
				continue
			}
		case d.Type == "string":
			if len(Words("string", f)) == 0 {
				continue
			}
		}
		out = append(out, f)
	}
	return out
}

func (d Definition) match(f Found, modifier, value string) bool {
	switch d.Type {
	case "token":
		if modifier == "text" {
			for _, t := range texts(f) {
				if strings.HasPrefix(fold(t), fold(value)) {
					return true
				}
			}
			return false
		}
		return tokenMatches(f, value)
	case "string":
		for _, w := range Words("string", f) {
			switch {
			case modifier == "exact" && w == value, modifier == "contains" && strings.Contains(fold(w), fold(value)),
				modifier == "" && strings.HasPrefix(fold(w), fold(value)):
				return true
			}
		}
		return false
	case "reference":
		m, obj := f.Value.(map[string]any)
		if !obj {
			s, _ := f.Value.(string)
			bare, _, _ := strings.Cut(s, "|")
			_, id, relative := strings.Cut(s, "/")
			return s == value || bare == value || relative && !strings.Contains(s, ":") && id == value
		}
		ref, _ := m["reference"].(string)
		ref, _, _ = strings.Cut(ref, "/_history/")
		if !strings.Contains(value, "/") {
			typ, id, ok := strings.Cut(ref, "/")
			return ok && id == value && (d.Target == nil || in(d.Target, typ))
		}
		return ref == value
	case "uri":
		s, _ := f.Value.(string)
		if modifier == "below" {
			return s == value || strings.HasPrefix(s, strings.TrimSuffix(value, "/")+"/")
		}
		return s == value
	case "date":
		low, high, ok := period(f)
		return ok && dateMatches(low, high, value)
	case "number", "quantity":
		num, unit, hasUnit := strings.Cut(value, "|")
		for _, q := range numbers(f) {
			if hasUnit {
				sys, code, _ := strings.Cut(unit, "|")
				if sys != "" && (q.system != sys || q.code != code) || sys == "" && q.code != code && q.unit != code {
					continue
				}
			}
			if numberMatches(q.value, num) {
				return true
			}
		}
	}
	return false
}

func in(l []string, s string) bool {
	for _, x := range l {
		if x == s {
			return true
		}
	}
	return false
}

func fold(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFKD.String(s))
	return strings.Join(strings.Fields(s), " ")
}

// tokens are the system and code pairs of a value.
func tokens(f Found) [][2]string {
	str := func(v any) string { s, _ := v.(string); return s }
	switch v := f.Value.(type) {
	case string:
		return [][2]string{{"", v}}
	case bool:
		return [][2]string{{"", strconv.FormatBool(v)}}
	case map[string]any:
		var out [][2]string
		if l, ok := v["coding"].([]any); ok {
			for _, c := range l {
				m := c.(map[string]any)
				out = append(out, [2]string{str(m["system"]), str(m["code"])})
			}
			return out
		}
		if v["code"] != nil {
			return [][2]string{{str(v["system"]), str(v["code"])}}
		}
		if v["value"] != nil || v["system"] != nil {
			return [][2]string{{str(v["system"]), str(v["value"])}}
		}
	}
	return nil
}

func texts(f Found) []string {
	m, ok := f.Value.(map[string]any)
	if !ok {
		return nil
	}
	var out []string
	add := func(v any) {
		if s, ok := v.(string); ok && s != "" {
			out = append(out, s)
		}
	}
	if l, ok := m["coding"].([]any); ok {
		for _, c := range l {
			add(c.(map[string]any)["display"])
		}
	}
	add(m["text"])
	if m["code"] != nil || m["display"] != nil {
		add(m["display"])
	}
	if t, ok := m["type"].(map[string]any); ok && m["value"] != nil {
		add(t["text"])
	}
	return out
}

func tokenMatches(f Found, value string) bool {
	sys, code, hasSys := strings.Cut(value, "|")
	for _, t := range tokens(f) {
		switch {
		case !hasSys && t[1] == value, hasSys && code == "" && t[0] == sys, hasSys && code != "" && t[0] == sys && t[1] == code:
			return true
		}
	}
	return false
}

type quantity struct {
	value              float64
	system, code, unit string
}

func numbers(f Found) []quantity {
	str := func(v any) string { s, _ := v.(string); return s }
	num := func(v any) (float64, bool) {
		n, ok := v.(json.Number)
		if !ok {
			return 0, false
		}
		x, err := n.Float64()
		return x, err == nil
	}
	if x, ok := num(f.Value); ok {
		return []quantity{{value: x}}
	}
	m, _ := f.Value.(map[string]any)
	var out []quantity
	for _, q := range []any{f.Value, m["low"], m["high"]} {
		if o, ok := q.(map[string]any); ok {
			if x, ok := num(o["value"]); ok {
				e := quantity{x, str(o["system"]), str(o["code"]), str(o["unit"])}
				if o["currency"] != nil {
					e.system, e.code = "urn:iso:std:iso:4217", str(o["currency"])
				}
				out = append(out, e)
			}
		}
	}
	return out
}

// numberMatches compares with half a unit in the last place given on either side.
func numberMatches(x float64, s string) bool {
	op := "eq"
	if len(s) > 2 && s[0] >= 'a' && s[0] <= 'z' {
		op, s = s[:2], s[2:]
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return false
	}
	decimals := 0
	if _, frac, ok := strings.Cut(s, "."); ok {
		decimals = len(frac)
	}
	half := 0.5 * math.Pow(10, -float64(decimals))
	// Compared in integers of half units, so that 5.35 is on the edge of 5.4 and not beside it.
	scaled := math.Round((x-v)/half*1e6) / 1e6
	within := scaled >= -1 && scaled < 1
	switch op {
	case "eq":
		return within
	case "ne":
		return !within
	case "gt", "sa":
		return x > v
	case "lt", "eb":
		return x < v
	case "ge":
		return x >= v
	case "le":
		return x <= v
	}
	return false
}

var (
	longAgo = time.Date(-9999, 1, 1, 0, 0, 0, 0, time.UTC)
	farAway = time.Date(19999, 1, 1, 0, 0, 0, 0, time.UTC)
)

// date is the span of a date text: from its first instant to the first one after it.
func date(s string) (low, next time.Time, ok bool) {
	for _, f := range []struct {
		layout        string
		years, months int
		days          int
		rest          time.Duration
	}{{"2006", 1, 0, 0, 0}, {"2006-01", 0, 1, 0, 0}, {"2006-01-02", 0, 0, 1, 0}, {"2006-01-02T15:04Z07:00", 0, 0, 0, time.Minute}, {"2006-01-02T15:04:05Z07:00", 0, 0, 0, time.Second}} {
		layout := f.layout
		rest := f.rest
		if _, after, fraction := strings.Cut(s, "."); fraction && rest == time.Second {
			n := strings.IndexAny(after, "Z+-")
			if n < 0 {
				return low, next, false
			}
			layout = "2006-01-02T15:04:05." + strings.Repeat("0", n) + "Z07:00"
			rest = time.Duration(math.Pow(10, float64(9-min(n, 6))))
		}
		if t, err := time.Parse(layout, s); err == nil {
			t = t.Truncate(time.Microsecond)
			return t, t.AddDate(f.years, f.months, f.days).Add(rest), true
		}
	}
	return low, next, false
}

// period is the span that a found value covers.
func period(f Found) (low, next time.Time, ok bool) {
	switch v := f.Value.(type) {
	case string:
		if strings.HasSuffix(f.Name, "String") {
			return low, next, false // a text that looks like a date is none
		}
		return date(v)
	case map[string]any:
		if ev, isTiming := v["event"].([]any); isTiming || v["repeat"] != nil {
			low, next = farAway, longAgo
			for _, e := range ev {
				if s, isText := e.(string); isText {
					if l, n, good := date(s); good {
						ok = true
						if l.Before(low) {
							low = l
						}
						if n.After(next) {
							next = n
						}
					}
				}
			}
			if rep, _ := v["repeat"].(map[string]any); rep != nil {
				if b, _ := rep["boundsPeriod"].(map[string]any); b != nil {
					if l, n, good := period(Found{"", b}); good {
						ok = true
						if l.Before(low) {
							low = l
						}
						if n.After(next) {
							next = n
						}
					}
				}
			}
			return low, next, ok
		}
		low, next = longAgo, farAway
		if s, _ := v["start"].(string); s != "" {
			if l, _, good := date(s); good {
				low, ok = l, true
			}
		}
		if s, _ := v["end"].(string); s != "" {
			if _, n, good := date(s); good {
				next, ok = n, true
			}
		}
	}
	return low, next, ok
}

// dateMatches compares the spans [low, next) of the resource and of the value.
func dateMatches(low, next time.Time, s string) bool {
	op := "eq"
	if s[0] >= 'a' && s[0] <= 'z' {
		op, s = s[:2], s[2:]
	}
	l, n, ok := date(s)
	if !ok {
		return false
	}
	within := !low.Before(l) && !next.After(n)
	switch op {
	case "eq":
		return within
	case "ne":
		return !within
	case "gt":
		return next.After(n)
	case "lt":
		return low.Before(l)
	case "ge":
		return next.After(n) || within
	case "le":
		return low.Before(l) || within
	case "sa":
		return !low.Before(n)
	case "eb":
		return !next.After(l)
	}
	return false
}
