package iam

import (
	"context"
	"crypto/subtle"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/authz/session"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// The names of credential errors, as the edge knows them.
const (
	errUnknownKey   = "UnrecognizedClientException"
	errInvalidToken = "InvalidToken"
)

// Credential implements authz.Directory. Nothing is cached: an access key that was disabled or deleted opens nothing from then on.
func (s *Service) Credential(ctx context.Context, accessKeyID, sessionToken string) (authz.Credential, error) {
	unknown := errs.Named(errs.Unauthenticated, errUnknownKey, "the security token included in the request is invalid")
	if sessionToken == "" && subtle.ConstantTimeCompare([]byte(accessKeyID), []byte(s.cfg.RootAccessKeyID)) == 1 {
		return authz.Credential{Secret: s.cfg.RootSecret, Principal: call.Principal{Kind: call.Root, ARN: "arn:aws:iam::" + s.cfg.Account + ":root", ID: s.cfg.Account, Account: s.cfg.Account, AccessKeyID: accessKeyID}}, nil
	}
	if strings.HasPrefix(accessKeyID, "ASIA") {
		if sessionToken == "" {
			return authz.Credential{}, errs.Named(errs.Unauthenticated, errInvalidToken, "temporary credentials need their session token")
		}
		return session.Open(ctx, s.ring, accessKeyID, sessionToken, s.cfg.Now())
	}
	if sessionToken != "" {
		return authz.Credential{}, errs.Named(errs.Unauthenticated, errInvalidToken, "a session token was sent with a long-term access key")
	}
	var c authz.Credential
	err := s.view(ctx, func(v record.View) error {
		k, _, err := accessKeys.Get(v, accessKeyID)
		if absent(err) || errs.Is(err, errs.Invalid) || err == nil && (!k.Active || k.ID != accessKeyID) {
			return unknown
		} else if err != nil {
			return err
		}
		u, _, err := users.Get(v, k.User)
		if absent(err) || err == nil && u.ID != k.UserID {
			return unknown
		} else if err != nil {
			return err
		}
		if c.Secret, err = s.unseal(ctx, k.ID, k.Secret); err != nil {
			return err
		}
		c.Principal = call.Principal{Kind: call.IAMUser, ARN: u.ARN, ID: u.ID, Account: s.cfg.Account, Name: u.Name, AccessKeyID: k.ID, Tags: u.tagMap()}
		return nil
	})
	return c, err
}

// Policies implements authz.Directory. A user or role that is gone, or that another one of the same name has replaced, has none: an error.
func (s *Service) Policies(ctx context.Context, p call.Principal) (identity []authz.Policy, boundary string, err error) {
	if p.Kind == call.Root {
		return nil, "", nil
	}
	err = s.view(ctx, func(v record.View) error {
		i, err := holder(v, p)
		if err != nil {
			return err
		}
		identity, boundary, err = documents(v, i)
		return err
	})
	return identity, boundary, err
}

// holder finds the user or role behind a caller.
func holder(v record.View, p call.Principal) (*identity, error) {
	k, id := users, p.ID
	if p.Kind == call.AssumedRole || p.Kind == call.WebIdentity {
		k = roles
		id, _, _ = strings.Cut(p.ID, ":")
	}
	i, _, err := k.get(v, p.Name)
	if err != nil {
		return nil, err
	}
	if i.ID != id {
		return nil, noSuch(k.word, p.Name)
	}
	return i, nil
}

// documents are the policies of an identity, its groups' included.
func documents(v record.View, i *identity) (out []authz.Policy, boundary string, err error) {
	add := func(i *identity, prefix string) error {
		for name, d := range i.Inline {
			out = append(out, authz.Policy{Name: prefix + name, Document: d})
		}
		for _, arn := range i.Attached {
			p, _, err := policyOf(v, arn)
			if err != nil {
				return err
			}
			out = append(out, authz.Policy{Name: arn, Document: p.document()})
		}
		return nil
	}
	if err := add(i, ""); err != nil {
		return nil, "", err
	}
	for _, id := range i.Groups {
		g, _, err := groups.Get(v, id)
		if err != nil {
			return nil, "", err
		}
		if err := add(g, "group "+g.Name+": "); err != nil {
			return nil, "", err
		}
	}
	if i.Boundary != "" {
		p, _, err := policyOf(v, i.Boundary)
		if err != nil {
			return nil, "", err
		}
		boundary = p.document()
	}
	return out, boundary, nil
}

// ManagedPolicy implements authz.ManagedPolicies.
func (s *Service) ManagedPolicy(ctx context.Context, arn string) (document string, err error) {
	err = s.view(ctx, func(v record.View) error {
		p, _, err := policyOf(v, arn)
		if err == nil {
			document = p.document()
		}
		return err
	})
	return document, err
}

// Role implements authz.RoleSource.
func (s *Service) Role(ctx context.Context, arn string) (out authz.Role, err error) {
	prefix := "arn:aws:iam::" + s.cfg.Account + ":role/"
	if !strings.HasPrefix(arn, prefix) {
		return out, errs.Named(errs.NotFound, "NoSuchEntity", "there is no role %s in this account", arn)
	}
	err = s.view(ctx, func(v record.View) error {
		r, _, err := roles.get(v, arn[strings.LastIndexByte(arn, '/')+1:])
		if err == nil && r.ARN != arn {
			err = noSuch("role", arn)
		}
		if err == nil {
			out = authz.Role{ARN: r.ARN, ID: r.ID, Name: r.Name, Account: s.cfg.Account, Trust: r.Trust, Tags: r.tagMap(), MaxSession: time.Duration(r.Longest) * time.Second}
		}
		return err
	})
	return out, err
}
