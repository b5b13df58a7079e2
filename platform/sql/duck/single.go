package duck

import "strings"

// single is the text without a semicolon at its end; ok is false when something follows a semicolon, so that there are two statements.
func single(s string) (one string, ok bool) {
	for i := 0; i < len(s); i++ {
		rest := s[i:]
		switch {
		case rest[0] == '\'' || rest[0] == '"':
			i += skip(rest[1:], rest[:1])
		case strings.HasPrefix(rest, "--"):
			i += skip(rest[1:], "\n")
		case strings.HasPrefix(rest, "/*"):
			i += 1 + skip(rest[2:], "*/")
		case rest[0] == '$':
			// $tag$ … $tag$
			if end := strings.IndexByte(rest[1:], '$'); end >= 0 && !strings.ContainsAny(rest[1:1+end], " \t\n;'\"()") {
				tag := rest[:end+2]
				i += len(tag) - 1 + skip(rest[len(tag):], tag)
			}
		case rest[0] == ';':
			return s[:i], strings.Trim(rest, "; \t\r\n") == ""
		}
	}
	return s, true
}

// skip is how far the text goes to the end of the mark; all of it when it never comes.
func skip(s, mark string) int {
	if i := strings.Index(s, mark); i >= 0 {
		return i + len(mark)
	}
	return len(s)
}
