package healthlake

import (
	"strconv"
	"strings"
	"sync"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/standard/fhir"
	"github.com/galen-health/galen/standard/fhir/tape"
)

// How a search parameter "p" of each type is kept as indexes of the record engine:
//
//	token      p            system and code          p:text        display or text, folded
//	string     p            folded                   p:exact       as written
//	date       p            the span it covers
//	number     p
//	quantity   p            the number               p:unit        (system, code) and number    p:code   code or printed unit, and number
//	uri        p
//	reference  p            type and id              p:url         elsewhere or canonical, with and without |version
//	                                                 p:identifier  logical reference
//	composite  p:forms      a Pair of its components, once for each combination of the forms that a search can name (see forms)
//
// A parameter that is the Same as others is not kept; p:absent then marks the rare resource that lacks it though it has the other.

// kindOf is the record kind of a resource type.
func kindOf(resourceType string) string { return "fhir." + resourceType }

// typeOf is the resource type of a record kind.
func typeOf(kind string) string { return strings.TrimPrefix(kind, "fhir.") }

// reader checks and extracts; they are pooled because their memory is worth keeping.
type reader struct {
	doc   tape.Doc
	check fhir.Checker
}

var readers = sync.Pool{New: func() any { return new(reader) }}

// release gives a reader back, unless it has seen something so large that its memory is better freed.
func (r *reader) release() {
	if len(r.doc.Src) <= 1<<20 {
		readers.Put(r)
	}
}

// resourceKinds declares one kind for each resource type.
func resourceKinds() []record.KindDef {
	var out []record.KindDef
	for _, t := range fhir.ResourceTypes() {
		single := []string{"_id"}
		for _, p := range fhir.Params(t) {
			if p.Single {
				single = append(single, p.Code)
			}
		}
		out = append(out, record.KindDef{Name: kindOf(t), Single: single, Entries: func(_ string, body []byte) ([]record.Entry, error) {
			r := readers.Get().(*reader)
			defer r.release()
			if err := r.doc.Parse(body, tape.Limits{}); err != nil {
				return nil, errs.Wrap(errs.Corrupt, err, "a stored %s is not JSON", t)
			}
			r.check.Extract = true
			res, _ := r.check.Check(&r.doc, 0, t)
			return indexEntries(res), nil
		}})
	}
	return out
}

// indexEntries turns what FHIR says of a resource into the engine's entries.
func indexEntries(r fhir.Resource) []record.Entry {
	out := make([]record.Entry, 0, 2*len(r.Entries)+1)
	out = append(out, record.Entry{Index: "_id", Value: record.String(r.ID)})
	var present, other map[*fhir.Param]bool // by parameters that have only the references to one type
	for i := range r.Entries {
		e := &r.Entries[i]
		if len(e.Param.Same) == 0 {
			out = appendEntries(out, e)
			for _, p := range targeted(r.Type, e.Param) {
				if other == nil {
					other = map[*fhir.Param]bool{}
				}
				other[p] = true
			}
		} else if e.Param.SameTarget != "" {
			if present == nil {
				present = map[*fhir.Param]bool{}
			}
			present[e.Param] = true
		}
	}
	// What is "subject" to all and not "patient": mark that it lacks the latter.
	if len(other) > len(present) {
		for _, p := range fhir.Params(r.Type) {
			if other[p] && !present[p] {
				out = append(out, record.Entry{Index: p.Code + ":absent", Value: record.Token("", "true")})
			}
		}
	}
	return out
}

var targetedBy = sync.OnceValue(func() map[string]map[*fhir.Param][]*fhir.Param {
	out := map[string]map[*fhir.Param][]*fhir.Param{}
	for _, t := range fhir.ResourceTypes() {
		for _, p := range fhir.Params(t) {
			if p.SameTarget != "" {
				if out[t] == nil {
					out[t] = map[*fhir.Param][]*fhir.Param{}
				}
				out[t][p.Same[0]] = append(out[t][p.Same[0]], p)
			}
		}
	}
	return out
})

// targeted are the parameters of a type that are p's references to one target type.
func targeted(resourceType string, p *fhir.Param) []*fhir.Param { return targetedBy()[resourceType][p] }

