package transcript

import (
	"strings"

	"github.com/galen-health/galen/standard/clinical/rouge"
)

// cues are words that tell a clinician (positive) from a patient (negative) in a consultation.
var cues = func() map[string]float64 {
	m := map[string]float64{}
	for weight, words := range map[float64]string{
		1.6:  `your you're you've examination exam prescribe prescription recommend order refer referral listen physical palpation bilaterally unremarkable elevated normal mild assessment`,
		0.9:  `you let's we'll we'd we're gonna gon looking look let any lungs exam results follow start continue increase milligrams mg diagnosis treatment therapy labs`,
		-0.9: `i'm i've me mine wife husband kids kid guess pretty kinda kind hurts hurt though felt feel doc doctor`,
		-1.5: `my myself`,
		-0.5: `i yeah yes no thank thanks sure just like`,
	} {
		for _, w := range strings.Fields(words) {
			m[w] = weight
		}
	}
	return m
}()

// GuessRoles gives every segment a role by what is said, for recordings in which one channel holds both speakers and voices are not told apart:
// questions and words of examining and prescribing are the clinician's, "I" and "my" the patient's, and an answer follows a question. It errs on
// short segments.
func (c *Conversation) GuessRoles() {
	asked := false
	for i := range c.TranscriptSegments {
		s := &c.TranscriptSegments[i]
		low := strings.ReplaceAll(strings.ToLower(s.Content), "’", "'")
		words := rouge.Words(low)
		score := 0.0
		for _, w := range strings.Fields(low) {
			score += cues[strings.Trim(w, ".,?!;:")]
		}
		question := strings.HasSuffix(strings.TrimSpace(low), "?")
		if question {
			score += 2
		}
		switch {
		case asked && !question:
			score -= 1.6
		case !asked && len(words) > 25:
			score += 0.5
		}
		if asked && len(words) <= 3 && !question {
			score -= 1
		}
		role := Patient + "_0"
		if score > 0 || score == 0 && i == 0 {
			role = Clinician + "_0"
		}
		s.ParticipantDetails.ParticipantRole = role
		asked = question && role == Clinician+"_0"
	}
}
