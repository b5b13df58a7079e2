package s3

import (
	"context"
	"encoding/json"

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
	return &api.PutBucketPolicyOutput{}, s.changeBucket(ctx, in.Bucket, in.ExpectedBucketOwner, func(b *bucket) error {
		if b.Block.PublicPolicy && isPublic(in.Policy) {
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

// policyOf is what authorisation sees of a bucket's policy: nothing when it is public and the bucket is restricted.
func (b *bucket) policyOf() []string {
	if b.Policy == "" || b.Block.RestrictBuckets && isPublic(b.Policy) {
		return nil
	}
	return []string{b.Policy}
}

// narrowing are the condition keys with which an allow for everybody is not public, by S3's definition of public.
var narrowing = map[string]bool{
	"aws:PrincipalAccount": true, "aws:PrincipalArn": true, "aws:PrincipalOrgID": true, "aws:PrincipalOrgPaths": true, "aws:SourceAccount": true,
	"aws:SourceArn": true, "aws:SourceIp": true, "aws:SourceVpc": true, "aws:SourceVpce": true, "aws:userid": true, "aws:username": true,
	"s3:x-amz-server-side-encryption-aws-kms-key-id": true, "s3:TlsVersion": true, "s3:DataAccessPointAccount": true, "s3:DataAccessPointArn": true,
}

// isPublic reports whether a policy allows everybody anything, without a condition that names callers or places.
func isPublic(policy string) bool {
	var doc struct{ Statement statements }
	if json.Unmarshal([]byte(policy), &doc) != nil {
		return true // what cannot be understood is not trusted
	}
	for _, st := range doc.Statement {
		if st.Effect != "Allow" || !everybody(st.Principal) && st.NotPrincipal == nil {
			continue
		}
		narrowed := false
		for _, keys := range st.Condition {
			for k, v := range keys {
				narrowed = narrowed || narrowing[k] && string(v) != `"*"` && string(v) != `"0.0.0.0/0"`
			}
		}
		if !narrowed {
			return true
		}
	}
	return false
}

// statements is one statement or many.
type statements []struct {
	Effect       string
	Principal    json.RawMessage
	NotPrincipal json.RawMessage
	Condition    map[string]map[string]json.RawMessage
}

func (s *statements) UnmarshalJSON(b []byte) error {
	type plain statements
	if len(b) > 0 && b[0] == '{' {
		b = append(append([]byte{'['}, b...), ']')
	}
	return json.Unmarshal(b, (*plain)(s))
}

func everybody(principal json.RawMessage) bool {
	var one string
	if json.Unmarshal(principal, &one) == nil {
		return one == "*"
	}
	var kinds map[string]json.RawMessage
	if json.Unmarshal(principal, &kinds) != nil {
		return true
	}
	var many []string
	if json.Unmarshal(kinds["AWS"], &many) != nil {
		if json.Unmarshal(kinds["AWS"], &one) == nil {
			many = append(many, one)
		}
	}
	for _, p := range many {
		if p == "*" {
			return true
		}
	}
	return false
}
