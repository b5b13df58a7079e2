package assertion_test

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galen-health/galen/standard/clinical/assertion"
	"github.com/galen-health/galen/standard/clinical/text"
	"github.com/galen-health/galen/test/testdata"
)

// locate finds the concept's tokens in a sentence.
func locate(toks, concept []text.Token) (text.Range, bool) {
	for i := 0; i+len(concept) <= len(toks); i++ {
		ok := true
		for j := range concept {
			ok = ok && toks[i+j].Lower == concept[j].Lower
		}
		if ok {
			return text.Range{Begin: i, End: i + len(concept)}, true
		}
	}
	return text.Range{}, false
}

func judge(t testing.TB, sentence, concept string) assertion.Status {
	toks := text.Tokenize(sentence)
	r, ok := locate(toks, text.Tokenize(concept))
	if !ok { // one row of the kit names a concept that its sentence holds only the end of
		t.Logf("%q is not in %q", concept, sentence)
	}
	for _, s := range text.Sentences(sentence, toks) {
		if r.Begin >= s.Begin && r.End <= s.End {
			return assertion.Of(toks[s.Begin:s.End], []text.Range{{Begin: r.Begin - s.Begin, End: r.End - s.Begin}})[0]
		}
	}
	return assertion.Of(toks, []text.Range{r})[0]
}

func TestOf(t *testing.T) {
	for _, c := range []struct {
		sentence, concept string
		want              assertion.Status
	}{
		{"Patient denies chest pain.", "chest pain", assertion.Status{Negated: true}},
		{"No fever, chills or cough.", "cough", assertion.Status{Negated: true}},
		{"No fever but has cough.", "cough", assertion.Status{}},
		{"There is no change in the cough.", "cough", assertion.Status{}},
		{"Pneumonia was ruled out.", "pneumonia", assertion.Status{Negated: true}},
		{"Pneumonia cannot be excluded.", "pneumonia", assertion.Status{Uncertain: true}},
		{"Possible pneumonia.", "pneumonia", assertion.Status{Uncertain: true}},
		{"Return if fever develops.", "fever", assertion.Status{Hypothetical: true}},
		{"History of asthma.", "asthma", assertion.Status{Past: true}},
		{"My mother has diabetes.", "diabetes", assertion.Status{Family: true}},
		{"Diabetes runs in the family.", "diabetes", assertion.Status{Family: true}},
		{"We will order an mri of the knee.", "mri", assertion.Status{Planned: true}},
		{"Chest pain for two days.", "chest pain", assertion.Status{}},
		{"no appetite", "no appetite", assertion.Status{}},
	} {
		if got := judge(t, c.sentence, c.concept); got != c.want {
			t.Errorf("%q in %q = %+v, want %+v", c.concept, c.sentence, got, c.want)
		}
	}
}

// The public NegEx kit: 2,376 sentences with a finding each.
func TestNegExKit(t *testing.T) {
	f, err := os.Open(filepath.Join(testdata.Dir(t, "conversation/negex"), "rsAnnotations-1-120-random.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.LazyQuotes, r.FieldsPerRecord = '\t', true, -1
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var hit, guessed, gold, n, right, past, pastGold, pastHit int
	for _, row := range rows {
		if len(row) < 5 {
			continue
		}
		concept, sentence := row[2], row[3]
		s := judge(t, sentence, concept)
		negated := row[4] == "Negated"
		historical := strings.HasPrefix(row[5], "Hist")
		n++
		if s.Negated == negated {
			right++
		} else if os.Getenv("NEGEX_SHOW") != "" {
			t.Logf("negated=%v want %v: [%s] %s", s.Negated, negated, concept, sentence)
		}
		count := func(c bool, p *int) {
			if c {
				*p++
			}
		}
		count(s.Negated, &guessed)
		count(negated, &gold)
		count(negated && s.Negated, &hit)
		count(s.Past, &past)
		count(historical, &pastGold)
		count(historical && s.Past, &pastHit)
	}
	f1 := 2 * float64(hit) / float64(guessed+gold)
	t.Logf("negation: %d sentences, P %.3f R %.3f F1 %.3f accuracy %.3f; history: P %.3f R %.3f", n, float64(hit)/float64(guessed), float64(hit)/float64(gold), f1,
		float64(right)/float64(n), float64(pastHit)/float64(past), float64(pastHit)/float64(pastGold))
	if n < 2300 || f1 < 0.94 {
		t.Errorf("negation F1 = %.3f on %d sentences, want at least 0.94", f1, n)
	}
}
