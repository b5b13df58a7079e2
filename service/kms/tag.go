package kms

import (
	"context"
	"sort"
	"strings"

	api "github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/platform/errs"
)

const mostTags = 50

func addTags(into map[string]string, tags []api.Tag) error {
	for _, t := range tags {
		if strings.HasPrefix(strings.ToLower(t.TagKey), "aws:") {
			return errs.Named(errs.Invalid, "TagException", "Tag keys may not start with aws:.")
		}
		into[t.TagKey] = t.TagValue
	}
	if len(into) > mostTags {
		return errs.Named(errs.Invalid, "LimitExceededException", "A key has at most %d tags.", mostTags)
	}
	return nil
}

// TagResource adds tags to a key or changes them.
func (s *Service) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	return &api.TagResourceOutput{}, s.changeDetail(ctx, in.KeyId, func(d *detail) error {
		if d.Tags == nil {
			d.Tags = map[string]string{}
		}
		return addTags(d.Tags, in.Tags)
	})
}

// UntagResource removes tags.
func (s *Service) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	return &api.UntagResourceOutput{}, s.changeDetail(ctx, in.KeyId, func(d *detail) error {
		for _, k := range in.TagKeys {
			delete(d.Tags, k)
		}
		return nil
	})
}

// ListResourceTags lists a key's tags by key.
func (s *Service) ListResourceTags(ctx context.Context, in *api.ListResourceTagsInput) (*api.ListResourceTagsOutput, error) {
	k, err := s.findKey(ctx, in.KeyId)
	if err != nil {
		return nil, err
	}
	tags := make([]api.Tag, 0, len(k.Tags))
	for key, value := range k.Tags {
		tags = append(tags, api.Tag{TagKey: key, TagValue: value})
	}
	sort.Slice(tags, func(i, j int) bool { return tags[i].TagKey < tags[j].TagKey })
	list, next, more, err := page(tags, func(t api.Tag) string { return t.TagKey }, in.Limit, in.Marker, mostTags)
	if err != nil {
		return nil, err
	}
	return &api.ListResourceTagsOutput{Tags: list, NextMarker: next, Truncated: more}, nil
}
