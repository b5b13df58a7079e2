package fhir

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// EntryKind says which fields of an Entry count.
type EntryKind uint8

const (
	TokenEntry      EntryKind = iota // System, Code; Text is the display or text, for :text
	DateEntry                        // When
	StringEntry                      // Text, as written
	NumberEntry                      // Number (decimal text)
	QuantityEntry                    // Number, System, Code (unit code), Text (unit as printed)
	URIEntry                         // Text
	ReferenceEntry                   // System: resource type, Code: id, of a reference within the store
	URLEntry                         // Text: a reference to elsewhere, or a canonical with its |version
	IdentifierEntry                  // System, Code: the logical identifier of a reference
	CompositeEntry                   // Parts
)

// Entry is one value that a resource has for a search parameter.
type Entry struct {
	Param  *Param
	Kind   EntryKind
	System string
	Code   string
	Text   string
	Number string
	When   Span
	Parts  []Entry // one per component
}

// Fold makes text comparable as string search wants it: without case, accents and repeated spaces (R4 search #string).
func Fold(s string) string {
	plain := true
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 0x80 || c >= 'A' && c <= 'Z' || c < ' ' || c == ' ' && (i == 0 || s[i-1] == ' ' || i == len(s)-1) {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	space := false
	put := func(r rune) {
		switch {
		case unicode.Is(unicode.Mn, r):
		case unicode.IsSpace(r):
			space = b.Len() > 0
		default:
			if space {
				b.WriteByte(' ')
				space = false
			}
			b.WriteRune(unicode.ToLower(r))
		}
	}
	if isASCII(s) {
		for _, r := range s {
			put(r)
		}
	} else {
		for _, r := range norm.NFKD.String(s) {
			put(r)
		}
	}
	return b.String()
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
