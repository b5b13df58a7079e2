package fhir

import (
	"strings"

	"github.com/galen-health/galen/standard/fhir/tape"
)

// maxParts bounds the combinations that one composite at one place may have.
const maxParts = 256

// take collects the value at node i for every parameter at the active places.
func (c *Checker) take(i int, e *Elem, lo, hi int) {
	for k := lo; k < hi; k++ {
		p := c.active[k]
		for _, t := range p.takes {
			c.entries = c.values(c.entries, t.param, t.param.Type, t.target, i, e.Type, e.set)
		}
		for _, cb := range p.combos {
			c.compose(cb, i)
		}
	}
}

// fallbacks finishes a resource: composites that stand at its root, and parameters that have a value when nothing was found.
func (c *Checker) fallbacks() {
	for _, cb := range c.params.root.combos {
		c.compose(cb, c.root)
	}
	for _, p := range c.params.sorted {
		if !p.fallback {
			continue
		}
		found := false
		for k := range c.entries {
			found = found || c.entries[k].Param == p
		}
		if !found {
			c.entries = append(c.entries, Entry{Param: p, Kind: TokenEntry, Code: "false"})
		}
	}
}

// compose adds the combinations of the component values below node i.
func (c *Checker) compose(cb *combo, i int) {
	values := make([][]Entry, len(cb.parts))
	total := 1
	for k, pt := range cb.parts {
		for _, sp := range pt.paths {
			from := i
			if sp.fromRoot {
				from = c.root
			}
			c.follow(from, sp.steps, func(leaf int) {
				values[k] = c.values(values[k], cb.param, pt.typ, "", leaf, sp.typ, nil)
			})
		}
		if len(values[k]) == 0 {
			return
		}
		if total *= len(values[k]); total > maxParts {
			return
		}
	}
	at := make([]int, len(values))
	for {
		parts := make([]Entry, len(values))
		for k := range values {
			parts[k] = values[k][at[k]]
		}
		c.entries = append(c.entries, Entry{Param: cb.param, Kind: CompositeEntry, Parts: parts})
		k := len(at) - 1
		for ; k >= 0; k-- {
			if at[k]++; at[k] < len(values[k]) {
				break
			}
			at[k] = 0
		}
		if k < 0 {
			return
		}
	}
}

// follow calls f for every node at the path of member names below i, through arrays.
func (c *Checker) follow(i int, steps []string, f func(int)) {
	if c.d.Nodes[i].Kind == tape.Array {
		for x := c.d.First(i); x >= 0; x = c.d.After(i, x) {
			c.follow(x, steps, f)
		}
		return
	}
	if len(steps) == 0 {
		f(i)
		return
	}
	if m := c.d.Get(i, steps[0]); m >= 0 {
		c.follow(m, steps[1:], f)
	}
}

// values appends what a value of FHIR type t at node i means to a parameter of type pt (R4 search, the tables of each parameter type).
func (c *Checker) values(out []Entry, p *Param, pt ParamType, target string, i int, t *Type, set *codeSet) []Entry {
	d := c.d
	switch pt {
	case TokenParam:
		return c.tokens(out, p, i, t.Name, set)
	case DateParam:
		return c.dates(out, p, i, t.Name)
	case StringParam:
		return c.strings(out, p, i, t.Name)
	case QuantityParam:
		return c.quantities(out, p, i, t.Name)
	case NumberParam:
		if t.Name == "Range" {
			for _, end := range [...]string{"low", "high"} {
				if v := d.At(i, end, "value"); v >= 0 {
					out = append(out, Entry{Param: p, Kind: NumberEntry, Number: d.Text(v)})
				}
			}
			return out
		}
		return append(out, Entry{Param: p, Kind: NumberEntry, Number: d.Text(i)})
	case URIParam:
		if s := d.Str(i); s != "" {
			return append(out, Entry{Param: p, Kind: URIEntry, Text: s})
		}
	case ReferenceParam:
		return c.references(out, p, target, i, t.Name)
	}
	return out
}

func (c *Checker) tokens(out []Entry, p *Param, i int, typ string, set *codeSet) []Entry {
	d := c.d
	switch typ {
	case "CodeableConcept":
		text := d.StrAt(i, "text")
		if l := d.Get(i, "coding"); l >= 0 {
			for x := d.First(l); x >= 0; x = d.After(l, x) {
				out = c.coding(out, p, x, text)
				text = ""
			}
		}
		if text != "" {
			out = append(out, Entry{Param: p, Kind: TokenEntry, Text: text})
		}
		return out
	case "Coding":
		return c.coding(out, p, i, "")
	case "Identifier":
		e := Entry{Param: p, Kind: TokenEntry, System: d.StrAt(i, "system"), Code: d.StrAt(i, "value"), Text: d.StrAt(i, "type", "text")}
		if e.System != "" || e.Code != "" {
			out = append(out, e)
		}
		return out
	case "ContactPoint":
		if v := d.StrAt(i, "value"); v != "" {
			out = append(out, Entry{Param: p, Kind: TokenEntry, System: d.StrAt(i, "system"), Code: v})
		}
		return out
	case "code":
		e := Entry{Param: p, Kind: TokenEntry, Code: d.Str(i)}
		out = append(out, e)
		if set != nil && set.system != "" { // the system is implied by the binding; searches give it or not
			e.System = set.system
			out = append(out, e)
		}
		return out
	case "dateTime": // deceasedDateTime: there is a date, so it is true
		return append(out, Entry{Param: p, Kind: TokenEntry, Code: "true"})
	}
	return append(out, Entry{Param: p, Kind: TokenEntry, Code: d.Text(i)})
}

