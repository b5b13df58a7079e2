package healthlake

import (
	"fmt"
	"hash/fnv"
	"net/url"
	"strings"

	"github.com/galen-health/galen/standard/fhir/tape"
)

// stripes is how many locks there are for the conditions on a type.
const stripes = 64

// existsLocks names the locks under which a condition is looked up and what it did not find is made, so that of two writers that would each have found what the
// other makes, one waits for the other. Such writers may have written their conditions differently. One that asks for an identifier is looked up under
// the stripe of that value, and so under those of the identifiers of the resource that may be made: another may ask for any of these. Any other
// condition takes all stripes of the type.
func existsLocks(typ, condition string, identifiers []string) (locks []string) {
	wanted, ok := identifierOf(condition)
	var taken [stripes]bool
	for i := range taken {
		taken[i] = !ok
	}
	if ok {
		for _, v := range append(identifiers, wanted) {
			h := fnv.New32a()
			_, _ = h.Write([]byte(strings.ToLower(v))) // never fails
			taken[h.Sum32()%stripes] = true
		}
	}
	for i, t := range taken {
		if t {
			locks = append(locks, fmt.Sprintf("exists/%s/%02d", typ, i))
		}
	}
	return locks
}

// identifierOf is the value of an identifier that all that a condition finds has, if it names one.
func identifierOf(condition string) (value string, ok bool) {
	values, err := url.ParseQuery(strings.TrimPrefix(condition, "?"))
	if err != nil {
		return "", false
	}
	for _, v := range values["identifier"] {
		if strings.ContainsAny(v, `,\`) {
			continue // several, or written in a way that is not taken apart here
		}
		if v = v[strings.LastIndexByte(v, '|')+1:]; v != "" {
			return v, true
		}
	}
	return "", false
}

// identifiersIn are the values of the identifiers of the resource at a node: those of identifier, and of masterIdentifier and their like, which the search
// parameter takes in for some types.
func identifiersIn(d *tape.Doc, node int) (values []string) {
	add := func(i int) {
		if v := d.StrAt(i, "value"); v != "" {
			values = append(values, strings.Clone(v))
		}
	}
	for c := d.First(node); c >= 0; c = d.After(node, c) {
		if !strings.HasSuffix(d.Key(c), "dentifier") {
			continue
		}
		if d.Nodes[c].Kind == tape.Object {
			add(c)
			continue
		}
		for i := d.First(c); i >= 0; i = d.After(c, i) {
			add(i)
		}
	}
	return values
}
