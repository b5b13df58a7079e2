package comprehendmedical

import (
	"context"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/comprehendmedical"
	"github.com/galen-health/galen/standard/clinical/entity"
	"github.com/galen-health/galen/standard/clinical/text"
)

// DetectEntitiesV2 finds medical entities with their attributes and traits, and identifying information.
func (s *Service) DetectEntitiesV2(_ context.Context, in *api.DetectEntitiesV2Input) (*api.DetectEntitiesV2Output, error) {
	if err := check(in.Text); err != nil {
		return nil, err
	}
	entities, unmapped := detect(in.Text)
	return &api.DetectEntitiesV2Output{Entities: entities, UnmappedAttributes: unmapped, ModelVersion: entity.Version}, nil
}

// DetectEntities is the deprecated form of DetectEntitiesV2; here both have the newer model's answer.
func (s *Service) DetectEntities(_ context.Context, in *api.DetectEntitiesInput) (*api.DetectEntitiesOutput, error) {
	if err := check(in.Text); err != nil {
		return nil, err
	}
	entities, unmapped := detect(in.Text)
	return &api.DetectEntitiesOutput{Entities: entities, UnmappedAttributes: unmapped, ModelVersion: entity.Version}, nil
}

// DetectPHI finds identifying information only.
func (s *Service) DetectPHI(_ context.Context, in *api.DetectPHIInput) (*api.DetectPHIOutput, error) {
	if err := check(in.Text); err != nil {
		return nil, err
	}
	o := text.NewOffsets(in.Text)
	out := &api.DetectPHIOutput{Entities: []api.Entity{}, ModelVersion: entity.Version}
	for _, e := range entity.DetectIdentifying(in.Text) {
		out.Entities = append(out.Entities, said(o, &e))
	}
	return out, nil
}

func detect(s string) ([]api.Entity, []api.UnmappedAttribute) {
	o := text.NewOffsets(s)
	r := entity.Detect(s)
	entities, unmapped := make([]api.Entity, 0, len(r.Entities)), []api.UnmappedAttribute{}
	for i := range r.Entities {
		entities = append(entities, said(o, &r.Entities[i]))
	}
	for _, u := range r.Unmapped {
		a := attribute(o, &u.Attribute)
		unmapped = append(unmapped, api.UnmappedAttribute{Type: api.EntityType(u.Category), Attribute: &a})
	}
	return entities, unmapped
}

// said is an entity in the contract's words.
func said(o *text.Offsets, e *entity.Entity) api.Entity {
	out := api.Entity{Id: aws.Ptr(int32(e.ID)), BeginOffset: offset(o, e.Begin), EndOffset: offset(o, e.End), Score: aws.Ptr(e.Score), Text: e.Text,
		Category: api.EntityType(e.Category), Type: api.EntitySubType(e.Type), Traits: traits(e.Traits)}
	for i := range e.Attributes {
		out.Attributes = append(out.Attributes, attribute(o, &e.Attributes[i]))
	}
	return out
}

func attribute(o *text.Offsets, a *entity.Attribute) api.Attribute {
	out := api.Attribute{Type: api.EntitySubType(a.Type), Score: aws.Ptr(a.Score), RelationshipType: api.RelationshipType(a.Relationship), Id: aws.Ptr(int32(a.ID)),
		BeginOffset: offset(o, a.Begin), EndOffset: offset(o, a.End), Text: a.Text, Category: api.EntityType(a.Category), Traits: traits(a.Traits)}
	if a.Relationship != "" {
		out.RelationshipScore = aws.Ptr(a.RelationshipScore)
	}
	return out
}

func traits(in []entity.Trait) []api.Trait {
	out := make([]api.Trait, 0, len(in))
	for _, t := range in {
		out = append(out, api.Trait{Name: api.AttributeName(t.Name), Score: aws.Ptr(t.Score)})
	}
	return out
}

func offset(o *text.Offsets, b int) *int32 { return aws.Ptr(int32(o.Characters(b))) }
