package speech

import (
	"strings"
	"sync"

	"github.com/galen-health/galen/standard/clinical/dose"
	"github.com/galen-health/galen/standard/clinical/lexicon"
	"github.com/galen-health/galen/standard/clinical/text"
)

// medicine is a name that may have been misheard.
type medicine struct {
	name, letters, key string
}

var medicines = sync.OnceValue(func() []medicine {
	var out []medicine
	for _, t := range lexicon.Default().Terms() {
		if (t.Class == lexicon.Generic || t.Class == lexicon.Brand) && len(letters(t.Text)) >= 6 {
			out = append(out, name(t.Text))
		}
	}
	return out
})

func name(s string) medicine { return medicine{strings.ToLower(s), letters(s), soundKey(s)} }

// cueWords stand before a medicine's name.
var cueWords = map[string]bool{"taking": true, "take": true, "takes": true, "took": true, "on": true, "start": true, "started": true, "prescribe": true, "prescribed": true, "refill": true, "continue": true,
	"increase": true, "decrease": true, "stop": true, "stopped": true, "using": true, "use": true, "called": true, "your": true, "my": true}

// Bounds of likeness, 0–1: with a dose after the words, and with a cue before them only.
const (
	likeWithDose = 0.66
	likeWithCue  = 0.84
)

// RepairMedicines puts names of medicines right that a recogniser heard as other words: "met from in 500 milligrams" → "metformin 500 milligrams".
// It compares one to four words with every name by sound and letters, and only beside a dose or a cue word. expected are names that are likelier
// than others (the patient's own list); they need less likeness.
func RepairMedicines(s string, expected []string) (string, []Repair) {
	toks := text.Tokenize(s)
	type change struct {
		begin, end int // tokens
		name       string
		like       float64
	}
	var changes []change
	for i := 0; i < len(toks); {
		var best change
		for n := 1; n <= 4 && i+n <= len(toks); n++ {
			if !words(toks[i : i+n]) {
				break
			}
			if known(s, toks, i, i+n) {
				continue
			}
			bound := bound(toks, i, i+n)
			if bound == 0 {
				continue
			}
			who, like := nearest(s[toks[i].Begin:toks[i+n-1].End], expected)
			if like >= bound && like > best.like {
				best = change{i, i + n, who, like}
			}
		}
		if best.name == "" {
			i++
			continue
		}
		changes = append(changes, best)
		i = best.end
	}
	var b strings.Builder
	var repairs []Repair
	last := 0
	for _, c := range changes {
		from, to := toks[c.begin].Begin, toks[c.end-1].End
		b.WriteString(s[last:from])
		begin := b.Len()
		said := c.name
		if from == 0 || strings.TrimRight(s[:from], " ") != "" && strings.HasSuffix(strings.TrimRight(s[:from], " "), ".") {
			said = strings.ToUpper(said[:1]) + said[1:]
		}
		b.WriteString(said)
		repairs = append(repairs, Repair{begin, b.Len(), s[from:to]})
		last = to
	}
	b.WriteString(s[last:])
	return b.String(), repairs
}

func words(toks []text.Token) bool {
	for _, t := range toks {
		if t.Kind != text.Word {
			return false
		}
	}
	return true
}

// known reports whether the words hold a clinical term already: those were heard right.
func known(s string, toks []text.Token, b, e int) bool {
	for i := b; i < e; i++ {
		if _, ok := lexicon.Default().Longest(s, toks[:e], i); ok {
			return true
		}
	}
	return false
}

// bound is the likeness that a place asks for; 0 = no name is expected there.
func bound(toks []text.Token, b, e int) float64 {
	for _, d := range dose.Find(toks[e:min(len(toks), e+6)]) {
		if d.Begin == 0 && (d.Part == dose.Amount || d.Part == dose.Rate) {
			return likeWithDose
		}
	}
	if b > 0 && cueWords[toks[b-1].Lower] {
		return likeWithCue
	}
	return 0
}

// nearest finds the name that words sound most like.
func nearest(s string, expected []string) (string, float64) {
	l, k := letters(s), soundKey(s)
	if len(l) < 5 {
		return "", 0
	}
	best, like := "", 0.0
	try := func(m medicine, bonus float64) {
		if d := len(m.letters) - len(l); d > 5 || d < -5 {
			return
		}
		if v := 0.55*similarity(k, m.key) + 0.45*similarity(l, m.letters) + bonus; v > like {
			best, like = m.name, v
		}
	}
	for _, m := range medicines() {
		try(m, 0)
	}
	for _, e := range expected {
		try(name(e), 0.12)
	}
	return best, like
}

func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r
		}
		if r >= 'A' && r <= 'Z' {
			return r + 32
		}
		return -1
	}, s)
}

// soundKey writes words by their consonants, those alike by one letter: metformin, "met from in" → mtfrmn.
func soundKey(s string) string {
	s = letters(s)
	if strings.HasPrefix(s, "x") {
		s = "s" + s[1:] // Xarelto
	}
	for _, p := range [][2]string{{"ph", "f"}, {"ck", "k"}, {"gh", ""}, {"wh", "w"}, {"th", "t"}, {"sh", "s"}, {"ch", "k"}, {"qu", "k"}, {"x", "ks"}, {"ce", "se"}, {"ci", "si"}, {"cy", "si"},
		{"tion", "sn"}, {"ge", "je"}, {"gi", "ji"}} {
		s = strings.ReplaceAll(s, p[0], p[1])
	}
	var b strings.Builder
	last := byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch c {
		case 'a', 'e', 'i', 'o', 'u', 'y', 'h':
			if i == 0 && c != 'h' {
				c = 'a'
			} else {
				last = 0
				continue
			}
		case 'c', 'q':
			c = 'k'
		case 'z':
			c = 's'
		case 'v':
			c = 'f'
		}
		if c != last {
			b.WriteByte(c)
		}
		last = c
	}
	return b.String()
}

// similarity is one less the edit distance over the longer length.
func similarity(a, b string) float64 {
	if a == "" || b == "" {
		return 0
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return 1 - float64(row[len(b)])/float64(max(len(a), len(b)))
}
