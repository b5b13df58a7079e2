package authz

import (
	"encoding/json"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/strictjson"
)

// Use says where a policy document stands; it decides which elements it must and must not have.
type Use int

const (
	IdentityPolicy Use = iota // no principal, a resource
	ResourcePolicy            // a principal; the resource may be left out (it is the one that the policy is attached to)
	TrustPolicy               // a principal, no resource
)

// Bounds of a document. The contracts' own limits (6,144 characters for managed policies, 20 KB for bucket policies …) come before these.
const (
	maxDocument   = 128 << 10
	maxStatements = 1000
	maxValues     = 10_000
)

// tagPrefix begins the condition keys of a resource's tags.
const tagPrefix = "aws:resourcetag/"

// Document is a parsed policy. It is safe for use by many at once.
type Document struct {
	statements []statement
	tags       bool // it names aws:ResourceTag/…
}

type statement struct {
	name         string // Sid, else the index
	allow        bool
	principals   []principal // nil when the element is absent
	notPrincipal bool
	actions      []template
	notAction    bool
	resources    []template // nil when the element is absent: every resource
	notResource  bool
	conditions   []condition
}

// principal is one entry of a Principal element.
type principal struct{ kind, value string }

func malformed(format string, args ...any) error {
	return errs.New(errs.Invalid, "the policy document is malformed: "+format, args...)
}

// list is a JSON string or an array of strings.
type list []string

func (l *list) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		var s string
		err := strictjson.Decode(b, &s, strictjson.Limits{})
		*l = list{s}
		return err
	}
	var many []string
	if err := strictjson.Decode(b, &many, strictjson.Limits{}); err != nil {
		return err
	}
	if many == nil {
		return malformed("a string or an array of strings is needed")
	}
	*l = many
	return nil
}

// values are condition values: strings, numbers and booleans, one or an array.
type values []string

func (v *values) UnmarshalJSON(b []byte) error {
	items := []json.RawMessage{b}
	if b[0] == '[' {
		if err := strictjson.Decode(b, &items, strictjson.Limits{}); err != nil {
			return err
		}
	}
	*v = values{}
	for _, item := range items {
		switch item[0] {
		case '"':
			var s string
			if err := strictjson.Decode(item, &s, strictjson.Limits{}); err != nil {
				return err
			}
			*v = append(*v, s)
		case '{', '[', 'n':
			return malformed("a condition value must be a string, a number or a boolean")
		default:
			*v = append(*v, string(item))
		}
	}
	return nil
}

// principalElement is "*" or an object of kinds.
type principalElement map[string]list

func (p *principalElement) UnmarshalJSON(b []byte) error {
	if string(b) == `"*"` {
		*p = principalElement{"*": {"*"}}
		return nil
	}
	var m map[string]list
	if err := strictjson.Decode(b, &m, strictjson.Limits{}); err != nil {
		return err
	}
	if len(m) == 0 {
		return malformed("the principal is empty")
	}
	for kind := range m {
		switch kind {
		case "AWS", "Service", "Federated", "CanonicalUser":
		default:
			return malformed("the principal must be of the kind AWS, Service, Federated or CanonicalUser")
		}
	}
	*p = m
	return nil
}

// statements are one statement or an array of them.
type statements []rawStatement

func (s *statements) UnmarshalJSON(b []byte) error {
	if b[0] == '{' {
		*s = make(statements, 1)
		return strictjson.Decode(b, &(*s)[0], strictjson.Limits{})
	}
	return strictjson.Decode(b, (*[]rawStatement)(s), strictjson.Limits{})
}

type rawDocument struct {
	Version   string
	Id        string // not used, but a known element
	Statement statements
}

type rawStatement struct {
	Sid          string
	Effect       string
	Principal    principalElement
	NotPrincipal principalElement
	Action       list
	NotAction    list
	Resource     list
	NotResource  list
	Condition    map[string]map[string]values
}

// ParsePolicy reads and checks a policy document. Errors are errs.Invalid and say which element is wrong; services give them their
// contract's name (MalformedPolicyDocument, MalformedPolicy …).
func ParsePolicy(text string, use Use) (*Document, error) {
	var raw rawDocument
	if err := strictjson.Decode([]byte(text), &raw, strictjson.Limits{Size: maxDocument, Depth: 8}); err != nil {
		return nil, malformed("%s", errs.As(err).Message)
	}
	switch raw.Version {
	case "2012-10-17", "2008-10-17", "":
	default:
		return nil, malformed("Version must be 2012-10-17 or 2008-10-17")
	}
	if len(raw.Statement) == 0 || len(raw.Statement) > maxStatements {
		return nil, malformed("it must have 1 to %d statements", maxStatements)
	}
	d := &Document{}
	sids := map[string]bool{}
	for i := range raw.Statement {
		r := &raw.Statement[i]
		if r.Sid != "" {
			if sids[r.Sid] {
				return nil, malformed("statement %d: Sid is used twice", i)
			}
			sids[r.Sid] = true
		}
		s, err := compileStatement(r, use, raw.Version == "2012-10-17")
		if err != nil {
			return nil, malformed("statement %d: %s", i, strings.TrimPrefix(errs.As(err).Message, "the policy document is malformed: "))
		}
		if s.name = r.Sid; s.name == "" {
			s.name = strconv.Itoa(i)
		}
		d.statements = append(d.statements, s)
		d.tags = d.tags || slices.ContainsFunc(s.asks(), func(k string) bool { return strings.HasPrefix(k, tagPrefix) })
	}
	return d, nil
}

