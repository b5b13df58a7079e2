package healthlake

import (
	"strings"

	"github.com/galen-health/galen/platform/audit"
)

// An auditEvent is an entry of the audit log as R4's AuditEvent, in the shape of IHE's Basic Audit Log Patterns: the user, the client and the server as agents, the resource as an
// entity. It has no meta.profile: the log does not keep what a search asked for, which the patterns of searches want.
type auditEvent struct {
	ResourceType string        `json:"resourceType"`
	ID           string        `json:"id"`
	Type         coding        `json:"type"`
	Subtype      []coding      `json:"subtype,omitempty"`
	Action       string        `json:"action"`
	Recorded     string        `json:"recorded"`
	Outcome      string        `json:"outcome"`
	OutcomeDesc  string        `json:"outcomeDesc,omitempty"`
	Agent        []auditAgent  `json:"agent"`
	Source       auditSource   `json:"source"`
	Entity       []auditEntity `json:"entity,omitempty"`
}

type coding struct {
	System  string `json:"system,omitempty"`
	Code    string `json:"code"`
	Display string `json:"display,omitempty"`
}

type concept struct {
	Coding []coding `json:"coding"`
}

type identifier struct {
	System string `json:"system,omitempty"`
	Value  string `json:"value"`
}

type auditReference struct {
	Reference  string      `json:"reference,omitempty"`
	Identifier *identifier `json:"identifier,omitempty"`
	Display    string      `json:"display,omitempty"`
}

type auditAgent struct {
	Type      *concept        `json:"type,omitempty"`
	Who       *auditReference `json:"who,omitempty"`
	AltID     string          `json:"altId,omitempty"`
	Name      string          `json:"name,omitempty"`
	Requestor bool            `json:"requestor"`
	Policy    []string        `json:"policy,omitempty"`
	Network   *auditNetwork   `json:"network,omitempty"`
}

type auditNetwork struct {
	Address string `json:"address"`
	Type    string `json:"type"`
}

type auditSource struct {
	Site     string         `json:"site"`
	Observer auditReference `json:"observer"`
	Type     []coding       `json:"type"`
}

type auditEntity struct {
	What   *auditReference `json:"what,omitempty"`
	Type   coding          `json:"type"`
	Role   *coding         `json:"role,omitempty"`
	Name   string          `json:"name,omitempty"`
	Detail []auditDetail   `json:"detail,omitempty"`
}

type auditDetail struct {
	Type  string `json:"type"`
	Value string `json:"valueString"`
}

// Code systems of AuditEvent's bindings in R4.
const (
	dicomSystem       = "http://dicom.nema.org/resources/ontology/DCM"
	eventTypeSystem   = "http://terminology.hl7.org/CodeSystem/audit-event-type"
	interactionSystem = "http://hl7.org/fhir/restful-interaction"
	entityTypeSystem  = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
	objectRoleSystem  = "http://terminology.hl7.org/CodeSystem/object-role"
	sourceTypeSystem  = "http://terminology.hl7.org/CodeSystem/security-source-type"
	// operationSystem are the names of operations and interactions as the log has them.
	operationSystem = "urn:galen:operation"
)

// fhirInteractions are R4's codes of the interactions; those of one URL with several meanings are decided by the resource's id.
var fhirInteractions = map[string]string{
	"ReadResource": "read", "VersionReadResource": "vread", "UpdateResource": "update", "PatchResource": "patch", "DeleteResource": "delete", "CreateResource": "create",
	"GetHistoryByResourceId": "history-instance", "GetHistory": "history-type", "SearchWithGet": "search-type", "SearchWithPost": "search-type", "GetCapabilities": "capabilities",
	"ProcessBundle": "batch", "SearchEverything": "operation", "ValidateResource": "operation",
}

// jobEvents are operations that DICOM's event ids name.
var jobEvents = map[string]coding{
	"StartFHIRImportJob": {dicomSystem, "110107", "Import"}, "StartFHIRExportJob": {dicomSystem, "110106", "Export"},
}

