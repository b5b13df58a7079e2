package authz

import (
	"context"
	"slices"
	"strings"

	"github.com/galen-health/galen/platform/call"
)

// Considered is one statement that bore on a decision, and what came of it.
type Considered struct {
	Source    string // "identity-based policy", "resource-based policy", "permissions boundary", "session policy"
	Policy    string // its name or ARN
	Statement string // Sid, else the index
	Index     int    // in its policy, from 0; -1 for a policy that cannot be read
	Effect    string // "Allow" or "Deny"; "" for a policy that cannot be read
	Matched   bool
	Decided   bool   // it is the one that the decision names
	Why       string // why it did not match; "" when it did
}

// Explanation is a decision with everything that was looked at.
type Explanation struct {
	Decision   Decision
	Considered []Considered
	// Missing are the condition keys, policy variables included, that the policies ask for and the request does not have.
	Missing []string
}

// Explain is Decide that shows its work: the same policies, the same keys, every statement.
func (e *Evaluator) Explain(ctx context.Context, c *call.Call, r Request) Explanation {
	m, ps, why := e.gather(ctx, c, &r)
	if why != "" {
		return Explanation{Decision: Decision{Reason: why}}
	}
	out := Explanation{Decision: evaluate(m, ps)}
	missing := map[string]bool{}
	groups := []struct {
		source string
		list   []named
	}{{"identity-based policy", ps.identity}, {"resource-based policy", ps.resource}, {"session policy", ps.session}}
	if ps.boundary != nil {
		groups = append(groups, struct {
			source string
			list   []named
		}{"permissions boundary", []named{*ps.boundary}})
	}
	for _, g := range groups {
		for _, p := range g.list {
			if p.doc == nil {
				out.Considered = append(out.Considered, Considered{Source: g.source, Policy: p.name, Index: -1, Matched: true, Decided: out.Decision.Policy == p.name, Why: "it cannot be read, so it denies"})
				continue
			}
			for i := range p.doc.statements {
				s := &p.doc.statements[i]
				one := Considered{Source: g.source, Policy: p.name, Statement: s.name, Index: i, Effect: "Deny", Why: m.against(s)}
				if s.allow {
					one.Effect = "Allow"
				}
				one.Matched = one.Why == ""
				one.Decided = one.Matched && out.Decision.Policy == p.name && out.Decision.Statement == s.name
				out.Considered = append(out.Considered, one)
				for _, k := range s.asks() {
					if len(m.keys[k]) == 0 {
						missing[k] = true
					}
				}
			}
		}
	}
	for k := range missing {
		out.Missing = append(out.Missing, k)
	}
	slices.Sort(out.Missing)
	return out
}

// against says what keeps a statement from applying, "" when it applies.
func (m *match) against(s *statement) string {
	if s.principals != nil && m.who(s) == none {
		if s.notPrincipal {
			return "NotPrincipal leaves the caller out"
		}
		return "Principal does not name the caller"
	}
	if anyOf(s.actions, m.action, nil) == s.notAction {
		if s.notAction {
			return "NotAction names the action"
		}
		return "Action does not name it"
	}
	if s.resources != nil && anyOf(s.resources, m.resource, m.keys) == s.notResource {
		if s.notResource {
			return "NotResource names the resource"
		}
		return "Resource does not name it"
	}
	for i := range s.conditions {
		c := &s.conditions[i]
		if c.holds(m.keys) {
			continue
		}
		if len(m.keys[c.key]) == 0 {
			return "the condition " + c.op + " on " + c.key + " does not hold: the request has no such key"
		}
		return "the condition " + c.op + " on " + c.key + " does not hold for the request's value"
	}
	return ""
}

// asks are the condition keys and policy variables of a statement.
func (s *statement) asks() (out []string) {
	for _, c := range s.conditions {
		out = append(append(out, c.key), c.asks...)
	}
	for _, t := range s.resources {
		out = append(out, t.variables()...)
	}
	return out
}

// Guarded is implemented by services whose resources have policies of their own. Complete adds to a request on one of them what the service would ask with:
// the resource's policies and its tags. ok is false for a resource that is not the service's.
type Guarded interface {
	Complete(ctx context.Context, r Request) (full Request, ok bool, err error)
}

// String is a line for people.
func (c Considered) String() string {
	what := c.Source + " " + c.Policy
	if c.Index >= 0 {
		what += ", statement " + c.Statement + " (" + c.Effect + ")"
	}
	switch {
	case c.Decided:
		return "→ " + what + ": decided"
	case c.Matched:
		return "  " + what + ": applies"
	}
	return "  " + what + ": " + c.Why
}

// Text tells an explanation to people: the decision first, then each statement.
func (x Explanation) Text() string {
	var b strings.Builder
	d := x.Decision
	switch {
	case d.Allowed:
		b.WriteString("ALLOWED: " + d.Reason)
	case d.Explicit:
		b.WriteString("DENIED, " + d.Reason)
	default:
		b.WriteString("DENIED: " + d.Reason)
	}
	if d.Policy != "" {
		b.WriteString("\n  decided by " + d.Policy)
		if d.Statement != "" {
			b.WriteString(", statement " + d.Statement)
		}
	}
	b.WriteString("\n")
	for _, c := range x.Considered {
		b.WriteString(c.String() + "\n")
	}
	if len(x.Missing) > 0 {
		b.WriteString("  not in the request, though policies ask for it: " + strings.Join(x.Missing, ", ") + "\n")
	}
	return b.String()
}
