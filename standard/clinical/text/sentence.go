package text

import "strings"

// Range is a half-open span of token indexes.
type Range struct{ Begin, End int }

// MaxSentence is the most tokens of a sentence: a longer one is cut, so that what looks at pairs within a sentence stays bounded.
const MaxSentence = 160

// Sentences groups tokens: a sentence ends after . ? ! or ; (not after an abbreviation, an initial or inside a number), at an empty line,
// at a line end that a new item, a bullet or a heading follows, and after MaxSentence tokens.
func Sentences(s string, toks []Token) []Range {
	var out []Range
	begin := 0
	for i := range toks {
		if i+1 < len(toks) && i+1-begin < MaxSentence && !ends(s, toks, i) {
			continue
		}
		out = append(out, Range{begin, i + 1})
		begin = i + 1
	}
	return out
}

func ends(s string, toks []Token, i int) bool {
	t, next := toks[i], toks[i+1]
	gap := s[t.End:next.Begin]
	lines := strings.Count(gap, "\n")
	if lines > 1 || lines == 0 && strings.Contains(gap, "    ") { // four spaces stand for a line end in flattened reports
		return true
	}
	if lines == 1 && (t.Lower == ":" || t.Lower == "," || t.Lower == ".") {
		return t.Lower != ","
	}
	if lines == 1 && (next.Kind == Punct && strings.Contains("-•*·●", next.Lower) || next.Kind == Number || heading(s, toks, i+1)) {
		return true
	}
	switch t.Lower {
	case "?", "!":
		return next.Kind != Punct
	case ";":
		return true
	case ".":
		if i > 0 && abbreviation(s, toks[i-1]) && t.Begin == toks[i-1].End {
			return false
		}
		return gap != "" && next.Kind != Punct
	}
	return false
}

// heading reports whether a line begins with words and a colon, or is all capitals.
func heading(s string, toks []Token, i int) bool {
	for j := i; j < len(toks) && j < i+5; j++ {
		if toks[j].Lower == ":" {
			return true
		}
		if j > i && strings.Contains(s[toks[j-1].End:toks[j].Begin], "\n") {
			return strings.ToUpper(s[toks[i].Begin:toks[j-1].End]) == s[toks[i].Begin:toks[j-1].End]
		}
	}
	return false
}

// abbreviations are followed by a full stop that ends no sentence.
var abbreviations = set("dr mr mrs ms prof st vs approx pt hx fig al inc jr sr dept tab tabs cap caps q b t o h p e g i")

func abbreviation(s string, t Token) bool {
	if t.Kind != Word {
		return false
	}
	single := t.End-t.Begin == 1 && s[t.Begin] >= 'A' && s[t.Begin] <= 'Z'
	return single || abbreviations[t.Lower]
}

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}
