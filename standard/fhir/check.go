package fhir

import (
	"fmt"
	"strings"

	"github.com/galen-health/galen/standard/fhir/tape"
)

// Limits bound what Check takes.
type Limits struct {
	Issues int // at most this many are reported; 0 = 50
}

// Resource is a checked resource: what a store needs to know without reading it again.
type Resource struct {
	Type, ID string
	Node     int     // in the document
	Entries  []Entry // search index entries, when asked for
}

// Checker walks parsed resources. It is reused from one document to the next and must not be shared by goroutines.
type Checker struct {
	// Extract asks for search index entries.
	Extract bool
	// Shallow leaves out the resources within a Bundle: whoever takes them apart checks them one by one.
	Shallow bool
	Limits  Limits

	d       *tape.Doc
	issues  []Issue
	path    []segment
	active  []*place // the places of the trie that the walk stands at, a range per level
	params  *typeParams
	root    int
	entries []Entry
}

type segment struct {
	name  string
	index int // -1: not in an array
}

// Check walks the resource at node i of d: elements, types, cardinalities, choices, required codes, primitive formats and reference
// types of R4, all in one pass that also collects index entries. want is the resource type that the caller expects, "" for any. The
// entries share memory with d.Src and the Checker: they are valid until the next Check.
func (c *Checker) Check(d *tape.Doc, i int, want string) (Resource, []Issue) {
	c.d, c.root = d, i
	c.issues, c.path, c.active, c.entries = nil, c.path[:0], c.active[:0], c.entries[:0]
	if c.Limits.Issues == 0 {
		c.Limits.Issues = 50
	}
	r := Resource{Node: i}
	t := c.resourceType(i, want)
	if t == nil {
		return r, c.issues
	}
	r.Type, r.ID = t.Name, d.StrAt(i, "id")
	c.path = append(c.path, segment{t.Name, -1})
	hi := 0
	c.params = nil
	if c.Extract {
		c.params = loadParams()[t.Name]
		c.active = append(c.active, c.params.root)
		hi = 1
	}
	c.object(i, t, 0, hi)
	if c.Extract {
		c.fallbacks()
		r.Entries = c.entries
	}
	return r, c.issues
}

func (c *Checker) resourceType(i int, want string) *Type {
	if c.d.Nodes[i].Kind != tape.Object {
		c.fail("structure", "a resource is a JSON object")
		return nil
	}
	rt := c.d.Get(i, "resourceType")
	if rt < 0 || c.d.Nodes[rt].Kind != tape.String {
		c.fail("required", "resourceType is missing")
		return nil
	}
	t := loadTypes().types[c.d.Str(rt)]
	if t == nil || t.Kind != ResourceType {
		c.fail("not-supported", "resourceType is not a resource of FHIR R4")
		return nil
	}
	if want != "" && t.Name != want {
		c.fail("invalid", fmt.Sprintf("a %s is expected here, this is a %s", want, t.Name))
		return nil
	}
	return t
}

func (c *Checker) fail(code, msg string, more ...string) {
	if len(c.issues) >= c.Limits.Issues {
		return
	}
	var b strings.Builder
	for k, s := range c.path {
		if k > 0 {
			b.WriteByte('.')
		}
		b.WriteString(s.name)
		if s.index >= 0 {
			fmt.Fprintf(&b, "[%d]", s.index)
		}
	}
	for _, m := range more {
		b.WriteByte('.')
		b.WriteString(m)
	}
	c.issues = append(c.issues, Issue{Severity: "error", Code: code, Diagnostics: msg, Expression: b.String()})
}

const maxSlots = 128

// object checks the members of object i against t; active[lo:hi] are the trie places for it.
func (c *Checker) object(i int, t *Type, lo, hi int) {
	d := c.d
	first := d.First(i)
	if first < 0 {
		c.fail("structure", "an element must not be empty")
		return
	}
	var seen [maxSlots / 64]uint64
	for m := first; m >= 0; m = d.After(i, m) {
		key := d.Key(m)
		e := t.elems[key]
		if e == nil {
			if !(key == "resourceType" && t.Kind == ResourceType) {
				c.unknown(key, t)
			}
			continue
		}
		word, bit := e.slot.index/64, uint64(1)<<(e.slot.index%64)
		if seen[word]&bit != 0 && e.slot.choice {
			c.choice(i, t, e)
		}
		seen[word] |= bit
		klo, khi := len(c.active), len(c.active)
		if hi > lo && !e.sibling {
			for _, p := range c.active[lo:hi] {
				for k := range p.kids {
					if p.kids[k].elem == e {
						c.active = append(c.active, p.kids[k].to)
					}
				}
			}
			khi = len(c.active)
		}
		c.path = append(c.path, segment{e.expr, -1})
		c.member(i, m, e, klo, khi)
		c.path = c.path[:len(c.path)-1]
		c.active = c.active[:klo]
	}
	for _, s := range t.order {
		if s.min > 0 && seen[s.index/64]&(1<<(s.index%64)) == 0 {
			c.fail("required", "a required element is missing", s.name)
		}
	}
}

func (c *Checker) unknown(key string, t *Type) {
	if len(c.issues) >= c.Limits.Issues {
		return // nothing more is reported, so nothing more is looked for
	}
	for name := range t.elems {
		if strings.EqualFold(name, key) {
			c.fail("structure", "no such element; names are case-sensitive, "+name+" is meant", name)
			return
		}
	}
	if len(key) > 64 || !IsID(strings.TrimLeft(key, "_")) {
		key = "…" // nothing that might be content
	}
	c.fail("structure", "no such element in "+t.Name, key)
}

