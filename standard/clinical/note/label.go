package note

import (
	"math"
	"regexp"
	"strings"

	"github.com/galen-health/galen/standard/clinical/rouge"
	"github.com/galen-health/galen/standard/clinical/transcript"
	"github.com/galen-health/galen/standard/clinical/weights"
)

// headings of reference notes and the sections that they open.
var headings = []struct {
	section string
	re      *regexp.Regexp
}{
	{ChiefComplaint, regexp.MustCompile(`(?i)^(?:chief complaint|cc)\b`)},
	{PresentIllness, regexp.MustCompile(`(?i)^(?:history of present illness|hpi|history|subjective|interval history)\b`)},
	{ReviewSystems, regexp.MustCompile(`(?i)^(?:review of systems|ros)\b`)},
	{SocialHistory, regexp.MustCompile(`(?i)^social history\b`)},
	{FamilyHistory, regexp.MustCompile(`(?i)^family history\b`)},
	{PastMedical, regexp.MustCompile(`(?i)^(?:past (?:medical |surgical )?history|medical history|surgical history|current medications|medications|allergies|birth history)\b`)},
	{Physical, regexp.MustCompile(`(?i)^(?:physical exam(?:ination)?|exam|vitals(?: reviewed)?|objective)\b`)},
	{Testing, regexp.MustCompile(`(?i)^(?:results|labs|imaging)\b`)},
	{Assessment, regexp.MustCompile(`(?i)^(?:assessment(?: and plan)?|impression)\b`)},
	{Plan, regexp.MustCompile(`(?i)^(?:plan|instructions|procedure)\b`)},
}

var planned = regexp.MustCompile(`(?i)\b(?:will|recommend|order|prescri|continue|start|follow[- ]?up|treatment:|testing:|education|refer|schedule|return|increase|plan|advised|instructed|agreements)`)

// line is a line of a reference note with its section.
type line struct {
	words   map[string]bool
	section int
}

// reference cuts a reference note into lines of sections.
func reference(s string) []line {
	section, mixed := PresentIllness, false
	var out []line
	for _, l := range strings.Split(s, "\n") {
		l = strings.TrimSpace(l)
		if l == "" {
			continue
		}
		if letters := strings.Trim(l, ":. "); len(letters) < 60 && strings.ToUpper(letters) == letters {
			found := false
			for _, h := range headings {
				if h.re.MatchString(letters) {
					section, found = h.section, true
					mixed = strings.Contains(strings.ToUpper(letters), "AND PLAN")
					break
				}
			}
			if found {
				continue
			}
		}
		for _, sent := range split(l) {
			at := section
			if mixed && planned.MatchString(sent) {
				at = Plan
			}
			m := map[string]bool{}
			for _, w := range content(sent) {
				m[w] = true
			}
			if len(m) > 0 {
				out = append(out, line{m, indexOf(at)})
			}
		}
	}
	return out
}

func indexOf(section string) int {
	for i, s := range Sections {
		if s == section {
			return i
		}
	}
	return -1
}

// Label makes examples of a dialogue and its reference note: a candidate's worth is how much of its content the note says, its section that of the
// line it shares most with.
func Label(dialogue, ref string) ([]Example, error) {
	c, err := transcript.Parse([]byte(dialogue))
	if err != nil {
		return nil, err
	}
	lines := reference(ref)
	all := map[string]bool{}
	for _, l := range lines {
		for w := range l.words {
			all[w] = true
		}
	}
	var out []Example
	for _, x := range Candidates(c, PersonOf(c, "")) {
		e := Example{Candidate: x, Section: -1, Weight: 1}
		words := map[string]bool{}
		for _, w := range content(x.Text) {
			words[w] = true
		}
		hit := 0
		for w := range words {
			if all[w] {
				hit++
			}
		}
		share := float64(hit) / float64(max(1, len(words)))
		best := 0.0
		for _, l := range lines {
			n := 0
			for w := range words {
				if l.words[w] {
					n++
				}
			}
			if f := 2 * float64(n) / float64(len(words)+len(l.words)); n > 0 && f > best && (n > 1 || len(words) < 3) {
				best = f
				if f > 0.2 {
					e.Section = l.section
				}
			}
		}
		e.Worth = min(1, 0.5*share+1.2*best)
		out = append(out, e)
	}
	return out, nil
}

// snippetSections are the section labels of MTS-Dialog.
var snippetSections = map[string]string{"GENHX": PresentIllness, "CC": ChiefComplaint, "ROS": ReviewSystems, "PASTMEDICALHX": PastMedical, "PASTSURGICAL": PastMedical, "ALLERGY": PastMedical,
	"MEDICATIONS": PastMedical, "FAM/SOCHX": SocialHistory, "ASSESSMENT": Assessment, "DIAGNOSIS": Assessment, "PLAN": Plan, "EXAM": Physical, "IMAGING": Testing, "LABS": Testing,
	"PROCEDURES": Testing, "DISPOSITION": Plan, "IMMUNIZATIONS": PastMedical, "GYNHX": PastMedical}

var relatives = regexp.MustCompile(`(?i)\b(?:mother|father|brother|sister|family|parents|mom|dad|grand\w+|aunt|uncle)\b`)

// LabelSnippet makes examples of a snippet that belongs to one section; their worth is unknown and their weight given.
func LabelSnippet(dialogue, header string, weight float64) []Example {
	c, err := transcript.Parse([]byte(dialogue))
	section, ok := snippetSections[header]
	if err != nil || !ok {
		return nil
	}
	var out []Example
	for _, x := range Candidates(c, Unknown) {
		at := section
		if at == SocialHistory && relatives.MatchString(x.Source+x.Context) {
			at = FamilyHistory
		}
		x.Position = 0.5
		out = append(out, Example{Candidate: x, Worth: math.NaN(), Section: indexOf(at), Weight: weight})
	}
	return out
}

// Text is a note as plain text, for scoring and reading.
func (n *Note) Text() string {
	var b strings.Builder
	for _, s := range n.Sections {
		if len(s.Summary) == 0 {
			continue
		}
		b.WriteString(strings.ReplaceAll(s.SectionName, "_", " ") + "\n\n")
		for _, x := range s.Summary {
			b.WriteString(x.SummarizedSegment + "\n")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// SectionAccuracy is the share of a dialogue's labelled candidates whose section the model tells; n is how many there are.
func SectionAccuracy(t *weights.Table, examples []Example) (right, n int) {
	var all []Candidate
	for i := range examples {
		all = append(all, examples[i].Candidate)
	}
	_, sections := judgeAll(t, all)
	for i, e := range examples {
		if e.Section >= 0 {
			n++
			if best(sections[i]) == e.Section {
				right++
			}
		}
	}
	return right, n
}

// Score is the mean ROUGE-1 and ROUGE-2 F1 of the notes of dialogues against reference notes.
func Score(t *weights.Table, dialogues, notes []string) (r1, r2 float64, err error) {
	for i, d := range dialogues {
		c, err := transcript.Parse([]byte(d))
		if err != nil {
			return 0, 0, err
		}
		n, err := build(t, c, Options{})
		if err != nil {
			return 0, 0, err
		}
		r1 += rouge.F1(1, n.Text(), notes[i])
		r2 += rouge.F1(2, n.Text(), notes[i])
	}
	k := float64(max(1, len(dialogues)))
	return r1 / k, r2 / k, nil
}
