package lexicon

import (
	"embed"
	"strings"
	"sync"

	"github.com/galen-health/galen/standard/clinical/text"
)

// Class says what a term names.
type Class string

// The classes.
const (
	Generic   Class = "generic"   // a medicine's generic name
	Brand     Class = "brand"     // a medicine's brand name
	DrugClass Class = "class"     // a class of medicines, or a plain word for one
	Symptom   Class = "symptom"   // what a patient feels
	Sign      Class = "sign"      // what an examiner sees
	Diagnosis Class = "diagnosis" // a named disease or state
	Anatomy   Class = "anatomy"
	Analyte   Class = "analyte" // a test or measurement that has a value
	Study     Class = "study"   // a test without a single value
	Procedure Class = "procedure"
	Treatment Class = "treatment"
)

// Term is an entry.
type Term struct {
	Text      string // as listed
	Preferred string // the entry that this is another word for, or itself; for a brand its generic name
	Class     Class
}

// Match is a term found at tokens [Begin, End).
type Match struct {
	Begin, End int
	Term       *Term
}

// Lexicon is a read-only trie of terms by normalised tokens.
type Lexicon struct {
	root  node
	terms []*Term
}

type node struct {
	next map[string]*node
	term *Term
}

//go:embed terms/*.txt
var files embed.FS

// Default is the embedded lexicon.
var Default = sync.OnceValue(func() *Lexicon {
	l := &Lexicon{}
	l.load("problems.txt", "")
	l.load("drugs.txt", Generic)
	l.load("tests.txt", "")
	l.load("procedures.txt", "")
	l.load("anatomy.txt", Anatomy)
	return l
})

// Terms are all entries, in the order of the lists.
func (l *Lexicon) Terms() []*Term { return l.terms }

func lines(name string) []string {
	b, err := files.ReadFile("terms/" + name)
	if err != nil {
		panic(err) // embedded
	}
	return strings.Split(string(b), "\n")
}

func (l *Lexicon) load(name string, class Class) {
	for _, line := range lines(name) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '[' {
			class = Class(strings.Trim(line, "[]"))
			continue
		}
		head, rest, _ := strings.Cut(line, ":")
		l.add(head, head, class)
		for _, v := range strings.Split(rest, ",") {
			if v = strings.TrimSpace(v); v == "" {
				continue
			}
			if class == Generic && v != "fish oil" {
				l.add(v, head, Brand)
			} else {
				l.add(v, head, class)
			}
		}
	}
}

// add lists a term; the first of two with the same words wins.
func (l *Lexicon) add(s, preferred string, class Class) {
	n := &l.root
	for _, t := range text.Tokenize(s) {
		if joint(t.Lower) {
			continue
		}
		if n.next == nil {
			n.next = map[string]*node{}
		}
		if n.next[t.Lower] == nil {
			n.next[t.Lower] = &node{}
		}
		n = n.next[t.Lower]
	}
	if n.term == nil {
		n.term = &Term{s, preferred, class}
		l.terms = append(l.terms, n.term)
	}
}

// joint tokens are passed over inside a term.
func joint(s string) bool { return s == "-" || s == "'" }

// capitals are terms that are common words, or parts of them, unless written in capitals.
var capitals = map[string]bool{"pe": true, "sob": true, "ast": true, "alt": true, "ef": true, "ck": true, "rr": true, "arb": true, "ph": true, "ua": true, "soma": true}

// Longest finds the longest term that begins at token i.
func (l *Lexicon) Longest(s string, toks []text.Token, i int) (Match, bool) {
	n := &l.root
	var found Match
	for j := i; j < len(toks); j++ {
		t := toks[j]
		if j > i && joint(t.Lower) && j+1 < len(toks) {
			continue
		}
		child := n.next[t.Lower]
		if child == nil {
			child = singular(n, t.Lower)
		}
		if child == nil {
			break
		}
		n = child
		if n.term != nil && l.written(s, toks[i].Begin, t.End, n.term) {
			found = Match{i, j + 1, n.term}
		}
	}
	return found, found.Term != nil
}

func singular(n *node, w string) *node {
	if len(w) < 5 || w[len(w)-1] != 's' || strings.HasSuffix(w, "ss") {
		return nil
	}
	if c := n.next[w[:len(w)-1]]; c != nil {
		return c
	}
	return n.next[strings.TrimSuffix(w, "es")]
}

func (l *Lexicon) written(s string, begin, end int, t *Term) bool {
	if !capitals[t.Text] {
		return true
	}
	return s[begin:end] == strings.ToUpper(s[begin:end])
}

// All finds terms left to right, each the longest at its place, without overlaps.
func (l *Lexicon) All(s string, toks []text.Token) []Match {
	var out []Match
	for i := 0; i < len(toks); {
		if m, ok := l.Longest(s, toks, i); ok {
			out = append(out, m)
			i = m.End
		} else {
			i++
		}
	}
	return out
}

// lists are the word lists of names.txt.
var lists = sync.OnceValue(func() map[string]map[string]bool {
	out := map[string]map[string]bool{}
	var m map[string]bool
	for _, line := range lines("names.txt") {
		if strings.HasPrefix(line, "[") {
			m = map[string]bool{}
			out[strings.Trim(line, "[]")] = m
			continue
		}
		for _, w := range strings.Fields(line) {
			m[w] = true
		}
	}
	return out
})

// FirstName reports whether a lower-case word is a common given name in the United States.
func FirstName(w string) bool { return lists()["first"][w] }

// LastName reports whether a lower-case word is a common surname there.
func LastName(w string) bool { return lists()["last"][w] }

// Place reports whether it names a state or a large city there.
func Place(w string) bool { return lists()["place"][w] }

// Profession reports whether it names an occupation.
func Profession(w string) bool { return lists()["profession"][w] }
