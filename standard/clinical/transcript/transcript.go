package transcript

// Document is a HealthScribe transcript file.
type Document struct {
	Conversation Conversation
}

// Conversation is what was said.
type Conversation struct {
	ConversationId     string `json:",omitempty"`
	JobName            string `json:",omitempty"`
	JobType            string `json:",omitempty"`
	SessionId          string `json:",omitempty"`
	LanguageCode       string `json:",omitempty"`
	ClinicalInsights   []Insight
	TranscriptItems    []Item
	TranscriptSegments []Segment
}

// Segment is a stretch of one speaker.
type Segment struct {
	BeginAudioTime     float64 // seconds
	Content            string
	EndAudioTime       float64
	ParticipantDetails Participant
	SectionDetails     *Section `json:",omitempty"`
	SegmentId          string
}

// Participant is who speaks: CLINICIAN, PATIENT, or with a number when there are more, CLINICIAN_0.
type Participant struct {
	ParticipantRole string
}

// Section says what a segment is about.
type Section struct {
	SectionName string
}

// Item is a word or punctuation mark with its times.
type Item struct {
	Alternatives   []Alternative
	BeginAudioTime float64
	EndAudioTime   float64
	Type           string // PRONUNCIATION, PUNCTUATION
}

// Alternative is a reading of an item.
type Alternative struct {
	Confidence float64
	Content    string
}

// Insight is a clinical entity in the transcript.
type Insight struct {
	Attributes  []Attribute
	Category    string
	InsightId   string
	InsightType string // ClinicalEntity
	Spans       []Span
	Traits      []Trait `json:",omitempty"`
	Type        string
}

// Attribute says more about an insight.
type Attribute struct {
	AttributeId string
	Spans       []Span
	Type        string
}

// Span is characters of a segment; the end is inclusive, as in HealthScribe's files.
type Span struct {
	BeginCharacterOffset int
	Content              string
	EndCharacterOffset   int
	SegmentId            string
}

// Trait is a statement about an insight, such as NEGATION.
type Trait struct {
	Name string
}

// Role words.
const (
	Clinician = "CLINICIAN"
	Patient   = "PATIENT"
)

// IsClinician reports whether a role is a clinician's.
func IsClinician(role string) bool {
	return len(role) >= len(Clinician) && role[:len(Clinician)] == Clinician
}
