package note

// Sections of a history and physical note, in the order of HealthScribe's files.
const (
	ChiefComplaint = "CHIEF_COMPLAINT"
	PresentIllness = "HISTORY_OF_PRESENT_ILLNESS"
	ReviewSystems  = "REVIEW_OF_SYSTEMS"
	PastMedical    = "PAST_MEDICAL_HISTORY"
	Assessment     = "ASSESSMENT"
	Plan           = "PLAN"
	Physical       = "PHYSICAL_EXAMINATION"
	FamilyHistory  = "PAST_FAMILY_HISTORY"
	SocialHistory  = "PAST_SOCIAL_HISTORY"
	Testing        = "DIAGNOSTIC_TESTING"
)

// Sections in order; the model's outputs follow it.
var Sections = []string{ChiefComplaint, PresentIllness, ReviewSystems, PastMedical, Assessment, Plan, Physical, FamilyHistory, SocialHistory, Testing}

// Turn sections of a transcript segment.
const (
	Subjective        = "SUBJECTIVE"
	Objective         = "OBJECTIVE"
	AssessmentAndPlan = "ASSESSMENT_AND_PLAN"
	VisitFlow         = "VISIT_FLOW_MANAGEMENT"
)

var turnSection = map[string]string{ChiefComplaint: Subjective, PresentIllness: Subjective, ReviewSystems: Subjective, PastMedical: Subjective, FamilyHistory: Subjective,
	SocialHistory: Subjective, Physical: Objective, Testing: Objective, Assessment: AssessmentAndPlan, Plan: AssessmentAndPlan}

// Template is a managed template of the contract.
type Template string

// The templates.
const (
	HistoryAndPhysical Template = "HISTORY_AND_PHYSICAL"
	GIRPP              Template = "GIRPP"
	BIRP               Template = "BIRP"
	SIRP               Template = "SIRP"
	DAP                Template = "DAP"
	BehavioralSOAP     Template = "BEHAVIORAL_SOAP"
	PhysicalSOAP       Template = "PHYSICAL_SOAP"
)

// templates give the sections of a template and where a sentence of a history and physical section goes.
var templates = map[Template]struct {
	sections []string
	place    func(section string, x *Candidate) string
}{
	HistoryAndPhysical: {Sections, func(s string, _ *Candidate) string { return s }},
	BehavioralSOAP:     {[]string{"SUBJECTIVE", "OBJECTIVE", "ASSESSMENT", "PLAN"}, soap},
	PhysicalSOAP:       {[]string{"SUBJECTIVE", "OBJECTIVE", "ASSESSMENT", "PLAN"}, soap},
	DAP: {[]string{"DATA", "ASSESSMENT", "PLAN"}, func(s string, x *Candidate) string {
		if t := soap(s, x); t == "ASSESSMENT" || t == "PLAN" {
			return t
		}
		return "DATA"
	}},
	BIRP: {[]string{"BEHAVIOR", "INTERVENTION", "RESPONSE", "PLAN"}, func(s string, x *Candidate) string { return therapy("BEHAVIOR", s, x) }},
	SIRP: {[]string{"SITUATION", "INTERVENTION", "RESPONSE", "PLAN"}, func(s string, x *Candidate) string { return therapy("SITUATION", s, x) }},
	GIRPP: {[]string{"GOAL", "INTERVENTION", "RESPONSE", "PROGRESS", "PLAN"}, func(s string, x *Candidate) string {
		switch {
		case s == ChiefComplaint:
			return "GOAL"
		case turnSection[s] == Subjective || turnSection[s] == Objective:
			return "PROGRESS"
		}
		return therapy("PROGRESS", s, x)
	}},
}

func soap(s string, _ *Candidate) string {
	if s == Assessment || s == Plan {
		return s
	}
	return turnSection[s]
}

// therapy sorts for the behavioural templates: what brought the patient, what the clinician did, how the patient answered, the plan.
func therapy(opening, s string, x *Candidate) string {
	switch {
	case s == Plan && x.Clinician:
		return "PLAN"
	case turnSection[s] == AssessmentAndPlan && x.Clinician:
		return "INTERVENTION"
	case turnSection[s] == AssessmentAndPlan:
		return "RESPONSE"
	}
	return opening
}
