package kms

import (
	"context"
	"maps"
	"strings"

	"github.com/galen-health/galen/platform/authz"
)

var _ authz.Guarded = (*Service)(nil)

// Complete implements authz.Guarded: a key's policy and the grants on it that fit the encryption context given.
func (s *Service) Complete(ctx context.Context, r authz.Request) (authz.Request, bool, error) {
	if !strings.HasPrefix(r.Resource, "arn:aws:kms:"+s.cfg.Region+":"+s.cfg.Account+":key/") {
		return r, false, nil
	}
	k, err := s.find(ctx, r.Resource)
	if err != nil {
		return r, true, err
	}
	ec := map[string]string{}
	for name, v := range r.Context {
		if key, ok := strings.CutPrefix(name, "kms:EncryptionContext:"); ok {
			ec[key] = v
		}
	}
	full, err := s.request(ctx, r.Action, k, r.Resource, ec)
	maps.Copy(full.Context, r.Context)
	full.Values = r.Values
	return full, true, err
}
