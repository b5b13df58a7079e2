package s3

import (
	"context"
	"net/url"
	"strings"

	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
)

// source is what x-amz-copy-source names.
type source struct{ bucket, key, version string }

func parseSource(header string) (src source, err error) {
	path, query, _ := strings.Cut(header, "?")
	if v, ok := strings.CutPrefix(query, "versionId="); ok {
		src.version = v
	}
	path, err = url.PathUnescape(strings.TrimPrefix(path, "/"))
	bucket, key, ok := strings.Cut(path, "/")
	if err != nil || !ok || key == "" || strings.HasPrefix(path, "arn:") {
		return src, invalid("InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	}
	src.bucket, src.key = bucket, key
	return src, nil
}

// openSource finds what is to be copied and asks whether the caller may read it. A condition on the source that fails is always a 412.
func (s *Service) openSource(ctx context.Context, header, owner string, c preconditions) (found, source, error) {
	src, err := parseSource(header)
	if err != nil {
		return found{}, src, err
	}
	f, err := s.find(ctx, src.bucket, src.key, src.version, owner)
	if err != nil {
		return f, src, s.hide(ctx, src.bucket, err)
	}
	if f.Marker {
		return f, src, invalid("InvalidRequest", "The source of a copy request may not specifically refer to a delete marker by version id.")
	}
	if err := c.check(f.object); err != nil {
		return f, src, preconditionFailed("x-amz-copy-source-if-…")
	}
	return f, src, s.mayRead(ctx, f)
}

// CopyObject copies an object of at most 5 GiB, or changes what is said of it by copying it onto itself.
func (s *Service) CopyObject(ctx context.Context, in *api.CopyObjectInput) (*api.CopyObjectOutput, error) {
	if err := checkKey(in.Key); err != nil {
		return nil, err
	}
	if anyGrant(in.CopySourceSSECustomerAlgorithm, in.CopySourceSSECustomerKey) {
		return nil, invalid("InvalidRequest", "The encryption parameters are not applicable to this object.")
	}
	f, src, err := s.openSource(ctx, in.CopySource, in.ExpectedSourceBucketOwner,
		preconditions{in.CopySourceIfMatch, in.CopySourceIfNoneMatch, in.CopySourceIfModifiedSince, in.CopySourceIfUnmodifiedSince})
	if err != nil {
		return nil, err
	}
	if f.Size > mostPut {
		return nil, invalid("InvalidRequest", "The specified copy source is larger than the maximum allowable size for a copy source: %d", int64(mostPut))
	}
	attr, err := written{string(in.ACL), []string{in.GrantFullControl, in.GrantRead, in.GrantReadACP, in.GrantWriteACP},
		[]string{string(in.ObjectLockMode), string(in.ObjectLockLegalHoldStatus), string(in.ObjectLockEventHold)},
		in.ContentType, in.CacheControl, in.ContentDisposition, in.ContentEncoding, in.ContentLanguage, in.Expires,
		in.WebsiteRedirectLocation, string(in.StorageClass), in.Tagging, in.Metadata}.attributes()
	if err != nil {
		return nil, err
	}
	replace := in.MetadataDirective == api.MetadataDirectiveReplace
	if src.bucket == in.Bucket && src.key == in.Key && src.version == "" && !replace && in.StorageClass == "" && in.WebsiteRedirectLocation == "" && in.ServerSideEncryption == "" {
		return nil, invalid("InvalidRequest", "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	if !replace {
		kept := f.attributes
		kept.Tags, kept.Storage, kept.Redirect = attr.Tags, attr.Storage, attr.Redirect
		attr = kept
	}
	if in.TaggingDirective != api.TaggingDirectiveReplace {
		attr.Tags = f.Tags
	}
	cond := condition{in.IfMatch, in.IfNoneMatch}
	b, err := s.precheck(ctx, in.Bucket, in.Key, in.ExpectedBucketOwner, cond)
	if err != nil {
		return nil, err
	}
	var ref key.Ref
	attr.Encryption, ref, err = s.resolve(ctx, b, in.Key, asked{string(in.ServerSideEncryption), in.SSEKMSKeyId, in.SSEKMSEncryptionContext, in.BucketKeyEnabled,
		[]string{in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5}})
	if err != nil {
		return nil, err
	}
	body, err := s.read(ctx, f.object, 0, f.Size)
	if err != nil {
		return nil, keyError(err)
	}
	defer body.Close() //nolint:errcheck // only read
	algorithm := string(in.ChecksumAlgorithm)
	if algorithm == "" && f.Checksum.Type == fullObject {
		algorithm = f.Checksum.Algorithm
	}
	v, err := newVerifier(body, algorithm, nil, mostPut)
	if err != nil {
		return nil, err
	}
	info, sum, err := s.store(ctx, ref, v, "")
	if err != nil {
		return nil, err
	}
	o := whole(in.Bucket, in.Key, info, sum, attr)
	if b, err = s.commit(ctx, o, cond, "CopyObject"); err != nil {
		s.drop(ctx, info.ID, err)
		return nil, err
	}
	out := &api.CopyObjectOutput{CopyObjectResult: &api.CopyObjectResult{ETag: quote(o.ETag), LastModified: o.Modified}, VersionId: o.versionID(b), CopySourceVersionId: f.versionID(f.bucket)}
	sum.say(out.CopyObjectResult)
	o.Encryption.say(out)
	return out, nil
}

// copyRange reads x-amz-copy-source-range, which names both ends.
func copyRange(header string, size int64) (section, error) {
	if header == "" {
		return section{0, size, false}, nil
	}
	sec, err := byteRange(header, size)
	if err != nil || !sec.partial || strings.HasSuffix(header, "-") || strings.HasPrefix(header, "bytes=-") {
		return sec, invalid("InvalidArgument", "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
	}
	if _, last, _ := strings.Cut(header, "-"); last != "" && sec.to == size && len(last) > len("0") {
		if want, err := byteRange("bytes="+last+"-", size); err != nil || want.from+1 != sec.to {
			return sec, errs.Named(errs.Invalid, "InvalidArgument", "Range specified is not valid for source object of size: %d", size)
		}
	}
	return sec, nil
}
