package fhir

import (
	_ "embed"
	"fmt"
	"sort"
	"strings"
	"sync"
)

// search.txt has four kinds of lines:
//
//	P base code type[(targets)] path@type… [?false]    a parameter; a path is JSON names joined by '>', a name may carry {k=v}, which keeps
//	                                                   elements whose member k is the string v, or {+url}, which keeps those with that
//	                                                   extension; path@Reference(Patient) keeps references to that type; ?false: the token
//	                                                   "false" when nothing else is found
//	C path|.                                           where the components of the composite above stand
//	c type path@type…                                  a component; a path that starts with ^ is from the resource
//	K compartment type code…                           the parameters by which resources of a type belong to a compartment
//
//go:embed tables/search.txt
var searchText string

// ParamType is the type of a search parameter (R4 search, "Search Parameter Types").
type ParamType string

const (
	NumberParam    ParamType = "number"
	DateParam      ParamType = "date"
	StringParam    ParamType = "string"
	TokenParam     ParamType = "token"
	ReferenceParam ParamType = "reference"
	CompositeParam ParamType = "composite"
	QuantityParam  ParamType = "quantity"
	URIParam       ParamType = "uri"
)

// Param is one search parameter of one resource type.
type Param struct {
	Code       string
	Type       ParamType
	Targets    []string    // reference: the types it may point to; nil = any
	Components []ParamType // composite
	// Same are parameters of the type that together have exactly this one's values, so that a store need not keep them twice ("combo-code"
	// is "code" and "component-code"). With SameTarget set, it has only their references to that type ("patient" is "subject" to Patient).
	Same       []*Param
	SameTarget string

	// Single says of a date, number or uri that a resource has at most one value.
	Single bool
	// Canonical says of a reference that its values are canonical URLs, not references.
	Canonical bool

	fallback bool // ?false
}

// index of one resource type: its parameters and the trie that collects their values.
type typeParams struct {
	byCode map[string]*Param
	sorted []*Param
	root   *place
	in     map[string][]*Param // compartment → parameters by which a resource belongs to it
	paths  map[string]*Param   // the first parameter with these paths and this type
	later  []later
}

// later is a parameter that may turn out to be the Same as others.
type later struct {
	param *Param
	paths []string
}

// place is a node of the trie: an element position that some parameter looks at.
type place struct {
	kids   []kid
	guards []guard
	takes  []take
	combos []*combo
}

type kid struct {
	elem *Elem
	to   *place
}

// guard leads on only from elements that pass its test.
type guard struct {
	member, value string // member "": has the extension value
	to            *place
}

// take collects the values at a place for a parameter.
type take struct {
	param  *Param
	target string // references to this type only
}

// combo is a composite at a place.
type combo struct {
	param *Param
	parts []part
}

type part struct {
	typ   ParamType
	paths []subPath
}

type subPath struct {
	fromRoot bool
	steps    []string
	typ      *Type
}

var loadParams = sync.OnceValue(func() map[string]*typeParams {
	m, err := parseSearch(searchText)
	if err != nil {
		panic("fhir: tables/search.txt: " + err.Error()) // generated and embedded: cannot fail in a tested build
	}
	return m
})

