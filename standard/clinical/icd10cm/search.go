package icd10cm

import (
	"sort"
	"strings"
	"unicode"
)

// Concept is a candidate code.
type Concept struct {
	Code
	Score float64
}

// empty words say nothing; weak ones are said by the classification where a clinician says nothing.
var (
	empty = set(`the a an of and or in with to for on by at from as is due other than any s`)
	weak  = set(`unspecified uncomplicated without complication mellitu disease disorder nos not elsewhere classified specified site type initial encounter acquired current episode single organism
		essential primary condition closed native artery`)
	numerals = map[string]string{"one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "i": "1", "ii": "2", "iii": "3", "iv": "4"}
	// joined are words that the classification and clinicians write apart or otherwise.
	joined = map[string]string{"cancer": "malignant", "tumour": "tumor", "kidney": "renal", "oesophagu": "esophagu", "anaemia": "anemia", "haemorrhage": "hemorrhage", "diarrhoea": "diarrhea", "cardiac": "heart", "pulmonary": "lung",
		"hepatic": "liver", "gastroesophageal": "gastro", "belly": "abdominal"}
)

func set(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

// words are a text's words in the form that they are compared in.
func words(s string) []string {
	if i := strings.IndexAny(s, "[("); i > 0 && strings.ContainsAny(s, "0123456789") && strings.Contains(s[i:], "-") && strings.ContainsAny(s[i:], ".-)") {
		s = strings.TrimRight(s[:i], " ") // a reference to other codes
	}
	s = strings.ToLower(s)
	if i := strings.Index(s, " without "); i > 0 {
		s = s[:i] // what is absent is what a clinician does not say
	}
	var out []string
	for _, w := range strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if empty[w] {
			continue
		}
		if n, ok := numerals[w]; ok {
			w = n
		}
		switch {
		case len(w) > 4 && strings.HasSuffix(w, "ies"):
			w = w[:len(w)-3] + "y"
		case len(w) > 3 && strings.HasSuffix(w, "s") && !strings.HasSuffix(w, "ss"):
			w = w[:len(w)-1]
		}
		if j, ok := joined[w]; ok {
			w = j
		}
		out = append(out, w)
	}
	return out
}

// Search finds the codes that fit the words best, best first. Each of the queries says the same in other words; context are further words of the text
// (a site, a side, an acuity) that decide between codes that fit alike.
func (ix *Index) Search(queries []string, context string, limit int) []Concept {
	best := map[int32]float64{}
	more := set(strings.Join(words(context), " "))
	for n, q := range queries {
		for _, form := range forms(q) {
			if code, ok := ix.named(form.text, more); ok {
				best[code] = max(best[code], 1.2-0.01*float64(n)) // the classification's own words
			}
			w := words(form.text)
			if len(w) == 0 || len(w) > 24 {
				continue
			}
			for code, score := range ix.match(w, more) {
				if n > 0 {
					score *= 0.97
				}
				if form.own {
					score *= 1.04
				}
				if score > best[code] {
					best[code] = score
				}
			}
		}
	}
	out := make([]Concept, 0, len(best))
	for id, s := range best {
		out = append(out, Concept{ix.codes[id], s})
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Score != out[j].Score {
			return out[i].Score > out[j].Score
		}
		if len(out[i].Description) != len(out[j].Description) {
			return len(out[i].Description) < len(out[j].Description)
		}
		return out[i].Code.Code < out[j].Code.Code
	})
	cut := 0
	for cut < len(out) && cut < limit && out[cut].Score >= 0.25 {
		out[cut].Score = min(1, out[cut].Score)
		cut++
	}
	return out[:cut]
}

// named finds the code with exactly this description; a side that the text names takes the place of an unspecified one.
func (ix *Index) named(s string, more map[string]bool) (int32, bool) {
	for _, side := range []string{"right", "left", "bilateral"} {
		if more[side] {
			if id, ok := ix.byName[strings.Replace(s, "unspecified", side, 1)]; ok {
				return id, true
			}
		}
	}
	id, ok := ix.byName[s]
	return id, ok
}

// form is a wording of a query; own says that it is the classification's.
type form struct {
	text string
	own  bool
}

func forms(q string) []form {
	q = strings.ToLower(strings.Join(strings.Fields(q), " "))
	out := []form{{q, false}}
	if a, ok := aliases()[q]; ok {
		out = append(out, form{a, true})
	}
	return out
}

// match scores the codes that share a word with the query.
func (ix *Index) match(q []string, more map[string]bool) map[int32]float64 {
	asked := map[string]bool{}
	total := 0.0
	for _, w := range q {
		if asked[w] {
			continue
		}
		asked[w] = true
		total += ix.weight(w)
	}
	hit := map[int32]float64{}
	for w := range asked {
		for _, t := range ix.posting[w] {
			hit[t] += ix.weight(w)
		}
	}
	out := map[int32]float64{}
	for id, h := range hit {
		cover := h / total
		if cover < 0.34 {
			continue
		}
		t := &ix.terms[id]
		size, extra := 0.0, 0.0
		seen := map[string]bool{}
		for _, w := range t.words {
			if seen[w] {
				continue
			}
			seen[w] = true
			v := ix.weight(w)
			if !asked[w] && more[w] {
				extra += v
				continue
			}
			size += v
		}
		precise := h / max(size, h)
		score := 5 * precise * cover / (4*precise + cover) // recall counts twice
		score += min(0.08, extra/(total+extra)*0.2)
		if !t.own {
			score *= 0.96
		}
		c := &ix.codes[t.code]
		score *= prior(c, asked)
		if score > out[t.code] {
			out[t.code] = score
		}
	}
	return out
}

// weight is a word's; words that are in no code count as rare.
func (ix *Index) weight(w string) float64 {
	v, ok := ix.idf[w]
	if !ok {
		v = 9
	}
	if weak[w] {
		v *= 0.12
	}
	return v
}

// prior prefers what clinicians mean who say no more: unspecified codes, diseases over their causes and circumstances.
func prior(c *Code, asked map[string]bool) float64 {
	p := 1.0
	d := strings.ToLower(c.Description)
	if strings.Contains(d, "unspecified") {
		p *= 1.03
	}
	if strings.HasPrefix(d, "other ") && !asked["other"] {
		p *= 0.95
	}
	if strings.Contains(d, "classified elsewhere") {
		p *= 0.7
	}
	for word, chapter := range map[string]byte{"pregnancy": 'O', "newborn": 'P', "congenital": 'Q', "poisoning": 'T', "history": 'Z'} {
		if c.Code[0] == chapter && !asked[word] {
			p *= 0.8
		}
	}
	if c.Code[0] >= 'V' && c.Code[0] <= 'Y' {
		p *= 0.5
	}
	return p
}
