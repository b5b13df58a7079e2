package main

import (
	"fmt"
	"sort"
	"strings"
)

// model is the structure table being made: types by name, backbone elements being types named by their path.
type model struct {
	types map[string]*typ
	sets  map[string]int // value set url → number; 0 = not enumerable here
	codes []string       // set lines, by number-1
}

type typ struct {
	name, base, kind string
	elems            []elem
}

type elem struct {
	name  string // without [x]
	many  bool
	min   int
	sum   bool
	types []typeRef
}

type typeRef struct {
	name    string
	set     int
	targets []string
}

// maxSet bounds the code sets that enter the table: larger ones are external vocabularies in all but name.
const maxSet = 400

func (d *definitions) structure() (*model, error) {
	m := &model{types: map[string]*typ{}, sets: map[string]int{}}
	for _, name := range sortedKeys(d.structures) {
		s := d.structures[name]
		root := &typ{name: s.Type, kind: "type"}
		switch s.Kind {
		case "primitive-type":
			root.kind = "primitive"
		case "resource":
			root.kind = "resource"
		}
		if s.Abstract {
			root.kind = "abstract"
		}
		if s.BaseDefinition != "" {
			root.base = last(s.BaseDefinition)
		}
		m.types[root.name] = root
		if root.kind == "primitive" {
			continue
		}
		for _, e := range s.Snapshot.Element {
			i := strings.LastIndexByte(e.Path, '.')
			if i < 0 {
				continue
			}
			owner, own := e.Path[:i], e.Path[i+1:]
			if baseRoot, _, _ := strings.Cut(e.Base.Path, "."); baseRoot != s.Type {
				continue // inherited
			}
			t := m.types[owner]
			if t == nil {
				return nil, fmt.Errorf("%s: no owner %s", e.Path, owner)
			}
			el := elem{name: strings.TrimSuffix(own, "[x]"), many: e.Max != "1" && e.Max != "0", min: e.Min, sum: e.IsSummary}
			switch {
			case e.ContentReference != "":
				el.types = []typeRef{{name: strings.TrimPrefix(e.ContentReference, "#")}}
			default:
				for _, et := range e.Type {
					tr := typeRef{name: et.Code}
					if strings.HasPrefix(et.Code, "http://hl7.org/fhirpath/System.") {
						tr.name = "string"
						for _, x := range et.Extension {
							if strings.HasSuffix(x.URL, "structuredefinition-fhir-type") {
								tr.name = x.ValueURL
							}
						}
					}
					if tr.name == "BackboneElement" || tr.name == "Element" {
						sub := &typ{name: e.Path, base: tr.name, kind: "backbone"}
						m.types[e.Path] = sub
						tr.name = e.Path
					}
					if e.Path == "Resource.id" {
						tr.name = "id"
					}
					if tr.name == "code" && e.Binding != nil && e.Binding.Strength == "required" {
						tr.set = m.set(d, e.Binding.ValueSet)
					}
					for _, p := range et.TargetProfile {
						tr.targets = append(tr.targets, last(p))
					}
					el.types = append(el.types, tr)
				}
			}
			if strings.HasSuffix(own, "[x]") {
				el.name += "[x]"
			}
			t.elems = append(t.elems, el)
		}
	}
	return m, nil
}

// set returns the number of the code set of a value set, expanding it on first use; 0 when it cannot be enumerated from the definitions.
func (m *model) set(d *definitions, canonical string) int {
	url, _, _ := strings.Cut(canonical, "|")
	if n, ok := m.sets[url]; ok {
		return n
	}
	codes, systems, ok := d.expand(url, 0)
	n := 0
	if ok && len(codes) > 0 && len(codes) <= maxSet {
		sys := "-"
		if len(systems) == 1 {
			sys = systems[0]
		}
		n = len(m.codes) + 1
		m.codes = append(m.codes, fmt.Sprintf("S %d %s %s", n, sys, strings.Join(codes, " ")))
	}
	m.sets[url] = n
	return n
}

func (d *definitions) expand(url string, depth int) (codes, systems []string, ok bool) {
	v := d.valueSets[url]
	if v == nil || depth > 4 || len(v.Compose.Exclude) > 0 {
		return nil, nil, false
	}
	seen, sys := map[string]bool{}, map[string]bool{}
	for _, in := range v.Compose.Include {
		if len(in.Filter) > 0 {
			return nil, nil, false
		}
		for _, vs := range in.ValueSet {
			u, _, _ := strings.Cut(vs, "|")
			c, s, ok := d.expand(u, depth+1)
			if !ok || in.System != "" {
				return nil, nil, false
			}
			add(seen, c)
			add(sys, s)
		}
		if in.System == "" {
			continue
		}
		sys[in.System] = true
		if len(in.Concept) > 0 {
			for _, c := range in.Concept {
				seen[c.Code] = true
			}
			continue
		}
		cs := d.systems[in.System]
		if cs == nil || cs.Content != "complete" {
			return nil, nil, false
		}
		var walk func([]concept)
		walk = func(l []concept) {
			for _, c := range l {
				seen[c.Code] = true
				walk(c.Concept)
			}
		}
		walk(cs.Concept)
	}
	for c := range seen {
		if strings.ContainsAny(c, " \t\n") {
			return nil, nil, false
		}
	}
	return sortedKeys(seen), sortedKeys(sys), true
}

func add(set map[string]bool, l []string) {
	for _, s := range l {
		set[s] = true
	}
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

func last(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

func (m *model) text() string {
	var b strings.Builder
	b.WriteString("# FHIR 4.0.1 structure, generated by gen from HL7's definitions (CC0). Do not edit.\n")
	for _, s := range m.codes {
		b.WriteString(s + "\n")
	}
	for _, name := range sortedKeys(m.types) {
		t := m.types[name]
		base := t.base
		if base == "" {
			base = "-"
		}
		fmt.Fprintf(&b, "T %s %s %s\n", t.name, t.kind, base)
		for _, e := range t.elems {
			card := fmt.Sprintf("%d..1", e.min)
			if e.many {
				card = fmt.Sprintf("%d..*", e.min)
			}
			if e.sum {
				card += "s"
			}
			fmt.Fprintf(&b, "E %s %s", e.name, card)
			for _, tr := range e.types {
				b.WriteString(" " + tr.name)
				if tr.set > 0 {
					fmt.Fprintf(&b, "{%d}", tr.set)
				}
				if len(tr.targets) > 0 {
					b.WriteString("(" + strings.Join(tr.targets, "|") + ")")
				}
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// child finds an element of a type by its FHIRPath name, looking through bases.
func (m *model) child(typeName, name string) (elem, bool) {
	for t := m.types[typeName]; t != nil; t = m.types[t.base] {
		for _, e := range t.elems {
			if strings.TrimSuffix(e.name, "[x]") == name {
				return e, true
			}
		}
	}
	return elem{}, false
}
