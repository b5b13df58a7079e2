package record

import "strings"

// Back ends take values apart with the methods below.

// Second is the escaped second part of a two-part value (Token, TokenCode, TokenSystem, Reference), with its end; "" when there is none.
func (v Value) Second() Value {
	for i := 1; i+1 < len(v); i++ {
		if v[i] == 0 {
			if v[i+1] == 1 {
				return v[i+2:]
			}
			i++
		}
	}
	return ""
}

// System is the query value that a token matches by its system alone; "" for other values and for tokens without a system.
func (v Value) System() Value {
	if v == "" || v[0] != typeToken {
		return ""
	}
	system := v.Second()
	if len(system) <= 2 {
		return ""
	}
	return Value(typeTokenSys) + "\x00\x01" + system
}

// CodePrefix is what the tokens of a code begin with, for a TokenCode.
func (v Value) CodePrefix() Value { return Value(typeToken) + v[1:len(v)-2] }

// Stem is a String or URI without its end: what longer texts that begin with it begin with.
func (v Value) Stem() Value { return v[:len(v)-2] }

// Text is the text of a String.
func (v Value) Text() (string, bool) {
	if len(v) < 3 || v[0] != typeString || !strings.HasSuffix(string(v), "\x00\x01") {
		return "", false
	}
	return unescape(string(v[1:])), true
}

// unescape reads one escaped part with its end.
func unescape(s string) string {
	return strings.ReplaceAll(strings.TrimSuffix(s, "\x00\x01"), "\x00\xff", "\x00")
}

// Target is the kind and id that a Reference names.
func (v Value) Target() (kind, id string, ok bool) {
	if len(v) == 0 || v[0] != typeReference {
		return "", "", false
	}
	second := v.Second()
	return unescape(string(second)), unescape(string(v[1 : len(v)-len(second)])), true
}

// Ends are the two ends of a Period as they compare, 8 bytes each.
func (v Value) Ends() (start, end Value, ok bool) {
	if len(v) != 17 || v[0] != typePeriod {
		return "", "", false
	}
	return v[1:9], v[9:], true
}
