// Package linker makes one patient's record span the services: when an imaging study, a read set or a clinical note appears in a store that is linked to a FHIR data
// store, it writes the FHIR resources that point to it (ImagingStudy and Endpoint, DocumentReference, Composition and Provenance). Nothing is copied but what
// those resources are made to say.
//
// A store is linked by the tag galen:fhir-datastore, whose value is the data store's id. The linker subscribes to events, which come at least once; ids are
// made from what is linked, so writing twice writes the same, and a resource that says so already is not written again. It acts through the services' own
// contracts, as a principal of its own that the audit log names.
package linker
