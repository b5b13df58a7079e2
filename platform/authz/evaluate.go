package authz

import (
	"slices"
	"strings"

	"github.com/galen-health/galen/platform/call"
)

// grant is how closely a resource policy's Allow names the caller. It decides which other policies still have to allow.
type grant int

const (
	none    grant = iota
	account       // the caller's account: the account may allow by its own policies
	role          // the caller's role, or everyone: a boundary and session policies still limit
	direct        // the user, session or service itself: no implicit deny stands against it
)

// named is a parsed policy with where it came from.
type named struct {
	name string
	doc  *Document // nil: it could not be parsed, so nothing may be allowed beside it
}

// policies are all that bears on one request.
type policies struct {
	identity, session, resource []named
	boundary                    *named
	limited                     bool // there are session policies, possibly none that could be found
	mustAllow                   bool // the resource's policy has to allow
	crossAccount                bool
}

// askTags reports whether a policy names the resource's tags.
func (ps *policies) askTags() bool {
	for _, list := range [][]named{ps.identity, ps.session, ps.resource} {
		if slices.ContainsFunc(list, func(n named) bool { return n.doc != nil && n.doc.tags }) {
			return true
		}
	}
	return ps.boundary != nil && ps.boundary.doc != nil && ps.boundary.doc.tags
}

// match is one question as statements see it.
type match struct {
	principal *call.Principal
	levels    [][]principal // the ways to name the caller
	action    string        // lower case
	resource  string
	keys      keySet
}

// evaluate follows the order of the IAM user guide ("How AWS enforcement code logic evaluates requests to allow or deny access"): an
// explicit deny anywhere wins; a resource policy's allow of the very caller is enough within the account; else identity policies must
// allow, unless the resource policy allowed the role; then the boundary and the session policies must allow too.
func evaluate(m *match, ps *policies) Decision {
	if d, denied := explicitDeny(m, ps); denied {
		return d
	}
	if s := m.principal.Session; s != nil && (m.principal.Kind == call.IAMUser || m.principal.Kind == call.Root) && strings.HasPrefix(m.action, "iam:") {
		return Decision{Reason: "credentials of GetSessionToken without a second factor may not call IAM"} // STS API reference, GetSessionToken
	}
	level, by := resourceGrant(m, ps.resource)
	if ps.mustAllow && level == none {
		return Decision{Source: m.resourceSource(), Reason: "no resource-based policy allows it"}
	}
	if level == direct && !ps.crossAccount {
		return by
	}
	if level < role || ps.crossAccount {
		allowed, ok := Decision{}, false
		if m.principal.Kind == call.Root {
			allowed, ok = Decision{Allowed: true, Policy: "root", Source: ByRoot, Reason: "the account's root user may do everything"}, true
		} else {
			allowed, ok = allowedBy(m, ps.identity)
		}
		switch {
		case !ok:
			return Decision{Source: ByIdentity, Reason: "no identity-based policy allows it"}
		case ps.crossAccount && level == none:
			return Decision{Source: m.resourceSource(), Reason: "the resource of another account does not allow it"}
		}
		by = allowed
	}
	if ps.boundary != nil {
		if _, ok := allowedBy(m, []named{*ps.boundary}); !ok {
			return Decision{Policy: ps.boundary.name, Source: ByBoundary, Reason: "no permissions boundary allows it"}
		}
	}
	if ps.limited {
		if _, ok := allowedBy(m, ps.session); !ok {
			return Decision{Policy: "session policy", Source: BySession, Reason: "no session policy allows it"}
		}
	}
	return by
}

// explicitDeny looks for a Deny in every policy. A policy that cannot be read may hold one: it denies.
func explicitDeny(m *match, ps *policies) (Decision, bool) {
	groups := []struct {
		kind   string
		source Source
		list   []named
	}{{"an identity-based policy", ByIdentity, ps.identity}, {"a resource-based policy", m.resourceSource(), ps.resource}, {"a session policy", BySession, ps.session}}
	if ps.boundary != nil {
		groups = append(groups, struct {
			kind   string
			source Source
			list   []named
		}{"a permissions boundary", ByBoundary, []named{*ps.boundary}})
	}
	for _, g := range groups {
		for _, p := range g.list {
			if p.doc == nil {
				return Decision{Explicit: true, Policy: p.name, Source: g.source, Reason: "a policy that applies cannot be read"}, true
			}
			for i := range p.doc.statements {
				s := &p.doc.statements[i]
				if !s.allow && m.is(s) != none {
					return Decision{Explicit: true, Policy: p.name, Statement: s.name, Source: g.source, Reason: "with an explicit deny in " + g.kind}, true
				}
			}
		}
	}
	return Decision{}, false
}

