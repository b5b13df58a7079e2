package medicalimaging

import (
	"encoding/json"
	"sort"
	"strings"

	"github.com/galen-health/galen/platform/errs"
)

// Attributes are kept as an object of the DICOM JSON model, compact, with members in the order of their tags, as dicom.JSON writes it. They are
// read without decoding where only their outline matters: lists of hundreds of instances are put together from them.

// member is one attribute: eight hex digits and its JSON.
type member struct {
	Tag  string
	JSON []byte
}

// members cuts an object of ours into its attributes.
func members(b []byte) ([]member, error) {
	out := make([]member, 0, 64)
	i := 1
	for i < len(b) && b[i] == '"' {
		if i+11 > len(b) || b[i+9] != '"' || b[i+10] != ':' {
			return nil, broken()
		}
		m := member{Tag: string(b[i+1 : i+9])}
		start := i + 11
		end := skip(b, start)
		if end < 0 {
			return nil, broken()
		}
		m.JSON = b[start:end]
		out = append(out, m)
		i = end
		if i < len(b) && b[i] == ',' {
			i++
		}
	}
	if len(b) < 2 || b[0] != '{' || i != len(b)-1 || b[i] != '}' {
		return nil, broken()
	}
	return out, nil
}

func broken() error {
	return errs.New(errs.Corrupt, "stored attributes are not an object of DICOM JSON")
}

// skip returns where the JSON object at i ends, −1 when it does not.
func skip(b []byte, i int) int {
	depth := 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		if depth <= 0 {
			return -1
		}
	}
	return -1
}

// object puts attributes together again; they must be in order.
func object(ms []member) []byte {
	n := 2
	for _, m := range ms {
		n += len(m.JSON) + 12
	}
	b := append(make([]byte, 0, n), '{')
	return append(appendMembers(b, ms), '}')
}

func appendMembers(b []byte, ms []member) []byte {
	for i, m := range ms {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, m.Tag...)
		b = append(b, '"', ':')
		b = append(b, m.JSON...)
	}
	return b
}

// merge lays the attributes of an instance over those that its image set shares. An attribute that the instance has not, although its
// set has, is kept as null there.
func merge(shared, own []member) []member {
	out := make([]member, 0, len(shared)+len(own))
	for len(shared) > 0 || len(own) > 0 {
		switch {
		case len(own) == 0 || len(shared) > 0 && shared[0].Tag < own[0].Tag:
			out, shared = append(out, shared[0]), shared[1:]
		default:
			if len(shared) > 0 && shared[0].Tag == own[0].Tag {
				shared = shared[1:]
			}
			if string(own[0].JSON) != nullAttribute {
				out = append(out, own[0])
			}
			own = own[1:]
		}
	}
	return out
}

// nullAttribute stands for an attribute that is absent from one instance of a set.
const nullAttribute = `{"vr":null}`

func find(ms []member, tag string) []byte {
	i := sort.Search(len(ms), func(i int) bool { return ms[i].Tag >= tag })
	if i < len(ms) && ms[i].Tag == tag {
		return ms[i].JSON
	}
	return nil
}

// set puts an attribute in its place; nil removes it.
func set(ms []member, tag string, b []byte) []member {
	i := sort.Search(len(ms), func(i int) bool { return ms[i].Tag >= tag })
	here := i < len(ms) && ms[i].Tag == tag
	switch {
	case here && b == nil:
		return append(ms[:i:i], ms[i+1:]...)
	case here:
		out := append([]member(nil), ms...)
		out[i].JSON = b
		return out
	case b == nil:
		return ms
	}
	out := append(ms[:i:i], member{tag, b})
	return append(out, ms[i:]...)
}

// attribute is a decoded attribute.
type attribute struct {
	VR           string `json:"vr"`
	Value        []any
	BulkDataURI  string
	InlineBinary string
}

func decodeAttribute(b []byte) (a attribute) {
	if b != nil {
		d := json.NewDecoder(strings.NewReader(string(b)))
		d.UseNumber()
		_ = d.Decode(&a) // what we wrote
	}
	return a
}

// strings are the values as text: names with all their groups, numbers as they stand.
func (a attribute) strings() []string {
	out := make([]string, 0, len(a.Value))
	for _, v := range a.Value {
		out = append(out, valueText(v))
	}
	return out
}

func valueText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case map[string]any:
		groups := make([]string, 3)
		for i, k := range []string{"Alphabetic", "Ideographic", "Phonetic"} {
			groups[i], _ = v[k].(string)
		}
		return strings.TrimRight(strings.Join(groups, "="), "=")
	}
	return ""
}

// text is the first value of an attribute as text.
func text(ms []member, tag string) string {
	if b := find(ms, tag); b != nil {
		if v := decodeAttribute(b).strings(); len(v) > 0 {
			return v[0]
		}
	}
	return ""
}
