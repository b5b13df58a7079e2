// Package tape parses JSON strictly into a flat array of nodes that point into the source bytes.
//
// Nothing is decoded or copied while parsing: numbers keep their text (FHIR decimals keep their precision), and every value has its byte
// offsets, so that a document can be cut and spliced without writing it again. Strict means RFC 8259 and more: UTF-8 only, no
// duplicate keys within an object, no unpaired surrogates, nothing after the value.
//
// Bounds: document size (Limits.Bytes), nesting (Limits.Depth) and nodes (Limits.Nodes).
package tape
