package iam

import (
	"context"

	api "github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/authz/session"
	"github.com/galen-health/galen/platform/record"
)

// maxTrust is the quota of a trust policy.
const maxTrust = 2048

// CreateRole implements the contract.
func (s *Service) CreateRole(ctx context.Context, in *api.CreateRoleInput) (*api.CreateRoleOutput, error) {
	if err := checkPolicy(in.AssumeRolePolicyDocument, authz.TrustPolicy, maxTrust); err != nil {
		return nil, err
	}
	tags, err := mergeTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	r := &identity{Name: in.RoleName, Path: orRoot(in.Path), ID: session.NewKeyID(roles.prefix), Boundary: in.PermissionsBoundary, Tags: tags,
		Trust: in.AssumeRolePolicyDocument, About: in.Description, Longest: 3600}
	if in.MaxSessionDuration != nil {
		r.Longest = *in.MaxSessionDuration
	}
	r.ARN = s.arn("role", r.Path, r.Name)
	err = s.change(ctx, func(tx record.Tx) error {
		r.Created = tx.Time()
		return roles.add(tx, r)
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateRoleOutput{Role: r.role()}, nil
}

// GetRole implements the contract.
func (s *Service) GetRole(ctx context.Context, in *api.GetRoleInput) (*api.GetRoleOutput, error) {
	out := new(api.GetRoleOutput)
	return out, s.read(ctx, roles, in.RoleName, func(r *identity) error {
		out.Role = r.role()
		return nil
	})
}

// DeleteRole implements the contract.
func (s *Service) DeleteRole(ctx context.Context, in *api.DeleteRoleInput) (*api.DeleteRoleOutput, error) {
	err := s.change(ctx, func(tx record.Tx) error {
		r, _, err := roles.get(tx, in.RoleName)
		if err != nil {
			return err
		}
		if err := r.inUse(); err != nil {
			return err
		}
		return tx.Purge(roles.Name, recordID(r.Name))
	})
	return &api.DeleteRoleOutput{}, err
}

// ListRoles implements the contract.
func (s *Service) ListRoles(ctx context.Context, in *api.ListRolesInput) (*api.ListRolesOutput, error) {
	out := &api.ListRolesOutput{Roles: []api.Role{}}
	err := s.view(ctx, func(v record.View) (err error) {
		var hits []record.Version
		if hits, out.IsTruncated, out.Marker, err = pageOf(v, ctx, roles.Name, underPath(in.PathPrefix), in.Marker, in.MaxItems); err != nil {
			return err
		}
		for _, h := range hits {
			r, err := roles.Decode(h.Body)
			if err != nil {
				return err
			}
			x := r.role()
			x.Tags, x.PermissionsBoundary = nil, nil // ListRoles tells neither
			out.Roles = append(out.Roles, *x)
		}
		return nil
	})
	return out, err
}

// UpdateAssumeRolePolicy implements the contract.
func (s *Service) UpdateAssumeRolePolicy(ctx context.Context, in *api.UpdateAssumeRolePolicyInput) (*api.UpdateAssumeRolePolicyOutput, error) {
	if err := checkPolicy(in.PolicyDocument, authz.TrustPolicy, maxTrust); err != nil {
		return nil, err
	}
	return &api.UpdateAssumeRolePolicyOutput{}, s.edit(ctx, roles, in.RoleName, func(_ record.Tx, r *identity) error {
		r.Trust = in.PolicyDocument
		return nil
	})
}

// TagRole implements the contract.
func (s *Service) TagRole(ctx context.Context, in *api.TagRoleInput) (*api.TagRoleOutput, error) {
	return &api.TagRoleOutput{}, s.edit(ctx, roles, in.RoleName, func(_ record.Tx, r *identity) (err error) {
		r.Tags, err = mergeTags(r.Tags, in.Tags)
		return err
	})
}

// UntagRole implements the contract.
func (s *Service) UntagRole(ctx context.Context, in *api.UntagRoleInput) (*api.UntagRoleOutput, error) {
	return &api.UntagRoleOutput{}, s.edit(ctx, roles, in.RoleName, func(_ record.Tx, r *identity) error {
		r.Tags = dropTags(r.Tags, in.TagKeys)
		return nil
	})
}

// ListRoleTags implements the contract.
func (s *Service) ListRoleTags(ctx context.Context, in *api.ListRoleTagsInput) (*api.ListRoleTagsOutput, error) {
	out := &api.ListRoleTagsOutput{}
	return out, s.read(ctx, roles, in.RoleName, func(r *identity) error {
		out.Tags, out.IsTruncated, out.Marker = r.tags(in.Marker, in.MaxItems)
		return nil
	})
}
