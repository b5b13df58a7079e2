package fhir

import (
	"encoding/json"
	"time"
)

// Capability says what a server offers beyond the definitions; CapabilityStatement fills in the rest.
type Capability struct {
	URL, Software, Version string
	Date                   time.Time
	Resources              []string            // nil = all of R4
	Interactions           []string            // of every resource: "read", "vread", …
	SystemInteractions     []string            // "transaction", "batch", …
	Operations             map[string][]string // resource type → its operations, without the $; "" = of every type
	SMART                  *SMARTEndpoints
}

// SMARTEndpoints are announced when the server takes bearer tokens.
type SMARTEndpoints struct{ Authorize, Token string }

type object = map[string]any

// operationDefinitions are where R4 defines the operations that a Capability may name.
var operationDefinitions = map[string]string{
	"validate":   "http://hl7.org/fhir/OperationDefinition/Resource-validate",
	"everything": "http://hl7.org/fhir/OperationDefinition/Patient-everything",
}

// CapabilityStatement writes the statement of a server (R4 http "capabilities").
func CapabilityStatement(c Capability) []byte {
	codes := func(names []string) []object {
		var out []object
		for _, n := range names {
			out = append(out, object{"code": n})
		}
		return out
	}
	types := c.Resources
	if types == nil {
		types = ResourceTypes()
	}
	var resources []object
	for _, t := range types {
		var params []object
		include := []string{"*"}
		for _, p := range Params(t) {
			params = append(params, object{"name": p.Code, "type": string(p.Type)})
			if p.Type == ReferenceParam {
				include = append(include, t+":"+p.Code)
			}
		}
		var operations []object
		for _, list := range [][]string{c.Operations[""], c.Operations[t]} {
			for _, op := range list {
				operations = append(operations, object{"name": op, "definition": operationDefinitions[op]})
			}
		}
		r := object{
			"type": t, "interaction": codes(c.Interactions), "versioning": "versioned-update", "readHistory": true, "updateCreate": true,
			"conditionalCreate": true, "conditionalRead": "full-support", "conditionalUpdate": true, "conditionalDelete": "single",
			"referencePolicy": []string{"literal", "logical", "local"}, "searchInclude": include, "searchParam": params,
		}
		if operations != nil {
			r["operation"] = operations
		}
		resources = append(resources, r)
	}
	rest := object{"mode": "server", "resource": resources, "interaction": codes(c.SystemInteractions)}
	if c.SMART != nil {
		rest["security"] = object{
			"service": []object{{"coding": []object{{"system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "SMART-on-FHIR"}}}},
			"extension": []object{{"url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris", "extension": []object{
				{"url": "authorize", "valueUri": c.SMART.Authorize}, {"url": "token", "valueUri": c.SMART.Token}}}},
		}
	}
	b, err := json.Marshal(object{
		"resourceType": "CapabilityStatement", "status": "active", "date": FormatInstant(c.Date), "kind": "instance", "fhirVersion": "4.0.1",
		"format": []string{"json", "application/fhir+json"}, "software": object{"name": c.Software, "version": c.Version},
		"implementation": object{"description": c.Software, "url": c.URL}, "rest": []object{rest},
	})
	if err != nil {
		panic(err) // strings and maps of them: cannot fail
	}
	return b
}
