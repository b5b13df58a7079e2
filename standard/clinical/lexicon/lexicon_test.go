package lexicon_test

import (
	"strings"
	"testing"

	"github.com/galen-health/galen/standard/clinical/lexicon"
	"github.com/galen-health/galen/standard/clinical/text"
)

func TestMatches(t *testing.T) {
	for in, want := range map[string]string{
		"He takes Tylenol and metoprolol succinate.":        "tylenol/brand/acetaminophen metoprolol succinate/generic/metoprolol succinate",
		"chest pain, shortness of breath, no fevers":        "chest pain/symptom/chest pain shortness of breath/symptom/shortness of breath fevers/symptom/fever",
		"Crohn's disease; crohns; a heart attack":           "crohn's disease/diagnosis/crohn's disease crohns/diagnosis/crohn's disease heart attack/diagnosis/heart attack",
		"chest x ray and X-rays":                            "chest x-ray/study/x-ray x-rays/study/x-ray",
		"PE was ruled out at the pe class":                  "pe/diagnosis/pulmonary embolism",
		"blood pressure and type two diabetes in the knees": "blood pressure/analyte/blood pressure type two diabetes/diagnosis/diabetes type 2 knees/anatomy/knee",
	} {
		toks := text.Tokenize(in)
		var got []string
		for _, m := range lexicon.Default().All(in, toks) {
			got = append(got, m.Term.Text+"/"+string(m.Term.Class)+"/"+m.Term.Preferred)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%q:\n got %s\nwant %s", in, s, want)
		}
	}
}

// Every term finds itself, whole.
func TestEveryTermIsFound(t *testing.T) {
	l := lexicon.Default()
	if len(l.Terms()) < 2000 {
		t.Errorf("%d terms, the lists hold more", len(l.Terms()))
	}
	for _, term := range l.Terms() {
		s := strings.ToUpper(term.Text)
		toks := text.Tokenize(s)
		m, ok := l.Longest(s, toks, 0)
		if !ok || m.End != len(toks) || m.Term.Class != term.Class {
			t.Errorf("%q (%s) finds %+v", term.Text, term.Class, m)
		}
		switch term.Class {
		case lexicon.Generic, lexicon.Brand, lexicon.DrugClass, lexicon.Symptom, lexicon.Sign, lexicon.Diagnosis, lexicon.Anatomy, lexicon.Analyte, lexicon.Study, lexicon.Procedure, lexicon.Treatment:
		default:
			t.Errorf("%q is of class %q, which there is not", term.Text, term.Class)
		}
	}
}

func TestNames(t *testing.T) {
	if !lexicon.FirstName("john") || !lexicon.LastName("smith") || !lexicon.Place("boston") || !lexicon.Profession("teacher") || lexicon.FirstName("pain") {
		t.Error("the name lists are not read")
	}
}