func auditEventOf(e *audit.Entry) *auditEvent {
	out := &auditEvent{ResourceType: "AuditEvent", ID: e.ID, Action: auditActionOf(e), Recorded: e.Time.UTC().Format("2006-01-02T15:04:05.000000Z"), Outcome: auditOutcome(e.Error), OutcomeDesc: e.Error,
		Source: auditSource{Site: e.Account + "/" + e.Region, Observer: auditReference{Display: "Galen"}, Type: []coding{{sourceTypeSystem, "4", "Application Server"}}}}
	interaction := fhirInteractions[e.Name]
	switch {
	case interaction != "":
		out.Type = coding{eventTypeSystem, "rest", "Restful Operation"}
		out.Subtype = append(out.Subtype, coding{System: interactionSystem, Code: interaction})
	case jobEvents[e.Name].Code != "":
		out.Type = jobEvents[e.Name]
	default:
		out.Type = coding{dicomSystem, "110100", "Application Activity"}
	}
	out.Subtype = append(out.Subtype, coding{System: operationSystem, Code: e.Name})
	out.agents(e)
	out.entities(e, out.Action == "E" && strings.HasPrefix(interaction, "search"))
	return out
}

func (a *auditEvent) agents(e *audit.Entry) {
	user := auditAgent{Requestor: true, AltID: e.AccessKeyID, Name: e.Username(), Who: &auditReference{Display: "anonymous"}}
	if e.Principal != "" {
		user.Who = &auditReference{Identifier: &identifier{System: "urn:ietf:rfc:3986", Value: e.Principal}}
		if !strings.HasPrefix(e.Principal, "arn:") {
			user.Who.Identifier.System = "" // no URI
		}
	}
	if strings.HasPrefix(e.Policy, "arn:") {
		user.Policy = []string{e.Policy}
	}
	// What is read flows from the server to the client; of a search the question does, the other way.
	client, server := coding{dicomSystem, "110153", "Source Role ID"}, coding{dicomSystem, "110152", "Destination Role ID"}
	if a.Action == "R" {
		client, server = server, client
	}
	a.Agent = []auditAgent{user}
	if e.SourceIP != "" && e.SourceIP != "invalid IP" {
		who := e.UserAgent
		if e.Via != "" {
			who = e.Via
		}
		if who == "" {
			who = e.SourceIP
		}
		a.Agent = append(a.Agent, auditAgent{Type: &concept{[]coding{client}}, Who: &auditReference{Display: who}, Network: &auditNetwork{e.SourceIP, "2"}})
	}
	a.Agent = append(a.Agent, auditAgent{Type: &concept{[]coding{server}}, Who: &auditReference{Display: "Galen"}})
}

func (a *auditEvent) entities(e *audit.Entry, query bool) {
	object := coding{entityTypeSystem, "2", "System Object"}
	details := []auditDetail{{"requestId", e.RequestID}, {"action", e.Action}}
	for _, d := range e.Decision() {
		details = append(details, auditDetail{d[0], d[1]})
	}
	switch typ := e.Parameters["resourceType"]; {
	case e.Entity() != "":
		one := auditEntity{What: &auditReference{Reference: e.Entity()}, Type: object, Role: &coding{objectRoleSystem, "4", "Domain Resource"}}
		if typ == "Patient" {
			one.Type, one.Role = coding{entityTypeSystem, "1", "Person"}, &coding{objectRoleSystem, "1", "Patient"}
		}
		a.Entity = append(a.Entity, one)
	case query && typ != "":
		a.Entity = append(a.Entity, auditEntity{Name: typ, Type: object, Role: &coding{objectRoleSystem, "24", "Query"}})
	}
	for _, r := range e.Resources {
		if strings.HasPrefix(r, "arn:") {
			a.Entity = append(a.Entity, auditEntity{What: &auditReference{Identifier: &identifier{"urn:ietf:rfc:3986", r}}, Type: object, Detail: details})
			details = nil // once is enough
		}
	}
}

// auditActionOf is R4's audit-event-action.
func auditActionOf(e *audit.Entry) string {
	for _, c := range []struct{ prefix, code string }{{"Search", "E"}, {"ProcessBundle", "E"}, {"Start", "E"}, {"Validate", "E"}, {"Create", "C"}, {"Update", "U"}, {"Patch", "U"}, {"Tag", "U"}, {"Untag", "U"}, {"Delete", "D"}} {
		if strings.HasPrefix(e.Name, c.prefix) {
			return c.code
		}
	}
	if e.ReadOnly {
		return "R"
	}
	return "E"
}

// auditOutcome is R4's audit-event-outcome: 0, the caller's fault 4, the server's 8.
func auditOutcome(failure string) string {
	switch {
	case failure == "":
		return "0"
	case strings.Contains(failure, "Internal"), strings.Contains(failure, "Unavailable"), strings.HasSuffix(failure, "Gateway Timeout"):
		return "8"
	}
	return "4"
}