func appendEntries(out []record.Entry, e *fhir.Entry) []record.Entry {
	p := e.Param.Code
	add := func(index string, v record.Value) { out = append(out, record.Entry{Index: index, Value: v}) }
	switch e.Kind {
	case fhir.TokenEntry:
		if e.System != "" || e.Code != "" {
			add(p, record.Token(e.System, e.Code))
		}
		if e.Text != "" {
			add(p+":text", record.String(bounded(fhir.Fold(e.Text))))
		}
	case fhir.StringEntry:
		add(p, record.String(bounded(fhir.Fold(e.Text))))
		add(p+":exact", record.String(bounded(e.Text)))
	case fhir.DateEntry:
		add(p, record.PeriodMicros(e.When.Low, e.When.High))
	case fhir.NumberEntry:
		if f, ok := number(e.Number); ok {
			add(p, record.Number(f))
		}
	case fhir.QuantityEntry:
		f, ok := number(e.Number)
		if !ok {
			break
		}
		add(p, record.Number(f))
		if e.System != "" {
			add(p+":unit", record.Quantity(e.System, e.Code, f))
		}
		for _, u := range units(e) {
			add(p+":code", record.Quantity("", u, f))
		}
	case fhir.URIEntry:
		add(p, record.URI(bounded(e.Text)))
	case fhir.ReferenceEntry:
		add(p, record.Reference(kindOf(e.System), e.Code))
	case fhir.URLEntry:
		add(p+":url", record.URI(bounded(e.Text)))
		if bare, _, ok := strings.Cut(e.Text, "|"); ok {
			add(p+":url", record.URI(bounded(bare)))
		}
	case fhir.IdentifierEntry:
		add(p+":identifier", record.Token(e.System, e.Code))
	case fhir.CompositeEntry:
		combine("", "", e.Parts, func(form string, v record.Value) { add(p+":"+form, v) })
	}
	return out
}

// longest is the most of a text that an index keeps; a search for more than that matches by its beginning.
const longest = 8 << 10

func bounded(s string) string {
	if len(s) <= longest {
		return s
	}
	s = s[:longest]
	for len(s) > 0 && s[len(s)-1]&0xC0 == 0x80 {
		s = s[:len(s)-1]
	}
	return s[:max(0, len(s)-1)]
}

func number(text string) (float64, bool) {
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil
}

// units are the names that a quantity's unit is searched by when no system is given.
func units(e *fhir.Entry) []string {
	var out []string
	if e.Code != "" {
		out = append(out, e.Code)
	}
	if e.Text != "" && e.Text != e.Code {
		out = append(out, e.Text)
	}
	return out
}

// form is one way in which a composite's component can be searched: a letter, and the values for it.
type form struct {
	letter byte
	values []record.Value
}

// forms of a component: token s (system and code) and c (code in any system); quantity n (number), u (unit, then number) and v (code of
// the unit, then number); all else one.
func forms(e *fhir.Entry) []form {
	one := func(letter byte, v record.Value) []form { return []form{{letter, []record.Value{v}}} }
	switch e.Kind {
	case fhir.TokenEntry:
		if e.Code == "" {
			return nil
		}
		return append(one('s', record.Token(e.System, e.Code)), one('c', record.Token("", e.Code))...)
	case fhir.QuantityEntry:
		f, ok := number(e.Number)
		if !ok {
			return nil
		}
		out := one('n', record.Number(f))
		if e.System != "" {
			out = append(out, form{'u', []record.Value{record.Token(e.System, e.Code), record.Number(f)}})
		}
		for _, u := range units(e) {
			out = append(out, form{'v', []record.Value{record.Token("", u), record.Number(f)}})
		}
		return out
	case fhir.NumberEntry:
		if f, ok := number(e.Number); ok {
			return one('n', record.Number(f))
		}
	case fhir.StringEntry:
		return one('t', record.String(bounded(fhir.Fold(e.Text))))
	case fhir.DateEntry:
		return one('d', record.PeriodMicros(e.When.Low, e.When.High))
	case fhir.ReferenceEntry:
		return one('r', record.Reference(kindOf(e.System), e.Code))
	}
	return nil
}

// combine calls add for each combination of forms, with their values paired from the left.
func combine(letters string, head record.Value, parts []fhir.Entry, add func(string, record.Value)) {
	if len(parts) == 0 {
		add(letters, head)
		return
	}
	for _, f := range forms(&parts[0]) {
		v := head
		for _, x := range f.values {
			v = paired(v, x)
		}
		combine(letters+string(f.letter), v, parts[1:], add)
	}
}

func paired(head, v record.Value) record.Value {
	if head == "" {
		return v
	}
	return record.Pair(head, v)
}
