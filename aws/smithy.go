package aws

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
)

// fromSmithy turns a Smithy 2.0 JSON model (restJson1, as Transcribe Streaming publishes) into botocore's form, so that everything else reads one form.
func fromSmithy(b []byte) ([]byte, error) {
	var in struct {
		Shapes map[string]struct {
			Type    string
			Members map[string]struct {
				Target string
				Traits map[string]json.RawMessage
			}
			Member, Key, Value    *struct{ Target string }
			Input, Output         *struct{ Target string }
			Errors                []struct{ Target string }
			Traits                map[string]json.RawMessage
			Version               string
			Operations, Resources []struct{ Target string }
		}
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, err
	}
	local := func(id string) string { return id[strings.IndexByte(id, '#')+1:] }
	text := func(raw json.RawMessage) (s string) { _ = json.Unmarshal(raw, &s); return s } // a trait of another type is "" here
	type object = map[string]any
	shapes, operations := object{}, object{}
	prelude := map[string]string{"String": "string", "Integer": "integer", "Boolean": "boolean", "Double": "double", "Float": "float", "Long": "long", "Timestamp": "timestamp", "Blob": "blob",
		"PrimitiveBoolean": "boolean", "PrimitiveInteger": "integer", "PrimitiveDouble": "double"}
	for n, t := range prelude {
		shapes["Smithy"+n] = object{"type": t}
	}
	target := func(id string) string {
		if strings.HasPrefix(id, "smithy.api#") {
			return "Smithy" + local(id)
		}
		return local(id)
	}
	version := ""
	for id, s := range in.Shapes {
		name := local(id)
		switch s.Type {
		case "service":
			version = s.Version
			continue
		case "operation":
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
			operations[name] = op
			continue
		}
		out := object{"type": s.Type}
		_, streaming := s.Traits["smithy.api#streaming"]
		switch s.Type {
		case "enum":
			out["type"] = "string"
			var values []string
			for m, d := range s.Members {
				if v := text(d.Traits["smithy.api#enumValue"]); v != "" {
					m = v
				}
				values = append(values, m)
			}
			sort.Strings(values)
			out["enum"] = values
		case "list":
			out["member"] = object{"shape": target(s.Member.Target)}
		case "map":
			out["key"], out["value"] = object{"shape": target(s.Key.Target)}, object{"shape": target(s.Value.Target)}
		case "structure", "union":
			out["type"] = "structure"
			if s.Type == "union" {
				out[map[bool]string{true: "eventstream", false: "union"}[streaming]] = true
			}
			var names, required []string
			for m := range s.Members {
				names = append(names, m)
			}
			sort.Strings(names)
			ordered := make([]string, 0, len(names))
			for _, m := range names {
				d := s.Members[m]
				ref := object{"shape": target(d.Target)}
				if _, ok := d.Traits["smithy.api#required"]; ok {
					required = append(required, m)
				}
				if h := text(d.Traits["smithy.api#httpHeader"]); h != "" {
					ref["location"], ref["locationName"] = "header", h
				}
				if q := text(d.Traits["smithy.api#httpQuery"]); q != "" {
					ref["location"], ref["locationName"] = "querystring", q
				}
				if _, ok := d.Traits["smithy.api#httpLabel"]; ok {
					ref["location"], ref["locationName"] = "uri", m
				}
				if _, ok := d.Traits["smithy.api#httpPayload"]; ok {
					out["payload"] = m
				}
				if _, ok := d.Traits["smithy.api#eventPayload"]; ok {
					ref["eventpayload"] = true
				}
				raw, err := json.Marshal(ref)
				if err != nil {
					return nil, err
				}
				ordered = append(ordered, fmt.Sprintf("%q:%s", m, raw))
			}
			out["members"], out["required"] = json.RawMessage("{"+strings.Join(ordered, ",")+"}"), required
			if kind := text(s.Traits["smithy.api#error"]); kind != "" {
				status := 0
				_ = json.Unmarshal(s.Traits["smithy.api#httpError"], &status) // absent = 0
				out["exception"], out["error"] = true, object{"httpStatusCode": status, "senderFault": kind == "client"}
			}
		}
		var length struct{ Min, Max *float64 }
		for _, t := range []string{"smithy.api#length", "smithy.api#range"} {
			if raw, ok := s.Traits[t]; ok {
				if err := json.Unmarshal(raw, &length); err != nil {
					return nil, err
				}
			}
		}
		if length.Min != nil {
			out["min"] = *length.Min
		}
		if length.Max != nil {
			out["max"] = *length.Max
		}
		if p := text(s.Traits["smithy.api#pattern"]); p != "" {
			out["pattern"] = p
		}
		if streaming && s.Type == "blob" {
			out["streaming"] = true
		}
		shapes[name] = out
	}
	return json.Marshal(object{
		"metadata":   object{"apiVersion": version, "endpointPrefix": "transcribestreaming", "protocols": []string{"rest-json"}, "signingName": "transcribe", "serviceId": "Transcribe Streaming"},
		"operations": operations, "shapes": shapes})
}
