// Package smart reads SMART on FHIR scopes and says them as an IAM session policy, so that one evaluator decides on tokens and on access keys alike.
//
// A scope only narrows: it is the session policy of a role's session, and what the role may not do no scope gives. Only scopes that can be enforced
// whole are granted: patient/ scopes (they need a launch context), scopes with search parameters and launch scopes are left out, so a token that holds
// nothing else allows nothing.
//
// Standard: SMART App Launch 2.2, "Scopes and Launch Context"; the v1 forms read, write and * are taken too.
package smart

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/galen-health/galen/standard/fhir"
)

// MaxScopes bounds the scopes of one token.
const MaxScopes = 400

// Scope is one clinical scope.
type Scope struct {
	Level        string // "system" or "user"
	Type         string // a resource type, or "*"
	Interactions string // a part of "cruds", in this order
}

// String is the scope in the form of version 2.
func (s Scope) String() string { return s.Level + "/" + s.Type + "." + s.Interactions }

// Parse reads a space-separated list. clinical reports whether it names any FHIR scope at all, granted or not: a token with such scopes is narrowed by them,
// even to nothing.
func Parse(list string) (granted []Scope, clinical bool) {
	fields := strings.Fields(list)
	for i, text := range fields {
		level, rest, ok := strings.Cut(text, "/")
		if !ok || level != "system" && level != "user" && level != "patient" {
			continue
		}
		clinical = true
		if i >= MaxScopes {
			continue
		}
		if s, ok := one(level, rest); ok && !slices.Contains(granted, s) {
			granted = append(granted, s)
		}
	}
	return granted, clinical
}

func one(level, rest string) (Scope, bool) {
	typ, letters, ok := strings.Cut(rest, ".")
	if !ok || level == "patient" || typ != "*" && !fhir.IsResourceType(typ) {
		return Scope{}, false
	}
	switch letters {
	case "read":
		letters = "rs"
	case "write":
		letters = "cud"
	case "*":
		letters = "cruds"
	}
	at := -1
	for _, l := range letters { // each once and in order, as the standard says
		i := strings.IndexRune("cruds", l)
		if i <= at {
			return Scope{}, false
		}
		at = i
	}
	return Scope{level, typ, letters}, letters != ""
}

// Text joins scopes as a token response says them.
func Text(scopes []Scope) string {
	out := make([]string, len(scopes))
	for i, s := range scopes {
		out[i] = s.String()
	}
	return strings.Join(out, " ")
}

// Within keeps of the scopes asked for what the allowed ones cover, letter by letter.
func Within(asked, allowed []Scope) (out []Scope) {
	for _, a := range asked {
		var letters strings.Builder
		for _, l := range a.Interactions {
			if slices.ContainsFunc(allowed, func(b Scope) bool {
				return b.Level == a.Level && (b.Type == "*" || b.Type == a.Type) && strings.ContainsRune(b.Interactions, l)
			}) {
				letters.WriteRune(l)
			}
		}
		if letters.Len() > 0 {
			out = append(out, Scope{a.Level, a.Type, letters.String()})
		}
	}
	return out
}

// Actions of HealthLake and HealthImaging that each letter gives.
var (
	fhirActions = map[rune][]string{
		'c': {"CreateResource", "ValidateResource"},
		'r': {"ReadResource", "VersionReadResource", "GetHistoryByResourceId"},
		'u': {"UpdateResource", "PatchResource", "ValidateResource"},
		'd': {"DeleteResource"},
		's': {"SearchWithGet", "SearchWithPost", "SearchEverything", "GetHistoryByResourceId"},
	}
	imagingActions = map[rune][]string{
		'c': {"StoreDICOM", "StoreDICOMStudy"},
		'r': {"GetDICOMInstance", "GetDICOMInstanceFrames", "GetDICOMInstanceMetadata", "GetDICOMSeriesMetadata", "GetDICOMBulkdata"}, // not GetDICOMImportJob
		's': {"SearchDICOMStudies", "SearchDICOMSeries", "SearchDICOMInstances"},
	}
	// exportActions need reading and searching of every type.
	exportActions = []string{"StartFHIRExportJobWithGet", "StartFHIRExportJobWithPost", "DescribeFHIRExportJobWithGet", "CancelFHIRExportJobWithDelete", "GetExportedFile"}
)

type statement struct {
	Sid       string
	Effect    string
	Action    []string
	Resource  string
	Condition map[string]map[string][]string `json:",omitempty"`
}

// Policy is the session policy of a token with these scopes. Imaging studies are the DICOM objects: a scope on ImagingStudy, or on every type, is one on
// DICOMweb too.
func Policy(scopes []Scope) string {
	all := statement{Sid: "EveryToken", Effect: "Allow", Action: []string{"healthlake:GetCapabilities"}, Resource: "*"}
	if len(scopes) > 0 {
		all.Action = append(all.Action, "healthlake:ProcessBundle") // what is in the Bundle is decided entry by entry
	}
	types := map[rune][]string{}
	for _, s := range scopes {
		for _, l := range s.Interactions {
			types[l] = append(types[l], s.Type)
		}
	}
	out := []statement{all}
	everything := 0
	for _, l := range "cruds" {
		list := types[l]
		if len(list) == 0 {
			continue
		}
		st := statement{Sid: "Fhir" + strings.ToUpper(string(l)), Effect: "Allow", Action: prefixed("healthlake:", fhirActions[l]), Resource: "*"}
		whole := slices.Contains(list, "*")
		if !whole {
			st.Condition = map[string]map[string][]string{"StringEquals": {"healthlake:ResourceType": slices.Compact(slices.Sorted(slices.Values(list)))}}
		} else if l == 'r' || l == 's' {
			everything++
		}
		out = append(out, st)
		if actions := imagingActions[l]; actions != nil && (whole || slices.Contains(list, "ImagingStudy")) {
			out = append(out, statement{Sid: "Imaging" + strings.ToUpper(string(l)), Effect: "Allow", Action: prefixed("medical-imaging:", actions), Resource: "*"})
		}
	}
	if everything == 2 {
		out = append(out, statement{Sid: "Export", Effect: "Allow", Action: prefixed("healthlake:", exportActions), Resource: "*"})
	}
	b, _ := json.Marshal(struct { // strings only: it cannot fail
		Version   string
		Statement []statement
	}{"2012-10-17", out})
	return string(b)
}

func prefixed(prefix string, names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = prefix + n
	}
	return out
}
