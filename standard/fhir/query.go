package fhir

import (
	"fmt"
	"net/url"
	"sort"
	"strconv"
	"strings"
)

// Query is a search request, typed and checked against R4's search parameters, independent of any store.
type Query struct {
	Type       string   // resource type searched
	Clauses    []Clause // all must hold
	Include    []Include
	RevInclude []Include
	Sort       []SortKey
	Count      int      // page size asked for; -1 = not given
	Total      string   // "none", "estimate", "accurate", "" = not given
	Summary    string   // "true", "false", "text", "data", "count", ""
	Elements   []string // top-level elements asked for; nil = all
	Page       string   // opaque continuation from a link
	Ignored    []string // parameters not understood, when lenient
}

// Clause is one condition on resources of Type. Exactly one form is set: values of Param; a chain through reference Param; or Has.
type Clause struct {
	Type     string
	Param    *Param
	Modifier string // "", "exact", "contains", "not", "text", "missing", "identifier", "below"
	Values   []Term // any of them

	Chain []Clause // Param is a reference to a resource for which one of these holds; each names its Type
	Has   *Has
}

// Has is a reverse chain: some resource of Clause.Type that refers to this one by Param meets Clause.
type Has struct {
	Param  *Param
	Clause Clause
}

// Include names references to follow, forward or back.
type Include struct {
	Source  string // type that holds the reference, "*" in "_include=*"
	Param   *Param // nil = all references
	Target  string // "" = any type
	Iterate bool
}

// SortKey orders results.
type SortKey struct {
	Param *Param
	Desc  bool
}

// Bounds of a search request.
const (
	maxClauses    = 64
	maxTerms      = 1000
	maxChainDepth = 5
	maxSort       = 5
	maxIncludes   = 32
)

// ParseQuery reads the parameters of a search on a resource type. With lenient set, parameters that R4 does not define for the type are
// ignored and listed; otherwise they are refused. Errors are Issues.
func ParseQuery(resourceType string, params url.Values, lenient bool) (*Query, error) {
	q := &Query{Type: resourceType, Count: -1}
	p := &queryParser{}
	names := make([]string, 0, len(params))
	for name := range params {
		names = append(names, name)
	}
	sort.Strings(names) // so that equal requests give equal queries and equal errors
	for _, name := range names {
		for _, value := range params[name] {
			if done := p.control(q, name, value); done {
				continue
			}
			if c, ok := p.clause(resourceType, name, value, 0); ok {
				q.Clauses = append(q.Clauses, c)
			} else if last := &p.issues[len(p.issues)-1]; lenient && last.Code == "not-supported" {
				p.issues = p.issues[:len(p.issues)-1]
				q.Ignored = append(q.Ignored, name)
			}
			if len(q.Clauses) > maxClauses {
				p.fail(name, "too-costly", "more than %d search parameters", maxClauses)
				return nil, p.issues
			}
		}
	}
	if len(q.Include)+len(q.RevInclude) > maxIncludes {
		p.fail("_include", "too-costly", "more than %d includes", maxIncludes)
	}
	if q.Elements != nil && q.Summary != "" && q.Summary != "false" {
		p.fail("_elements", "invalid", "_elements and _summary cannot be combined")
	}
	if q.Summary == "text" && len(q.Include)+len(q.RevInclude) > 0 {
		p.fail("_summary", "invalid", "_summary=text cannot be combined with includes")
	}
	if len(p.issues) > 0 {
		return nil, p.issues
	}
	return q, nil
}

type queryParser struct{ issues Issues }

func (p *queryParser) fail(param, code, format string, args ...any) {
	p.issues = append(p.issues, Issue{Severity: "error", Code: code, Diagnostics: fmt.Sprintf(format, args...), Expression: "http." + printable(param)})
}

// printable keeps a parameter's name out of trouble in messages.
func printable(s string) string {
	if len(s) > 80 {
		s = s[:80]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == '<' || r == '>' {
			return '?'
		}
		return r
	}, s)
}

