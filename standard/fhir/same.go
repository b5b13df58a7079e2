package fhir

import "strings"

// same finds the parameters that need not be kept twice.
func (t *typeParams) same() {
	key := func(p *Param, paths []string) string { return string(p.Type) + " " + strings.Join(paths, " ") }
	for _, l := range t.later {
		if k := key(l.param, l.paths); t.paths[k] == nil && !strings.HasPrefix(l.param.Code, "combo-") {
			t.paths[k] = l.param
		}
	}
	for _, l := range t.later {
		p := l.param
		if p.Code[0] == '_' {
			continue // shared by all types
		}
		if o := t.paths[key(p, l.paths)]; o != nil && o != p {
			p.Same = []*Param{o}
			continue
		}
		if p.Type == ReferenceParam {
			target := ""
			var plain []string
			for _, path := range l.paths {
				at, typ, _ := strings.Cut(path, "@")
				_, _, targets := typeRef(typ)
				if len(targets) != 1 || target != "" && target != targets[0] {
					target = ""
					break
				}
				target = targets[0]
				plain = append(plain, at+"@Reference")
			}
			if o := t.paths[key(p, plain)]; target != "" && o != nil {
				p.Same, p.SameTarget = []*Param{o}, target
			}
			continue
		}
		if strings.HasPrefix(p.Code, "combo-") {
			var own, component []string
			for _, path := range l.paths {
				if strings.HasPrefix(path, "component>") {
					component = append(component, path)
				} else {
					own = append(own, path)
				}
			}
			if a, b := t.paths[key(p, own)], t.paths[key(p, component)]; a != nil && b != nil {
				p.Same = []*Param{a, b}
			}
		}
	}
	for code, p := range t.byCode {
		rest, ok := strings.CutPrefix(code, "combo-")
		if ok && p.Type == CompositeParam && t.byCode[rest] != nil && t.byCode["component-"+rest] != nil {
			p.Same = []*Param{t.byCode[rest], t.byCode["component-"+rest]}
		}
	}
}

// single reports whether all paths of a parameter are one element of the resource itself that does not repeat.
func single(t *Type, l later) bool {
	switch l.param.Type {
	case DateParam, NumberParam, URIParam:
	default:
		return false
	}
	var at *slot
	for _, path := range l.paths {
		name, typ, _ := strings.Cut(path, "@")
		e := t.elems[name]
		if e == nil || e.slot.many || at != nil && at != e.slot || typ == "Range" {
			return false
		}
		at = e.slot
	}
	return at != nil
}
