// Package fhirtest evaluates FHIR search the slow and obvious way, over decoded JSON and HL7's published expressions, so that the tables,
// the extractor and whole servers can be held to it. It is for tests only.
package fhirtest

import (
	"encoding/json"
	"strings"
)

// Resource is a decoded resource. Eval evaluates the published FHIRPath of a search parameter over a decoded resource, step by step and without tables: what the
// extractor is held to. It knows only the functions that R4's expressions use.
type Resource map[string]any

// Found is a value with the JSON name it was found under, which tells the type of a choice.
type Found struct {
	Name  string
	Value any
}

func (n Resource) Eval(expr string) []Found {
	var out []Found
	for _, alt := range splitTop(expr, '|') {
		out = append(out, n.alternative(strings.TrimSpace(alt))...)
	}
	return out
}

func (n Resource) alternative(s string) []Found {
	rest := ""
	if strings.HasPrefix(s, "(") {
		depth := 0
		for i, r := range s {
			if r == '(' {
				depth++
			} else if r == ')' {
				if depth--; depth == 0 {
					s, rest = s[1:i], strings.TrimPrefix(s[i+1:], ".")
					break
				}
			}
		}
	}
	path, as, _ := strings.Cut(s, " as ")
	steps := splitTop(path, '.')
	if steps[0] == "name" || steps[0] == "alias" { // InsurancePlan's expression lacks the type
		steps = append([]string{"Resource"}, steps...)
	}
	if t := n["resourceType"]; steps[0] != t && steps[0] != "Resource" && steps[0] != "DomainResource" {
		return nil
	}
	cur := []Found{{"", map[string]any(n)}}
	steps = steps[1:]
	if as != "" {
		steps = append(steps, "as("+as+")")
	}
	if rest != "" {
		steps = append(steps, splitTop(rest, '.')...)
	}
	for _, st := range steps {
		cur = n.step(cur, st)
	}
	return cur
}

func (n Resource) step(cur []Found, st string) []Found {
	fn, arg, call := strings.Cut(st, "(")
	arg = strings.TrimSuffix(arg, ")")
	var out []Found
	for _, f := range cur {
		m, _ := f.Value.(map[string]any)
		switch {
		case !call:
			for k, v := range m {
				rest, isPrefix := strings.CutPrefix(k, fn)
				if k != fn && !(m[fn] == nil && isPrefix && rest != "" && rest[0] >= 'A' && rest[0] <= 'Z' && isChoice(rest)) {
					continue
				}
				if l, ok := v.([]any); ok {
					for _, x := range l {
						out = append(out, Found{k, x})
					}
				} else {
					out = append(out, Found{k, v})
				}
			}
		case fn == "as" || fn == "ofType":
			if strings.HasSuffix(strings.ToLower(f.Name), strings.ToLower(arg)) {
				out = append(out, f)
			}
		case fn == "extension":
			for _, e := range n.step([]Found{f}, "extension") {
				if x, _ := e.Value.(map[string]any); x["url"] == strings.Trim(arg, "'") {
					out = append(out, n.step([]Found{e}, "value")...)
				}
			}
		case fn == "where":
			switch {
			case strings.HasPrefix(arg, "resolve() is "):
				ref, _ := m["reference"].(string)
				if strings.Contains("/"+ref, "/"+arg[len("resolve() is "):]+"/") || m["type"] == arg[len("resolve() is "):] {
					out = append(out, f)
				}
			case strings.HasPrefix(arg, "hasExtension("):
				for _, e := range n.step([]Found{f}, "extension") {
					if x, _ := e.Value.(map[string]any); x["url"] == strings.Trim(arg[len("hasExtension("):], "')") {
						out = append(out, f)
						break
					}
				}
			default:
				k, v, _ := strings.Cut(arg, "=")
				if m[strings.TrimSpace(k)] == strings.Trim(strings.TrimSpace(v), "'") {
					out = append(out, f)
				}
			}
		}
	}
	return out
}

// isChoice: a choice suffix is the name of a type.
func isChoice(s string) bool {
	switch s {
	case "DateTime", "Period", "Timing", "Instant", "Date", "String", "Boolean", "Integer", "Decimal", "Quantity", "Range", "Ratio", "Age",
		"CodeableConcept", "Coding", "Reference", "Identifier", "Uri", "Canonical", "Code", "Duration", "Money", "SampledData", "Time", "Attachment", "Annotation":
		return true
	}
	return false
}

func splitTop(s string, sep byte) []string {
	var out []string
	depth, quoted, start := 0, false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\'':
			quoted = !quoted
		case quoted:
		case s[i] == '(':
			depth++
		case s[i] == ')':
			depth--
		case s[i] == sep && depth == 0:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

// Words are the texts that a found value must contribute to the index, by parameter type.
func Words(typ string, f Found) []string {
	m, obj := f.Value.(map[string]any)
	str := func(v any) []string {
		switch x := v.(type) {
		case string:
			return []string{x}
		case json.Number:
			return []string{x.String()}
		case bool:
			return []string{map[bool]string{true: "true", false: "false"}[x]}
		}
		return nil
	}
	switch typ {
	case "token":
		if !obj {
			return str(f.Value)
		}
		var out []string
		if l, ok := m["coding"].([]any); ok {
			for _, c := range l {
				out = append(out, str(c.(map[string]any)["code"])...)
			}
		}
		out = append(out, str(m["code"])...)
		return append(out, str(m["value"])...)
	case "string":
		if !obj {
			return str(f.Value)
		}
		var out []string
		for _, k := range []string{"text", "family", "given", "prefix", "suffix", "line", "city", "district", "state", "postalCode", "country"} {
			if l, ok := m[k].([]any); ok {
				for _, x := range l {
					out = append(out, str(x)...)
				}
			} else {
				out = append(out, str(m[k])...)
			}
		}
		return out
	case "reference":
		if !obj {
			return str(f.Value)
		}
		if r, ok := m["reference"].(string); ok && r[0] != '#' {
			r, _, _ = strings.Cut(r, "/_history/")
			return []string{r}
		}
	case "quantity":
		if obj {
			out := str(m["value"])
			for _, end := range []string{"low", "high"} {
				if q, ok := m[end].(map[string]any); ok {
					out = append(out, str(q["value"])...)
				}
			}
			return out
		}
	case "uri", "number":
		return str(f.Value)
	}
	return nil
}
