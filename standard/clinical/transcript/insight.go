package transcript

import (
	"strconv"
	"unicode/utf8"

	"github.com/galen-health/galen/standard/clinical/entity"
	"github.com/galen-health/galen/standard/clinical/text"
)

// AddInsights fills ClinicalInsights with the entities of every segment. What a clinician asks for in the last sentence of a segment and the patient's next
// words deny has the trait NEGATION.
func (c *Conversation) AddInsights() {
	c.ClinicalInsights = []Insight{}
	attributes := 0
	denied := c.deniedQuestions()
	for n, seg := range c.TranscriptSegments {
		o := text.NewOffsets(seg.Content)
		span := func(b, e int) []Span {
			return []Span{{o.Characters(b), seg.Content[b:e], o.Characters(b) + utf8.RuneCountInString(seg.Content[b:e]) - 1, seg.SegmentId}}
		}
		question := len(text.Sentences(seg.Content, text.Tokenize(seg.Content))) - 1
		for _, e := range entity.Detect(seg.Content).Entities {
			in := Insight{Attributes: []Attribute{}, Category: e.Category, InsightId: "insight-" + strconv.Itoa(len(c.ClinicalInsights)), InsightType: "ClinicalEntity", Spans: span(e.Begin, e.End), Type: e.Type}
			for _, a := range e.Attributes {
				in.Attributes = append(in.Attributes, Attribute{"attribute-" + strconv.Itoa(attributes), span(a.Begin, a.End), a.Type})
				attributes++
			}
			for _, t := range e.Traits {
				in.Traits = append(in.Traits, Trait{t.Name})
			}
			if denied[n] && e.Sentence == question && (e.Category == entity.Condition || e.Category == entity.Social) && !e.Is(entity.Negation) && !e.Status.Family {
				in.Traits = append(in.Traits, Trait{entity.Negation})
			}
			c.ClinicalInsights = append(c.ClinicalInsights, in)
		}
	}
}
