package pattern

import (
	"bytes"
	"encoding/json"
	"io"
	"sort"

	"github.com/galen-health/galen/platform/errs"
)

// Bounds of a pattern. EventBridge takes 4,096 characters; the contract's own limit is checked before this one.
const (
	MaxSize  = 64 << 10
	maxDepth = 100
	maxLeafs = 4096
)

// Pattern is a compiled pattern. It is safe for use by many at once.
type Pattern struct{ root *object }

// object is a conjunction: every field must match, and of each $or one alternative.
type object struct {
	fields []field
	or     [][]*object
}

// field is either a nested object or a leaf: a disjunction of matchers.
type field struct {
	name string
	sub  *object
	any  []matcher
}

func invalid(format string, args ...any) error {
	return errs.Named(errs.Invalid, "InvalidEventPatternException", "Event pattern is not valid. Reason: "+format, args...)
}

// Compile reads a pattern.
func Compile(text []byte) (*Pattern, error) {
	if len(text) > MaxSize {
		return nil, invalid("it has %d bytes, the most is %d", len(text), MaxSize)
	}
	v, err := decode(text)
	if err != nil {
		return nil, invalid("it is not one JSON object")
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, invalid("it is not a JSON object")
	}
	c := compiler{}
	root, err := c.object(m, 0)
	if err != nil {
		return nil, err
	}
	return &Pattern{root}, nil
}

func decode(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errs.New(errs.Invalid, "data follow the JSON value")
	}
	return v, nil
}

type compiler struct{ leafs int }

func (c *compiler) object(m map[string]any, depth int) (*object, error) {
	if depth > maxDepth {
		return nil, invalid("it nests deeper than %d", maxDepth)
	}
	if len(m) == 0 {
		return nil, invalid("empty objects are not allowed")
	}
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names) // so that of several faults the same one is reported
	o := &object{}
	for _, name := range names {
		switch v := m[name].(type) {
		case map[string]any:
			sub, err := c.object(v, depth+1)
			if err != nil {
				return nil, err
			}
			o.fields = append(o.fields, field{name: name, sub: sub})
		case []any:
			if name == "$or" {
				alt, err := c.alternatives(v, depth+1)
				if err != nil {
					return nil, err
				}
				o.or = append(o.or, alt)
				continue
			}
			leaf, err := c.leaf(name, v)
			if err != nil {
				return nil, err
			}
			o.fields = append(o.fields, field{name: name, any: leaf})
		default:
			return nil, invalid("%q must be an object or an array", name)
		}
	}
	return o, nil
}

func (c *compiler) alternatives(list []any, depth int) ([]*object, error) {
	if len(list) < 2 {
		return nil, invalid("$or needs at least two alternatives")
	}
	var out []*object
	for _, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, invalid("the alternatives of $or must be objects")
		}
		o, err := c.object(m, depth)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

func (c *compiler) leaf(name string, list []any) ([]matcher, error) {
	if len(list) == 0 {
		return nil, invalid("empty arrays are not allowed (%q)", name)
	}
	if c.leafs += len(list); c.leafs > maxLeafs {
		return nil, invalid("it has more than %d values", maxLeafs)
	}
	var out []matcher
	for _, v := range list {
		m, err := compileMatcher(name, v)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// Event is a decoded event; decode once, match against many patterns.
type Event struct{ v any }

// Decode reads an event (a JSON object).
func Decode(event []byte) (Event, error) {
	v, err := decode(event)
	if err != nil {
		return Event{}, errs.New(errs.Invalid, "the event is not valid JSON")
	}
	if _, ok := v.(map[string]any); !ok {
		return Event{}, errs.New(errs.Invalid, "the event is not a JSON object")
	}
	return Event{v}, nil
}

// Match reports whether the pattern takes the event.
func (p *Pattern) Match(e Event) bool { return p.root.match(e.v) }

// match takes nil for an absent node: only exists:false is true of it.
func (o *object) match(node any) bool {
	if list, ok := node.([]any); ok {
		for _, v := range list {
			if _, isObject := v.(map[string]any); isObject && o.match(v) {
				return true
			}
		}
		return len(list) == 0 && o.match(nil)
	}
	m, _ := node.(map[string]any)
	for _, f := range o.fields {
		v, present := m[f.name]
		if f.sub != nil {
			if !f.sub.match(v) {
				return false
			}
			continue
		}
		if !matchLeaf(f.any, v, present) {
			return false
		}
	}
	for _, alt := range o.or {
		if !anyMatches(alt, m) {
			return false
		}
	}
	return true
}

func anyMatches(alt []*object, m map[string]any) bool {
	for _, o := range alt {
		if o.match(m) {
			return true
		}
	}
	return false
}

// matchLeaf: the leaves of a field are its scalar, or the scalars of its array (nested arrays count as one). A field that is an object
// or an array without scalars has no leaf, which is the same as being absent.
func matchLeaf(any []matcher, v any, present bool) bool {
	leaves := leavesOf(nil, v, present)
	for _, m := range any {
		if m.absent {
			if len(leaves) == 0 {
				return true
			}
			continue
		}
		for _, l := range leaves {
			if m.match(l) {
				return true
			}
		}
	}
	return false
}

func leavesOf(out []any, v any, present bool) []any {
	switch v := v.(type) {
	case map[string]any:
	case []any:
		for _, e := range v {
			out = leavesOf(out, e, true)
		}
	default:
		if present {
			out = append(out, v)
		}
	}
	return out
}
