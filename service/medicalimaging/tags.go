package medicalimaging

import (
	"context"
	"maps"

	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/platform/record"
)

// TagResource adds tags to a data store or image set, replacing those of the same key.
func (s *Service) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	return &api.TagResourceOutput{}, s.retag(ctx, in.ResourceArn, func(tags map[string]string) error {
		if err := validTags(in.Tags); err != nil {
			return err
		}
		maps.Copy(tags, in.Tags)
		return validTags(tags)
	})
}

// UntagResource removes tags by key; keys that are not there are no error.
func (s *Service) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	return &api.UntagResourceOutput{}, s.retag(ctx, in.ResourceArn, func(tags map[string]string) error {
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
		return nil
	})
}

// ListTagsForResource lists the tags of a data store or image set.
func (s *Service) ListTagsForResource(ctx context.Context, in *api.ListTagsForResourceInput) (*api.ListTagsForResourceOutput, error) {
	store, set, err := s.parseARN(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	d, err := s.store(ctx, store)
	if err != nil {
		return nil, err
	}
	out := &api.ListTagsForResourceOutput{Tags: map[string]string{}}
	if set == "" {
		maps.Copy(out.Tags, d.Tags)
		return out, nil
	}
	if _, err := s.imageSet(ctx, store, set); err != nil {
		return nil, err
	}
	err = s.view(ctx, space(store), func(v record.View) error {
		t, _, err := setTags.Get(v, set)
		if absent(err) {
			return nil
		}
		if err == nil {
			maps.Copy(out.Tags, t.Tags)
		}
		return err
	})
	return out, err
}

// tagSet is the tags of an image set. They are no part of its versions.
type tagSet struct{ Tags map[string]string }

var setTags = record.Kind[tagSet]{Name: "imaging.tags", Volatile: true}

func (s *Service) retagSet(ctx context.Context, store, set string, fn func(map[string]string) error) error {
	if _, err := s.active(ctx, store); err != nil {
		return err
	}
	if _, err := s.imageSet(ctx, store, set); err != nil {
		return err
	}
	_, err := s.records.Update(ctx, space(store), []string{"tags/" + set}, func(tx record.Tx) error {
		t, _, err := setTags.Get(tx, set)
		if absent(err) {
			t, err = &tagSet{}, nil
		}
		if err != nil {
			return err
		}
		if t.Tags == nil {
			t.Tags = map[string]string{}
		}
		if err := fn(t.Tags); err != nil {
			return err
		}
		return setTags.Put(tx, set, t)
	})
	return err
}

func (s *Service) retag(ctx context.Context, arn string, fn func(map[string]string) error) error {
	store, set, err := s.parseARN(arn)
	if err != nil {
		return err
	}
	if set != "" {
		return s.retagSet(ctx, store, set, fn)
	}
	_, err = s.change(ctx, store, func(_ record.Tx, d *datastore) error {
		if d.Tags == nil {
			d.Tags = map[string]string{}
		}
		return fn(d.Tags)
	})
	return err
}
