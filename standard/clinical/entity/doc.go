// Package entity finds what a clinical text speaks of: conditions, medicines, tests, treatments, anatomy, social history, times, identifiers;
// each with its attributes (dose, value, site, acuity …) and traits (negated, a symptom, of a relative …).
//
// The words for categories, types, relations and traits are those of Amazon Comprehend Medical, so that the contract needs no translation. Found
// are terms of the lexicon, what the tagger learned (chemicals, diseases), dosing spans and patterns; of overlapping candidates the longest wins,
// then the surer. Attributes join the nearest entity that can bear them within their sentence.
//
// Invariants: Text is the source between Begin and End (bytes, on character boundaries); entities come in order and do not overlap, save that a
// site of a condition is also an entity of its own; scores lie in (0, 1]. Scores order candidates by how sure the method is: they come from fixed
// tables and the tagger's margin, they are not calibrated probabilities.
package entity