// resourceGrant is the closest Allow of the resource's policies.
func resourceGrant(m *match, list []named) (grant, Decision) {
	best, by := none, Decision{}
	for _, p := range list {
		for i := range p.doc.statements {
			s := &p.doc.statements[i]
			if !s.allow {
				continue
			}
			if g := m.is(s); g > best {
				best, by = g, Decision{Allowed: true, Policy: p.name, Statement: s.name, Source: m.resourceSource(), Reason: "a resource-based policy allows it"}
			}
		}
	}
	return best, by
}

func allowedBy(m *match, list []named) (Decision, bool) {
	for _, p := range list {
		for i := range p.doc.statements {
			if s := &p.doc.statements[i]; s.allow && m.is(s) != none {
				return Decision{Allowed: true, Policy: p.name, Statement: s.name, Source: ByIdentity, Reason: "an identity-based policy allows it"}, true
			}
		}
	}
	return Decision{}, false
}

// resourceSource tells key policies from those of other resources.
func (m *match) resourceSource() Source {
	if strings.HasPrefix(m.action, "kms:") {
		return ByKey
	}
	return ByResource
}

// is reports whether a statement applies, and how closely it names the caller (direct when it names none: identity policies).
func (m *match) is(s *statement) grant {
	g := direct
	if s.principals != nil {
		if g = m.who(s); g == none {
			return none
		}
	}
	if anyOf(s.actions, m.action, nil) == s.notAction {
		return none
	}
	if s.resources != nil && anyOf(s.resources, m.resource, m.keys) == s.notResource {
		return none
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(m.keys) {
			return none
		}
	}
	return g
}

func anyOf(list []template, s string, keys keySet) bool {
	for _, t := range list {
		if t.match(s, keys) {
			return true
		}
	}
	return false
}

// who decides a Principal or NotPrincipal element.
//
// NotPrincipal errs on the side of refusing (IAM user guide, "NotPrincipal"): an Allow leaves out whoever is named at any level, and a Deny
// spares only who is named at every level: the account and the user, or the account, the role and the session.
func (m *match) who(s *statement) grant {
	if s.notPrincipal {
		for _, level := range m.levels {
			named := slices.ContainsFunc(s.principals, func(p principal) bool { return p.everyone() || slices.Contains(level, p) })
			switch {
			case s.allow && named:
				return none
			case !s.allow && !named:
				return role
			}
		}
		if s.allow {
			return role
		}
		return none
	}
	best := none
	for _, p := range s.principals {
		best = max(best, m.named(p, s.allow))
	}
	return best
}

// everyone: "*" alone and as a value of AWS mean the same in a resource policy.
func (p principal) everyone() bool { return p.value == "*" && (p.kind == "*" || p.kind == "AWS") }

// levels are the ways to name a caller, from the widest to the closest; each has a few spellings.
func levels(c *call.Principal) [][]principal {
	aws := func(values ...string) (out []principal) {
		for _, v := range values {
			out = append(out, principal{"AWS", v})
		}
		return out
	}
	account := aws(c.Account, "arn:aws:iam::"+c.Account+":root")
	switch c.Kind {
	case call.Root:
		return [][]principal{account}
	case call.AWSService:
		return [][]principal{{{"Service", c.ARN}}}
	case call.WebIdentity:
		return [][]principal{{{"Federated", c.ARN}}}
	case call.AssumedRole:
		return [][]principal{account, aws(c.RoleARN, roleID(c.ID)), aws(c.ARN, c.ID)}
	}
	return [][]principal{account, aws(c.ARN, c.ID)}
}

// named is how closely one entry of a Principal element names the caller. What "*" allows is meant for the callers of accounts: a service is not
// allowed by {"AWS": "*"}, and who shows only a provider's token is allowed by name alone. What "*" denies is denied to all.
func (m *match) named(p principal, allow bool) grant {
	c := m.principal
	switch {
	case c.Kind == "":
		return none
	case p.everyone():
		if allow && (c.Kind == call.WebIdentity || c.Kind == call.AWSService && p.kind == "AWS") {
			return none
		}
		return role
	}
	names := m.levels
	closest := len(names) - 1
	for i := closest; i >= 0; i-- {
		switch {
		case !slices.Contains(names[i], p):
		case i == closest:
			return direct
		case i == 0:
			return account
		default:
			return role
		}
	}
	return none
}

// roleID is the part of a session's id that names the role: AROA…:session.
func roleID(id string) string {
	before, _, ok := strings.Cut(id, ":")
	if !ok {
		return "-"
	}
	return before
}