// choice reports a second type of a choice element, but not the "_value" that goes with a "value".
func (c *Checker) choice(i int, t *Type, e *Elem) {
	own := strings.TrimPrefix(e.Name, "_")
	for m := c.d.First(i); m >= 0; m = c.d.After(i, m) {
		o := t.elems[c.d.Key(m)]
		if o == e {
			return
		}
		if o != nil && o.slot == e.slot && strings.TrimPrefix(o.Name, "_") != own {
			c.fail("structure", "only one type of "+e.slot.name+"[x] may be given", e.slot.name)
			return
		}
	}
}

func (c *Checker) member(obj, m int, e *Elem, lo, hi int) {
	d := c.d
	isArray := d.Nodes[m].Kind == tape.Array
	if isArray != e.slot.many {
		if isArray {
			c.fail("structure", "one value is expected, not an array")
		} else {
			c.fail("structure", "an array is expected, even for one value")
		}
		return
	}
	if !isArray {
		if d.Nodes[m].Kind == tape.Null {
			c.fail("structure", "null is not a value here")
			return
		}
		c.value(m, e, lo, hi)
		return
	}
	x := d.First(m)
	if x < 0 {
		c.fail("structure", "an array must not be empty")
		return
	}
	last := len(c.path) - 1
	half, other := -1, -2 // the array with the other halves, and its node beside x; -2: not looked for yet
	for n := 0; x >= 0; n, x = n+1, d.After(m, x) {
		c.path[last].index = n
		if d.Nodes[x].Kind != tape.Null {
			c.value(x, e, lo, hi)
		} else {
			if other == -2 {
				half, other = c.otherHalf(obj, e, n)
			}
			if other < 0 || d.Nodes[other].Kind == tape.Null {
				c.fail("structure", "null is not a value here")
			}
		}
		if other >= 0 {
			other = d.After(half, other)
		}
	}
	c.path[last].index = -1
}

// otherHalf finds the n-th value of the other half of a primitive array ("given" and "_given"); where it has a value, this half may be null
// (R4 JSON, "repeating primitives").
func (c *Checker) otherHalf(obj int, e *Elem, n int) (array, node int) {
	name := "_" + e.Name
	if e.sibling {
		name = e.Name[1:]
	} else if e.Type.Kind != PrimitiveType {
		return -1, -1
	}
	if array = c.d.Get(obj, name); array < 0 {
		return -1, -1
	}
	for node = c.d.First(array); node >= 0 && n > 0; n-- {
		node = c.d.After(array, node)
	}
	return array, node
}

func (c *Checker) value(i int, e *Elem, lo, hi int) {
	d, t := c.d, e.Type
	if t.Kind == PrimitiveType {
		c.primitive(i, e, t)
		if hi > lo {
			c.take(i, e, lo, hi)
		}
		return
	}
	if d.Nodes[i].Kind != tape.Object {
		c.fail("structure", "an object is expected")
		return
	}
	if t.Kind == AbstractType && t.Name == "Resource" {
		if c.Shallow && e.Name == "resource" {
			return
		}
		rt := c.resourceType(i, "")
		if rt == nil {
			return
		}
		t = rt
	}
	if e.targets != nil && t.Name == "Reference" {
		if typ, _, ok := localReference(d.StrAt(i, "reference")); ok && IsResourceType(typ) && !e.targets[typ] {
			c.fail("invalid", "a reference to "+typ+" is not allowed here", "reference")
		}
	}
	if hi > lo {
		mark := len(c.active)
		// Guards that hold make their places active too.
		for k := lo; k < hi; k++ {
			for _, g := range c.active[k].guards {
				if c.holds(i, g) {
					if mark == len(c.active) {
						c.active = append(c.active, c.active[lo:hi]...)
					}
					c.active = append(c.active, g.to)
				}
			}
		}
		if len(c.active) > mark {
			lo, hi = mark, len(c.active)
		}
		c.take(i, e, lo, hi)
		c.object(i, t, lo, hi)
		c.active = c.active[:mark]
		return
	}
	c.object(i, t, 0, 0)
}

func (c *Checker) holds(i int, g guard) bool {
	if g.member != "" {
		return c.d.StrAt(i, g.member) == g.value
	}
	ext := c.d.Get(i, "extension")
	if ext < 0 {
		return false
	}
	for x := c.d.First(ext); x >= 0; x = c.d.After(ext, x) {
		if c.d.StrAt(x, "url") == g.value {
			return true
		}
	}
	return false
}

func (c *Checker) primitive(i int, e *Elem, t *Type) {
	n := &c.d.Nodes[i]
	p := &t.prim
	kind := n.Kind
	if kind == tape.False {
		kind = tape.True
	}
	if kind != p.kind {
		c.fail("structure", "the JSON type is wrong for "+t.Name+", which is "+p.want)
		return
	}
	if p.ok == nil {
		return
	}
	s := c.d.Text(i)
	if !p.ok(s) {
		c.fail("value", "not a valid "+t.Name+": "+p.want+" is expected")
		return
	}
	if e.set != nil && !e.set.codes[s] {
		c.fail("code-invalid", "the code is not in the value set that is required here")
	}
}
