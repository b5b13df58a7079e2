package pattern

import (
	"encoding/json"
	"math"
	"net/netip"
	"strings"
)

// matcher tests one leaf: a string, json.Number, bool or nil.
type matcher struct {
	absent bool // exists:false, tested on the field and not on its leaves
	match  func(leaf any) bool
}

func compileMatcher(name string, v any) (matcher, error) {
	switch v := v.(type) {
	case map[string]any:
		if len(v) != 1 {
			return matcher{}, invalid("a match expression of %q must have exactly one operator", name)
		}
		for op, arg := range v {
			return operator(name, op, arg)
		}
	case []any:
		return matcher{}, invalid("%q holds an array inside an array", name)
	}
	return exactly(v), nil
}

func exactly(want any) matcher {
	if n, ok := want.(json.Number); ok {
		f, err := n.Float64()
		return matcher{match: func(leaf any) bool {
			l, ok := leaf.(json.Number)
			if !ok {
				return false
			}
			if l == n {
				return true
			}
			g, gerr := l.Float64()
			return err == nil && gerr == nil && f == g
		}}
	}
	return matcher{match: func(leaf any) bool { return leaf == want }}
}

func operator(name, op string, arg any) (matcher, error) {
	switch op {
	case "exists":
		b, ok := arg.(bool)
		if !ok {
			return matcher{}, invalid("exists of %q must be true or false", name)
		}
		return matcher{absent: !b, match: func(any) bool { return b }}, nil
	case "prefix", "suffix", "equals-ignore-case", "wildcard":
		test, err := textTest(name, op, arg)
		if err != nil {
			return matcher{}, err
		}
		return matcher{match: func(leaf any) bool { s, ok := leaf.(string); return ok && test(s) }}, nil
	case "anything-but":
		return anythingBut(name, arg)
	case "numeric":
		return numeric(name, arg)
	case "cidr":
		return cidr(name, arg)
	}
	return matcher{}, invalid("unrecognized match type %q of %q", op, name)
}

// textTest compiles prefix, suffix, equals-ignore-case and wildcard with a string argument; prefix and suffix also take
// {"equals-ignore-case": string}.
func textTest(name, op string, arg any) (func(string) bool, error) {
	if m, ok := arg.(map[string]any); ok && len(m) == 1 && (op == "prefix" || op == "suffix") {
		if s, ok := m["equals-ignore-case"].(string); ok {
			if op == "prefix" {
				return func(l string) bool { return foldPrefix(l, s) }, nil
			}
			return func(l string) bool { return foldSuffix(l, s) }, nil
		}
	}
	s, ok := arg.(string)
	if !ok {
		return nil, invalid("%s of %q must be a string", op, name)
	}
	switch op {
	case "prefix":
		return func(l string) bool { return strings.HasPrefix(l, s) }, nil
	case "suffix":
		return func(l string) bool { return strings.HasSuffix(l, s) }, nil
	case "wildcard":
		return wildcard(name, s)
	}
	return func(l string) bool { return strings.EqualFold(l, s) }, nil
}

// foldPrefix compares rune by rune: folding may change how many bytes a letter takes.
func foldPrefix(l, s string) bool {
	lr, sr := []rune(l), []rune(s)
	return len(lr) >= len(sr) && strings.EqualFold(string(lr[:len(sr)]), s)
}

func foldSuffix(l, s string) bool {
	lr, sr := []rune(l), []rune(s)
	return len(lr) >= len(sr) && strings.EqualFold(string(lr[len(lr)-len(sr):]), s)
}

// anythingBut is true of a leaf that none of the listed values is.
func anythingBut(name string, arg any) (matcher, error) {
	var not []matcher
	add := func(op string, v any) error {
		m := exactly(v)
		if op != "" {
			var err error
			if m, err = operator(name, op, v); err != nil {
				return err
			}
		} else if !scalar(v) {
			return invalid("anything-but of %q takes strings or numbers", name)
		}
		not = append(not, m)
		return nil
	}
	op := ""
	if m, ok := arg.(map[string]any); ok {
		if len(m) != 1 {
			return matcher{}, invalid("anything-but of %q takes exactly one operator", name)
		}
		for o, v := range m {
			op, arg = o, v
		}
		switch op {
		case "prefix", "suffix", "equals-ignore-case", "wildcard":
		default:
			return matcher{}, invalid("anything-but of %q does not take the operator %q", name, op)
		}
	}
	list, ok := arg.([]any)
	if !ok {
		list = []any{arg}
	}
	if len(list) == 0 {
		return matcher{}, invalid("anything-but of %q is empty", name)
	}
	if len(list) > maxLeafs {
		return matcher{}, invalid("anything-but of %q has more than %d values", name, maxLeafs)
	}
	for _, v := range list {
		if err := add(op, v); err != nil {
			return matcher{}, err
		}
	}
	return matcher{match: func(leaf any) bool {
		for _, m := range not {
			if m.match(leaf) {
				return false
			}
		}
		return true
	}}, nil
}

