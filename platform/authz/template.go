package authz

import "strings"

// template is a text of a policy with wildcards and variables: what a value is compared with. IAM user guide, "Policy variables":
// a variable's value stands for itself, its wildcards are not wildcards; ${*}, ${?} and ${$} are the characters.
type template []part

type part struct {
	op  byte // one of lit, star, one, variable
	s   string
	def *string // of a variable: the value when the key is absent
}

const (
	lit      = 'l'
	star     = '*'
	one      = '?'
	variable = '$'
)

// compileTemplate reads a text. Without variables, ${…} is plain text.
func compileTemplate(s string, variables bool) template {
	var t template
	add := func(text string) {
		if n := len(t); n > 0 && t[n-1].op == lit {
			t[n-1].s += text
		} else if text != "" {
			t = append(t, part{op: lit, s: text})
		}
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '*':
			t = append(t, part{op: star})
		case c == '?':
			t = append(t, part{op: one})
		case c == '$' && variables && strings.HasPrefix(s[i:], "${"):
			end := strings.IndexByte(s[i:], '}')
			if end < 0 {
				add(s[i : i+1])
				continue
			}
			name := s[i+2 : i+end]
			i += end
			switch name {
			case "*", "?", "$":
				add(name)
			default:
				t = append(t, variablePart(name))
			}
		default:
			add(s[i : i+1])
		}
	}
	return t
}

// variables are the keys that a text names.
func (t template) variables() (out []string) {
	for _, p := range t {
		if p.op == variable {
			out = append(out, p.s)
		}
	}
	return out
}

// variablePart reads "key" or "key, 'default'".
func variablePart(name string) part {
	key, def, ok := strings.Cut(name, ",")
	p := part{op: variable, s: strings.ToLower(strings.TrimSpace(key))}
	if def = strings.TrimSpace(def); ok && len(def) >= 2 && def[0] == '\'' && def[len(def)-1] == '\'' {
		def = def[1 : len(def)-1]
		p.def = &def
	}
	return p
}

// Pattern letters beyond Unicode.
const (
	anyRunes rune = -1
	anyRune  rune = -2
)

// pattern fills in the variables; ok is false when one has no value, and then nothing matches. wild says whether wildcards are such.
func (t template) pattern(keys keySet, wild bool) (out []rune, ok bool) {
	for _, p := range t {
		switch p.op {
		case lit:
			out = append(out, []rune(p.s)...)
		case star, one:
			switch {
			case !wild:
				out = append(out, rune(p.op))
			case p.op == star:
				out = append(out, anyRunes)
			default:
				out = append(out, anyRune)
			}
		case variable:
			vals := keys[p.s]
			switch {
			case len(vals) == 1: // variables of keys with many values have no meaning
				out = append(out, []rune(vals[0])...)
			case len(vals) == 0 && p.def != nil:
				out = append(out, []rune(*p.def)...)
			default:
				return nil, false
			}
		}
	}
	return out, true
}

// match compares the whole of s.
func (t template) match(s string, keys keySet) bool {
	if len(t) == 1 {
		switch t[0].op {
		case star:
			return true
		case lit:
			return t[0].s == s
		}
	}
	p, ok := t.pattern(keys, true)
	return ok && glob(p, []rune(s))
}

// glob matches in time len(p)·len(s) at worst: only the last star is ever tried again.
func glob(p, s []rune) bool {
	i, j := 0, 0
	back, from := -1, 0
	for j < len(s) {
		switch {
		case i < len(p) && p[i] == anyRunes:
			back, from = i, j
			i++
		case i < len(p) && (p[i] == anyRune || p[i] == s[j]):
			i++
			j++
		case back >= 0:
			from++
			i, j = back+1, from
		default:
			return false
		}
	}
	for i < len(p) && p[i] == anyRunes {
		i++
	}
	return i == len(p)
}
