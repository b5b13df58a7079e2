package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind of a token.
type Kind uint8

// The kinds.
const (
	Word   Kind = iota // letters, with digits in or after them: "B12", "covid19"
	Number             // digits, with decimal point or thousands commas: "1,000", "2.5"
	Punct              // one character of anything else
)

// Token is a piece of a source text, source[Begin:End].
type Token struct {
	Begin, End int // bytes
	Kind       Kind
	Lower      string // lower-cased, typographic apostrophes and hyphens made plain
}

// Tokenize cuts a text. A number directly followed by letters is two tokens ("10mg" → 10, mg); an apostrophe is a token of its own.
func Tokenize(s string) []Token {
	out := make([]Token, 0, len(s)/5+1)
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case unicode.IsSpace(r) || unicode.IsControl(r):
			i += size
		case isDigit(r):
			end := numberEnd(s, i)
			out = append(out, Token{i, end, Number, s[i:end]})
			i = end
		case isLetter(r):
			end := i + size
			for end < len(s) {
				r, n := utf8.DecodeRuneInString(s[end:])
				if !isLetter(r) && !isDigit(r) && !unicode.Is(unicode.Mn, r) {
					break
				}
				end += n
			}
			out = append(out, Token{i, end, Word, strings.ToLower(s[i:end])})
			i = end
		default:
			out = append(out, Token{i, i + size, Punct, plain(r, s[i:i+size])})
			i += size
		}
	}
	return out
}

func isDigit(r rune) bool  { return r >= '0' && r <= '9' }
func isLetter(r rune) bool { return unicode.IsLetter(r) || (unicode.IsNumber(r) && !isDigit(r)) }

// numberEnd ends a number that begins at i: digits, then commas before three digits, then one decimal point before digits.
func numberEnd(s string, i int) int {
	digits := func(j int) int {
		for j < len(s) && s[j] >= '0' && s[j] <= '9' {
			j++
		}
		return j
	}
	dotted := i > 1 && s[i-1] == '.' && isDigit(rune(s[i-2])) // in the middle of a date or a section number: 1.2.2020
	first := i
	i = digits(i)
	for i-first <= 3 && i < len(s) && s[i] == ',' && digits(i+1) == i+4 {
		i, first = i+4, i+1
	}
	if !dotted && i+1 < len(s) && s[i] == '.' && isDigit(rune(s[i+1])) {
		end := digits(i + 1)
		if end >= len(s) || s[end] != '.' || end+1 >= len(s) || !isDigit(rune(s[end+1])) {
			i = end
		}
	}
	return i
}

func plain(r rune, s string) string {
	switch r {
	case '’', '‘', 'ʼ':
		return "'"
	case '‐', '‑', '–', '—', '−':
		return "-"
	case '“', '”':
		return `"`
	}
	return s
}
