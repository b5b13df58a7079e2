package iam

import (
	"context"

	api "github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/platform/record"
)

// The policies of users, groups and roles: the same operations three times, each one line of meaning in identity.go.

// PutUserPolicy implements the contract.
func (s *Service) PutUserPolicy(ctx context.Context, in *api.PutUserPolicyInput) (*api.PutUserPolicyOutput, error) {
	return &api.PutUserPolicyOutput{}, s.edit(ctx, users, in.UserName, func(_ record.Tx, i *identity) error { return i.putInline(users, in.PolicyName, in.PolicyDocument) })
}

// GetUserPolicy implements the contract.
func (s *Service) GetUserPolicy(ctx context.Context, in *api.GetUserPolicyInput) (*api.GetUserPolicyOutput, error) {
	out := &api.GetUserPolicyOutput{UserName: in.UserName, PolicyName: in.PolicyName}
	return out, s.read(ctx, users, in.UserName, func(i *identity) error {
		d, err := i.inline(in.PolicyName)
		out.PolicyDocument = encoded(d)
		return err
	})
}

// DeleteUserPolicy implements the contract.
func (s *Service) DeleteUserPolicy(ctx context.Context, in *api.DeleteUserPolicyInput) (*api.DeleteUserPolicyOutput, error) {
	return &api.DeleteUserPolicyOutput{}, s.edit(ctx, users, in.UserName, func(_ record.Tx, i *identity) error { return i.dropInline(in.PolicyName) })
}

// AttachUserPolicy implements the contract.
func (s *Service) AttachUserPolicy(ctx context.Context, in *api.AttachUserPolicyInput) (*api.AttachUserPolicyOutput, error) {
	return &api.AttachUserPolicyOutput{}, s.edit(ctx, users, in.UserName, func(tx record.Tx, i *identity) error { return i.attach(tx, in.PolicyArn) })
}

// DetachUserPolicy implements the contract.
func (s *Service) DetachUserPolicy(ctx context.Context, in *api.DetachUserPolicyInput) (*api.DetachUserPolicyOutput, error) {
	return &api.DetachUserPolicyOutput{}, s.edit(ctx, users, in.UserName, func(_ record.Tx, i *identity) error { return i.detach(in.PolicyArn) })
}

// ListUserPolicies implements the contract.
func (s *Service) ListUserPolicies(ctx context.Context, in *api.ListUserPoliciesInput) (*api.ListUserPoliciesOutput, error) {
	out := &api.ListUserPoliciesOutput{}
	return out, s.read(ctx, users, in.UserName, func(i *identity) error {
		out.PolicyNames, out.IsTruncated, out.Marker = i.inlineNames(in.Marker, in.MaxItems)
		return nil
	})
}

// ListAttachedUserPolicies implements the contract.
func (s *Service) ListAttachedUserPolicies(ctx context.Context, in *api.ListAttachedUserPoliciesInput) (*api.ListAttachedUserPoliciesOutput, error) {
	out := &api.ListAttachedUserPoliciesOutput{}
	return out, s.read(ctx, users, in.UserName, func(i *identity) error {
		out.AttachedPolicies, out.IsTruncated, out.Marker = i.attachedPolicies(in.PathPrefix, in.Marker, in.MaxItems)
		return nil
	})
}

// PutUserPermissionsBoundary implements the contract.
func (s *Service) PutUserPermissionsBoundary(ctx context.Context, in *api.PutUserPermissionsBoundaryInput) (*api.PutUserPermissionsBoundaryOutput, error) {
	return &api.PutUserPermissionsBoundaryOutput{}, s.edit(ctx, users, in.UserName, func(tx record.Tx, i *identity) error {
		i.Boundary = in.PermissionsBoundary
		_, _, err := policyOf(tx, i.Boundary)
		return err
	})
}

// DeleteUserPermissionsBoundary implements the contract.
func (s *Service) DeleteUserPermissionsBoundary(ctx context.Context, in *api.DeleteUserPermissionsBoundaryInput) (*api.DeleteUserPermissionsBoundaryOutput, error) {
	return &api.DeleteUserPermissionsBoundaryOutput{}, s.edit(ctx, users, in.UserName, func(_ record.Tx, i *identity) error {
		if i.Boundary == "" {
			return noSuch("permissions boundary of", i.Name)
		}
		i.Boundary = ""
		return nil
	})
}

// PutGroupPolicy implements the contract.
func (s *Service) PutGroupPolicy(ctx context.Context, in *api.PutGroupPolicyInput) (*api.PutGroupPolicyOutput, error) {
	return &api.PutGroupPolicyOutput{}, s.edit(ctx, groups, in.GroupName, func(_ record.Tx, i *identity) error { return i.putInline(groups, in.PolicyName, in.PolicyDocument) })
}

// GetGroupPolicy implements the contract.
func (s *Service) GetGroupPolicy(ctx context.Context, in *api.GetGroupPolicyInput) (*api.GetGroupPolicyOutput, error) {
	out := &api.GetGroupPolicyOutput{GroupName: in.GroupName, PolicyName: in.PolicyName}
	return out, s.read(ctx, groups, in.GroupName, func(i *identity) error {
		d, err := i.inline(in.PolicyName)
		out.PolicyDocument = encoded(d)
		return err
	})
}

