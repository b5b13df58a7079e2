package authz

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/errs"
)

// Evaluator is the Authorizer: it gathers the policies that bear on a request and evaluates them.
type Evaluator struct {
	dir             Directory
	account, region string

	mu     sync.RWMutex
	parsed map[parsedKey]*Document // nil for a document that cannot be parsed
	kept   int                     // bytes of their texts
}

type parsedKey struct {
	text string
	use  Use
}

var _ Authorizer = (*Evaluator)(nil)

// New returns an evaluator on a directory, for the account and region that this server stands for.
func New(dir Directory, account, region string) *Evaluator {
	return &Evaluator{dir: dir, account: account, region: region, parsed: map[parsedKey]*Document{}}
}

// mostKept bounds the texts of the documents that are held parsed.
const mostKept = 8 << 20

// parse reads a document once. The cache is emptied when it is full: documents change seldom, and a miss costs microseconds.
func (e *Evaluator) parse(text string, use Use) *Document {
	k := parsedKey{text, use}
	e.mu.RLock()
	d, ok := e.parsed[k]
	e.mu.RUnlock()
	if ok {
		return d
	}
	d, err := ParsePolicy(text, use)
	if err != nil {
		d = nil
	}
	e.mu.Lock()
	if len(text) <= maxDocument { // what is longer is refused without being read
		if e.kept += len(text); e.kept > mostKept {
			clear(e.parsed)
			e.kept = len(text)
		}
		e.parsed[k] = d
	}
	e.mu.Unlock()
	return d
}

// Decide answers for a caller. What goes wrong on the way denies.
func (e *Evaluator) Decide(ctx context.Context, c *call.Call, r Request) Decision {
	m, ps, why := e.gather(ctx, c, &r)
	if why != "" {
		return Decision{Reason: why}
	}
	return evaluate(m, ps)
}

// gather finds the policies that bear on a request and the request's condition keys; why is "" unless they cannot be had.
func (e *Evaluator) gather(ctx context.Context, c *call.Call, r *Request) (m *match, out *policies, why string) {
	ps := policies{mustAllow: r.ResourceMustAllow}
	for i, text := range r.ResourcePolicies {
		name := "resource policy"
		if len(r.ResourcePolicies) > 1 {
			name = fmt.Sprintf("resource policy %d", i)
		}
		ps.resource = append(ps.resource, named{name, e.parse(text, ResourcePolicy)})
	}
	p := c.Principal
	switch p.Kind {
	case call.Root, call.AWSService, call.WebIdentity: // they have no policies of their own
	case "":
		return nil, nil, "nobody is calling"
	default:
		identity, boundary, err := e.dir.Policies(ctx, p)
		if err != nil {
			return nil, nil, "the caller's policies cannot be read"
		}
		for _, pol := range identity {
			ps.identity = append(ps.identity, named{pol.Name, e.parse(pol.Document, IdentityPolicy)})
		}
		if boundary != "" {
			ps.boundary = &named{"permissions boundary", e.parse(boundary, IdentityPolicy)}
		}
	}
	if s := p.Session; s != nil {
		for _, text := range s.Policies {
			ps.session = append(ps.session, named{"session policy", e.parse(text, IdentityPolicy)})
		}
		for _, arn := range s.PolicyARNs {
			if src, ok := e.dir.(ManagedPolicies); ok {
				if text, err := src.ManagedPolicy(ctx, arn); err == nil {
					ps.session = append(ps.session, named{arn, e.parse(text, IdentityPolicy)})
				}
			}
		}
		ps.limited = len(s.Policies)+len(s.PolicyARNs) > 0
	}
	owner := accountOf(r.Resource)
	if !accountForm.MatchString(owner) { // buckets and "*" name no account: what this server has is this account's
		owner = e.account
	}
	ps.crossAccount = p.Account != "" && p.Account != owner
	keys := keysOf(c, r, e.region, e.account)
	if r.Tags != nil && ps.askTags() {
		for k, v := range r.Tags() {
			keys[tagPrefix+strings.ToLower(k)] = []string{v}
		}
	}
	return &match{principal: &p, levels: levels(&p), action: strings.ToLower(r.Action), resource: r.Resource, keys: keys}, &ps, ""
}

// Check is Decide for the caller in ctx; errs.Denied names caller, action and resource in the form that AWS callers know.
func (e *Evaluator) Check(ctx context.Context, r Request) error {
	c := call.From(ctx)
	d := e.Decide(ctx, c, r)
	if d.Allowed {
		return nil
	}
	return Refusal(c, r, d)
}

// Refusal is the error of a decision that does not allow.
func Refusal(c *call.Call, r Request, d Decision) error {
	who := c.Principal.ARN
	if who == "" {
		who = "anonymous"
	}
	why := "because " + d.Reason
	if strings.HasPrefix(d.Reason, "with ") {
		why = d.Reason
	} else if what, ok := strings.CutSuffix(d.Reason, " allows it"); ok {
		why = "because " + what + " allows the " + r.Action + " action"
	}
	return errs.New(errs.Denied, "User: %s is not authorized to perform: %s on resource: %s %s", who, r.Action, r.Resource, why)
}