// control takes the parameters that shape the result rather than select.
func (p *queryParser) control(q *Query, name, value string) bool {
	oneOf := func(allowed ...string) string {
		for _, a := range allowed {
			if a == value {
				return value
			}
		}
		p.fail(name, "invalid", "%s is one of %s", name, strings.Join(allowed, ", "))
		return ""
	}
	base, mod, _ := strings.Cut(name, ":")
	switch base {
	case "_format", "_pretty":
	case "_count":
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			p.fail(name, "invalid", "_count is a whole number")
			return true
		}
		q.Count = n
	case "_total":
		q.Total = oneOf("none", "estimate", "accurate")
	case "_summary":
		q.Summary = oneOf("true", "false", "text", "data", "count")
	case "_elements":
		for _, e := range strings.Split(value, ",") {
			e = strings.TrimSpace(e)
			if t := loadTypes().types[q.Type]; t != nil && !t.has(e) {
				p.fail(name, "invalid", "%s has no element %s", q.Type, printable(e))
				continue
			}
			q.Elements = append(q.Elements, e)
		}
	case "page":
		q.Page = value
	case "_sort":
		p.sort(q, name, value)
	case "_include", "_revinclude":
		if mod != "" && mod != "iterate" && mod != "recurse" {
			p.fail(name, "not-supported", "the modifier of %s is iterate", base)
			return true
		}
		inc, ok := p.include(q.Type, name, value, base == "_revinclude")
		if !ok {
			return true
		}
		inc.Iterate = mod != ""
		if base == "_include" {
			q.Include = append(q.Include, inc)
		} else {
			q.RevInclude = append(q.RevInclude, inc)
		}
	default:
		return false
	}
	return true
}

func (t *Type) has(element string) bool {
	for _, s := range t.order {
		if s.name == element {
			return true
		}
	}
	return false
}

func (p *queryParser) sort(q *Query, name, value string) {
	for _, key := range strings.Split(value, ",") {
		code, desc := strings.CutPrefix(key, "-")
		pa := LookupParam(q.Type, code)
		if pa == nil || pa.Type == CompositeParam {
			p.fail(name, "not-supported", "%s cannot be sorted by %s", q.Type, printable(code))
			return
		}
		if q.Sort = append(q.Sort, SortKey{pa, desc}); len(q.Sort) > maxSort {
			p.fail(name, "too-costly", "at most %d sort keys are taken", maxSort)
			return
		}
	}
}

func (p *queryParser) include(typ, name, value string, reverse bool) (Include, bool) {
	if value == "*" && !reverse {
		return Include{Source: typ}, true
	}
	f := strings.Split(value, ":")
	if len(f) < 2 || len(f) > 3 || !IsResourceType(f[0]) {
		p.fail(name, "invalid", "%s is Type:parameter or Type:parameter:TargetType", name)
		return Include{}, false
	}
	inc := Include{Source: f[0]}
	if len(f) == 3 {
		inc.Target = f[2]
		if !IsResourceType(f[2]) {
			p.fail(name, "invalid", "the target type is not a resource of FHIR R4")
			return Include{}, false
		}
	}
	if f[1] == "*" {
		return inc, true
	}
	if inc.Param = LookupParam(f[0], f[1]); inc.Param == nil || inc.Param.Type != ReferenceParam {
		p.fail(name, "invalid", "%s has no reference parameter %s", f[0], printable(f[1]))
		return Include{}, false
	}
	return inc, true
}

// clause reads one selecting parameter on a resource type.
func (p *queryParser) clause(typ, name, value string, depth int) (Clause, bool) {
	if depth > maxChainDepth {
		p.fail(name, "too-costly", "chains are at most %d deep", maxChainDepth)
		return Clause{}, false
	}
	if rest, ok := strings.CutPrefix(name, "_has:"); ok {
		return p.has(typ, rest, value, depth)
	}
	head, chain, chained := strings.Cut(name, ".")
	code, mod, _ := strings.Cut(head, ":")
	pa := LookupParam(typ, code)
	if pa == nil {
		p.fail(name, "not-supported", "%s has no search parameter %s", typ, printable(code))
		return Clause{}, false
	}
	if chained {
		return p.chain(typ, pa, mod, chain, name, value, depth)
	}
	c := Clause{Type: typ, Param: pa, Modifier: mod}
	target, ok := p.modifier(&c, name)
	if !ok {
		return Clause{}, false
	}
	if c.Modifier == "missing" {
		if value != "true" && value != "false" {
			p.fail(name, "invalid", ":missing is true or false")
			return Clause{}, false
		}
		c.Values = []Term{{Missing: value == "true"}}
		return c, true
	}
	for _, v := range splitEscaped(value, ',') {
		t, err := parseTerm(pa, c.Modifier, target, v)
		if err != nil {
			p.fail(name, "invalid", "%s", err)
			return Clause{}, false
		}
		if c.Values = append(c.Values, t); len(c.Values) > maxTerms {
			p.fail(name, "too-costly", "more than %d alternatives", maxTerms)
			return Clause{}, false
		}
	}
	return c, true
}