func parseSearch(text string) (map[string]*typeParams, error) {
	types := loadTypes().types
	all := map[string]*typeParams{}
	for _, name := range ResourceTypes() {
		all[name] = &typeParams{byCode: map[string]*Param{}, root: &place{}, in: map[string][]*Param{}, paths: map[string]*Param{}}
	}
	var p *Param
	var bases []string
	var open []*combo
	for n, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		var err error
		switch {
		case f[0] == "P" && len(f) >= 4:
			bases = []string{f[1]}
			if f[1] == "Resource" || f[1] == "DomainResource" {
				bases = nil
				for _, r := range ResourceTypes() {
					if f[1] == "Resource" || types[r].base == "DomainResource" {
						bases = append(bases, r)
					}
				}
			}
			typ, _, targets := typeRef(f[3])
			p = &Param{Code: f[2], Type: ParamType(typ), Targets: targets}
			paths := f[4:]
			if k := len(paths); k > 0 && paths[k-1] == "?false" {
				p.fallback, paths = true, paths[:k-1]
			}
			p.Canonical = p.Type == ReferenceParam
			for _, path := range paths {
				if !strings.HasSuffix(path, "@canonical") && !strings.HasSuffix(path, "@uri") {
					p.Canonical = false
				}
			}
			for _, b := range bases {
				if all[b] == nil {
					return nil, fmt.Errorf("line %d: no resource %s", n+1, b)
				}
				all[b].byCode[p.Code] = p
				if len(paths) > 0 && !p.fallback {
					all[b].later = append(all[b].later, later{p, paths})
				}
				for _, path := range paths {
					if err = all[b].add(types[b], p, path); err != nil {
						return nil, fmt.Errorf("line %d: %w", n+1, err)
					}
				}
			}
		case f[0] == "C" && len(f) == 2 && p != nil:
			open = open[:0]
			p.Components = nil
			for _, b := range bases {
				c := &combo{param: p}
				at, _, err := all[b].reach(types[b], f[1])
				if err != nil {
					return nil, fmt.Errorf("line %d: %w", n+1, err)
				}
				at.combos = append(at.combos, c)
				open = append(open, c)
			}
		case f[0] == "c" && len(f) >= 3 && len(open) > 0:
			pt := part{typ: ParamType(f[1])}
			p.Components = append(p.Components, pt.typ)
			for _, s := range f[2:] {
				s, fromRoot := strings.CutPrefix(s, "^")
				path, typ, _ := strings.Cut(s, "@")
				if types[typ] == nil {
					return nil, fmt.Errorf("line %d: no type %s", n+1, typ)
				}
				pt.paths = append(pt.paths, subPath{fromRoot, strings.Split(path, ">"), types[typ]})
			}
			for _, c := range open {
				c.parts = append(c.parts, pt)
			}
		case f[0] == "K" && len(f) >= 4:
			for _, code := range f[3:] {
				m := all[f[2]].byCode[code]
				if m == nil {
					return nil, fmt.Errorf("line %d: %s has no parameter %s", n+1, f[2], code)
				}
				all[f[2]].in[f[1]] = append(all[f[2]].in[f[1]], m)
			}
		default:
			return nil, fmt.Errorf("line %d is not understood", n+1)
		}
	}
	for name, t := range all {
		t.same()
		for _, l := range t.later {
			l.param.Single = l.param.Code[0] != '_' && single(types[name], l)
		}
		for _, p := range t.byCode {
			t.sorted = append(t.sorted, p)
		}
		sort.Slice(t.sorted, func(i, j int) bool { return t.sorted[i].Code < t.sorted[j].Code })
	}
	return all, nil
}

func (t *typeParams) add(from *Type, p *Param, path string) error {
	path, typ, ok := strings.Cut(path, "@")
	if !ok {
		return fmt.Errorf("path %s has no type", path)
	}
	if p.Code == "_id" || p.Code == "_lastUpdated" {
		return nil // the store knows both without looking into the resource
	}
	typ, _, targets := typeRef(typ)
	at, _, err := t.reach(from, path)
	if err != nil {
		return err
	}
	tk := take{param: p}
	if len(targets) == 1 {
		tk.target = targets[0]
	}
	_ = typ // for readers of the table; the place knows its element's type
	at.takes = append(at.takes, tk)
	return nil
}

// reach finds or makes the place at a path.
func (t *typeParams) reach(typ *Type, path string) (*place, *Type, error) {
	at := t.root
	if path == "." {
		return at, typ, nil
	}
	for _, step := range strings.Split(path, ">") {
		name, filter, _ := strings.Cut(strings.TrimSuffix(step, "}"), "{")
		e := typ.elems[name]
		if e == nil {
			return nil, nil, fmt.Errorf("%s has no %s", typ.Name, name)
		}
		at, typ = at.kid(e), e.Type
		if filter != "" {
			at = at.guard(filter)
		}
	}
	return at, typ, nil
}

func (p *place) kid(e *Elem) *place {
	for _, k := range p.kids {
		if k.elem == e {
			return k.to
		}
	}
	to := &place{}
	p.kids = append(p.kids, kid{e, to})
	return to
}

func (p *place) guard(filter string) *place {
	g := guard{}
	if ext, ok := strings.CutPrefix(filter, "+"); ok {
		g.value = ext
	} else {
		g.member, g.value, _ = strings.Cut(filter, "=")
	}
	for _, o := range p.guards {
		if o.member == g.member && o.value == g.value {
			return o.to
		}
	}
	g.to = &place{}
	p.guards = append(p.guards, g)
	return g.to
}

// Params are the search parameters of a resource type, sorted by code, those of every resource (_id, _tag …) included.
func Params(resourceType string) []*Param {
	if t := loadParams()[resourceType]; t != nil {
		return t.sorted
	}
	return nil
}

// LookupParam finds a search parameter of a resource type; nil when there is none.
func LookupParam(resourceType, code string) *Param {
	if t := loadParams()[resourceType]; t != nil {
		return t.byCode[code]
	}
	return nil
}

// CompartmentParams are the reference parameters by which resources of a type belong to a compartment (R4 compartmentdefinition): what
// refers to Patient/1 by one of them is in the compartment of that patient. nil when the type has no part in it.
func CompartmentParams(compartment, resourceType string) []*Param {
	if t := loadParams()[resourceType]; t != nil {
		return t.in[compartment]
	}
	return nil
}
