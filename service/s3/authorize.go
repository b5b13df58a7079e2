package s3

import (
	"context"
	"strconv"
	"strings"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

func callerARN(ctx context.Context) string { return call.From(ctx).Principal.ARN }

// question makes the request for an action on a bucket, or on an object of it when key is not "".
func (s *Service) question(ctx context.Context, action, bucket, key string, keys map[string]string) (authz.Request, error) {
	r := authz.Request{Action: "s3:" + action, Resource: "arn:aws:s3:::" + bucket, Context: keys}
	if key != "" {
		r.Resource += "/" + key
	}
	err := s.view(ctx, func(v record.View) error {
		b, _, err := buckets.Get(v, bucket)
		if absent(err) { // the operation will say so to those who may ask
			return nil
		} else if err != nil {
			return err
		}
		if b.Policy != "" {
			account, err := accountBlockOf(v)
			if err != nil {
				return err
			}
			r.ResourcePolicies = b.policyOf(account)
		}
		if key == "" {
			return nil
		}
		o, err := current(v, bucket, key)
		if o == nil || err != nil {
			return err
		}
		for t, value := range o.Tags {
			r.Context = with(r.Context, "s3:ExistingObjectTag/"+t, value)
		}
		return nil
	})
	return r, err
}

func with(m map[string]string, k, v string) map[string]string {
	if v == "" {
		return m
	}
	if m == nil {
		m = map[string]string{}
	}
	m[k] = v
	return m
}

// mayDelete decides on one object of DeleteObjects as Authorize does on DeleteObject.
func (s *Service) mayDelete(ctx context.Context, bucket, key, version string) error {
	action := "DeleteObject"
	if version != "" {
		action = "DeleteObjectVersion"
	}
	r, err := s.question(ctx, action, bucket, key, with(nil, "s3:VersionId", version))
	if err != nil {
		return err
	}
	return s.authz.Check(ctx, r)
}

// mayList reports whether the caller may list a bucket: others do not learn which keys exist.
func (s *Service) mayList(ctx context.Context, bucket string) bool {
	r, err := s.question(ctx, "ListBucket", bucket, "", nil)
	return err == nil && s.authz.Decide(ctx, call.From(ctx), r).Allowed
}

// bucketActions are the operations on a bucket alone, with the action that IAM knows them by.
var bucketActions = map[string]string{
	"CreateBucket": "CreateBucket", "DeleteBucket": "DeleteBucket", "HeadBucket": "ListBucket", "GetBucketLocation": "GetBucketLocation",
	"GetBucketEncryption": "GetEncryptionConfiguration", "PutBucketEncryption": "PutEncryptionConfiguration", "DeleteBucketEncryption": "PutEncryptionConfiguration",
	"GetBucketPolicy": "GetBucketPolicy", "PutBucketPolicy": "PutBucketPolicy", "DeleteBucketPolicy": "DeleteBucketPolicy", "GetBucketPolicyStatus": "GetBucketPolicyStatus",
	"GetBucketTagging": "GetBucketTagging", "PutBucketTagging": "PutBucketTagging", "DeleteBucketTagging": "PutBucketTagging",
	"GetBucketVersioning": "GetBucketVersioning", "PutBucketVersioning": "PutBucketVersioning",
	"GetPublicAccessBlock": "GetBucketPublicAccessBlock", "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
	"GetBucketNotificationConfiguration": "GetBucketNotification", "PutBucketNotificationConfiguration": "PutBucketNotification",
	"ListObjects": "ListBucket", "ListObjectsV2": "ListBucket", "ListObjectVersions": "ListBucketVersions", "ListMultipartUploads": "ListBucketMultipartUploads",
}

// Authorize tells what the caller of an operation must be allowed: the edge checks every request it returns before the operation runs.
// DeleteObjects returns none: each of its objects is decided for itself, while it runs.
func (s *Service) Authorize(ctx context.Context, op string, in any) ([]authz.Request, error) {
	if op == "ListBuckets" {
		return []authz.Request{{Action: "s3:ListAllMyBuckets", Resource: "*"}}, nil
	}
	if op == "DeleteObjects" {
		return nil, nil
	}
	if action, ok := bucketActions[op]; ok {
		r, err := s.question(ctx, action, text(in, "Bucket"), "", listKeys(in))
		if strings.HasSuffix(op, "BucketPolicy") && call.From(ctx).Principal.Kind == call.Root {
			r.ResourcePolicies = nil // the owner's root user may always mend a policy that locks everybody out
		}
		return []authz.Request{r}, err
	}
	bucket, key, version := text(in, "Bucket"), text(in, "Key"), text(in, "VersionId")
	ask := func(actions ...string) (out []authz.Request, err error) {
		for _, a := range actions {
			r, err := s.question(ctx, a, bucket, key, writeKeys(in, version))
			if err != nil {
				return nil, err
			}
			out = append(out, r)
		}
		return out, nil
	}
	versioned := func(action, versionAction string) string {
		if version != "" {
			return versionAction
		}
		return action
	}
	switch op {
	case "GetObject", "HeadObject":
		return ask(versioned("GetObject", "GetObjectVersion"))
	case "GetObjectAttributes":
		return ask(versioned("GetObject", "GetObjectVersion"), versioned("GetObjectAttributes", "GetObjectVersionAttributes"))
	case "GetObjectTagging":
		return ask(versioned("GetObjectTagging", "GetObjectVersionTagging"))
	case "PutObjectTagging":
		return ask(versioned("PutObjectTagging", "PutObjectVersionTagging"))
	case "DeleteObjectTagging":
		return ask(versioned("DeleteObjectTagging", "DeleteObjectVersionTagging"))
	case "DeleteObject":
		return ask(versioned("DeleteObject", "DeleteObjectVersion"))
	case "ListParts":
		return ask("ListMultipartUploadParts")
	case "AbortMultipartUpload":
		return ask("AbortMultipartUpload")
	case "PutObject", "CreateMultipartUpload":
		if text(in, "Tagging") != "" {
			return ask("PutObject", "PutObjectTagging")
		}
		return ask("PutObject")
	case "UploadPart", "CompleteMultipartUpload":
		return ask("PutObject")
	case "CopyObject", "UploadPartCopy":
		return s.copyRequests(ctx, text(in, "CopySource"), ask)
	}
	return nil, errs.New(errs.Internal, "s3:%s has no authorization", op)
}

// copyRequests: a copy reads its source and writes its destination.
func (s *Service) copyRequests(ctx context.Context, header string, ask func(...string) ([]authz.Request, error)) ([]authz.Request, error) {
	src, err := parseSource(header)
	if err != nil {
		return nil, err
	}
	action := "GetObject"
	if src.version != "" {
		action = "GetObjectVersion"
	}
	from, err := s.question(ctx, action, src.bucket, src.key, with(nil, "s3:VersionId", src.version))
	if err != nil {
		return nil, err
	}
	to, err := ask("PutObject")
	return append([]authz.Request{from}, to...), err
}

// listKeys are the condition keys of lists.
func listKeys(in any) map[string]string {
	var prefix, delimiter string
	var most *int32
	switch in := in.(type) {
	case *api.ListObjectsInput:
		prefix, delimiter, most = in.Prefix, in.Delimiter, in.MaxKeys
	case *api.ListObjectsV2Input:
		prefix, delimiter, most = in.Prefix, in.Delimiter, in.MaxKeys
	case *api.ListObjectVersionsInput:
		prefix, delimiter, most = in.Prefix, in.Delimiter, in.MaxKeys
	case *api.CreateBucketInput:
		if c := in.CreateBucketConfiguration; c != nil {
			return with(nil, "s3:locationconstraint", string(c.LocationConstraint))
		}
		return nil
	default:
		return nil
	}
	m := map[string]string{"s3:prefix": prefix} // a condition on the prefix must see that it is empty
	m = with(m, "s3:delimiter", delimiter)
	if most != nil {
		m = with(m, "s3:max-keys", strconv.Itoa(int(aws.Val(most))))
	}
	return m
}

// writeKeys are the condition keys of requests on objects.
func writeKeys(in any, version string) map[string]string {
	m := with(nil, "s3:VersionId", version)
	m = with(m, "s3:x-amz-acl", text(in, "ACL"))
	m = with(m, "s3:x-amz-copy-source", text(in, "CopySource"))
	m = with(m, "s3:x-amz-metadata-directive", text(in, "MetadataDirective"))
	m = with(m, "s3:x-amz-server-side-encryption", text(in, "ServerSideEncryption"))
	m = with(m, "s3:x-amz-server-side-encryption-aws-kms-key-id", text(in, "SSEKMSKeyId"))
	m = with(m, "s3:x-amz-storage-class", text(in, "StorageClass"))
	m = with(m, "s3:if-match", text(in, "IfMatch"))
	m = with(m, "s3:if-none-match", text(in, "IfNoneMatch"))
	var tags map[string]string
	if p, ok := in.(*api.PutObjectTaggingInput); ok && p.Tagging != nil {
		tags, _ = tagSet(p.Tagging.TagSet, mostObjectTags) // the operation refuses what is wrong
	} else {
		tags, _ = tagHeader(text(in, "Tagging"))
	}
	for k, v := range tags {
		m = with(m, "s3:RequestObjectTag/"+k, v)
	}
	return m
}
