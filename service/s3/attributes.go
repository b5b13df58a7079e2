package s3

import (
	"context"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/errs"
)

// GetObjectAttributes tells what an object is, without its body.
func (s *Service) GetObjectAttributes(ctx context.Context, in *api.GetObjectAttributesInput) (*api.GetObjectAttributesOutput, error) {
	f, err := s.find(ctx, in.Bucket, in.Key, in.VersionId, in.ExpectedBucketOwner)
	if err != nil {
		return nil, s.hide(ctx, in.Bucket, err)
	}
	if f.Marker {
		return nil, deleted(f.versionID(f.bucket), errs.Named(errs.Unsupported, "MethodNotAllowed", "The specified method is not allowed against this resource."))
	}
	if err := s.mayRead(ctx, f); err != nil {
		return nil, err
	}
	out := &api.GetObjectAttributesOutput{LastModified: f.Modified, VersionId: f.versionID(f.bucket)}
	for _, a := range in.ObjectAttributes {
		switch a {
		case api.ObjectAttributesETag:
			out.ETag = f.ETag
		case api.ObjectAttributesObjectSize:
			out.ObjectSize = aws.Ptr(f.Size)
		case api.ObjectAttributesStorageClass:
			out.StorageClass = api.StorageClassStandard
			if f.Storage != "" {
				out.StorageClass = api.StorageClass(f.Storage)
			}
		case api.ObjectAttributesChecksum:
			if f.Checksum.Algorithm != "" {
				out.Checksum = &api.Checksum{}
				f.Checksum.say(out.Checksum)
			}
		case api.ObjectAttributesObjectParts:
			if f.Manifest == "" {
				continue
			}
			if out.ObjectParts, err = s.objectParts(ctx, f, in); err != nil {
				return nil, err
			}
		default:
			return nil, invalid("InvalidArgument", "Invalid attribute name specified: %s", a)
		}
	}
	return out, nil
}

// objectParts lists a page of parts; as in S3, one by one only when they have checksums of their own.
func (s *Service) objectParts(ctx context.Context, f found, in *api.GetObjectAttributesInput) (*api.GetObjectAttributesParts, error) {
	m, err := s.manifest(ctx, f.Manifest)
	if err != nil {
		return nil, err
	}
	most, after := 1000, int(aws.Val(in.PartNumberMarker))
	if in.MaxParts != nil {
		most = min(int(*in.MaxParts), most)
	}
	out := &api.GetObjectAttributesParts{TotalPartsCount: aws.Ptr(int32(f.Parts))}
	if f.Checksum.Type != composite {
		return out, nil
	}
	out.MaxParts, out.PartNumberMarker, out.IsTruncated = aws.Ptr(int32(most)), aws.Ptr(int32(after)), aws.Ptr(false)
	for _, p := range m.Parts {
		if p.Number <= after {
			continue
		}
		if len(out.Parts) >= most {
			out.IsTruncated = aws.Ptr(true)
			break
		}
		e := api.ObjectPart{PartNumber: aws.Ptr(int32(p.Number)), Size: aws.Ptr(p.Size)}
		checksum{Algorithm: f.Checksum.Algorithm, Value: p.Checksum}.say(&e)
		out.Parts, out.NextPartNumberMarker = append(out.Parts, e), e.PartNumber
	}
	return out, nil
}
