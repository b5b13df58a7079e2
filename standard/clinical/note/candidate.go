package note

import (
	"regexp"
	"strings"

	"github.com/galen-health/galen/standard/clinical/entity"
	"github.com/galen-health/galen/standard/clinical/rouge"
	"github.com/galen-health/galen/standard/clinical/text"
	"github.com/galen-health/galen/standard/clinical/transcript"
)

// Candidate is a sentence that may enter the note.
type Candidate struct {
	Text      string
	Segments  []int // of the conversation, in order: its evidence
	Clinician bool
	Answered  bool    // made of a question and its answer
	Position  float64 // in the conversation, 0–1
	Source    string  // what was said
	Context   string  // the question before it, "" when none
}

// command is an order to the recording system, not to the patient.
var command = regexp.MustCompile(`(?i)^\W*(?:hey,? ?dragon|show me|finalize the note|hey,? ?siri|tell dax|talk to dax)\b`)

// Candidates are all sentences that a note may hold, in the order of the conversation.
func Candidates(c *transcript.Conversation, p Person) []Candidate {
	var out []Candidate
	total := float64(max(1, len(c.TranscriptSegments)))
	question, asked := "", -1
	for i, seg := range c.TranscriptSegments {
		clinician := transcript.IsClinician(seg.ParticipantDetails.ParticipantRole)
		sentences := split(seg.Content)
		if !clinician && asked >= 0 && len(sentences) > 0 {
			if t := answer(question, sentences[0], p); t != "" {
				out = append(out, Candidate{Text: t, Segments: []int{asked, i}, Answered: true, Position: float64(i) / total, Source: question + " " + sentences[0], Context: question})
			}
		}
		for _, s := range sentences {
			if command.MatchString(s) {
				continue
			}
			if strings.HasSuffix(strings.TrimSpace(s), "?") && len(rouge.Words(s)) > 1 {
				if clinician {
					question, asked = s, i
				}
				continue
			}
			if t := rewrite(s, clinician, p); len(content(t)) >= 2 && len(rouge.Words(t)) >= 4 {
				context := ""
				if !clinician {
					context = question
				}
				out = append(out, Candidate{Text: t, Segments: []int{i}, Clinician: clinician, Position: float64(i) / total, Source: s, Context: context})
			}
		}
		if !clinician && len(content(seg.Content)) > 0 {
			question, asked = "", -1
		}
	}
	kept := out[:0]
	for _, x := range out {
		if supported(c, &x) {
			kept = append(kept, x)
		}
	}
	return kept
}

// split cuts a segment into sentences.
func split(s string) []string {
	toks := text.Tokenize(s)
	var out []string
	for _, r := range text.Sentences(s, toks) {
		out = append(out, s[toks[r.Begin].Begin:toks[r.End-1].End])
	}
	return out
}

// answer merges a question about findings with a yes or no: "Any chest pain?" "No." → "The patient denies chest pain."
func answer(question, reply string, p Person) string {
	affirmed, denied := transcript.Answer(reply)
	if !affirmed && !denied {
		return ""
	}
	var found []string
	for _, e := range entity.Detect(question).Entities {
		switch e.Category {
		case entity.Condition, entity.Social:
			if e.Type != entity.Gender && e.Type != entity.Race && !e.Status.Family {
				found = append(found, strings.ToLower(e.Text))
			}
		}
	}
	if len(found) == 0 || len(found) > 8 {
		return ""
	}
	list := found[0]
	if len(found) > 1 {
		list = strings.Join(found[:len(found)-1], ", ") + " or " + found[len(found)-1]
	}
	verb := map[[2]bool]string{{false, false}: "reports", {false, true}: "report", {true, false}: "denies", {true, true}: "deny"}[[2]bool{denied, p == They}]
	if habit := found[0]; len(found) == 1 && (habit == "smoke" || habit == "vape") { // a verb, not a finding
		verb, list = "", habit
		switch {
		case denied && p == They:
			verb = "do not"
		case denied:
			verb = "does not"
		case p != They:
			list = habit + "s"
		}
	}
	return sentence(strings.Join(strings.Fields(p.Subject+" "+verb+" "+list), " "))
}

// functionWords carry no content.
var functionWords = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`a an the and or but if of in on at to for with from by as is are was were be been being am do does did have has had i you he she it we they me him her them us my your
		his its our their this that these those there here so then than too very just not no yes yeah okay ok right um uh oh well like know mean think going gon na go get got would could should will can
		may might what when where who how which why all any some one up down out about into over s t m re ve ll d mm hmm hey hi good great sure really actually kind sort little bit lot thing things`) {
		m[w] = true
	}
	return m
}()

// content are the words of a text that say something.
func content(s string) []string {
	var out []string
	for _, w := range rouge.Words(s) {
		if !functionWords[w] {
			out = append(out, w)
		}
	}
	return out
}

// supported reports whether every word of a candidate is in its evidence or may be added.
func supported(c *transcript.Conversation, x *Candidate) bool {
	have := map[string]bool{}
	for _, i := range x.Segments {
		for _, w := range rouge.Words(joinedParts.Replace(strings.ToLower(c.TranscriptSegments[i].Content))) {
			have[w] = true
		}
	}
	for _, w := range rouge.Words(x.Text) {
		if !have[w] && !Added[w] {
			return false
		}
	}
	return true
}
