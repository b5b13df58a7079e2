package aws

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
)

type (
	object = map[string]any
	traits map[string]json.RawMessage
	named  struct{ Target string }
)

// smithyShape is a shape of a Smithy 2.0 JSON model, as far as it is read here.
type smithyShape struct {
	Type    string
	Members map[string]struct {
		Target string
		Traits traits
	}
	Member, Key, Value *named
	Input, Output      *named
	Errors             []named
	Traits             traits
	Version            string
}

// fromSmithy turns a Smithy 2.0 JSON model (restJson1, as Transcribe Streaming publishes) into botocore's form, so that everything else reads one form.
func fromSmithy(b []byte) ([]byte, error) {
	var in struct{ Shapes map[string]smithyShape }
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, err
	}
	shapes, operations := object{}, object{}
	for name, kind := range map[string]string{"String": "string", "Integer": "integer", "Boolean": "boolean", "Double": "double", "Float": "float", "Long": "long", "Timestamp": "timestamp",
		"Blob": "blob", "PrimitiveBoolean": "boolean", "PrimitiveInteger": "integer", "PrimitiveDouble": "double"} {
		shapes["Smithy"+name] = object{"type": kind}
	}
	version := ""
	for id, s := range in.Shapes {
		var err error
		name := local(id)
		switch s.Type {
		case "service":
			version = s.Version
		case "operation":
			operations[name], err = s.operation(name)
		default:
			shapes[name], err = s.shape()
		}
		if err != nil {
			return nil, err
		}
	}
	return json.Marshal(object{
		"metadata":   object{"apiVersion": version, "endpointPrefix": "transcribestreaming", "protocols": []string{"rest-json"}, "signingName": "transcribe", "serviceId": "Transcribe Streaming"},
		"operations": operations, "shapes": shapes})
}

// local is the name of a shape without its namespace.
func local(id string) string { return id[strings.IndexByte(id, '#')+1:] }

// target is the name that a shape has here; those of Smithy's prelude are kept apart.
func (n named) target() string {
	if strings.HasPrefix(n.Target, "smithy.api#") {
		return "Smithy" + local(n.Target)
	}
	return local(n.Target)
}

// text is a trait that is a string; one of another type, or none, is "".
func (t traits) text(name string) (s string) {
	_ = json.Unmarshal(t["smithy.api#"+name], &s)
	return s
}

func (t traits) has(name string) bool { _, ok := t["smithy.api#"+name]; return ok }

func (s *smithyShape) operation(name string) (object, error) {
	var http struct {
		Method, URI string
		Code        int
	}
	if err := json.Unmarshal(s.Traits["smithy.api#http"], &http); err != nil {
		return nil, fmt.Errorf("operation %s has no HTTP binding", name)
	}
	op := object{"name": name, "http": object{"method": http.Method, "requestUri": http.URI, "responseCode": http.Code}}
	if s.Input != nil && !strings.HasSuffix(s.Input.Target, "#Unit") {
		op["input"] = object{"shape": local(s.Input.Target)}
	}
	if s.Output != nil && !strings.HasSuffix(s.Output.Target, "#Unit") {
		op["output"] = object{"shape": local(s.Output.Target)}
	}
	var errors []object
	for _, e := range s.Errors {
		errors = append(errors, object{"shape": local(e.Target)})
	}
	op["errors"] = errors
	return op, nil
}

func (s *smithyShape) shape() (object, error) {
	out := object{"type": s.Type}
	switch s.Type {
	case "enum":
		out["type"], out["enum"] = "string", s.values()
	case "list":
		out["member"] = object{"shape": s.Member.target()}
	case "map":
		out["key"], out["value"] = object{"shape": s.Key.target()}, object{"shape": s.Value.target()}
	case "structure", "union":
		if err := s.structure(out); err != nil {
			return nil, err
		}
	}
	if s.Type == "blob" && s.Traits.has("streaming") {
		out["streaming"] = true
	}
	return out, s.constraints(out)
}

// values of an enum, sorted.
func (s *smithyShape) values() (out []string) {
	for m, d := range s.Members {
		if v := d.Traits.text("enumValue"); v != "" {
			m = v
		}
		out = append(out, m)
	}
	sort.Strings(out)
	return out
}

// structure adds what a structure, a union, an error or a stream of events has: members in the order of their names, with their HTTP bindings.
func (s *smithyShape) structure(out object) error {
	out["type"] = "structure"
	switch {
	case s.Type == "union" && s.Traits.has("streaming"):
		out["eventstream"] = true
	case s.Type == "union":
		out["union"] = true
	}
	var names, required, ordered []string
	for m := range s.Members {
		names = append(names, m)
	}
	sort.Strings(names)
	for _, m := range names {
		d := s.Members[m]
		ref := object{"shape": named{d.Target}.target()}
		if d.Traits.has("required") {
			required = append(required, m)
		}
		if h := d.Traits.text("httpHeader"); h != "" {
			ref["location"], ref["locationName"] = "header", h
		}
		if q := d.Traits.text("httpQuery"); q != "" {
			ref["location"], ref["locationName"] = "querystring", q
		}
		if d.Traits.has("httpLabel") {
			ref["location"], ref["locationName"] = "uri", m
		}
		if d.Traits.has("httpPayload") {
			out["payload"] = m
		}
		if d.Traits.has("eventPayload") {
			ref["eventpayload"] = true
		}
		raw, err := json.Marshal(ref)
		if err != nil {
			return err
		}
		ordered = append(ordered, fmt.Sprintf("%q:%s", m, raw))
	}
	out["members"], out["required"] = json.RawMessage("{"+strings.Join(ordered, ",")+"}"), required
	if kind := s.Traits.text("error"); kind != "" {
		status := 0
		_ = json.Unmarshal(s.Traits["smithy.api#httpError"], &status) // absent = 0
		out["exception"], out["error"] = true, object{"httpStatusCode": status, "senderFault": kind == "client"}
	}
	return nil
}

// constraints adds the bounds and the pattern of a shape's values.
func (s *smithyShape) constraints(out object) error {
	var length struct{ Min, Max *float64 }
	for _, t := range []string{"smithy.api#length", "smithy.api#range"} {
		if raw, ok := s.Traits[t]; ok {
			if err := json.Unmarshal(raw, &length); err != nil {
				return err
			}
		}
	}
	if length.Min != nil {
		out["min"] = *length.Min
	}
	if length.Max != nil {
		out["max"] = *length.Max
	}
	if p := s.Traits.text("pattern"); p != "" {
		out["pattern"] = p
	}
	return nil
}
