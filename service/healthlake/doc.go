// Package healthlake is the HealthLake service: FHIR R4 data stores behind the AWS HealthLake API and the FHIR REST API.
//
// It owns the data stores, their FHIR resources with every version of them, and their import jobs. A data store's resources live in
// a record space of their own ("healthlake/<id>"), one record kind a resource type, encrypted under the store's key; deleting the store
// destroys both. What is said about stores and jobs lives in the space "healthlake".
//
// It promises: a resource that was acknowledged passed R4's structure check, is durable, and is found by every search parameter that
// R4 defines for its type; a transaction Bundle happens whole or not at all; each version ever acknowledged stays readable; every failure
// of the FHIR API is an OperationOutcome that names the element or parameter.
//
// It never keeps clinical content anywhere but in the store's space, and never reads another service's store: files come and go through
// the s3 contract, under the role that the caller passed.
package healthlake