func scalar(v any) bool {
	switch v.(type) {
	case string, json.Number:
		return true
	}
	return false
}

// numeric takes [op, number] or [lower op, number, upper op, number].
func numeric(name string, arg any) (matcher, error) {
	list, ok := arg.([]any)
	if !ok || (len(list) != 2 && len(list) != 4) {
		return matcher{}, invalid("numeric of %q must be an array of one or two comparisons", name)
	}
	low, high := math.Inf(-1), math.Inf(1)
	lowOpen, highOpen := false, false
	for i := 0; i < len(list); i += 2 {
		op, isString := list[i].(string)
		num, isNumber := list[i+1].(json.Number)
		if !isString || !isNumber {
			return matcher{}, invalid("numeric of %q must alternate operators and numbers", name)
		}
		f, err := num.Float64()
		if err != nil {
			return matcher{}, invalid("numeric of %q: %s is out of range", name, num)
		}
		switch {
		case op == "=" && len(list) == 2:
			low, high = f, f
		case (op == ">" || op == ">=") && i == 0:
			low, lowOpen = f, op == ">"
		case (op == "<" || op == "<=") && (i == 2 || len(list) == 2):
			high, highOpen = f, op == "<"
		default:
			return matcher{}, invalid("numeric of %q: %q is not allowed there (=, or a lower bound > or >= then an upper bound < or <=)", name, op)
		}
	}
	if low > high || (low == high && (lowOpen || highOpen)) {
		return matcher{}, invalid("numeric of %q: the bottom must be less than the top", name)
	}
	return matcher{match: func(leaf any) bool {
		n, ok := leaf.(json.Number)
		if !ok {
			return false
		}
		f, err := n.Float64()
		if err != nil {
			return false
		}
		return (f > low || (f == low && !lowOpen)) && (f < high || (f == high && !highOpen))
	}}, nil
}

func cidr(name string, arg any) (matcher, error) {
	s, _ := arg.(string)
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return matcher{}, invalid("cidr of %q must be an address range like 10.0.0.0/24", name)
	}
	return matcher{match: func(leaf any) bool {
		s, ok := leaf.(string)
		if !ok {
			return false
		}
		a, err := netip.ParseAddr(s)
		return err == nil && p.Contains(a)
	}}, nil
}

// wildcard compiles a text in which * stands for any characters; \* and \\ stand for themselves, ** is refused.
func wildcard(name, s string) (func(string) bool, error) {
	parts := []string{}
	var cur strings.Builder
	star := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\\':
			if i+1 >= len(s) || (s[i+1] != '*' && s[i+1] != '\\') {
				return nil, invalid("wildcard of %q: invalid escape at %d", name, i)
			}
			i++
			cur.WriteByte(s[i])
			star = false
		case '*':
			if star {
				return nil, invalid("wildcard of %q: consecutive wildcard characters at %d", name, i)
			}
			star = true
			parts = append(parts, cur.String())
			cur.Reset()
		default:
			cur.WriteByte(c)
			star = false
		}
	}
	parts = append(parts, cur.String())
	return func(l string) bool {
		if len(parts) == 1 {
			return l == parts[0]
		}
		first, last := parts[0], parts[len(parts)-1]
		if len(l) < len(first)+len(last) || !strings.HasPrefix(l, first) || !strings.HasSuffix(l, last) {
			return false
		}
		l = l[len(first) : len(l)-len(last)]
		for _, p := range parts[1 : len(parts)-1] { // leftmost finds are enough: only * stand between
			i := strings.Index(l, p)
			if i < 0 {
				return false
			}
			l = l[i+len(p):]
		}
		return true
	}, nil
}
