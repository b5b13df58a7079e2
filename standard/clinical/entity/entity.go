package entity

import "github.com/galen-health/galen/standard/clinical/assertion"

// Categories.
const (
	Medication  = "MEDICATION"
	Condition   = "MEDICAL_CONDITION"
	Identifying = "PROTECTED_HEALTH_INFORMATION"
	Test        = "TEST_TREATMENT_PROCEDURE"
	Anatomy     = "ANATOMY"
	Time        = "TIME_EXPRESSION"
	Social      = "BEHAVIORAL_ENVIRONMENTAL_SOCIAL"
)

// Types that are named in code; others pass through.
const (
	Dx         = "DX_NAME"
	Generic    = "GENERIC_NAME"
	Brand      = "BRAND_NAME"
	TestName   = "TEST_NAME"
	Procedure  = "PROCEDURE_NAME"
	Treatment  = "TREATMENT_NAME"
	Site       = "SYSTEM_ORGAN_SITE"
	Dosage     = "DOSAGE"
	Strength   = "STRENGTH"
	Frequency  = "FREQUENCY"
	Duration   = "DURATION"
	Form       = "FORM"
	Route      = "ROUTE_OR_MODE"
	Rate       = "RATE"
	Acuity     = "ACUITY"
	Direction  = "DIRECTION"
	Quality    = "QUALITY"
	TestValue  = "TEST_VALUE"
	TestUnit   = "TEST_UNIT"
	Amount     = "AMOUNT"
	Overlap    = "OVERLAP"
	Alcohol    = "ALCOHOL_CONSUMPTION"
	Tobacco    = "TOBACCO_USE"
	Drugs      = "REC_DRUG_USE"
	Allergies  = "ALLERGIES"
	Gender     = "GENDER"
	Race       = "RACE_ETHNICITY"
	Negation   = "NEGATION"
	Symptom    = "SYMPTOM"
	Sign       = "SIGN"
	Diagnosis  = "DIAGNOSIS"
	Past       = "PAST_HISTORY"
	OfFamily   = "PERTAINS_TO_FAMILY"
	Unsure     = "LOW_CONFIDENCE"
	Supposed   = "HYPOTHETICAL"
	Future     = "FUTURE"
	timePrefix = "TIME_TO_"
)

// Trait is a statement about an entity.
type Trait struct {
	Name  string
	Score float32
}

// Entity is one finding. ID numbers entities and attributes of a text in the order of their appearance, from 0; a site that is an entity and
// an attribute has one ID.
type Entity struct {
	ID         int
	Begin, End int // bytes
	Text       string
	Category   string
	Type       string
	Score      float32
	Traits     []Trait
	Attributes []Attribute

	Preferred string           // the lexicon's preferred name, "" when the term is not in it
	Status    assertion.Status // what the traits were made from
	Sentence  int              // index of its sentence
}

// Attribute is a span that says more about an entity.
type Attribute struct {
	ID                int
	Begin, End        int // bytes
	Text              string
	Category          string
	Type              string
	Relationship      string
	Score             float32
	RelationshipScore float32
	Traits            []Trait
}

// Is reports whether an entity has a trait.
func (e *Entity) Is(trait string) bool {
	for _, t := range e.Traits {
		if t.Name == trait {
			return true
		}
	}
	return false
}

// Attribute returns the first attribute of a type, nil when there is none.
func (e *Entity) Attribute(kind string) *Attribute {
	for i := range e.Attributes {
		if e.Attributes[i].Type == kind {
			return &e.Attributes[i]
		}
	}
	return nil
}

// Unmapped is an attribute that no entity bears; Category is that of the entity it would belong to.
type Unmapped struct {
	Category  string
	Attribute Attribute
}

// Result is what was found in a text.
type Result struct {
	Entities []Entity
	Unmapped []Unmapped
}
