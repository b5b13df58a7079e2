package comprehendmedical

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/comprehendmedical"
	"github.com/galen-health/galen/platform/asset"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/standard/clinical/entity"
	"github.com/galen-health/galen/standard/clinical/icd10cm"
	"github.com/galen-health/galen/standard/clinical/text"
)

const (
	maxInferText = 10000 // characters, the contract's bound
	maxConcepts  = 5
	codesFile    = "icd10cm-tabular.xml"
	codesVersion = entity.Version + " ICD-10-CM 2026-04"
)

// codes is the code set that the set-up installs. It is read at first use; a failure is tried again, so that a later installation is found.
type codes struct {
	mu    sync.Mutex
	index *icd10cm.Index
}

func (c *codes) load() (*icd10cm.Index, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.index != nil {
		return c.index, nil
	}
	f, err := os.Open(filepath.Join(asset.Dir("GALEN_CODES_DIR", "codes", codesFile), codesFile))
	if err != nil {
		return nil, errs.Wrap(errs.Unavailable, err, "the ICD-10-CM code set is not installed: run standard/clinical/fetch.sh, or set GALEN_CODES_DIR to where it was installed")
	}
	defer f.Close()
	if c.index, err = icd10cm.Load(f); err != nil {
		return nil, errs.Wrap(errs.Unavailable, err, "the ICD-10-CM code set cannot be read: run standard/clinical/fetch.sh again")
	}
	return c.index, nil
}

// InferICD10CM finds conditions and the ICD-10-CM codes that fit their words best. The codes are candidates for a coder: excludes notes and sequencing are not applied.
func (s *Service) InferICD10CM(_ context.Context, in *api.InferICD10CMInput) (*api.InferICD10CMOutput, error) {
	if err := check(in.Text); err != nil {
		return nil, err
	}
	if utf8.RuneCountInString(in.Text) > maxInferText {
		return nil, errs.Named(errs.Invalid, "TextSizeLimitExceededException", "Text has more than %d characters", maxInferText)
	}
	ix, err := s.codes.load()
	if err != nil {
		return nil, err
	}
	o := text.NewOffsets(in.Text)
	found := entity.Detect(in.Text).Entities
	sides := map[int]string{} // of sites, by id
	for _, e := range found {
		if a := e.Attribute(entity.Direction); a != nil && e.Category == entity.Anatomy {
			sides[e.ID] = a.Text
		}
	}
	out := &api.InferICD10CMOutput{Entities: []api.ICD10CMEntity{}, ModelVersion: codesVersion}
	for i := range found {
		if e := &found[i]; e.Category == entity.Condition {
			out.Entities = append(out.Entities, inferred(ix, o, e, sides))
		}
	}
	return out, nil
}

func inferred(ix *icd10cm.Index, o *text.Offsets, e *entity.Entity, sides map[int]string) api.ICD10CMEntity {
	out := api.ICD10CMEntity{Id: aws.Ptr(int32(e.ID)), Text: e.Text, Category: api.ICD10CMEntityCategoryMedicalCondition, Type: api.ICD10CMEntityTypeDxName, Score: aws.Ptr(e.Score),
		BeginOffset: offset(o, e.Begin), EndOffset: offset(o, e.End), Traits: []api.ICD10CMTrait{}, ICD10CMConcepts: []api.ICD10CMConcept{}}
	var queries, context []string
	for i := range e.Attributes {
		a := &e.Attributes[i]
		switch a.Type {
		case entity.Site, entity.Acuity:
			queries = append(queries, strings.ToLower(a.Text)+" "+e.Text) // "knee pain", "acute bronchitis"
		}
		context = append(context, a.Text, sides[a.ID])
		category := api.ICD10CMEntityTypeDxName
		if a.Category == entity.Time {
			category = api.ICD10CMEntityTypeTimeExpression
		}
		x := api.ICD10CMAttribute{Type: api.ICD10CMAttributeType(a.Type), Score: aws.Ptr(a.Score), RelationshipScore: aws.Ptr(a.RelationshipScore), Id: aws.Ptr(int32(a.ID)),
			BeginOffset: offset(o, a.Begin), EndOffset: offset(o, a.End), Text: a.Text, Traits: []api.ICD10CMTrait{}, Category: category}
		switch r := api.ICD10CMRelationshipType(a.Relationship); r {
		case api.ICD10CMRelationshipTypeOverlap, api.ICD10CMRelationshipTypeSystemOrganSite, api.ICD10CMRelationshipTypeQuality:
			x.RelationshipType = r
		}
		out.Attributes = append(out.Attributes, x)
	}
	for _, t := range e.Traits {
		out.Traits = append(out.Traits, api.ICD10CMTrait{Name: api.ICD10CMTraitName(t.Name), Score: aws.Ptr(t.Score)})
	}
	queries = append(queries, e.Text)
	if e.Preferred != "" && !strings.EqualFold(e.Preferred, e.Text) {
		queries = append(queries, e.Preferred)
	}
	for _, c := range ix.Search(queries, strings.ToLower(strings.Join(context, " ")), maxConcepts) {
		out.ICD10CMConcepts = append(out.ICD10CMConcepts, api.ICD10CMConcept{Description: c.Description, Code: c.Code.Code, Score: aws.Ptr(float32(c.Score))})
	}
	return out
}
