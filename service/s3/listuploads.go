package s3

import (
	"context"
	"strings"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/record"
)

// ListMultipartUploads lists the uploads in progress of a bucket, by key and then by their beginning.
func (s *Service) ListMultipartUploads(ctx context.Context, in *api.ListMultipartUploadsInput) (*api.ListMultipartUploadsOutput, error) {
	l, err := newListing(in.Bucket, in.ExpectedBucketOwner, in.Prefix, in.Delimiter, in.KeyMarker, in.MaxUploads, in.EncodingType)
	if err != nil {
		return nil, err
	}
	out := &api.ListMultipartUploadsOutput{Bucket: in.Bucket, KeyMarker: l.text(in.KeyMarker), UploadIdMarker: in.UploadIdMarker, Prefix: l.text(in.Prefix),
		Delimiter: l.text(in.Delimiter), MaxUploads: aws.Ptr(int32(l.most)), EncodingType: in.EncodingType, IsTruncated: aws.Ptr(false)}
	err = s.view(ctx, func(v record.View) error {
		if _, err := s.getBucket(v, in.Bucket, in.ExpectedBucketOwner); err != nil {
			return err
		}
		n := newNames(ctx, v, uploads.Name, l.bucket, l.prefix)
		switch {
		case l.after != "" && in.UploadIdMarker != "":
			n.seek(l.after+"\x00"+in.UploadIdMarker, true)
		case l.after != "" && l.common(l.after) != l.after:
			n.seek(l.after+"\x01", false) // all uploads of the key are done
		default:
			l.start(n)
		}
		return s.uploadPage(n, &l, out)
	})
	return out, err
}

func (s *Service) uploadPage(n *names, l *listing, out *api.ListMultipartUploadsOutput) error {
	for count := 0; l.most > 0; count++ {
		h, err := n.next()
		if h == nil || err != nil {
			return err
		}
		u, err := uploads.Decode(h.Body)
		if err != nil {
			return err
		}
		if count == l.most {
			out.IsTruncated = aws.Ptr(true)
			return nil
		}
		if c := l.common(u.Key); c != "" {
			out.CommonPrefixes = append(out.CommonPrefixes, api.CommonPrefix{Prefix: l.text(c)})
			out.NextKeyMarker, out.NextUploadIdMarker = l.text(c), ""
			next := successor(c)
			if next == "" {
				return nil
			}
			n.seek(next, false)
			continue
		}
		e := api.MultipartUpload{UploadId: u.ID, Key: l.text(u.Key), Initiated: u.Initiated, StorageClass: api.StorageClassStandard, Owner: s.owner(), Initiator: initiator(u)}
		if u.Said {
			e.ChecksumAlgorithm, e.ChecksumType = api.ChecksumAlgorithm(u.Algorithm), api.ChecksumType(u.Type)
		}
		out.Uploads = append(out.Uploads, e)
		out.NextKeyMarker, out.NextUploadIdMarker = l.text(u.Key), u.ID
	}
	return nil
}

func initiator(u *upload) *api.Initiator {
	return &api.Initiator{ID: u.Initiator, DisplayName: u.Initiator[strings.LastIndexAny(u.Initiator, "/:")+1:]}
}

// ListParts lists the parts of an upload in progress.
func (s *Service) ListParts(ctx context.Context, in *api.ListPartsInput) (*api.ListPartsOutput, error) {
	most := 1000
	if in.MaxParts != nil {
		most = min(int(*in.MaxParts), most)
	}
	after := int(aws.Val(in.PartNumberMarker))
	if most < 0 || after < 0 {
		return nil, invalid("InvalidArgument", "max-parts and part-number-marker must not be negative")
	}
	out := &api.ListPartsOutput{Bucket: in.Bucket, Key: in.Key, UploadId: in.UploadId, PartNumberMarker: aws.Ptr(int32(after)), MaxParts: aws.Ptr(int32(most)),
		IsTruncated: aws.Ptr(false), NextPartNumberMarker: aws.Ptr(int32(0)), StorageClass: api.StorageClassStandard, Owner: s.owner()}
	err := s.view(ctx, func(v record.View) error {
		if _, err := s.getBucket(v, in.Bucket, in.ExpectedBucketOwner); err != nil {
			return err
		}
		u, err := getUpload(v, in.Bucket, in.Key, in.UploadId)
		if err != nil {
			return err
		}
		out.Initiator = initiator(u)
		if u.Storage != "" {
			out.StorageClass = api.StorageClass(u.Storage)
		}
		if u.Said {
			out.ChecksumAlgorithm, out.ChecksumType = api.ChecksumAlgorithm(u.Algorithm), api.ChecksumType(u.Type)
		}
		if most == 0 {
			return nil
		}
		list, more, err := partsOf(func(q record.Query) (*record.Page, error) { return v.Query(ctx, q) }, u.ID, after, most)
		if err != nil {
			return err
		}
		out.IsTruncated = &more
		for _, p := range list {
			e := api.Part{PartNumber: aws.Ptr(int32(p.Number)), LastModified: p.Modified, ETag: quote(p.ETag), Size: aws.Ptr(p.Size)}
			if u.Said {
				p.Checksum.say(&e)
			}
			out.Parts = append(out.Parts, e)
			out.NextPartNumberMarker = e.PartNumber
		}
		return nil
	})
	return out, err
}
