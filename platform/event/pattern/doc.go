// Package pattern is the EventBridge event pattern language: a JSON document that says which events a rule takes.
//
// Operators: exact values, prefix, suffix, equals-ignore-case, anything-but, numeric, cidr, exists, wildcard and $or. A pattern is compiled
// once and then matched without looking at its text again. Fields of one pattern object must hold within one element of an event's array
// of objects; a leaf matches an array when one of its elements matches. Where keys repeat, the last one counts.
//
// Bad patterns are errs.Invalid named InvalidEventPatternException. Source: EventBridge user guide, "Comparison operators for use in event
// patterns".
package pattern
