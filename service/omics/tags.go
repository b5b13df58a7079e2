package omics

import (
	"context"
	"maps"
	"strings"

	api "github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

const maxTags = 50

func validTags(tags map[string]string) error {
	for k := range tags {
		if strings.HasPrefix(strings.ToLower(k), "aws:") {
			return errs.New(errs.Invalid, "a tag key must not begin with aws:")
		}
	}
	if len(tags) > maxTags {
		return errs.New(errs.Invalid, "a resource has at most %d tags", maxTags)
	}
	return nil
}

// retag finds the record that an ARN names and lets fn change its tags; fn nil only reads them.
func (s *Service) retag(ctx context.Context, arn string, fn func(map[string]string) (map[string]string, error)) (tags map[string]string, err error) {
	resource, ok := strings.CutPrefix(arn, s.arn(""))
	if !ok {
		return nil, errs.New(errs.Invalid, "resourceArn is not the ARN of an omics resource in this account and region")
	}
	p := strings.Split(resource, "/")
	switch {
	case len(p) == 2 && p[0] == "referenceStore":
		return tagged(ctx, s, referenceStores, p[1], func(r *referenceStore) *map[string]string { return &r.Tags }, fn)
	case len(p) == 2 && p[0] == "sequenceStore":
		return tagged(ctx, s, sequenceStores, p[1], func(r *sequenceStore) *map[string]string { return &r.Tags }, fn)
	case len(p) == 4 && p[0] == "referenceStore" && p[2] == "reference":
		return tagged(ctx, s, references, within(p[1], p[3]), func(r *reference) *map[string]string { return &r.Tags }, fn)
	case len(p) == 4 && p[0] == "sequenceStore" && p[2] == "readSet":
		return tagged(ctx, s, readSets, within(p[1], p[3]), func(r *readSet) *map[string]string { return &r.Tags }, fn)
	case len(p) == 2 && p[0] == "variantStore":
		return tagged(ctx, s, variantStores, p[1], func(r *variantStore) *map[string]string { return &r.Tags }, fn)
	}
	return nil, errs.Named(errs.NotFound, "ResourceNotFoundException", "there is no resource with this ARN")
}

func tagged[T any](ctx context.Context, s *Service, kind record.Kind[T], id string, at func(*T) *map[string]string, fn func(map[string]string) (map[string]string, error)) (map[string]string, error) {
	if fn == nil {
		v, err := get(ctx, s, kind, id, "resource")
		if err != nil {
			return nil, err
		}
		return *at(v), nil
	}
	v, err := change(ctx, s, kind, id, "resource", func(_ record.Tx, v *T) (err error) {
		tags := at(v)
		*tags, err = fn(*tags)
		return err
	})
	if err != nil {
		return nil, err
	}
	return *at(v), nil
}

// TagResource adds tags to a resource, replacing those of the same key.
func (s *Service) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	_, err := s.retag(ctx, in.ResourceArn, func(old map[string]string) (map[string]string, error) {
		tags := map[string]string{}
		maps.Copy(tags, old)
		maps.Copy(tags, in.Tags)
		return tags, validTags(tags)
	})
	return &api.TagResourceOutput{}, err
}

// UntagResource removes tags by key; keys that are not there are no error.
func (s *Service) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	_, err := s.retag(ctx, in.ResourceArn, func(old map[string]string) (map[string]string, error) {
		tags := maps.Clone(old)
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
		return tags, nil
	})
	return &api.UntagResourceOutput{}, err
}

// ListTagsForResource lists a resource's tags.
func (s *Service) ListTagsForResource(ctx context.Context, in *api.ListTagsForResourceInput) (*api.ListTagsForResourceOutput, error) {
	tags, err := s.retag(ctx, in.ResourceArn, nil)
	if err != nil {
		return nil, err
	}
	if tags == nil {
		tags = map[string]string{}
	}
	return &api.ListTagsForResourceOutput{Tags: tags}, nil
}
