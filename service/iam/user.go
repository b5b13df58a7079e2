package iam

import (
	"context"

	api "github.com/galen-health/galen/aws/iam"
	"github.com/galen-health/galen/platform/authz/session"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

func errInput(format string, args ...any) error {
	return errs.Named(errs.Invalid, "InvalidInput", format, args...)
}

// CreateUser implements the contract.
func (s *Service) CreateUser(ctx context.Context, in *api.CreateUserInput) (*api.CreateUserOutput, error) {
	tags, err := mergeTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	u := &identity{Name: in.UserName, Path: orRoot(in.Path), ID: session.NewKeyID(users.prefix), Boundary: in.PermissionsBoundary, Tags: tags}
	u.ARN = s.arn("user", u.Path, u.Name)
	err = s.change(ctx, func(tx record.Tx) error {
		u.Created = tx.Time()
		return users.add(tx, u)
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateUserOutput{User: u.user()}, nil
}

// GetUser implements the contract; without a name it tells of the caller.
func (s *Service) GetUser(ctx context.Context, in *api.GetUserInput) (*api.GetUserOutput, error) {
	if p := call.From(ctx).Principal; in.UserName == "" && p.Kind == call.Root {
		return &api.GetUserOutput{User: &api.User{Path: "/", UserName: "root", UserId: p.Account, Arn: p.ARN}}, nil
	}
	name, err := self(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	var out *api.GetUserOutput
	err = s.view(ctx, func(v record.View) error {
		u, _, err := users.get(v, name)
		if err == nil {
			out = &api.GetUserOutput{User: u.user()}
		}
		return err
	})
	return out, err
}

// DeleteUser implements the contract.
func (s *Service) DeleteUser(ctx context.Context, in *api.DeleteUserInput) (*api.DeleteUserOutput, error) {
	err := s.change(ctx, func(tx record.Tx) error {
		u, _, err := users.get(tx, in.UserName)
		if err != nil {
			return err
		}
		if err := u.inUse(); err != nil {
			return err
		}
		keys, err := keysOf(tx, u.ID)
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			return deleteConflict("must delete access keys first.")
		}
		return tx.Purge(users.Name, recordID(u.Name))
	})
	return &api.DeleteUserOutput{}, err
}

// ListUsers implements the contract.
func (s *Service) ListUsers(ctx context.Context, in *api.ListUsersInput) (*api.ListUsersOutput, error) {
	out := &api.ListUsersOutput{Users: []api.User{}}
	err := s.view(ctx, func(v record.View) (err error) {
		var hits []record.Version
		if hits, out.IsTruncated, out.Marker, err = pageOf(v, ctx, users.Name, underPath(in.PathPrefix), in.Marker, in.MaxItems); err != nil {
			return err
		}
		for _, h := range hits {
			u, err := users.Decode(h.Body)
			if err != nil {
				return err
			}
			x := u.user()
			x.Tags, x.PermissionsBoundary = nil, nil // ListUsers tells neither
			out.Users = append(out.Users, *x)
		}
		return nil
	})
	return out, err
}

// TagUser implements the contract.
func (s *Service) TagUser(ctx context.Context, in *api.TagUserInput) (*api.TagUserOutput, error) {
	return &api.TagUserOutput{}, s.edit(ctx, users, in.UserName, func(_ record.Tx, u *identity) (err error) {
		u.Tags, err = mergeTags(u.Tags, in.Tags)
		return err
	})
}

// UntagUser implements the contract.
func (s *Service) UntagUser(ctx context.Context, in *api.UntagUserInput) (*api.UntagUserOutput, error) {
	return &api.UntagUserOutput{}, s.edit(ctx, users, in.UserName, func(_ record.Tx, u *identity) error {
		u.Tags = dropTags(u.Tags, in.TagKeys)
		return nil
	})
}

// ListUserTags implements the contract.
func (s *Service) ListUserTags(ctx context.Context, in *api.ListUserTagsInput) (*api.ListUserTagsOutput, error) {
	out := &api.ListUserTagsOutput{}
	return out, s.read(ctx, users, in.UserName, func(u *identity) error {
		out.Tags, out.IsTruncated, out.Marker = u.tags(in.Marker, in.MaxItems)
		return nil
	})
}

// edit changes one identity in its own batch.
func (s *Service) edit(ctx context.Context, k kind, name string, fn func(record.Tx, *identity) error) error {
	return s.change(ctx, func(tx record.Tx) error {
		return k.edit(tx, name, func(i *identity) error { return fn(tx, i) })
	})
}

// read looks at one identity.
func (s *Service) read(ctx context.Context, k kind, name string, fn func(*identity) error) error {
	return s.view(ctx, func(v record.View) error {
		i, _, err := k.get(v, name)
		if err != nil {
			return err
		}
		return fn(i)
	})
}
