package sniff

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

var dicomTag = regexp.MustCompile(`^[0-9A-Fa-f]{8}$`)

// top is what the first levels of a JSON document say.
type top struct {
	keys     map[string]json.Token // scalar value of each top-level key; nil for objects and arrays
	second   map[string]bool       // "key.sub" of object values
	complete bool                  // the object was closed
	rest     []byte                // what follows it
	err      error
}

// readTop walks one JSON object and remembers its first two levels.
func readTop(b []byte) top {
	t := top{keys: map[string]json.Token{}, second: map[string]bool{}}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	depth, key, wantKey := 0, "", false
	for {
		tok, err := dec.Token()
		if err != nil {
			t.err = err
			return t
		}
		if d, ok := tok.(json.Delim); ok {
			switch d {
			case '{', '[':
				if depth == 0 && d == '[' {
					t.err = fmt.Errorf("an array")
					return t
				}
				if depth == 1 {
					t.keys[key] = nil
				}
				depth++
				wantKey = d == '{'
				if depth > 2 || d == '[' {
					if err := skip(dec); err != nil {
						t.err = err
						return t
					}
					depth--
					wantKey = true
				}
			default:
				depth--
				wantKey = true
				if depth == 0 {
					t.complete = true
					t.rest = b[dec.InputOffset():]
					return t
				}
			}
			continue
		}
		if wantKey {
			sub, _ := tok.(string)
			if depth == 1 {
				key = sub
			} else {
				t.second[key+"."+sub] = true
			}
			wantKey = false
			continue
		}
		if depth == 1 {
			t.keys[key] = tok
		}
		wantKey = true
	}
}

// skip reads to the end of the array or object that was just opened.
func skip(dec *json.Decoder) error {
	for depth := 1; depth > 0; {
		tok, err := dec.Token()
		if err != nil {
			return err
		}
		if d, ok := tok.(json.Delim); ok {
			if d == '{' || d == '[' {
				depth++
			} else {
				depth--
			}
		}
	}
	return nil
}

func jsonDocument(b []byte, whole bool) Verdict {
	if b[0] == '[' {
		return jsonArray(b)
	}
	t := readTop(b)
	if t.err != nil && !(len(t.keys) > 0 && (!whole || looksCut(t.err))) {
		if len(t.keys) == 0 {
			if v, ok := nextflow(b); ok {
				return v
			}
			return none("begins like JSON, but is not")
		}
		if v, ok := cwlYAML(b); ok { // YAML in flow style looks like JSON for a while
			return v
		}
		return none("JSON that breaks off or is damaged: %s", t.summary())
	}
	v := t.judge()
	if !t.complete && whole {
		if v.Kind != None {
			return none("begins like %s, but the JSON ends before it is closed", v.Kind)
		}
		return none("JSON that ends before it is closed")
	}
	rest := bytes.TrimLeft(t.rest, " \t\r\n")
	if len(rest) == 0 || !t.complete {
		return v
	}
	// More than one value: lines of JSON.
	if v.Kind != FHIRJSON {
		return none("several JSON values, the first of which is not a FHIR resource")
	}
	if !bytes.ContainsAny(t.rest[:len(t.rest)-len(rest)], "\n") {
		return none("a FHIR resource with something else on the same line")
	}
	second := readTop(rest)
	if second.complete && second.judge().Kind != FHIRJSON {
		return none("lines of JSON, the second of which is not a FHIR resource")
	}
	if !second.complete && whole {
		return none("lines of FHIR JSON, the second of which is damaged")
	}
	v.Kind = FHIRNDJSON
	v.Reason = "one FHIR resource a line, the first a " + v.Detail
	return v
}

func looksCut(err error) bool { return strings.Contains(err.Error(), "EOF") }

func (t top) summary() string {
	if len(t.keys) == 0 {
		return "no member could be read"
	}
	return fmt.Sprintf("%d members could be read", len(t.keys))
}

// judge decides by the members of the object.
func (t top) judge() Verdict {
	if rt, has := t.keys["resourceType"]; has {
		name, _ := rt.(string)
		if isResourceType(name) {
			return Verdict{Kind: FHIRJSON, Detail: name, Reason: "JSON with resourceType " + name}
		}
		return none("JSON with a resourceType that FHIR R4 does not define")
	}
	if _, ok := t.keys["cwlVersion"]; ok {
		return cwlVerdict(fmt.Sprint(t.keys["cwlVersion"]), t.has("class") || t.has("$graph"))
	}
	switch {
	case t.second["Conversation.TranscriptSegments"]:
		return Verdict{Kind: Transcript, Detail: "HealthScribe", Reason: "JSON with Conversation.TranscriptSegments"}
	case t.has("results") && (t.second["results.transcripts"] || t.second["results.items"]):
		return Verdict{Kind: Transcript, Detail: "Transcribe", Reason: "JSON with results.transcripts"}
	case t.second["ClinicalDocumentation.Sections"]:
		return Verdict{Kind: Note, Detail: "HealthScribe", Reason: "JSON with ClinicalDocumentation.Sections"}
	}
	if t.dicom() {
		return Verdict{Kind: DICOMJSON, Reason: "JSON whose members are DICOM tags"}
	}
	return none("JSON, but neither a FHIR resource nor any other known document")
}

func (t top) has(key string) bool { _, ok := t.keys[key]; return ok }

// dicom: every member is a tag and each has a vr (PS3.18 §F.2).
func (t top) dicom() bool {
	for k := range t.keys {
		if !dicomTag.MatchString(k) || !t.second[k+".vr"] {
			return false
		}
	}
	return len(t.keys) > 0
}

func jsonArray(b []byte) Verdict {
	inner := bytes.TrimLeft(b[1:], " \t\r\n")
	if len(inner) == 0 || inner[0] != '{' {
		return none("a JSON array of no known kind")
	}
	t := readTop(inner)
	if t.complete && t.dicom() {
		return Verdict{Kind: DICOMJSON, Reason: "a JSON array of objects whose members are DICOM tags"}
	}
	if t.has("resourceType") {
		return none("a JSON array of resources: FHIR has no such form, use a Bundle or one resource a line")
	}
	return none("a JSON array of no known kind")
}
