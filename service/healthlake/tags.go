package healthlake

import (
	"context"
	"strings"

	api "github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

const maxTags = 50

func validTags(tags []api.Tag) error {
	seen := map[string]bool{}
	for _, t := range tags {
		switch {
		case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
			return errs.New(errs.Invalid, "a tag key must not begin with aws:")
		case seen[t.Key]:
			return errs.New(errs.Invalid, "a tag key is given twice")
		}
		seen[t.Key] = true
	}
	if len(seen) > maxTags {
		return errs.New(errs.Invalid, "a resource has at most %d tags", maxTags)
	}
	return nil
}

// TagResource adds tags to a data store, replacing those of the same key.
func (s *Service) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	return &api.TagResourceOutput{}, s.retag(ctx, in.ResourceARN, func(old []api.Tag) ([]api.Tag, error) {
		if err := validTags(in.Tags); err != nil {
			return nil, err
		}
		add := map[string]bool{}
		for _, t := range in.Tags {
			add[t.Key] = true
		}
		tags := append(without(old, add), in.Tags...)
		return tags, validTags(tags)
	})
}

// UntagResource removes tags by key; keys that are not there are no error.
func (s *Service) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	drop := map[string]bool{}
	for _, k := range in.TagKeys {
		drop[k] = true
	}
	return &api.UntagResourceOutput{}, s.retag(ctx, in.ResourceARN, func(old []api.Tag) ([]api.Tag, error) { return without(old, drop), nil })
}

// ListTagsForResource lists a data store's tags.
func (s *Service) ListTagsForResource(ctx context.Context, in *api.ListTagsForResourceInput) (*api.ListTagsForResourceOutput, error) {
	id, err := s.storeID(in.ResourceARN)
	if err != nil {
		return nil, err
	}
	d, err := s.store(ctx, id)
	if err != nil {
		return nil, err
	}
	return &api.ListTagsForResourceOutput{Tags: append([]api.Tag{}, d.Tags...)}, nil
}

func (s *Service) retag(ctx context.Context, arn string, fn func([]api.Tag) ([]api.Tag, error)) error {
	id, err := s.storeID(arn)
	if err != nil {
		return err
	}
	_, err = s.change(ctx, id, func(_ record.Tx, d *datastore) (err error) {
		d.Tags, err = fn(d.Tags)
		return err
	})
	return err
}

func without(tags []api.Tag, drop map[string]bool) []api.Tag {
	var out []api.Tag
	for _, t := range tags {
		if !drop[t.Key] {
			out = append(out, t)
		}
	}
	return out
}
