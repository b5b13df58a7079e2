package entity

import (
	"math"
	"sort"
	"strings"

	"github.com/galen-health/galen/standard/clinical/dose"
	"github.com/galen-health/galen/standard/clinical/lexicon"
	"github.com/galen-health/galen/standard/clinical/phi"
	"github.com/galen-health/galen/standard/clinical/tagger"
	"github.com/galen-health/galen/standard/clinical/text"
)

// candidate is a span of tokens that may become an entity or, when attr is set, an attribute.
type candidate struct {
	begin, end int // tokens of the text
	category   string
	kind       string
	attr       bool
	score      float32
	rank       int // of spans of one length the higher wins
	trait      string
	preferred  string
}

var fromLexicon = map[lexicon.Class]candidate{
	lexicon.Generic:   {category: Medication, kind: Generic, score: 0.98},
	lexicon.Brand:     {category: Medication, kind: Brand, score: 0.98},
	lexicon.DrugClass: {category: Medication, kind: Generic, score: 0.85},
	lexicon.Symptom:   {category: Condition, kind: Dx, score: 0.96, trait: Symptom},
	lexicon.Sign:      {category: Condition, kind: Dx, score: 0.95, trait: Sign},
	lexicon.Diagnosis: {category: Condition, kind: Dx, score: 0.97, trait: Diagnosis},
	lexicon.Anatomy:   {category: Anatomy, kind: Site, score: 0.93},
	lexicon.Analyte:   {category: Test, kind: TestName, score: 0.95},
	lexicon.Study:     {category: Test, kind: TestName, score: 0.95},
	lexicon.Procedure: {category: Test, kind: Procedure, score: 0.93},
	lexicon.Treatment: {category: Test, kind: Treatment, score: 0.88},
}

var doseTypes = map[dose.Part]string{dose.Amount: Dosage, dose.Count: Dosage, dose.Form: Form, dose.Route: Route, dose.Frequency: Frequency, dose.Duration: Duration, dose.Rate: Rate}

// candidates of one sentence, tokens [r.Begin, r.End).
func candidates(s string, toks []text.Token, r text.Range, ids []phi.Span) []candidate {
	var out []candidate
	for i := r.Begin; i < r.End; {
		m, ok := lexicon.Default().Longest(s, toks[:r.End], i)
		if !ok {
			i++
			continue
		}
		c := fromLexicon[m.Term.Class]
		c.begin, c.end, c.preferred, c.rank = m.Begin, m.End, m.Term.Preferred, 5
		if m.Term.Class == lexicon.Anatomy {
			c.rank = 1
		}
		out = append(out, c)
		i = m.End
	}
	out = append(out, tagged(s, toks, r)...)
	for _, d := range dose.Find(toks[r.Begin:r.End]) {
		out = append(out, candidate{begin: r.Begin + d.Begin, end: r.Begin + d.End, category: Medication, kind: doseTypes[d.Part], attr: true, score: 0.95, rank: 4, preferred: string(d.Part)})
	}
	out = append(out, patterns(toks, r)...)
	return append(out, identifying(toks, r, ids)...)
}

// tagged are the tagger's chemicals and diseases.
func tagged(s string, toks []text.Token, r text.Range) []candidate {
	words := make([]string, r.End-r.Begin)
	for i := range words {
		words[i] = s[toks[r.Begin+i].Begin:toks[r.Begin+i].End]
	}
	var out []candidate
	for _, e := range tagger.Default().Tag(words) {
		c := candidate{begin: r.Begin + e.Begin, end: r.Begin + e.End, score: float32(1 / (1 + math.Exp(-0.25*float64(e.Margin)))), rank: 2}
		for c.begin < c.end && modifiers[toks[c.begin].Lower] != "" {
			c.begin++ // acuity and side are attributes
		}
		if c.begin == c.end || c.score < 0.6 || stopWords[toks[c.begin].Lower] && c.end == c.begin+1 || !wordy(toks[c.begin:c.end]) {
			continue
		}
		if e.Label == "Chemical" {
			c.category, c.kind = Medication, Generic
			if c.end == c.begin+1 && len(toks[c.begin].Lower) < 4 {
				continue // symbols of elements and abbreviations
			}
		} else {
			c.category, c.kind, c.trait = Condition, Dx, Diagnosis
		}
		out = append(out, c)
	}
	return out
}

func wordy(toks []text.Token) bool {
	for _, t := range toks {
		if t.Kind == text.Word && len(t.Lower) > 1 {
			return true
		}
	}
	return false
}

// stopWords are everyday words that a tagger trained on abstracts takes for names.
var stopWords = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`patient patients um uh okay yeah yes no hey hi well good bad water coffee tea salt sugar food oxygen air blood alcohol caffeine family mother
		father exam plan pt dax problem problems disease diseases syndrome disorder condition symptoms symptom illness sick death die mg ml day left right dose normal history issue issues`) {
		m[w] = true
	}
	return m
}()

func identifying(toks []text.Token, r text.Range, ids []phi.Span) []candidate {
	var out []candidate
	for _, p := range ids {
		b := sort.Search(len(toks), func(i int) bool { return toks[i].End > p.Begin })
		e := sort.Search(len(toks), func(i int) bool { return toks[i].Begin >= p.End })
		if b < r.Begin || b >= r.End || e <= b {
			continue
		}
		out = append(out, candidate{begin: b, end: min(e, r.End), category: Identifying, kind: string(p.Type), score: p.Score, rank: 6})
	}
	return out
}

// choose keeps candidates that do not overlap: longer first, then higher rank, then surer.
func choose(all []candidate) []candidate {
	sort.SliceStable(all, func(i, j int) bool {
		a, b := all[i], all[j]
		if la, lb := a.end-a.begin, b.end-b.begin; la != lb {
			return la > lb
		}
		if a.rank != b.rank {
			return a.rank > b.rank
		}
		if a.score != b.score {
			return a.score > b.score
		}
		return a.begin < b.begin
	})
	var out []candidate
	for _, c := range all {
		free := true
		for k, o := range out {
			if c.begin < o.end && o.begin < c.end {
				free = false
				if o.category == c.category && o.preferred == "" && c.preferred != "" && o.trait != "" { // a longer name for a known thing
					out[k].trait, out[k].score = c.trait, max(o.score, 0.9)
				}
			}
		}
		if free {
			out = append(out, c)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].begin < out[j].begin })
	return out
}