func (c *Checker) coding(out []Entry, p *Param, i int, text string) []Entry {
	d := c.d
	e := Entry{Param: p, Kind: TokenEntry}
	for m := d.First(i); m >= 0; m = d.After(i, m) {
		switch d.Key(m) {
		case "system":
			e.System = d.Str(m)
		case "code":
			e.Code = d.Str(m)
		case "display":
			e.Text = d.Str(m)
		}
	}
	if text != "" && text != e.Text {
		out = append(out, Entry{Param: p, Kind: TokenEntry, Text: text})
	}
	if e.System == "" && e.Code == "" && e.Text == "" {
		return out
	}
	return append(out, e)
}

func (c *Checker) dates(out []Entry, p *Param, i int, typ string) []Entry {
	d := c.d
	add := func(s Span) { out = append(out, Entry{Param: p, Kind: DateEntry, When: s}) }
	switch typ {
	case "Period":
		if s, ok := c.period(i); ok {
			add(s)
		}
	case "Timing": // from the first to the last event, or the bounds of what repeats
		all := Span{End, Beginning}
		c.follow(i, []string{"event"}, func(x int) {
			if s, ok := ParseDate(d.Str(x)); ok {
				all.Low, all.High = min(all.Low, s.Low), max(all.High, s.High)
			}
		})
		if b := d.At(i, "repeat", "boundsPeriod"); b >= 0 {
			if s, ok := c.period(b); ok {
				all.Low, all.High = min(all.Low, s.Low), max(all.High, s.High)
			}
		}
		if all.Low <= all.High {
			add(all)
		}
	default:
		if s, ok := ParseDate(d.Str(i)); ok {
			add(s)
		}
	}
	return out
}

func (c *Checker) period(i int) (Span, bool) {
	out, any := Span{Beginning, End}, false
	if s, ok := ParseDate(c.d.StrAt(i, "start")); ok {
		out.Low, any = s.Low, true
	}
	if s, ok := ParseDate(c.d.StrAt(i, "end")); ok {
		out.High, any = s.High, true
	}
	return out, any
}

// parts of names and addresses that string search looks at.
var stringParts = map[string]map[string]bool{
	"HumanName": {"text": true, "family": true, "given": true, "prefix": true, "suffix": true},
	"Address":   {"text": true, "line": true, "city": true, "district": true, "state": true, "postalCode": true, "country": true},
}

func (c *Checker) strings(out []Entry, p *Param, i int, typ string) []Entry {
	d := c.d
	add := func(x int) {
		if s := d.Str(x); s != "" {
			out = append(out, Entry{Param: p, Kind: StringEntry, Text: s})
		}
	}
	parts := stringParts[typ]
	if parts == nil {
		add(i)
		return out
	}
	for m := d.First(i); m >= 0; m = d.After(i, m) {
		if parts[d.Key(m)] {
			c.follow(m, nil, add)
		}
	}
	return out
}

const currencies = "urn:iso:std:iso:4217"

func (c *Checker) quantities(out []Entry, p *Param, i int, typ string) []Entry {
	d := c.d
	if typ == "Range" {
		for _, end := range [...]string{"low", "high"} {
			if q := d.Get(i, end); q >= 0 {
				out = c.quantities(out, p, q, "Quantity")
			}
		}
		return out
	}
	v := d.Get(i, "value")
	if v < 0 || d.Nodes[v].Kind != tape.Number {
		return out
	}
	e := Entry{Param: p, Kind: QuantityEntry, Number: d.Text(v)}
	if typ == "Money" {
		e.System, e.Code = currencies, d.StrAt(i, "currency")
	} else {
		e.System, e.Code, e.Text = d.StrAt(i, "system"), d.StrAt(i, "code"), d.StrAt(i, "unit")
	}
	return append(out, e)
}

func (c *Checker) references(out []Entry, p *Param, target string, i int, typ string) []Entry {
	d := c.d
	if typ != "Reference" { // canonical or uri
		if s := d.Str(i); s != "" {
			out = append(out, Entry{Param: p, Kind: URLEntry, Text: s})
			if refType, id, ok := localReference(s); ok { // relative, so it is meant to be here
				out = append(out, Entry{Param: p, Kind: ReferenceEntry, System: refType, Code: id})
			}
		}
		return out
	}
	ref := d.StrAt(i, "reference")
	refType, id, ok := localReference(ref)
	declared := d.StrAt(i, "type")
	if ok {
		declared = refType
	}
	if target != "" && declared != target {
		if declared != "" || !strings.Contains(ref, "/"+target+"/") {
			return out
		}
	}
	switch {
	case ok:
		out = append(out, Entry{Param: p, Kind: ReferenceEntry, System: refType, Code: id})
	case ref != "" && ref[0] != '#':
		out = append(out, Entry{Param: p, Kind: URLEntry, Text: ref})
	}
	if id := d.Get(i, "identifier"); id >= 0 {
		e := Entry{Param: p, Kind: IdentifierEntry, System: d.StrAt(id, "system"), Code: d.StrAt(id, "value")}
		if e.System != "" || e.Code != "" {
			out = append(out, e)
		}
	}
	return out
}

// localReference reads "Type/id" and "Type/id/_history/version" with an R4 resource type.
func localReference(s string) (typ, id string, ok bool) {
	typ, id, ok = strings.Cut(s, "/")
	if !ok {
		return "", "", false
	}
	id, _, _ = strings.Cut(id, "/_history/")
	return typ, id, IsID(id) && IsResourceType(typ)
}
