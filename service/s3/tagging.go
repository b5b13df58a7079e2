package s3

import (
	"context"

	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// GetObjectTagging returns the tags of a version.
func (s *Service) GetObjectTagging(ctx context.Context, in *api.GetObjectTaggingInput) (*api.GetObjectTaggingOutput, error) {
	f, err := s.find(ctx, in.Bucket, in.Key, in.VersionId, in.ExpectedBucketOwner)
	if err != nil {
		return nil, s.hide(ctx, in.Bucket, err)
	}
	return &api.GetObjectTaggingOutput{VersionId: f.versionID(f.bucket), TagSet: tagList(f.Tags)}, nil
}

// PutObjectTagging replaces the tags of a version.
func (s *Service) PutObjectTagging(ctx context.Context, in *api.PutObjectTaggingInput) (*api.PutObjectTaggingOutput, error) {
	tags, err := tagSet(in.Tagging.TagSet, mostObjectTags)
	if err != nil {
		return nil, err
	}
	f, err := s.setTags(ctx, in.Bucket, in.Key, in.VersionId, in.ExpectedBucketOwner, tags, "Object Tags Added")
	if err != nil {
		return nil, err
	}
	return &api.PutObjectTaggingOutput{VersionId: f.versionID(f.bucket)}, nil
}

// DeleteObjectTagging removes the tags of a version.
func (s *Service) DeleteObjectTagging(ctx context.Context, in *api.DeleteObjectTaggingInput) (*api.DeleteObjectTaggingOutput, error) {
	f, err := s.setTags(ctx, in.Bucket, in.Key, in.VersionId, in.ExpectedBucketOwner, nil, "Object Tags Deleted")
	if err != nil {
		return nil, err
	}
	return &api.DeleteObjectTaggingOutput{VersionId: f.versionID(f.bucket)}, nil
}

func (s *Service) setTags(ctx context.Context, name, key, version, owner string, tags map[string]string, what string) (found, error) {
	f, err := s.find(ctx, name, key, version, owner)
	if err != nil {
		return f, s.hide(ctx, name, err)
	}
	if f.Marker {
		return f, errs.Named(errs.Unsupported, "MethodNotAllowed", "The specified method is not allowed against this resource.")
	}
	gate := s.gate(name)
	gate.RLock()
	defer gate.RUnlock()
	err = s.update(ctx, "object/"+f.name(), func(tx record.Tx) error {
		set := func(o *object) error {
			if o.Order != f.Order {
				return noSuchVersion()
			}
			o.Tags = tags
			return nil
		}
		_, err := objects.Change(tx, f.name(), set)
		if err != nil && (absent(err)) { // it is, or has become, an older version
			_, err = versions.Change(tx, versionRecord(name, key, f.Version), set)
		}
		if absent(err) {
			return noSuchKey()
		} else if err != nil {
			return err
		}
		return s.emit(ctx, tx, f.bucket, f.object, what, changed{Object: eventObject{ETag: f.ETag}})
	})
	return f, err
}
