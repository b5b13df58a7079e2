package kms

import (
	"context"
	"regexp"
	"strings"

	api "github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key/keyring"
)

var aliasName = regexp.MustCompile(`^alias/[a-zA-Z0-9/_-]{1,250}$`)

func checkAlias(name string) error {
	if !aliasName.MatchString(name) || strings.HasPrefix(name, "alias/aws/") {
		return errs.Named(errs.Invalid, "InvalidAliasNameException", "Alias must start with the prefix \"alias/\", then letters, digits, '/', '_' and '-'; alias/aws/ is reserved.")
	}
	return nil
}

// CreateAlias names a key.
func (s *Service) CreateAlias(ctx context.Context, in *api.CreateAliasInput) (*api.CreateAliasOutput, error) {
	return &api.CreateAliasOutput{}, s.setAlias(ctx, in.AliasName, in.TargetKeyId, true)
}

// UpdateAlias makes an alias name another key.
func (s *Service) UpdateAlias(ctx context.Context, in *api.UpdateAliasInput) (*api.UpdateAliasOutput, error) {
	return &api.UpdateAliasOutput{}, s.setAlias(ctx, in.AliasName, in.TargetKeyId, false)
}

func (s *Service) setAlias(ctx context.Context, alias, target string, create bool) error {
	if err := checkAlias(alias); err != nil {
		return err
	}
	k, err := s.findKey(ctx, target)
	if err != nil {
		return err
	}
	return s.ring.SetAlias(alias, k.ID, create)
}

// DeleteAlias forgets a name; the key stays.
func (s *Service) DeleteAlias(_ context.Context, in *api.DeleteAliasInput) (*api.DeleteAliasOutput, error) {
	if err := checkAlias(in.AliasName); err != nil {
		return nil, err
	}
	return &api.DeleteAliasOutput{}, s.ring.DeleteAlias(in.AliasName)
}

// ListAliases lists all aliases, or those of one key.
func (s *Service) ListAliases(ctx context.Context, in *api.ListAliasesInput) (*api.ListAliasesOutput, error) {
	all := s.ring.Aliases()
	if in.KeyId != "" {
		k, err := s.findKey(ctx, in.KeyId)
		if err != nil {
			return nil, err
		}
		var own []keyring.Alias
		for _, a := range all {
			if a.KeyID == k.ID {
				own = append(own, a)
			}
		}
		all = own
	}
	list, next, more, err := page(all, func(a keyring.Alias) string { return a.Name }, in.Limit, in.Marker, 100)
	if err != nil {
		return nil, err
	}
	out := &api.ListAliasesOutput{Aliases: []api.AliasListEntry{}, NextMarker: next, Truncated: more}
	for _, a := range list {
		out.Aliases = append(out.Aliases, api.AliasListEntry{AliasName: a.Name, AliasArn: a.ARN, TargetKeyId: a.KeyID, CreationDate: a.Created, LastUpdatedDate: a.Updated})
	}
	return out, nil
}
