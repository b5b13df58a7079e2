package tagger

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// ReadIOB reads a corpus of lines "token TAB label" with empty lines between sentences.
func ReadIOB(r io.Reader) ([]Sentence, error) {
	var out []Sentence
	var s Sentence
	sc := bufio.NewScanner(r)
	for n := 1; sc.Scan(); n++ {
		line := sc.Text()
		if strings.TrimSpace(line) == "" {
			if len(s.Tokens) > 0 {
				out = append(out, s)
				s = Sentence{}
			}
			continue
		}
		tok, label, ok := strings.Cut(line, "\t")
		if !ok {
			return nil, fmt.Errorf("tagger: corpus line %d has no tab", n)
		}
		if i := strings.LastIndexByte(label, '\t'); i >= 0 {
			label = label[i+1:]
		}
		s.Tokens, s.Labels = append(s.Tokens, tok), append(s.Labels, strings.TrimSpace(label))
	}
	if len(s.Tokens) > 0 {
		out = append(out, s)
	}
	return out, sc.Err()
}

// Spans are the entities that IOB labels describe.
func Spans(labels []string) []Entity {
	var out []Entity
	for i := 0; i < len(labels); i++ {
		kind, ok := strings.CutPrefix(labels[i], "B-")
		if !ok {
			continue
		}
		j := i + 1
		for j < len(labels) && labels[j] == "I-"+kind {
			j++
		}
		out = append(out, Entity{Begin: i, End: j, Label: kind})
		i = j - 1
	}
	return out
}

// Score counts exact spans over a labelled corpus: true positives, predicted, gold.
type Score struct{ Hit, Guessed, Gold int }

// F1 is the harmonic mean of precision and recall, in 0–1.
func (s Score) F1() float64 {
	if s.Hit == 0 {
		return 0
	}
	return 2 * float64(s.Hit) / float64(s.Guessed+s.Gold)
}

// Evaluate tags sentences and counts exact matches of span and type; types not in keep (when given) are left out.
func (t *Tagger) Evaluate(sentences []Sentence, keep ...string) Score {
	var s Score
	wanted := func(l string) bool {
		for _, k := range keep {
			if k == l {
				return true
			}
		}
		return len(keep) == 0
	}
	type key struct {
		b, e int
		l    string
	}
	for _, x := range sentences {
		gold := map[key]bool{}
		for _, e := range Spans(x.Labels) {
			if wanted(e.Label) {
				gold[key{e.Begin, e.End, e.Label}] = true
			}
		}
		s.Gold += len(gold)
		for _, e := range t.Tag(x.Tokens) {
			if wanted(e.Label) {
				s.Guessed++
				if gold[key{e.Begin, e.End, e.Label}] {
					s.Hit++
				}
			}
		}
	}
	return s
}
