package iam

import (
	"context"
	"slices"

	api "github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/platform/authz/session"
	"github.com/galen-health/galen/platform/record"
)

// maxGroups is the quota of groups that a user may be in.
const maxGroups = 10

// CreateGroup implements the contract.
func (s *Service) CreateGroup(ctx context.Context, in *api.CreateGroupInput) (*api.CreateGroupOutput, error) {
	g := &identity{Name: in.GroupName, Path: orRoot(in.Path), ID: session.NewKeyID(groups.prefix)}
	g.ARN = s.arn("group", g.Path, g.Name)
	err := s.change(ctx, func(tx record.Tx) error {
		g.Created = tx.Time()
		return groups.add(tx, g)
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateGroupOutput{Group: g.group()}, nil
}

// members matches the users of a group.
func members(group string) record.Expr {
	return record.Match{Index: "group", Value: record.Token("", recordID(group))}
}

// GetGroup implements the contract: the group and a page of its users.
func (s *Service) GetGroup(ctx context.Context, in *api.GetGroupInput) (*api.GetGroupOutput, error) {
	out := &api.GetGroupOutput{Users: []api.User{}}
	err := s.view(ctx, func(v record.View) error {
		g, _, err := groups.get(v, in.GroupName)
		if err != nil {
			return err
		}
		out.Group = g.group()
		var hits []record.Version
		if hits, out.IsTruncated, out.Marker, err = pageOf(v, ctx, users.Name, members(g.Name), in.Marker, in.MaxItems); err != nil {
			return err
		}
		for _, h := range hits {
			u, err := users.Decode(h.Body)
			if err != nil {
				return err
			}
			x := u.user()
			x.Tags, x.PermissionsBoundary = nil, nil
			out.Users = append(out.Users, *x)
		}
		return nil
	})
	return out, err
}

// DeleteGroup implements the contract.
func (s *Service) DeleteGroup(ctx context.Context, in *api.DeleteGroupInput) (*api.DeleteGroupOutput, error) {
	err := s.change(ctx, func(tx record.Tx) error {
		g, _, err := groups.get(tx, in.GroupName)
		if err != nil {
			return err
		}
		if err := g.inUse(); err != nil {
			return err
		}
		p, err := tx.Query(record.Query{Kind: users.Name, Where: members(g.Name), Limit: 1, IDsOnly: true})
		if err != nil {
			return err
		}
		if len(p.Hits) > 0 {
			return deleteConflict("must remove users from group first.")
		}
		return tx.Purge(groups.Name, recordID(g.Name))
	})
	return &api.DeleteGroupOutput{}, err
}

// ListGroups implements the contract.
func (s *Service) ListGroups(ctx context.Context, in *api.ListGroupsInput) (*api.ListGroupsOutput, error) {
	out := &api.ListGroupsOutput{Groups: []api.Group{}}
	err := s.view(ctx, func(v record.View) (err error) {
		var hits []record.Version
		if hits, out.IsTruncated, out.Marker, err = pageOf(v, ctx, groups.Name, underPath(in.PathPrefix), in.Marker, in.MaxItems); err != nil {
			return err
		}
		for _, h := range hits {
			g, err := groups.Decode(h.Body)
			if err != nil {
				return err
			}
			out.Groups = append(out.Groups, *g.group())
		}
		return nil
	})
	return out, err
}

// ListGroupsForUser implements the contract.
func (s *Service) ListGroupsForUser(ctx context.Context, in *api.ListGroupsForUserInput) (*api.ListGroupsForUserOutput, error) {
	out := &api.ListGroupsForUserOutput{Groups: []api.Group{}}
	err := s.view(ctx, func(v record.View) error {
		u, _, err := users.get(v, in.UserName)
		if err != nil {
			return err
		}
		var ids []string
		ids, out.IsTruncated, out.Marker = cut(u.Groups, func(s string) string { return s }, in.Marker, in.MaxItems)
		for _, id := range ids {
			g, _, err := groups.Get(v, id)
			if err != nil {
				return err
			}
			out.Groups = append(out.Groups, *g.group())
		}
		return nil
	})
	return out, err
}

// AddUserToGroup implements the contract.
func (s *Service) AddUserToGroup(ctx context.Context, in *api.AddUserToGroupInput) (*api.AddUserToGroupOutput, error) {
	return &api.AddUserToGroupOutput{}, s.edit(ctx, users, in.UserName, func(tx record.Tx, u *identity) error {
		g, _, err := groups.get(tx, in.GroupName)
		if err != nil || slices.Contains(u.Groups, recordID(g.Name)) {
			return err
		}
		if len(u.Groups) >= maxGroups {
			return limit("Cannot exceed quota for GroupsPerUser: %d", maxGroups)
		}
		u.Groups = append(u.Groups, recordID(g.Name))
		slices.Sort(u.Groups)
		return nil
	})
}

// RemoveUserFromGroup implements the contract.
func (s *Service) RemoveUserFromGroup(ctx context.Context, in *api.RemoveUserFromGroupInput) (*api.RemoveUserFromGroupOutput, error) {
	return &api.RemoveUserFromGroupOutput{}, s.edit(ctx, users, in.UserName, func(tx record.Tx, u *identity) error {
		g, _, err := groups.get(tx, in.GroupName)
		if err != nil {
			return err
		}
		at := slices.Index(u.Groups, recordID(g.Name))
		if at < 0 {
			return noSuch("user in group "+g.Name, u.Name)
		}
		u.Groups = slices.Delete(u.Groups, at, at+1)
		return nil
	})
}
