// Package leak sends marked clinical values through every operation and route of the real binary, right and wrong, and looks for them where they must not be: the logs,
// answers to other callers, delivered events, the audit log, metrics, traces and every file of the data folder.
//
// Marked are what tells of a patient: names, record numbers, notes, DICOM attributes, names of reads and samples, transcripts, tags, free text. Not marked are the names
// that a contract puts into ARNs or events (buckets, keys of objects, users, roles, rules, data stores, jobs) and well-formed ids of FHIR resources and DICOM objects: the audit log
// and policies must say what was used, and the documentation tells operators not to make such names out of patients' data.
package leak
