package fhir

import (
	"strconv"
	"strings"

	"github.com/galen-health/galen/standard/fhir/tape"
)

// primitive is how a primitive type is written in JSON and which texts it allows (R4 datatypes, "Primitive Types").
type primitive struct {
	kind tape.Kind // String, Number, or True for booleans
	ok   func(string) bool
	want string // for people: what a valid value looks like
}

var primitives = map[string]primitive{
	"boolean":      {tape.True, nil, "true or false"},
	"integer":      {tape.Number, isInteger, "a whole number of 32 bits"},
	"unsignedInt":  {tape.Number, func(s string) bool { return isInteger(s) && s[0] != '-' }, "a whole number, 0 or more"},
	"positiveInt":  {tape.Number, func(s string) bool { return isInteger(s) && s[0] != '-' && s != "0" }, "a whole number, 1 or more"},
	"decimal":      {tape.Number, func(string) bool { return true }, "a number"},
	"string":       {tape.String, isString, "text that is not empty and at most 1 MiB long"},
	"markdown":     {tape.String, isString, "text that is not empty and at most 1 MiB long"},
	"code":         {tape.String, isCode, "a code: no spaces at the ends, single spaces within"},
	"id":           {tape.String, IsID, "an id: 1 to 64 letters, digits, '-' and '.'"},
	"uri":          {tape.String, isURI, "a URI without spaces"},
	"url":          {tape.String, isURI, "a URL without spaces"},
	"canonical":    {tape.String, isURI, "a canonical URL without spaces"},
	"oid":          {tape.String, isOID, "an OID: urn:oid:…"},
	"uuid":         {tape.String, isUUID, "a UUID: urn:uuid:…"},
	"base64Binary": {tape.String, isBase64, "base64"},
	"date":         {tape.String, func(s string) bool { _, ok := parseDate(s, onlyDate); return ok }, "a date: YYYY, YYYY-MM or YYYY-MM-DD"},
	"dateTime":     {tape.String, func(s string) bool { _, ok := parseDate(s, anyDate); return ok }, "a date, or a time with seconds and zone: YYYY-MM-DDThh:mm:ss+zz:zz"},
	"instant":      {tape.String, func(s string) bool { _, ok := parseDate(s, onlyInstant); return ok }, "a time with seconds and zone: YYYY-MM-DDThh:mm:ss+zz:zz"},
	"time":         {tape.String, isTime, "a time: hh:mm:ss"},
	"xhtml":        {tape.String, isNarrative, "well-formed XHTML in one <div>, without active content"},
}

const maxString = 1 << 20

func isInteger(s string) bool {
	_, err := strconv.ParseInt(s, 10, 32)
	return err == nil && s != "-0"
}

func isString(s string) bool { return s != "" && len(s) <= maxString }

func isCode(s string) bool {
	if s == "" {
		return false
	}
	space := true // a space here would be leading or double
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ' ', '\t', '\n', '\r', '\v', '\f':
			if space {
				return false
			}
			space = true
		default:
			space = false
		}
	}
	return !space
}

// IsID reports whether s can be a resource id (R4 datatypes, id).
func IsID(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.') {
			return false
		}
	}
	return true
}

func isURI(s string) bool { return s != "" && !strings.ContainsAny(s, " \t\n\r\v\f") }

func isOID(s string) bool {
	rest, ok := strings.CutPrefix(s, "urn:oid:")
	if !ok {
		return false
	}
	arcs := strings.Split(rest, ".")
	if len(arcs) < 2 || arcs[0] != "0" && arcs[0] != "1" && arcs[0] != "2" {
		return false
	}
	for _, a := range arcs[1:] {
		if a == "" || a[0] == '0' && a != "0" || strings.Trim(a, "0123456789") != "" {
			return false
		}
	}
	return true
}

func isUUID(s string) bool {
	rest, ok := strings.CutPrefix(s, "urn:uuid:")
	if !ok || len(rest) != 36 {
		return false
	}
	for i := 0; i < 36; i++ {
		c := rest[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return false
		}
	}
	return true
}

func isBase64(s string) bool {
	n := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/' || c == '=':
			n++
		case (c == ' ' || c == '\n' || c == '\r' || c == '\t') && n%4 == 0: // between groups of four only
		default:
			return false
		}
	}
	return n > 0 && n%4 == 0
}

func isTime(s string) bool {
	_, rest, ok := clock(s)
	return ok && rest == ""
}
