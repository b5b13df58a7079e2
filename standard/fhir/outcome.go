package fhir

import (
	"encoding/json"
	"strings"
)

// Issue is one entry of an OperationOutcome. Code is from R4's issue-type value set.
type Issue struct {
	Severity    string `json:"severity"` // fatal, error, warning, information
	Code        string `json:"code"`
	Diagnostics string `json:"-"`
	Expression  string `json:"-"`
}

// Outcome writes an OperationOutcome.
func Outcome(issues ...Issue) []byte {
	type issue struct {
		Issue
		Diagnostics string   `json:"diagnostics,omitempty"`
		Expression  []string `json:"expression,omitempty"`
	}
	out := struct {
		ResourceType string  `json:"resourceType"`
		Issue        []issue `json:"issue"`
	}{ResourceType: "OperationOutcome"}
	if len(issues) == 0 {
		issues = []Issue{{Severity: "information", Code: "informational", Diagnostics: "no issues were found"}}
	}
	for _, i := range issues {
		o := issue{Issue: i, Diagnostics: i.Diagnostics}
		if i.Expression != "" {
			o.Expression = []string{i.Expression}
		}
		out.Issue = append(out.Issue, o)
	}
	b, err := json.Marshal(out)
	if err != nil {
		panic(err) // strings only: cannot fail
	}
	return b
}

// Issues are a failure with more than one reason; as an error they read as one line.
type Issues []Issue

func (l Issues) Error() string {
	var b strings.Builder
	for k, i := range l {
		if k > 0 {
			b.WriteString("; ")
		}
		if i.Expression != "" {
			b.WriteString(i.Expression + ": ")
		}
		b.WriteString(i.Diagnostics)
	}
	return b.String()
}