// modifiers that each parameter type takes.
var modifiers = map[ParamType]string{
	StringParam: "exact contains missing", TokenParam: "not text missing", ReferenceParam: "identifier missing",
	URIParam: "below missing", DateParam: "missing", NumberParam: "missing", QuantityParam: "missing", CompositeParam: "",
}

// modifier checks c.Modifier; a type as the modifier of a reference is returned as the target.
func (p *queryParser) modifier(c *Clause, name string) (target string, ok bool) {
	if c.Modifier == "" {
		return "", true
	}
	if c.Param.Type == ReferenceParam && IsResourceType(c.Modifier) {
		target, c.Modifier = c.Modifier, ""
		return target, p.targets(c.Param, target, name)
	}
	for _, m := range strings.Fields(modifiers[c.Param.Type]) {
		if m == c.Modifier {
			return "", true
		}
	}
	p.fail(name, "invalid", "the modifier is not supported on a %s parameter", c.Param.Type)
	return "", false
}

func (p *queryParser) targets(pa *Param, target, name string) bool {
	if pa.Targets == nil {
		return true
	}
	for _, t := range pa.Targets {
		if t == target {
			return true
		}
	}
	p.fail(name, "invalid", "%s never refers to %s", pa.Code, target)
	return false
}

func (p *queryParser) chain(typ string, pa *Param, mod, rest, name, value string, depth int) (Clause, bool) {
	if pa.Type != ReferenceParam || pa.Canonical {
		p.fail(name, "invalid", "%s is not a reference, so nothing can be chained to it", pa.Code)
		return Clause{}, false
	}
	c := Clause{Type: typ, Param: pa}
	targets := pa.Targets
	if mod != "" {
		if !IsResourceType(mod) {
			p.fail(name, "invalid", "a chain goes through a resource type: %s:Type.parameter", pa.Code)
			return Clause{}, false
		}
		if !p.targets(pa, mod, name) {
			return Clause{}, false
		}
		targets = []string{mod}
	}
	if targets == nil {
		targets = ResourceTypes()
	}
	before := len(p.issues)
	for _, t := range targets {
		if n, ok := p.clause(t, rest, value, depth+1); ok {
			c.Chain = append(c.Chain, n)
		}
	}
	if len(c.Chain) == 0 {
		if len(p.issues) > before { // the first target's reason stands for all
			p.issues = p.issues[:before+1]
		}
		return Clause{}, false
	}
	p.issues = p.issues[:before]
	return c, true
}

func (p *queryParser) has(typ, rest, value string, depth int) (Clause, bool) {
	f := strings.SplitN(rest, ":", 3)
	if len(f) < 3 || !IsResourceType(f[0]) {
		p.fail("_has:"+rest, "invalid", "_has is _has:Type:reference:parameter")
		return Clause{}, false
	}
	pa := LookupParam(f[0], f[1])
	if pa == nil || pa.Type != ReferenceParam || pa.Canonical {
		p.fail("_has:"+rest, "invalid", "%s has no reference parameter %s", f[0], printable(f[1]))
		return Clause{}, false
	}
	if !p.targets(pa, typ, "_has:"+rest) {
		return Clause{}, false
	}
	inner, ok := p.clause(f[0], f[2], value, depth+1)
	if !ok {
		return Clause{}, false
	}
	return Clause{Type: typ, Has: &Has{Param: pa, Clause: inner}}, true
}
