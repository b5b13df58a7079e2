package iam

import (
	"context"
	"strings"

	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

var _ authz.Guarded = (*Service)(nil)

// Complete implements authz.Guarded for roles that are to be taken: their trust policy must allow.
func (s *Service) Complete(ctx context.Context, r authz.Request) (authz.Request, bool, error) {
	if !strings.HasPrefix(r.Action, "sts:Assume") || !strings.HasPrefix(r.Resource, s.arn("role", "/", "")) {
		return r, false, nil
	}
	r.ResourceMustAllow = true
	role, err := s.Role(ctx, r.Resource)
	if errs.Is(err, errs.NotFound) { // it trusts nobody
		return r, true, nil
	} else if err != nil {
		return r, true, err
	}
	r.ResourcePolicies = []string{role.Trust}
	for k, v := range role.Tags {
		r.Context = with(r.Context, "aws:ResourceTag/"+k, v)
	}
	return r, true, nil
}

func with(m map[string]string, k, v string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	if _, said := m[k]; !said {
		m[k] = v
	}
	return m
}

// Principal is the caller that an ARN names, as it would call: the root user, a user, or a session of a role.
func (s *Service) Principal(ctx context.Context, arn string) (p call.Principal, err error) {
	if arn == s.arn("root", "", "") {
		return call.Principal{Kind: call.Root, ARN: arn, ID: s.cfg.Account, Account: s.cfg.Account}, nil
	}
	session := "explain"
	if rest, ok := strings.CutPrefix(arn, "arn:aws:sts::"+s.cfg.Account+":assumed-role/"); ok {
		var name string
		name, session, _ = strings.Cut(rest, "/")
		arn = s.arn("role", "/", name)
	}
	err = s.view(ctx, func(v record.View) error {
		i, k, err := s.source(v, arn)
		if err != nil && session != "explain" { // sessions do not tell the role's path
			k = roles
			i, _, err = roles.get(v, arn[strings.LastIndexByte(arn, '/')+1:])
		}
		switch {
		case err != nil:
			return err
		case k.word == groups.word:
			return errInput("A group does not call: name a user, a role or the root user.")
		}
		p = call.Principal{Kind: call.IAMUser, ARN: i.ARN, ID: i.ID, Account: s.cfg.Account, Name: i.Name, Tags: i.tagMap()}
		if k.word == roles.word {
			p.Kind, p.RoleARN, p.ARN, p.ID = call.AssumedRole, i.ARN, "arn:aws:sts::"+s.cfg.Account+":assumed-role/"+i.Name+"/"+session, i.ID+":"+session
			p.Session = &call.Session{Name: session}
		}
		return nil
	})
	return p, err
}
