package fhir

import (
	_ "embed"
	"errors"
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

// searchTable reads tables/search.txt line by line: what a line says of the parameter, and of the composite, that the lines before it began.
type searchTable struct {
	types map[string]*Type
	all   map[string]*typeParams
	p     *Param
	bases []string // resource types of p
	open  []*combo // p's composite at each base
}

func parseSearch(text string) (map[string]*typeParams, error) {
	t := &searchTable{types: loadTypes().types, all: map[string]*typeParams{}}
	for _, name := range ResourceTypes() {
		t.all[name] = &typeParams{byCode: map[string]*Param{}, root: &place{}, in: map[string][]*Param{}, paths: map[string]*Param{}}
	}
	for n, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		err := errors.New("it is not understood")
		switch {
		case f[0] == "P" && len(f) >= 4:
			err = t.param(f[1], f[2], f[3], f[4:])
		case f[0] == "C" && len(f) == 2 && t.p != nil:
			err = t.composite(f[1])
		case f[0] == "c" && len(f) >= 3 && len(t.open) > 0:
			err = t.component(ParamType(f[1]), f[2:])
		case f[0] == "K" && len(f) >= 4:
			err = t.compartment(f[1], f[2], f[3:])
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	t.settle()
	return t.all, nil
}

// param begins a parameter of a base, which may stand for all resources, with the paths that it looks at.
func (t *searchTable) param(base, code, kind string, paths []string) error {
	t.bases = []string{base}
	if base == "Resource" || base == "DomainResource" {
		t.bases = nil
		for _, r := range ResourceTypes() {
			if base == "Resource" || t.types[r].base == "DomainResource" {
				t.bases = append(t.bases, r)
			}
		}
	}
	typ, _, targets := typeRef(kind)
	p := &Param{Code: code, Type: ParamType(typ), Targets: targets}
	t.p = p
	if k := len(paths); k > 0 && paths[k-1] == "?false" {
		p.fallback, paths = true, paths[:k-1]
	}
	p.Canonical = p.Type == ReferenceParam
	for _, path := range paths {
		if !strings.HasSuffix(path, "@canonical") && !strings.HasSuffix(path, "@uri") {
			p.Canonical = false
		}
	}
	for _, b := range t.bases {
		of := t.all[b]
		if of == nil {
			return fmt.Errorf("no resource %s", b)
		}
		of.byCode[p.Code] = p
		if len(paths) > 0 && !p.fallback {
			of.later = append(of.later, later{p, paths})
		}
		for _, path := range paths {
			if err := of.add(t.types[b], p, path); err != nil {
				return err
			}
		}
	}
	return nil
}

// composite begins a composite of the parameter at a path.
func (t *searchTable) composite(path string) error {
	t.open = t.open[:0]
	t.p.Components = nil
	for _, b := range t.bases {
		c := &combo{param: t.p}
		at, _, err := t.all[b].reach(t.types[b], path)
		if err != nil {
			return err
		}
		at.combos = append(at.combos, c)
		t.open = append(t.open, c)
	}
	return nil
}

// component adds one to the composite.
func (t *searchTable) component(typ ParamType, paths []string) error {
	pt := part{typ: typ}
	t.p.Components = append(t.p.Components, typ)
	for _, s := range paths {
		s, fromRoot := strings.CutPrefix(s, "^")
		path, typ, _ := strings.Cut(s, "@")
		if t.types[typ] == nil {
			return fmt.Errorf("no type %s", typ)
		}
		pt.paths = append(pt.paths, subPath{fromRoot, strings.Split(path, ">"), t.types[typ]})
	}
	for _, c := range t.open {
		c.parts = append(c.parts, pt)
	}
	return nil
}

// compartment says by which parameters a resource of a type belongs to it.
func (t *searchTable) compartment(name, typ string, codes []string) error {
	of := t.all[typ]
	if of == nil {
		return fmt.Errorf("no resource %s", typ)
	}
	for _, code := range codes {
		m := of.byCode[code]
		if m == nil {
			return fmt.Errorf("%s has no parameter %s", typ, code)
		}
		of.in[name] = append(of.in[name], m)
	}
	return nil
}

// settle does what needs all parameters: those that are the same as another, and the sorted lists.
func (t *searchTable) settle() {
	for name, of := range t.all {
		of.same()
		for _, l := range of.later {
			l.param.Single = l.param.Code[0] != '_' && single(t.types[name], l)
		}
		for _, p := range of.byCode {
			of.sorted = append(of.sorted, p)
		}
		sort.Slice(of.sorted, func(i, j int) bool { return of.sorted[i].Code < of.sorted[j].Code })
	}
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
