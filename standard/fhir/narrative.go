package fhir

import "strings"

// active names the elements that a narrative may not hold (R4 narrative: no scripts, forms, frames, objects or external styles).
var active = map[string]bool{"script": true, "form": true, "iframe": true, "frame": true, "frameset": true, "object": true, "embed": true,
	"applet": true, "base": true, "link": true, "head": true, "body": true, "html": true, "input": true, "button": true, "style": true, "meta": true}

const maxNarrativeDepth = 64

// isNarrative reports whether s is one <div> of balanced elements without active content.
func isNarrative(s string) bool {
	s = strings.TrimSpace(s)
	var open []string
	closed := false
	for s != "" {
		if s[0] != '<' {
			next := strings.IndexByte(s, '<')
			if next < 0 {
				next = len(s)
			}
			if len(open) == 0 {
				return false
			}
			s = s[next:]
			continue
		}
		if closed {
			return false
		}
		if rest, ok := strings.CutPrefix(s, "<!--"); ok {
			end := strings.Index(rest, "-->")
			if end < 0 {
				return false
			}
			s = rest[end+3:]
			continue
		}
		end := tagEnd(s)
		if end < 0 {
			return false
		}
		tag := s[1:end]
		s = s[end+1:]
		if name, ok := strings.CutPrefix(tag, "/"); ok {
			if len(open) == 0 || open[len(open)-1] != strings.TrimSpace(name) {
				return false
			}
			open = open[:len(open)-1]
			closed = len(open) == 0
			continue
		}
		tag, empty := strings.CutSuffix(tag, "/")
		name, attrs := tag, ""
		if i := strings.IndexAny(tag, " \t\r\n"); i >= 0 {
			name, attrs = tag[:i], tag[i:]
		}
		if name == "" || !(name[0] >= 'a' && name[0] <= 'z' || name[0] >= 'A' && name[0] <= 'Z') || active[strings.ToLower(name)] || !passive(attrs) {
			return false
		}
		if len(open) == 0 && name != "div" {
			return false
		}
		if !empty {
			if open = append(open, name); len(open) > maxNarrativeDepth {
				return false
			}
		} else if len(open) == 0 {
			closed = true
		}
	}
	return closed
}

// tagEnd is the index of the > that ends the tag at the start of s, outside attribute quotes.
func tagEnd(s string) int {
	var quote byte
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '<':
			return -1
		case c == '>':
			return i
		}
	}
	return -1
}

// passive reports whether the attributes are name="value" pairs without event handlers or javascript: links.
func passive(s string) bool {
	for {
		s = strings.TrimLeft(s, " \t\r\n")
		if s == "" {
			return true
		}
		eq := strings.IndexByte(s, '=')
		if eq <= 0 {
			return false
		}
		name := strings.ToLower(strings.TrimSpace(s[:eq]))
		s = strings.TrimLeft(s[eq+1:], " \t\r\n")
		if s == "" || s[0] != '"' && s[0] != '\'' || strings.HasPrefix(name, "on") || strings.ContainsAny(name, " \t\r\n\"'<>") {
			return false
		}
		end := strings.IndexByte(s[1:], s[0])
		if end < 0 || strings.HasPrefix(strings.ToLower(strings.TrimSpace(s[1:end+1])), "javascript:") {
			return false
		}
		s = s[end+2:]
	}
}
