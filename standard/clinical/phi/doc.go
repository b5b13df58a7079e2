// Package phi finds what identifies a person in clinical text: names, ages, dates, addresses, telephone numbers, addresses of mail and web,
// identifiers, professions.
//
// It works by forms, context and lists, so it errs towards marking. Spans come in order, do not overlap, and begin and end at characters.
package phi
