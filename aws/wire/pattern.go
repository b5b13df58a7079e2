package wire

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// A pattern of a model is a Java regular expression that must match the whole value. What Go's engine lacks is rewritten without changing the language:
// repetitions over 1000, \uXXXX and surrogate pairs, \Z, and look-ahead at the two places where the models use it.
type pattern struct {
	whole *regexp.Regexp
	not   *regexp.Regexp // of a leading (?!…): must not match at the start
}

func (p *pattern) matches(s string) bool {
	return p == nil || p.whole.MatchString(s) && (p.not == nil || !p.not.MatchString(s))
}

var patterns sync.Map // text → *pattern

// compiled returns the pattern of a text, nil for "" and for one that cannot be rewritten; TestPatterns proves that no model has such a one.
func compiled(text string) *pattern {
	if text == "" {
		return nil
	}
	if p, ok := patterns.Load(text); ok {
		return p.(*pattern)
	}
	p, err := compile(text)
	if err != nil {
		p = nil
	}
	patterns.Store(text, p)
	return p
}

func compile(text string) (*pattern, error) {
	expr, not := rewrite(text)
	p := &pattern{}
	var err error
	if p.whole, err = regexp.Compile(`\A(?:` + expr + `)\z`); err != nil {
		return nil, err
	}
	if not != "" {
		p.not, err = regexp.Compile(`\A(?:` + not + `)`)
	}
	return p, err
}

var (
	unicode4  = regexp.MustCompile(`\\u([0-9A-Fa-f]{4})`)
	lookahead = regexp.MustCompile(`^\^?\(\?!((?:[^()\\]|\\.)*)\)`)
)

// rewrite returns the pattern in Go's syntax, and what a leading negative look-ahead excludes.
func rewrite(text string) (expr, not string) {
	if m := lookahead.FindStringSubmatch(text); m != nil {
		text, not = text[len(m[0]):], m[1]
	}
	text = strings.TrimSuffix(text, `(?!\.)$`) // at the end nothing follows, so nothing is excluded
	for _, r := range [][2]string{{`\uD800\uDC00-\uDBFF\uDFFF`, `\x{10000}-\x{10FFFF}`}, {`\Z`, `\z`}, {`\p{ASCII}`, `[\x00-\x7f]`}} {
		text = strings.ReplaceAll(text, r[0], r[1])
		not = strings.ReplaceAll(not, r[0], r[1])
	}
	return unicode4.ReplaceAllString(longRepeats(text), `\x{$1}`), not
}

// maxRepeat is the largest count that Go's engine takes.
const maxRepeat = 1000

// atMost repeats an atom up to n times. Either fewer than maxRepeat come, or maxRepeat and then the rest: at no place can a reader be in more than two, so
// matching takes time in proportion to the value.
func atMost(atom string, n int) string {
	if n <= maxRepeat {
		return fmt.Sprintf("%s{0,%d}", atom, n)
	}
	return fmt.Sprintf("(?:%s{0,%d}|%s{%d}%s)", atom, maxRepeat-1, atom, maxRepeat, atMost(atom, n-maxRepeat))
}

// longRepeats writes x{m,n} with n over maxRepeat in parts: the atom before the braces, m times, then at most n-m times.
func longRepeats(text string) string {
	var out strings.Builder
	start := 0 // of the atom that a repetition would apply to, in out
	groups := []int{}
	for i := 0; i < len(text); {
		switch c := text[i]; c {
		case '{':
			end := strings.IndexByte(text[i:], '}')
			lo, hi, ok := counts(text[i : i+max(end, 0)+1])
			if end < 0 || !ok || hi <= maxRepeat {
				out.WriteByte(c)
				i++
				continue
			}
			so := out.String()
			atom := so[start:]
			out.Reset()
			out.WriteString(so[:start] + "(?:")
			for hi -= lo; lo > 0; lo -= min(lo, maxRepeat) {
				fmt.Fprintf(&out, "%s{%d}", atom, min(lo, maxRepeat))
			}
			out.WriteString(atMost(atom, hi) + ")")
			i += end + 1
		case '(':
			groups = append(groups, out.Len())
			out.WriteByte(c)
			i++
		case ')':
			if n := len(groups); n > 0 {
				start, groups = groups[n-1], groups[:n-1]
			}
			out.WriteByte(c)
			i++
		default:
			start = out.Len()
			n := atomLength(text[i:])
			out.WriteString(text[i : i+n])
			i += n
		}
	}
	return out.String()
}

// atomLength is the length of the character, escape or class at the start of s.
func atomLength(s string) int {
	switch {
	case s[0] == '\\' && len(s) > 2 && (s[1] == 'p' || s[1] == 'P' || s[1] == 'x') && s[2] == '{':
		return strings.IndexByte(s, '}') + 1
	case s[0] == '\\' && len(s) > 5 && s[1] == 'u':
		return 6
	case s[0] == '\\' && len(s) > 1:
		return 2
	case s[0] == '[':
		for i := 1; i < len(s); i++ {
			switch {
			case s[i] == '\\':
				i++
			case s[i] == ']' && i > 1:
				return i + 1
			}
		}
		return len(s)
	}
	return 1
}

// counts reads {m,n}; {m} and {m,} have no bound that matters here.
func counts(s string) (lo, hi int, ok bool) {
	a, b, two := strings.Cut(strings.Trim(s, "{}"), ",")
	lo, err1 := strconv.Atoi(a)
	if !two {
		b = a
	}
	hi, err2 := strconv.Atoi(b)
	return lo, hi, err1 == nil && err2 == nil && hi >= lo && hi < 1<<20
}
