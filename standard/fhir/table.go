package fhir

import (
	_ "embed"
	"fmt"
	"sort"
	"strings"
	"sync"
)

// structure.txt has three kinds of lines:
//
//	S number system|- code…                 a set of codes that a required binding allows
//	T name kind base|-                      a type; a backbone element is a type named by its path
//	E name[x] min..max[s] type…             an element of the type above; s: in summaries; type{set} and type(targets)
//
//go:embed tables/structure.txt
var structureText string

// TypeKind says what a Type is.
type TypeKind uint8

const (
	ComplexType TypeKind = iota
	PrimitiveType
	ResourceType
	AbstractType
	BackboneType
)

// Type is a resource, datatype, primitive or backbone element.
type Type struct {
	Name  string
	Kind  TypeKind
	base  string
	prim  primitive
	order []*slot
	elems map[string]*Elem // by JSON name
}

// slot is an element as defined; a choice [x] is one slot with several JSON names.
type slot struct {
	name    string // without [x]
	index   int
	min     int
	many    bool
	choice  bool
	summary bool
}

// Elem is one JSON member that a type may have.
type Elem struct {
	Name    string // JSON name: "valueQuantity", "_birthDate"
	expr    string // in FHIRPath: "value.ofType(Quantity)", "birthDate"
	Type    *Type
	slot    *slot
	set     *codeSet
	targets map[string]bool // nil = any
	sibling bool            // the "_name" of a primitive, holding its id and extensions
}

type codeSet struct {
	system string // "" when the codes come from several
	codes  map[string]bool
}

type definitions struct {
	types     map[string]*Type
	resources []string
}

var loadTypes = sync.OnceValue(func() *definitions {
	d, err := parseStructure(structureText)
	if err != nil {
		panic("fhir: tables/structure.txt: " + err.Error()) // generated and embedded: cannot fail in a tested build
	}
	return d
})

func parseStructure(text string) (*definitions, error) {
	type draft struct {
		slot  *slot
		types []string
	}
	sets := map[string]*codeSet{}
	drafts := map[string][]draft{}
	d := &definitions{types: map[string]*Type{}}
	var cur *Type
	for n, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		switch {
		case f[0] == "S" && len(f) > 3:
			s := &codeSet{codes: make(map[string]bool, len(f)-3)}
			if f[2] != "-" {
				s.system = f[2]
			}
			for _, c := range f[3:] {
				s.codes[c] = true
			}
			sets[f[1]] = s
		case f[0] == "T" && len(f) == 4:
			kind, ok := map[string]TypeKind{"type": ComplexType, "primitive": PrimitiveType, "resource": ResourceType, "abstract": AbstractType, "backbone": BackboneType}[f[2]]
			if !ok {
				return nil, fmt.Errorf("line %d: kind %s", n+1, f[2])
			}
			cur = &Type{Name: f[1], Kind: kind, base: f[3], elems: map[string]*Elem{}, prim: primitives[f[1]]}
			d.types[f[1]] = cur
			if kind == ResourceType {
				d.resources = append(d.resources, f[1])
			}
		case f[0] == "E" && len(f) > 3 && cur != nil:
			s := &slot{name: strings.TrimSuffix(f[1], "[x]"), choice: strings.HasSuffix(f[1], "[x]")}
			card, sum := strings.CutSuffix(f[2], "s")
			s.summary, s.many = sum, strings.HasSuffix(card, "*")
			if _, err := fmt.Sscanf(card, "%d..", &s.min); err != nil {
				return nil, fmt.Errorf("line %d: cardinality %s", n+1, f[2])
			}
			drafts[cur.Name] = append(drafts[cur.Name], draft{s, f[3:]})
		default:
			return nil, fmt.Errorf("line %d is not understood", n+1)
		}
	}
	for _, t := range d.types {
		var chain []draft
		for b := t; b != nil; b = d.types[b.base] {
			chain = append(append([]draft(nil), drafts[b.Name]...), chain...)
		}
		for i, dr := range chain {
			s := *dr.slot
			s.index = i
			t.order = append(t.order, &s)
			for _, ref := range dr.types {
				name, set, targets := typeRef(ref)
				et := d.types[name]
				if et == nil {
					return nil, fmt.Errorf("%s.%s: no type %s", t.Name, s.name, name)
				}
				e := &Elem{Name: s.name, expr: s.name, Type: et, slot: &s, set: sets[set]}
				if s.choice {
					e.expr += ".ofType(" + name + ")"
					e.Name += strings.ToUpper(name[:1]) + name[1:]
				}
				for _, x := range targets {
					if x == "Resource" {
						e.targets = nil
						break
					}
					if e.targets == nil {
						e.targets = map[string]bool{}
					}
					e.targets[x] = true
				}
				t.elems[e.Name] = e
				if et.Kind == PrimitiveType && et.Name != "xhtml" {
					t.elems["_"+e.Name] = &Elem{Name: "_" + e.Name, expr: e.expr, Type: d.types["Element"], slot: &s, sibling: true}
				}
			}
		}
	}
	sort.Strings(d.resources)
	return d, nil
}

// typeRef reads "code{12}" and "Reference(Patient|Group)".
func typeRef(s string) (name, set string, targets []string) {
	if i := strings.IndexByte(s, '('); i >= 0 {
		targets = strings.Split(strings.TrimSuffix(s[i+1:], ")"), "|")
		s = s[:i]
	}
	if i := strings.IndexByte(s, '{'); i >= 0 {
		set, s = strings.TrimSuffix(s[i+1:], "}"), s[:i]
	}
	return s, set, targets
}

// IsResourceType reports whether name is one of R4's concrete resource types.
func IsResourceType(name string) bool {
	t := loadTypes().types[name]
	return t != nil && t.Kind == ResourceType
}

// ResourceTypes are R4's concrete resource types, sorted.
func ResourceTypes() []string { return loadTypes().resources }