// DeleteGroupPolicy implements the contract.
func (s *Service) DeleteGroupPolicy(ctx context.Context, in *api.DeleteGroupPolicyInput) (*api.DeleteGroupPolicyOutput, error) {
	return &api.DeleteGroupPolicyOutput{}, s.edit(ctx, groups, in.GroupName, func(_ record.Tx, i *identity) error { return i.dropInline(in.PolicyName) })
}

// AttachGroupPolicy implements the contract.
func (s *Service) AttachGroupPolicy(ctx context.Context, in *api.AttachGroupPolicyInput) (*api.AttachGroupPolicyOutput, error) {
	return &api.AttachGroupPolicyOutput{}, s.edit(ctx, groups, in.GroupName, func(tx record.Tx, i *identity) error { return i.attach(tx, in.PolicyArn) })
}

// DetachGroupPolicy implements the contract.
func (s *Service) DetachGroupPolicy(ctx context.Context, in *api.DetachGroupPolicyInput) (*api.DetachGroupPolicyOutput, error) {
	return &api.DetachGroupPolicyOutput{}, s.edit(ctx, groups, in.GroupName, func(_ record.Tx, i *identity) error { return i.detach(in.PolicyArn) })
}

// PutRolePolicy implements the contract.
func (s *Service) PutRolePolicy(ctx context.Context, in *api.PutRolePolicyInput) (*api.PutRolePolicyOutput, error) {
	return &api.PutRolePolicyOutput{}, s.edit(ctx, roles, in.RoleName, func(_ record.Tx, i *identity) error { return i.putInline(roles, in.PolicyName, in.PolicyDocument) })
}

// GetRolePolicy implements the contract.
func (s *Service) GetRolePolicy(ctx context.Context, in *api.GetRolePolicyInput) (*api.GetRolePolicyOutput, error) {
	out := &api.GetRolePolicyOutput{RoleName: in.RoleName, PolicyName: in.PolicyName}
	return out, s.read(ctx, roles, in.RoleName, func(i *identity) error {
		d, err := i.inline(in.PolicyName)
		out.PolicyDocument = encoded(d)
		return err
	})
}

// DeleteRolePolicy implements the contract.
func (s *Service) DeleteRolePolicy(ctx context.Context, in *api.DeleteRolePolicyInput) (*api.DeleteRolePolicyOutput, error) {
	return &api.DeleteRolePolicyOutput{}, s.edit(ctx, roles, in.RoleName, func(_ record.Tx, i *identity) error { return i.dropInline(in.PolicyName) })
}

// AttachRolePolicy implements the contract.
func (s *Service) AttachRolePolicy(ctx context.Context, in *api.AttachRolePolicyInput) (*api.AttachRolePolicyOutput, error) {
	return &api.AttachRolePolicyOutput{}, s.edit(ctx, roles, in.RoleName, func(tx record.Tx, i *identity) error { return i.attach(tx, in.PolicyArn) })
}

// DetachRolePolicy implements the contract.
func (s *Service) DetachRolePolicy(ctx context.Context, in *api.DetachRolePolicyInput) (*api.DetachRolePolicyOutput, error) {
	return &api.DetachRolePolicyOutput{}, s.edit(ctx, roles, in.RoleName, func(_ record.Tx, i *identity) error { return i.detach(in.PolicyArn) })
}

// ListRolePolicies implements the contract.
func (s *Service) ListRolePolicies(ctx context.Context, in *api.ListRolePoliciesInput) (*api.ListRolePoliciesOutput, error) {
	out := &api.ListRolePoliciesOutput{}
	return out, s.read(ctx, roles, in.RoleName, func(i *identity) error {
		out.PolicyNames, out.IsTruncated, out.Marker = i.inlineNames(in.Marker, in.MaxItems)
		return nil
	})
}

// ListAttachedRolePolicies implements the contract.
func (s *Service) ListAttachedRolePolicies(ctx context.Context, in *api.ListAttachedRolePoliciesInput) (*api.ListAttachedRolePoliciesOutput, error) {
	out := &api.ListAttachedRolePoliciesOutput{}
	return out, s.read(ctx, roles, in.RoleName, func(i *identity) error {
		out.AttachedPolicies, out.IsTruncated, out.Marker = i.attachedPolicies(in.PathPrefix, in.Marker, in.MaxItems)
		return nil
	})
}

// PutRolePermissionsBoundary implements the contract.
func (s *Service) PutRolePermissionsBoundary(ctx context.Context, in *api.PutRolePermissionsBoundaryInput) (*api.PutRolePermissionsBoundaryOutput, error) {
	return &api.PutRolePermissionsBoundaryOutput{}, s.edit(ctx, roles, in.RoleName, func(tx record.Tx, i *identity) error {
		i.Boundary = in.PermissionsBoundary
		_, _, err := policyOf(tx, i.Boundary)
		return err
	})
}

// DeleteRolePermissionsBoundary implements the contract.
func (s *Service) DeleteRolePermissionsBoundary(ctx context.Context, in *api.DeleteRolePermissionsBoundaryInput) (*api.DeleteRolePermissionsBoundaryOutput, error) {
	return &api.DeleteRolePermissionsBoundaryOutput{}, s.edit(ctx, roles, in.RoleName, func(_ record.Tx, i *identity) error {
		if i.Boundary == "" {
			return noSuch("permissions boundary of", i.Name)
		}
		i.Boundary = ""
		return nil
	})
}