var (
	actionForm  = regexp.MustCompile(`^(\*|\*:\*|[A-Za-z0-9-]+:[A-Za-z0-9*?]+)$`)
	serviceForm = regexp.MustCompile(`^[a-z0-9.-]+\.(amazonaws\.com|aws\.internal)(\.cn)?$`)
	accountForm = regexp.MustCompile(`^[0-9]{12}$`)
	arnForm     = regexp.MustCompile(`^arn:[a-z-]+:(iam|sts)::[0-9]{12}:(root|(user|role|assumed-role|federated-user)/.+)$`)
)

func compileStatement(r *rawStatement, use Use, variables bool) (s statement, err error) {
	switch r.Effect {
	case "Allow", "Deny":
		s.allow = r.Effect == "Allow"
	default:
		return s, malformed("Effect must be Allow or Deny")
	}
	if s.principals, s.notPrincipal, err = compilePrincipals(r, use); err != nil {
		return s, err
	}
	actions, not, err := either("Action", r.Action, r.NotAction)
	if err != nil {
		return s, err
	}
	if len(actions) == 0 {
		return s, malformed("Action or NotAction is missing")
	}
	s.notAction = not
	for _, a := range actions {
		if !actionForm.MatchString(a) {
			return s, malformed("an action must be * or service:action")
		}
		s.actions = append(s.actions, compileTemplate(strings.ToLower(a), false))
	}
	resources, not, err := either("Resource", r.Resource, r.NotResource)
	if err != nil {
		return s, err
	}
	s.notResource = not
	switch {
	case use == TrustPolicy && len(resources) > 0:
		return s, malformed("a trust policy must not have Resource")
	case use == IdentityPolicy && len(resources) == 0:
		return s, malformed("Resource or NotResource is missing")
	}
	for _, res := range resources {
		if res != "*" && !strings.HasPrefix(res, "arn:") && !strings.HasPrefix(res, "*") && !strings.HasPrefix(res, "${") {
			return s, malformed("a resource must be an ARN or *")
		}
		s.resources = append(s.resources, compileTemplate(res, variables))
	}
	if len(actions)+len(resources) > maxValues {
		return s, malformed("it has more than %d values", maxValues)
	}
	operators := make([]string, 0, len(r.Condition))
	for op := range r.Condition {
		operators = append(operators, op)
	}
	sort.Strings(operators)
	for _, op := range operators {
		for k, v := range r.Condition[op] {
			c, err := compileCondition(op, k, v, variables)
			if err != nil {
				return s, err
			}
			s.conditions = append(s.conditions, c)
		}
	}
	return s, nil
}

// either returns the one of an element and its negation that is there.
func either(name string, pos, neg list) (out list, not bool, err error) {
	switch {
	case pos != nil && neg != nil:
		return nil, false, malformed("%s and Not%s cannot both be there", name, name)
	case neg != nil:
		pos, not = neg, true
	}
	if pos != nil && len(pos) == 0 {
		return nil, false, malformed("%s is empty", name)
	}
	return pos, not, nil
}

func compilePrincipals(r *rawStatement, use Use) (out []principal, not bool, err error) {
	element := r.Principal
	switch {
	case r.Principal != nil && r.NotPrincipal != nil:
		return nil, false, malformed("Principal and NotPrincipal cannot both be there")
	case r.NotPrincipal != nil:
		element, not = r.NotPrincipal, true
	}
	if use == IdentityPolicy {
		if element != nil {
			return nil, false, malformed("an identity policy must not have a principal")
		}
		return nil, false, nil
	}
	if element == nil {
		return nil, false, malformed("Principal is missing")
	}
	for kind, vals := range element {
		if len(vals) == 0 {
			return nil, false, malformed("a principal is empty")
		}
		for _, v := range vals {
			if !IsPrincipal(kind, v) {
				return nil, false, malformed("a principal of the kind %s is invalid", kind)
			}
			out = append(out, principal{kind, v})
		}
	}
	return out, not, nil
}

// IsPrincipal reports whether a value can stand in a Principal element under a kind: AWS, Service, Federated or CanonicalUser.
func IsPrincipal(kind, v string) bool {
	switch kind {
	case "*":
		return v == "*"
	case "AWS":
		return v == "*" || accountForm.MatchString(v) || arnForm.MatchString(v) && !strings.ContainsAny(v, "*?") || uniqueID(v)
	case "Service":
		return serviceForm.MatchString(v)
	case "Federated":
		return v != "" && !strings.ContainsAny(v, "*?")
	case "CanonicalUser":
		return v != ""
	}
	return false
}

// uniqueID: AWS writes the id of a deleted user or role in place of its ARN.
func uniqueID(v string) bool {
	return len(v) >= 16 && len(v) <= 128 && (strings.HasPrefix(v, "AIDA") || strings.HasPrefix(v, "AROA"))
}
