package fhir_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/galen-health/galen/standard/fhir"
	"github.com/galen-health/galen/standard/fhir/tape"
)

// naive evaluates the published FHIRPath of a search parameter over a decoded resource, step by step and without tables: what the
// extractor is held to. It knows only the functions that R4's expressions use.
type naive struct{ resource map[string]any }

// found is a value with the JSON name it was found under, which tells the type of a choice.
type found struct {
	name string
	v    any
}

func (n naive) eval(expr string) []found {
	var out []found
	for _, alt := range splitTop(expr, '|') {
		out = append(out, n.alternative(strings.TrimSpace(alt))...)
	}
	return out
}

func (n naive) alternative(s string) []found {
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
	if t := n.resource["resourceType"]; steps[0] != t && steps[0] != "Resource" && steps[0] != "DomainResource" {
		return nil
	}
	cur := []found{{"", n.resource}}
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

func (n naive) step(cur []found, st string) []found {
	fn, arg, call := strings.Cut(st, "(")
	arg = strings.TrimSuffix(arg, ")")
	var out []found
	for _, f := range cur {
		m, _ := f.v.(map[string]any)
		switch {
		case !call:
			for k, v := range m {
				rest, isPrefix := strings.CutPrefix(k, fn)
				if k != fn && !(m[fn] == nil && isPrefix && rest != "" && rest[0] >= 'A' && rest[0] <= 'Z' && isChoice(rest)) {
					continue
				}
				if l, ok := v.([]any); ok {
					for _, x := range l {
						out = append(out, found{k, x})
					}
				} else {
					out = append(out, found{k, v})
				}
			}
		case fn == "as" || fn == "ofType":
			if strings.HasSuffix(strings.ToLower(f.name), strings.ToLower(arg)) {
				out = append(out, f)
			}
		case fn == "extension":
			for _, e := range n.step([]found{f}, "extension") {
				if x, _ := e.v.(map[string]any); x["url"] == strings.Trim(arg, "'") {
					out = append(out, n.step([]found{e}, "value")...)
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
				for _, e := range n.step([]found{f}, "extension") {
					if x, _ := e.v.(map[string]any); x["url"] == strings.Trim(arg[len("hasExtension("):], "')") {
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

// words are the texts that a found value must contribute to the index, by parameter type.
func words(typ string, f found) []string {
	m, obj := f.v.(map[string]any)
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
			return str(f.v)
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
			return str(f.v)
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
			return str(f.v)
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
		return str(f.v)
	}
	return nil
}

func entryWord(e fhir.Entry) (string, bool) {
	switch e.Kind {
	case fhir.TokenEntry:
		return e.Code, e.Code != ""
	case fhir.StringEntry, fhir.URIEntry, fhir.URLEntry:
		return e.Text, true
	case fhir.ReferenceEntry:
		return e.System + "/" + e.Code, true
	case fhir.NumberEntry, fhir.QuantityEntry:
		return e.Number, true
	}
	return "", false
}

// TestExtractionAgreesWithThePublishedExpressions compares, for every example, every parameter's index words with the naive ones.
func TestExtractionAgreesWithThePublishedExpressions(t *testing.T) {
	type definition struct {
		Code, Type, Expression string
		Base                   []string
	}
	defs := map[string][]definition{}
	corpus(t, r4Examples, func(name string, body []byte) {
		if !strings.HasPrefix(name, "SearchParameter-") {
			return
		}
		var p definition
		if json.Unmarshal(body, &p) != nil || p.Expression == "" || p.Type == "composite" || p.Type == "date" || p.Type == "special" ||
			strings.Contains(p.Expression, "[0]") || strings.Contains(p.Expression, ".exists()") {
			return
		}
		for _, b := range p.Base {
			defs[b] = append(defs[b], p)
		}
	})
	var d tape.Doc
	c := fhir.Checker{Extract: true}
	compared, values := 0, 0
	compare := func(file string, body []byte) {
		if wrong[file] != "" || d.Parse(body, tape.Limits{}) != nil {
			return
		}
		r, issues := c.Check(&d, 0, "")
		if len(issues) > 0 {
			t.Fatalf("%s: %v", file, issues)
		}
		got := map[string]map[string]bool{}
		for _, e := range r.Entries {
			if w, ok := entryWord(e); ok {
				if got[e.Param.Code] == nil {
					got[e.Param.Code] = map[string]bool{}
				}
				got[e.Param.Code][w] = true
			}
		}
		dec := json.NewDecoder(strings.NewReader(string(body)))
		dec.UseNumber()
		var resource map[string]any
		if err := dec.Decode(&resource); err != nil {
			t.Fatal(err)
		}
		want := map[string]map[string]bool{}
		for _, p := range defs[r.Type] {
			for _, f := range (naive{resource}).eval(p.Expression) {
				for _, w := range words(p.Type, f) {
					if want[p.Code] == nil {
						want[p.Code] = map[string]bool{}
					}
					want[p.Code][w] = true
				}
			}
		}
		for _, p := range defs[r.Type] {
			compared++
			for w := range want[p.Code] {
				values++
				if !got[p.Code][w] {
					t.Errorf("%s: %s %s lacks %q", file, p.Code, p.Type, w)
				}
			}
			for w := range got[p.Code] {
				if !want[p.Code][w] && p.Type != "date" {
					t.Errorf("%s: %s %s has %q, which %s does not find", file, p.Code, p.Type, w, p.Expression)
				}
			}
		}
	}
	n := 0
	corpus(t, r4Examples, func(file string, body []byte) { compare(file, body) })
	corpus(t, synthea, func(file string, body []byte) {
		if n++; n%10 != 0 {
			return
		}
		var b struct {
			Entry []struct{ Resource json.RawMessage }
		}
		if err := json.Unmarshal(body, &b); err != nil {
			t.Fatal(err)
		}
		for _, e := range b.Entry {
			compare(file, e.Resource)
		}
	})
	t.Logf("%d parameters of resources compared, %d values", compared, values)
}
