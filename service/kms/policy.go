package kms

import (
	"context"
	"encoding/json"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
)

// policyName is the only name that a key policy can have.
const policyName = "default"

// defaultPolicy gives the key to the account: its IAM policies decide.
func (s *Service) defaultPolicy() string {
	b, _ := json.Marshal(map[string]any{ // strings and maps only: it cannot fail
		"Version": "2012-10-17",
		"Id":      "key-default-1",
		"Statement": []map[string]any{{
			"Sid": "Enable IAM User Permissions", "Effect": "Allow", "Principal": map[string]string{"AWS": "arn:aws:iam::" + s.cfg.Account + ":root"},
			"Action": "kms:*", "Resource": "*",
		}},
	})
	return string(b)
}

func malformed(format string, args ...any) error {
	return errs.Named(errs.Invalid, "MalformedPolicyDocumentException", format, args...)
}

// checkPolicy refuses what is no policy, and one that would lock its author out.
func (s *Service) checkPolicy(ctx context.Context, arn, policy string, bypass bool) error {
	if len(policy) > 32<<10 {
		return errs.Named(errs.Invalid, "LimitExceededException", "The key policy has %d bytes; it may have 32,768.", len(policy))
	}
	if _, err := authz.ParsePolicy(policy, authz.ResourcePolicy); err != nil {
		return malformed("%s", errs.As(err).Message)
	}
	if bypass {
		return nil
	}
	d := s.authz.Decide(ctx, call.From(ctx), authz.Request{Action: "kms:PutKeyPolicy", Resource: arn, ResourcePolicies: []string{policy}, ResourceMustAllow: true})
	if !d.Allowed {
		return malformed("The new key policy will not allow you to update the key policy in the future.")
	}
	return nil
}

func checkPolicyName(name string) error {
	if name != "" && name != policyName {
		return errs.Named(errs.NotFound, "NotFoundException", "No such policy exists: a key has one policy, named %s.", policyName)
	}
	return nil
}

// GetKeyPolicy returns a key's policy.
func (s *Service) GetKeyPolicy(ctx context.Context, in *api.GetKeyPolicyInput) (*api.GetKeyPolicyOutput, error) {
	if err := checkPolicyName(in.PolicyName); err != nil {
		return nil, err
	}
	k, err := s.findKey(ctx, in.KeyId)
	if err != nil {
		return nil, err
	}
	return &api.GetKeyPolicyOutput{Policy: k.Policy, PolicyName: policyName}, nil
}

// PutKeyPolicy replaces a key's policy.
func (s *Service) PutKeyPolicy(ctx context.Context, in *api.PutKeyPolicyInput) (*api.PutKeyPolicyOutput, error) {
	if err := checkPolicyName(in.PolicyName); err != nil {
		return nil, err
	}
	k, err := s.findKey(ctx, in.KeyId)
	if err != nil {
		return nil, err
	}
	if err := s.checkPolicy(ctx, k.ARN, in.Policy, aws.Val(in.BypassPolicyLockoutSafetyCheck)); err != nil {
		return nil, err
	}
	return &api.PutKeyPolicyOutput{}, s.changeDetail(ctx, k.ID, func(d *detail) error {
		d.Policy = in.Policy
		return nil
	})
}

// ListKeyPolicies names the one policy of a key.
func (s *Service) ListKeyPolicies(ctx context.Context, in *api.ListKeyPoliciesInput) (*api.ListKeyPoliciesOutput, error) {
	if _, err := s.findKey(ctx, in.KeyId); err != nil {
		return nil, err
	}
	return &api.ListKeyPoliciesOutput{PolicyNames: []string{policyName}, Truncated: aws.Ptr(false)}, nil
}
