package tagger_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/galen-health/galen/standard/clinical/tagger"
	"github.com/galen-health/galen/test/testdata"
)

func corpus(t *testing.T, name string) []tagger.Sentence {
	f, err := os.Open(filepath.Join(testdata.Dir(t, "conversation/ner"), name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := tagger.ReadIOB(f)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The floors are a little above what scispaCy's and MetaMapLite's published figures on the same test parts are (83.9; 72.5).
func TestCommittedModelOnPublicCorpora(t *testing.T) {
	m := tagger.Default()
	bc := m.Evaluate(corpus(t, "BC5CDR-IOB/test.tsv"))
	ncbi := m.Evaluate(corpus(t, "NCBI-disease-IOB/test.tsv"), "Disease")
	t.Logf("BC5CDR F1 %.4f %+v, NCBI-disease F1 %.4f %+v", bc.F1(), bc, ncbi.F1(), ncbi)
	if bc.F1() < 0.84 || bc.Gold < 9000 {
		t.Errorf("BC5CDR F1 = %.4f of %d entities, want at least 0.84", bc.F1(), bc.Gold)
	}
	if ncbi.F1() < 0.80 || ncbi.Gold < 900 {
		t.Errorf("NCBI-disease F1 = %.4f of %d entities, want at least 0.80", ncbi.F1(), ncbi.Gold)
	}
}

var toy = []tagger.Sentence{
	{Tokens: strings.Fields("He takes aspirin for severe migraine ."), Labels: strings.Fields("O O B-Chemical O O B-Disease O")},
	{Tokens: strings.Fields("No heart failure was seen ."), Labels: strings.Fields("O B-Disease I-Disease O O O")},
	{Tokens: strings.Fields("Heparin was given ."), Labels: strings.Fields("B-Chemical O O O")},
}

func train(t *testing.T) *tagger.Tagger {
	m, err := tagger.Train(toy, []string{"Chemical", "Disease"}, 10, 10000)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestLearnsWhatItWasShownAndStoresIt(t *testing.T) {
	var a, b bytes.Buffer
	if err := train(t).Write(&a); err != nil {
		t.Fatal(err)
	}
	if err := train(t).Write(&b); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two trainings on the same data differ")
	}
	m, err := tagger.Read(&a)
	if err != nil {
		t.Fatal(err)
	}
	if s := m.Evaluate(toy); s.F1() != 1 {
		t.Errorf("on its own training data: %+v", s)
	}
	if got, want := m.Labels(), train(t).Labels(); !reflect.DeepEqual(got, want) {
		t.Errorf("labels after reading = %v, want %v", got, want)
	}
}

func TestRefusesUnknownLabelsAndBrokenModels(t *testing.T) {
	if _, err := tagger.Train([]tagger.Sentence{{Tokens: []string{"x"}, Labels: []string{"B-Gene"}}}, []string{"Disease"}, 1, 1); err == nil {
		t.Error("a label of no type was taken")
	}
	var whole bytes.Buffer
	if err := train(t).Write(&whole); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < whole.Len(); n += 1 + whole.Len()/50 {
		if _, err := tagger.Read(bytes.NewReader(whole.Bytes()[:n])); err == nil {
			t.Errorf("the first %d of %d bytes were read as a model", n, whole.Len())
		}
	}
}

func FuzzRead(f *testing.F) {
	m, err := tagger.Train(toy, []string{"Chemical", "Disease"}, 2, 100)
	if err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	if err := m.Write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := tagger.Read(bytes.NewReader(data)); err == nil {
			m.Tag([]string{"a", "b"})
		}
	})
}

func BenchmarkTag(b *testing.B) {
	m, toks := tagger.Default(), strings.Fields("The patient was treated with vancomycin for methicillin resistant staphylococcus aureus pneumonia and acute renal failure .")
	for b.Loop() {
		m.Tag(toks)
	}
	b.ReportMetric(float64(len(toks)*b.N)/b.Elapsed().Seconds(), "tokens/s")
}
