// Package fhir is FHIR R4 (4.0.1) as bytes in, values out.
//
// It owns the R4 definitions (types, elements, cardinalities, required code sets, search parameters) as tables generated from HL7's
// files, one walk over a parsed document that checks its structure and collects its search index entries, search requests as typed
// queries, Bundles read and written by splicing bytes, OperationOutcome and CapabilityStatement, and the partial dates of FHIR as spans.
//
// It promises: a resource that passes Check keeps every byte it came with (only meta.versionId and meta.lastUpdated are ever spliced in);
// decimals stay text until they are compared; every issue names the element by its FHIRPath expression and holds no value of the resource;
// all input is bounded in size, depth and number of issues.
//
// It never stores, never fetches, and knows nothing of AWS or of our services.
package fhir

//go:generate go run ./gen -definitions ../../../shared/data/fhir/hl7.fhir.r4-4.0.1.tar.gz -out tables
