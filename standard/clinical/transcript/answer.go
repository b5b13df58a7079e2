package transcript

import (
	"regexp"
	"strings"
)

// hesitation is what people say before they answer.
var hesitation = regexp.MustCompile(`\b(?:uh-huh|mm-hmm|mhm|uhm|um|uh|hmm|ah|oh|er|well|you know|i mean)\b[ ,]*`)

// affirming and denying open an answer.
var (
	affirming = []string{"yes", "yeah", "yep", "yup", "i do", "i have", "i am", "i did", "sure", "correct", "absolutely", "definitely", "that's right", "i think so", "a little", "sometimes", "occasionally"}
	denying   = []string{"no", "nope", "nah", "not really", "not at all", "none", "never", "i don't", "i do n't", "i haven't", "i have n't", "not that", "no not", "nothing", "negative", "i'm not", "not yet", "uh-uh"}
)

// Answer tells whether a reply to a question of yes or no affirms or denies it; both are false when it does neither by its first words.
func Answer(reply string) (affirms, denies bool) {
	s := strings.ToLower(strings.ReplaceAll(reply, "’", "'"))
	if open := strings.TrimLeft(s, " ,.-"); strings.HasPrefix(open, "uh-huh") || strings.HasPrefix(open, "mm-hmm") {
		return true, false
	}
	s = strings.TrimLeft(hesitation.ReplaceAllString(s, ""), " ,.-")
	if begins(s, denying) {
		return false, true
	}
	return begins(s, affirming), false
}

func begins(s string, with []string) bool {
	for _, w := range with {
		if rest, ok := strings.CutPrefix(s, w); ok && (rest == "" || strings.ContainsAny(rest[:1], " ,.!;-?")) {
			return true
		}
	}
	return false
}

// deniedQuestions are the segments in which a clinician asks and whose answer, the patient's next segment, denies.
func (c *Conversation) deniedQuestions() map[int]bool {
	out := map[int]bool{}
	for i := 0; i+1 < len(c.TranscriptSegments); i++ {
		q, a := &c.TranscriptSegments[i], &c.TranscriptSegments[i+1]
		if !IsClinician(q.ParticipantDetails.ParticipantRole) || IsClinician(a.ParticipantDetails.ParticipantRole) || !strings.HasSuffix(strings.TrimRight(q.Content, " \"'"), "?") {
			continue
		}
		if _, denies := Answer(a.Content); denies {
			out[i] = true
		}
	}
	return out
}
