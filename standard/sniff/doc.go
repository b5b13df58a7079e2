// Package sniff says what a health-data file is by its content alone: names and extensions are never looked at.
//
// It recognises the documents that Galen's services own (FHIR, HL7 v2, C-CDA, DICOM, sequence and variant formats, workflow definitions, audio
// and transcripts), looks inside gzip and BGZF, and checks structure beyond magic numbers so that look-alikes are told apart. It reads at most
// Limit bytes of a file, expands at most Limit bytes of a compressed one, keeps nothing and never fails: what it does not know is None, with the
// reason.
package sniff
