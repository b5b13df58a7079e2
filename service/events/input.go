package events

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"time"

	api "github.com/galen-health/galen/aws/events"
)

// checkInput refuses inputs that cannot be made.
func checkInput(t *api.Target) error {
	n := 0
	for _, is := range []bool{t.Input != "", t.InputPath != "", t.InputTransformer != nil} {
		if is {
			n++
		}
	}
	if n > 1 {
		return invalid("Only one of Input, InputPath and InputTransformer can be provided (target %s).", t.Id)
	}
	if t.Input != "" && !json.Valid([]byte(t.Input)) {
		return invalid("Input of target %s is not valid JSON.", t.Id)
	}
	if t.InputPath != "" {
		if _, ok := parsePath(t.InputPath); !ok {
			return invalid("InputPath of target %s is not a path like $.detail.name.", t.Id)
		}
	}
	if x := t.InputTransformer; x != nil {
		if x.InputTemplate == "" {
			return invalid("InputTemplate of target %s is empty.", t.Id)
		}
		for name, path := range x.InputPathsMap {
			if strings.HasPrefix(strings.ToLower(name), "aws") {
				return invalid("A variable of target %s begins with AWS, which is reserved.", t.Id)
			}
			if _, ok := parsePath(path); !ok || !variableName.MatchString(name) {
				return invalid("InputPathsMap of target %s has a malformed variable or path.", t.Id)
			}
		}
	}
	return nil
}

// step is one step of a path: a member or an index.
type step struct {
	name  string
	index int // −1 for a member
}

var pathStep = regexp.MustCompile(`^(?:\.([A-Za-z0-9_\-]+)|\[(\d{1,6})\]|\['([^'\]]+)'\])`)

// parsePath reads the JSONPath subset of EventBridge: $, .member, ['member'], [index].
func parsePath(s string) (steps []step, ok bool) {
	rest, ok := strings.CutPrefix(s, "$")
	for ok && rest != "" {
		m := pathStep.FindStringSubmatch(rest)
		if m == nil {
			return nil, false
		}
		st := step{name: m[1] + m[3], index: -1}
		if m[2] != "" {
			st.index, _ = strconv.Atoi(m[2])
		}
		steps = append(steps, st)
		rest = rest[len(m[0]):]
	}
	return steps, ok
}

// walk finds what a path points to, as JSON.
func walk(v any, steps []step) (json.RawMessage, bool) {
	for _, st := range steps {
		switch x := v.(type) {
		case map[string]any:
			var ok bool
			if v, ok = x[st.name]; !ok || st.index >= 0 {
				return nil, false
			}
		case []any:
			if st.index < 0 || st.index >= len(x) {
				return nil, false
			}
			v = x[st.index]
		default:
			return nil, false
		}
	}
	return encode(v), true
}

// encode writes JSON without HTML escapes: what is delivered reads as it came.
func encode(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return json.RawMessage("null") // v was decoded from JSON, so it can be encoded
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// inputOf makes what a target is sent for an event (the JSON envelope). isJSON is false when a template made plain text.
func inputOf(t *api.Target, envelope []byte, ruleName, ruleARN string, ingested time.Time) (body []byte, isJSON bool) {
	switch {
	case t.Input != "":
		return []byte(t.Input), true
	case t.InputPath == "" && t.InputTransformer == nil:
		return envelope, true
	}
	d := json.NewDecoder(bytes.NewReader(envelope))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return envelope, true
	}
	if t.InputPath != "" {
		steps, _ := parsePath(t.InputPath)
		if out, ok := walk(v, steps); ok {
			return out, true
		}
		return []byte("null"), true
	}
	vars := map[string]json.RawMessage{
		"aws.events.rule-arn":             encode(ruleARN),
		"aws.events.rule-name":            encode(ruleName),
		"aws.events.event.ingestion-time": encode(ingested.UTC().Format("2006-01-02T15:04:05Z")),
		"aws.events.event.json":           envelope,
	}
	if m, ok := v.(map[string]any); ok { // without its detail
		short := map[string]any{}
		for k, x := range m {
			if k != "detail" {
				short[k] = x
			}
		}
		vars["aws.events.event"] = encode(short)
	}
	for name, path := range t.InputTransformer.InputPathsMap {
		steps, _ := parsePath(path)
		if x, ok := walk(v, steps); ok {
			vars[name] = x
		}
	}
	out := fill(t.InputTransformer.InputTemplate, vars)
	return out, json.Valid(out)
}

var (
	variableName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	placeholder  = regexp.MustCompile(`<([A-Za-z0-9_.-]+)>`)
)

// fill puts variables into a template. Within quotes a value stands as text (a string without its own quotes, anything else as escaped
// JSON); outside of them it stands as JSON. A variable that the event has no value for is null, or nothing within quotes.
func fill(template string, vars map[string]json.RawMessage) []byte {
	var out bytes.Buffer
	quoted, last := false, 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(template, -1) {
		text := template[last:m[0]]
		for i := 0; i < len(text); i++ {
			if text[i] == '\\' {
				i++
			} else if text[i] == '"' {
				quoted = !quoted
			}
		}
		out.WriteString(text)
		last = m[1]
		v, ok := vars[template[m[2]:m[3]]]
		switch {
		case !quoted && ok:
			out.Write(v)
		case !quoted:
			out.WriteString("null")
		case ok && v[0] == '"':
			out.Write(v[1 : len(v)-1])
		case ok:
			q := encode(string(v))
			out.Write(q[1 : len(q)-1])
		}
	}
	out.WriteString(template[last:])
	return out.Bytes()
}
