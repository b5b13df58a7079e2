package s3

import (
	"context"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
)

// publicBlock is a bucket's public access block. There are no ACLs and no anonymous callers, so what it can still forbid is a policy that
// allows everybody.
type publicBlock struct {
	PublicACLs       bool `json:"blockPublicAcls"`
	IgnorePublicACLs bool `json:"ignorePublicAcls"`
	PublicPolicy     bool `json:"blockPublicPolicy"`
	RestrictBuckets  bool `json:"restrictPublicBuckets"`
}

// GetPublicAccessBlock returns a bucket's block.
func (s *Service) GetPublicAccessBlock(ctx context.Context, in *api.GetPublicAccessBlockInput) (*api.GetPublicAccessBlockOutput, error) {
	b, err := s.bucket(ctx, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	return &api.GetPublicAccessBlockOutput{PublicAccessBlockConfiguration: &api.PublicAccessBlockConfiguration{BlockPublicAcls: &b.Block.PublicACLs,
		IgnorePublicAcls: &b.Block.IgnorePublicACLs, BlockPublicPolicy: &b.Block.PublicPolicy, RestrictPublicBuckets: &b.Block.RestrictBuckets}}, nil
}

// PutPublicAccessBlock replaces a bucket's block.
func (s *Service) PutPublicAccessBlock(ctx context.Context, in *api.PutPublicAccessBlockInput) (*api.PutPublicAccessBlockOutput, error) {
	c := in.PublicAccessBlockConfiguration
	return &api.PutPublicAccessBlockOutput{}, s.changeBucket(ctx, in.Bucket, in.ExpectedBucketOwner, func(b *bucket) error {
		b.Block = publicBlock{aws.Val(c.BlockPublicAcls), aws.Val(c.IgnorePublicAcls), aws.Val(c.BlockPublicPolicy), aws.Val(c.RestrictPublicBuckets)}
		return nil
	})
}

// GetBucketPolicy returns a bucket's policy as it was put.
func (s *Service) GetBucketPolicy(ctx context.Context, in *api.GetBucketPolicyInput) (*api.GetBucketPolicyOutput, error) {
	b, err := s.bucketWithPolicy(ctx, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	return &api.GetBucketPolicyOutput{Policy: b.Policy}, nil
}

// GetBucketPolicyStatus tells whether a bucket's policy allows everybody.
func (s *Service) GetBucketPolicyStatus(ctx context.Context, in *api.GetBucketPolicyStatusInput) (*api.GetBucketPolicyStatusOutput, error) {
	b, err := s.bucketWithPolicy(ctx, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	return &api.GetBucketPolicyStatusOutput{PolicyStatus: &api.PolicyStatus{IsPublic: aws.Ptr(isPublic(b.Policy))}}, nil
}

func (s *Service) bucketWithPolicy(ctx context.Context, name, owner string) (*bucket, error) {
	b, err := s.bucket(ctx, name, owner)
	if err == nil && b.Policy == "" {
		err = errs.Named(errs.NotFound, "NoSuchBucketPolicy", "The bucket policy does not exist")
	}
	return b, err
}

// PutBucketPolicy replaces a bucket's policy.
func (s *Service) PutBucketPolicy(ctx context.Context, in *api.PutBucketPolicyInput) (*api.PutBucketPolicyOutput, error) {
	if len(in.Policy) > 20<<10 {
		return nil, invalid("PolicyTooLarge", "The policy has %d bytes; it may have 20480.", len(in.Policy))
	}
	if _, err := authz.ParsePolicy(in.Policy, authz.ResourcePolicy); err != nil {
		return nil, invalid("MalformedPolicy", "%s", errs.As(err).Message)
	}
	if !aws.Val(in.ConfirmRemoveSelfBucketAccess) {
		d := s.authz.Decide(ctx, call.From(ctx), authz.Request{Action: "s3:PutBucketPolicy", Resource: "arn:aws:s3:::" + in.Bucket, ResourcePolicies: []string{in.Policy}})
		if !d.Allowed && d.Explicit {
			return nil, invalid("MalformedPolicy", "The policy denies you to change it; set x-amz-confirm-remove-self-bucket-access to put it all the same.")
		}
	}
	account, err := s.accountBlock(ctx)
	if err != nil {
		return nil, err
	}
	return &api.PutBucketPolicyOutput{}, s.changeBucket(ctx, in.Bucket, in.ExpectedBucketOwner, func(b *bucket) error {
		if b.Block.or(account).PublicPolicy && isPublic(in.Policy) {
			return errs.Named(errs.Denied, "AccessDenied", "Access Denied: the policy allows everybody and public policies are prevented by the BlockPublicPolicy setting.")
		}
		b.Policy = in.Policy
		return nil
	})
}

// DeleteBucketPolicy removes a bucket's policy.
func (s *Service) DeleteBucketPolicy(ctx context.Context, in *api.DeleteBucketPolicyInput) (*api.DeleteBucketPolicyOutput, error) {
	return &api.DeleteBucketPolicyOutput{}, s.changeBucket(ctx, in.Bucket, in.ExpectedBucketOwner, func(b *bucket) error {
		b.Policy = ""
		return nil
	})
}
