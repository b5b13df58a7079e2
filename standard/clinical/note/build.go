package note

import (
	"fmt"
	"regexp"
	"sort"
	"strings"

	"github.com/galen-health/galen/standard/clinical/entity"
	"github.com/galen-health/galen/standard/clinical/rouge"
	"github.com/galen-health/galen/standard/clinical/transcript"
	"github.com/galen-health/galen/standard/clinical/weights"
)

// Document is a HealthScribe note file.
type Document struct {
	ClinicalDocumentation Note
}

// Note is a clinical note.
type Note struct {
	Sections  []Section
	SessionId string `json:",omitempty"`
}

// Section is a part of a note.
type Section struct {
	SectionName string
	Summary     []Sentence
}

// Sentence is a statement of a note with its evidence.
type Sentence struct {
	EvidenceLinks     []Evidence
	SummarizedSegment string
}

// Evidence is a segment of the transcript.
type Evidence struct {
	SegmentId string
}

// Options of a note.
type Options struct {
	Template Template // "" = HISTORY_AND_PHYSICAL
	Pronouns string   // HE_HIM, SHE_HER, THEY_THEM; "" = as the conversation tells
	Words    int      // the most words; 0 = by the length of the conversation
}

// Bounds of a note's length: a share of what was said.
const (
	share    = 0.30
	minWords = 60
	maxWords = 420
)

// Build writes the note of a conversation.
func Build(c *transcript.Conversation, o Options) (*Note, error) { return build(table(), c, o) }

func build(t *weights.Table, c *transcript.Conversation, o Options) (*Note, error) {
	if o.Template == "" {
		o.Template = HistoryAndPhysical
	}
	shape, ok := templates[o.Template]
	if !ok {
		return nil, fmt.Errorf("note: there is no template %q", o.Template)
	}
	chosen := choose(t, c, Candidates(c, PersonOf(c, o.Pronouns)), o.Words)
	n := &Note{}
	index := map[string]int{}
	for _, name := range shape.sections {
		index[name] = len(n.Sections)
		n.Sections = append(n.Sections, Section{SectionName: name, Summary: []Sentence{}})
	}
	for _, x := range chosen {
		s := Sentence{SummarizedSegment: x.Text}
		for _, i := range x.Segments {
			s.EvidenceLinks = append(s.EvidenceLinks, Evidence{c.TranscriptSegments[i].SegmentId})
		}
		at := &n.Sections[index[shape.place(x.section, &x.Candidate)]]
		at.Summary = append(at.Summary, s)
	}
	return n, nil
}

// scored is a candidate with the model's judgement.
type scored struct {
	Candidate
	worth   float64
	section string
	order   int
}

// choose takes the worthiest candidates that do not repeat each other, within the words allowed, in the order of the conversation.
func choose(t *weights.Table, c *transcript.Conversation, all []Candidate, words int) []scored {
	if words == 0 {
		said := 0
		for _, s := range c.TranscriptSegments {
			said += len(rouge.Words(s.Content))
		}
		words = max(minWords, min(maxWords, int(share*float64(said))))
	}
	var xs []scored
	worth, sections := judgeAll(t, all)
	for i, x := range all {
		xs = append(xs, scored{x, worth[i], Sections[best(sections[i])], i})
	}
	sort.SliceStable(xs, func(i, j int) bool { return xs[i].worth > xs[j].worth })
	var out []scored
	var bags []map[string]bool
	for _, x := range xs {
		n := len(rouge.Words(x.Text))
		if n > words {
			continue
		}
		bag := map[string]bool{}
		for _, w := range content(x.Text) {
			bag[w] = true
		}
		if repeats(bag, bags) {
			continue
		}
		words -= n
		bags = append(bags, bag)
		out = append(out, x)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].order < out[j].order })
	return settle(out)
}

// repeats reports whether four fifths of a sentence's content are in one that was taken.
func repeats(bag map[string]bool, taken []map[string]bool) bool {
	for _, b := range taken {
		hit := 0
		for w := range bag {
			if b[w] {
				hit++
			}
		}
		if float64(hit) >= 0.8*float64(len(bag)) {
			return true
		}
	}
	return len(bag) == 0
}

// orders are what a clinician says who plans.
var orders = regexp.MustCompile(`(?i)\b(?:i want|i'd like|i would like|i'm going|i am going|we will|we'll|i'll|i will|let's|going to (?:order|start|prescribe|put|send|refer|get|increase|continue)|go ahead and|prescribe|refer|follow up|see (?:him|her|them|you|the patient) (?:back|again))\b`)

// settle moves sentences that the model cannot place well: plans of the clinician late in the visit go to the plan; the chief complaint has at
// most two sentences and at least the first of the history that names a present problem.
func settle(xs []scored) []scored {
	n, first := 0, -1
	for i := range xs {
		x := &xs[i]
		if x.Clinician && x.Position > 0.45 && orders.MatchString(x.Text) && turnSection[x.section] == Subjective {
			x.section = Plan
		}
		switch {
		case x.section == ChiefComplaint:
			if n++; n > 2 {
				x.section = PresentIllness
			}
		case x.section == PresentIllness && first < 0 && x.Position < 0.5 && complains(x.Text):
			first = i
		}
	}
	if n == 0 && first >= 0 {
		xs[first].section = ChiefComplaint
	}
	return xs
}

// complains reports whether a sentence names a problem that is present.
func complains(s string) bool {
	for _, e := range entity.Detect(s).Entities {
		if e.Category == entity.Condition && !e.Status.Negated && !e.Status.Family && !e.Status.Hypothetical {
			return true
		}
	}
	return false
}

var maleWords, femaleWords = words(`male man gentleman sir mr mister boy`), words(`female woman lady ma'am mrs ms miss girl pregnant`)

func words(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

// PersonOf tells how to speak of the patient: by the contract's pronouns, else by what the clinician says of them.
func PersonOf(c *transcript.Conversation, pronouns string) Person {
	switch pronouns {
	case "HE_HIM":
		return He
	case "SHE_HER":
		return She
	case "THEY_THEM":
		return They
	}
	male, female := 0, 0
	for i, s := range c.TranscriptSegments {
		if i > 40 || !transcript.IsClinician(s.ParticipantDetails.ParticipantRole) {
			continue
		}
		for _, w := range rouge.Words(s.Content) {
			if maleWords[w] {
				male++
			}
			if femaleWords[w] {
				female++
			}
		}
	}
	switch {
	case male > female:
		return He
	case female > male:
		return She
	}
	return Unknown
}

// SectionsOf names for every segment what it is about.
func SectionsOf(c *transcript.Conversation) []string {
	t := table()
	out := make([]string, len(c.TranscriptSegments))
	votes := make([]map[string]float64, len(out))
	all := Candidates(c, Unknown)
	worth, sections := judgeAll(t, all)
	for n, x := range all {
		for _, i := range x.Segments {
			if votes[i] == nil {
				votes[i] = map[string]float64{}
			}
			for k, p := range sections[n] {
				votes[i][turnSection[Sections[k]]] += p
			}
			if worth[n] < -2.5 {
				votes[i][VisitFlow] += 0.9
			}
		}
	}
	last := VisitFlow
	for i := range out {
		best := ""
		for _, s := range []string{Subjective, Objective, AssessmentAndPlan, VisitFlow} {
			if votes[i][s] > votes[i][best] {
				best = s
			}
		}
		switch {
		case best != "":
			last = best
		case len(content(c.TranscriptSegments[i].Content)) > 0 && last == VisitFlow && i > 2:
			last = Subjective
		}
		out[i] = last
	}
	return out
}
