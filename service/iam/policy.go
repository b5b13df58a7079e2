package iam

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/authz/session"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// Quotas of managed policies: IAM's own.
const (
	maxManaged  = 6144
	maxVersions = 5
)

// policy is a managed policy with its versions, oldest first.
type policy struct {
	Name     string    `json:"name"`
	Path     string    `json:"path"`
	ID       string    `json:"id"`
	ARN      string    `json:"arn"`
	About    string    `json:"about,omitempty"`
	Created  time.Time `json:"created"`
	Updated  time.Time `json:"updated"`
	Default  string    `json:"default"` // version id
	Made     int       `json:"made"`    // versions made so far: v1 … vMade
	Versions []version `json:"versions"`
	Tags     []api.Tag `json:"tags,omitempty"`
}

type version struct {
	ID       string    `json:"id"`
	Document string    `json:"document"`
	Created  time.Time `json:"created"`
}

// Policies are found by name: names are unique whatever their path.
var policies = record.Kind[policy]{Name: "iam.policy", Indexes: record.Indexes[policy]{
	record.ByString("name", func(p *policy) string { return strings.ToLower(p.Name) }),
	record.ByString("path", func(p *policy) string { return p.Path }),
}}

func noSuchPolicy(arn string) error {
	return errs.Named(errs.NotFound, "NoSuchEntity", "Policy %s does not exist or is not attachable.", arn)
}

// policyOf finds a managed policy by its ARN.
func policyOf(g record.Getter, arn string) (*policy, int64, error) {
	p, v, err := policies.Get(g, recordID(arn[strings.LastIndexByte(arn, '/')+1:]))
	if absent(err) || err == nil && p.ARN != arn {
		return nil, 0, noSuchPolicy(arn)
	}
	return p, v, err
}

func (p *policy) version(id string) (*version, error) {
	for i := range p.Versions {
		if p.Versions[i].ID == id {
			return &p.Versions[i], nil
		}
	}
	return nil, errs.Named(errs.NotFound, "NoSuchEntity", "Policy %s version %s does not exist or is not attachable.", p.ARN, id)
}

func (p *policy) document() string {
	v, err := p.version(p.Default)
	if err != nil {
		return "" // unreadable: denies
	}
	return v.Document
}

func (p *policy) addVersion(document string, now time.Time) *version {
	p.Made++
	p.Versions = append(p.Versions, version{ID: fmt.Sprintf("v%d", p.Made), Document: document, Created: now})
	return &p.Versions[len(p.Versions)-1]
}

func (p *policy) api(ctx context.Context, v record.View) (*api.Policy, error) {
	attached, bounding, err := usage(ctx, v, p.ARN)
	if err != nil {
		return nil, err
	}
	return &api.Policy{PolicyName: p.Name, PolicyId: p.ID, Arn: p.ARN, Path: p.Path, DefaultVersionId: p.Default, AttachmentCount: aws.Ptr(int32(attached)), PermissionsBoundaryUsageCount: aws.Ptr(int32(bounding)),
		IsAttachable: aws.Ptr(true), Description: p.About, CreateDate: p.Created, UpdateDate: p.Updated, Tags: p.Tags}, nil
}

// usage counts where a policy is attached, and where it is a boundary.
func usage(ctx context.Context, v record.View, arn string) (attached, bounding int64, err error) {
	for _, k := range []kind{users, groups, roles} {
		n, err := v.Count(ctx, k.Name, record.Match{Index: "attached", Value: record.Token("", arn)})
		if err != nil {
			return 0, 0, err
		}
		b, err := v.Count(ctx, k.Name, record.Match{Index: "boundary", Value: record.Token("", arn)})
		if err != nil {
			return 0, 0, err
		}
		attached, bounding = attached+n, bounding+b
	}
	return attached, bounding, nil
}

func (v *version) api(p *policy) *api.PolicyVersion {
	return &api.PolicyVersion{VersionId: v.ID, IsDefaultVersion: aws.Ptr(v.ID == p.Default), CreateDate: v.Created}
}

// CreatePolicy implements the contract.
func (s *Service) CreatePolicy(ctx context.Context, in *api.CreatePolicyInput) (*api.CreatePolicyOutput, error) {
	if err := checkPolicy(in.PolicyDocument, authz.IdentityPolicy, maxManaged); err != nil {
		return nil, err
	}
	tags, err := mergeTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	var p *policy
	err = s.change(ctx, func(tx record.Tx) error {
		p = &policy{Name: in.PolicyName, Path: orRoot(in.Path), ID: session.NewKeyID("ANPA"), About: in.Description, Created: tx.Time(), Updated: tx.Time(), Tags: tags}
		p.ARN = s.arn("policy", p.Path, p.Name)
		p.Default = p.addVersion(in.PolicyDocument, tx.Time()).ID
		err := policies.Create(tx, recordID(p.Name), p)
		if errs.Is(err, errs.Conflict) {
			return exists("A policy called", p.Name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.CreatePolicyOutput{Policy: &api.Policy{PolicyName: p.Name, PolicyId: p.ID, Arn: p.ARN, Path: p.Path, DefaultVersionId: p.Default, AttachmentCount: aws.Ptr(int32(0)),
		PermissionsBoundaryUsageCount: aws.Ptr(int32(0)), IsAttachable: aws.Ptr(true), CreateDate: p.Created, UpdateDate: p.Updated, Tags: p.Tags}}, nil
}

// GetPolicy implements the contract.
func (s *Service) GetPolicy(ctx context.Context, in *api.GetPolicyInput) (*api.GetPolicyOutput, error) {
	out := &api.GetPolicyOutput{}
	return out, s.view(ctx, func(v record.View) error {
		p, _, err := policyOf(v, in.PolicyArn)
		if err == nil {
			out.Policy, err = p.api(ctx, v)
		}
		return err
	})
}

// DeletePolicy implements the contract.
func (s *Service) DeletePolicy(ctx context.Context, in *api.DeletePolicyInput) (*api.DeletePolicyOutput, error) {
	return &api.DeletePolicyOutput{}, s.change(ctx, func(tx record.Tx) error {
		p, _, err := policyOf(tx, in.PolicyArn)
		if err != nil {
			return err
		}
		used := record.Or{record.Match{Index: "attached", Value: record.Token("", p.ARN)}, record.Match{Index: "boundary", Value: record.Token("", p.ARN)}}
		for _, k := range []kind{users, groups, roles} {
			page, err := tx.Query(record.Query{Kind: k.Name, Where: used, Limit: 1, IDsOnly: true})
			if err != nil {
				return err
			}
			if len(page.Hits) > 0 {
				return deleteConflict("a policy that is attached to entities or is their boundary must be detached first.")
			}
		}
		if len(p.Versions) > 1 {
			return deleteConflict("must delete all non-default versions first.")
		}
		return tx.Purge(policies.Name, recordID(p.Name))
	})
}

// ListPolicies implements the contract. There are no AWS managed policies here: the scope AWS is empty.
func (s *Service) ListPolicies(ctx context.Context, in *api.ListPoliciesInput) (*api.ListPoliciesOutput, error) {
	out := &api.ListPoliciesOutput{Policies: []api.Policy{}, IsTruncated: aws.Ptr(false)}
	if in.Scope == api.PolicyScopeTypeAws {
		return out, nil
	}
	err := s.view(ctx, func(v record.View) (err error) {
		var hits []record.Version
		if hits, out.IsTruncated, out.Marker, err = pageOf(v, ctx, policies.Name, underPath(in.PathPrefix), in.Marker, in.MaxItems); err != nil {
			return err
		}
		for _, h := range hits {
			p, err := policies.Decode(h.Body)
			if err != nil {
				return err
			}
			x, err := p.api(ctx, v)
			if err != nil {
				return err
			}
			switch {
			case aws.Val(in.OnlyAttached) && *x.AttachmentCount == 0,
				in.PolicyUsageFilter == api.PolicyUsageTypePermissionsPolicy && *x.AttachmentCount == 0,
				in.PolicyUsageFilter == api.PolicyUsageTypePermissionsBoundary && *x.PermissionsBoundaryUsageCount == 0:
				continue
			}
			x.Description, x.Tags = "", nil // ListPolicies tells neither
			out.Policies = append(out.Policies, *x)
		}
		return nil
	})
	return out, err
}

// editPolicy changes a managed policy in its own batch.
func (s *Service) editPolicy(ctx context.Context, arn string, fn func(tx record.Tx, p *policy) error) error {
	return s.change(ctx, func(tx record.Tx) error {
		p, v, err := policyOf(tx, arn)
		if err != nil {
			return err
		}
		if err := fn(tx, p); err != nil {
			return err
		}
		p.Updated = tx.Time()
		return policies.Replace(tx, recordID(p.Name), p, v)
	})
}

// CreatePolicyVersion implements the contract.
func (s *Service) CreatePolicyVersion(ctx context.Context, in *api.CreatePolicyVersionInput) (*api.CreatePolicyVersionOutput, error) {
	if err := checkPolicy(in.PolicyDocument, authz.IdentityPolicy, maxManaged); err != nil {
		return nil, err
	}
	out := &api.CreatePolicyVersionOutput{}
	return out, s.editPolicy(ctx, in.PolicyArn, func(tx record.Tx, p *policy) error {
		if len(p.Versions) >= maxVersions {
			return limit("A managed policy can have up to %d versions. Before you create a new version, you must delete an existing version.", maxVersions)
		}
		v := p.addVersion(in.PolicyDocument, tx.Time())
		if aws.Val(in.SetAsDefault) {
			p.Default = v.ID
		}
		out.PolicyVersion = v.api(p)
		return nil
	})
}

// GetPolicyVersion implements the contract.
func (s *Service) GetPolicyVersion(ctx context.Context, in *api.GetPolicyVersionInput) (*api.GetPolicyVersionOutput, error) {
	out := &api.GetPolicyVersionOutput{}
	return out, s.view(ctx, func(v record.View) error {
		p, _, err := policyOf(v, in.PolicyArn)
		if err != nil {
			return err
		}
		ver, err := p.version(in.VersionId)
		if err != nil {
			return err
		}
		out.PolicyVersion = ver.api(p)
		out.PolicyVersion.Document = encoded(ver.Document)
		return nil
	})
}

// DeletePolicyVersion implements the contract.
func (s *Service) DeletePolicyVersion(ctx context.Context, in *api.DeletePolicyVersionInput) (*api.DeletePolicyVersionOutput, error) {
	return &api.DeletePolicyVersionOutput{}, s.editPolicy(ctx, in.PolicyArn, func(_ record.Tx, p *policy) error {
		if _, err := p.version(in.VersionId); err != nil {
			return err
		}
		if in.VersionId == p.Default {
			return deleteConflict("the default version of a policy cannot be deleted.")
		}
		p.Versions = slices.DeleteFunc(p.Versions, func(v version) bool { return v.ID == in.VersionId })
		return nil
	})
}

// SetDefaultPolicyVersion implements the contract.
func (s *Service) SetDefaultPolicyVersion(ctx context.Context, in *api.SetDefaultPolicyVersionInput) (*api.SetDefaultPolicyVersionOutput, error) {
	return &api.SetDefaultPolicyVersionOutput{}, s.editPolicy(ctx, in.PolicyArn, func(_ record.Tx, p *policy) error {
		_, err := p.version(in.VersionId)
		p.Default = in.VersionId
		return err
	})
}

// ListPolicyVersions implements the contract: newest first.
func (s *Service) ListPolicyVersions(ctx context.Context, in *api.ListPolicyVersionsInput) (*api.ListPolicyVersionsOutput, error) {
	out := &api.ListPolicyVersionsOutput{Versions: []api.PolicyVersion{}}
	return out, s.view(ctx, func(v record.View) error {
		p, _, err := policyOf(v, in.PolicyArn)
		if err != nil {
			return err
		}
		list := slices.Clone(p.Versions)
		slices.Reverse(list)
		for len(list) > 0 && in.Marker != "" {
			done := list[0].ID == in.Marker
			list = list[1:]
			if done {
				break
			}
		}
		out.IsTruncated = aws.Ptr(false)
		if n := size(in.MaxItems); len(list) > n {
			list, out.IsTruncated, out.Marker = list[:n], aws.Ptr(true), list[n-1].ID
		}
		for i := range list {
			out.Versions = append(out.Versions, *list[i].api(p))
		}
		return nil
	})
}
