package tape

import (
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// Raw is the text of node i, within Src.
func (d *Doc) Raw(i int) []byte { n := &d.Nodes[i]; return d.Src[n.Start:n.End] }

// Key is the name of member i.
func (d *Doc) Key(i int) string {
	n := &d.Nodes[i]
	if n.KeyEscaped {
		return unescape(d.Src[n.KeyStart:n.KeyEnd])
	}
	return view(d.Src[n.KeyStart:n.KeyEnd])
}

// Str is the value of string node i, "" for other kinds. Unless it held escapes it shares the memory of Src: clone what outlives it.
func (d *Doc) Str(i int) string {
	n := &d.Nodes[i]
	switch {
	case n.Kind != String:
		return ""
	case n.Escaped:
		return unescape(d.Src[n.Start+1 : n.End-1])
	}
	return view(d.Src[n.Start+1 : n.End-1])
}

// Text is Str, or the text of a number, true, false or null.
func (d *Doc) Text(i int) string {
	if d.Nodes[i].Kind == String {
		return d.Str(i)
	}
	return view(d.Raw(i))
}

// First is the first child of container i, or -1.
func (d *Doc) First(i int) int {
	if n := &d.Nodes[i]; int(n.Next) > i+1 && n.Kind >= Array {
		return i + 1
	}
	return -1
}

// After is the sibling after child c of container i, or -1.
func (d *Doc) After(i, c int) int {
	if next := d.Nodes[c].Next; next < d.Nodes[i].Next {
		return int(next)
	}
	return -1
}

// Get is the member of object i with this name, or -1.
func (d *Doc) Get(i int, name string) int {
	if d.Nodes[i].Kind != Object {
		return -1
	}
	for c := d.First(i); c >= 0; c = d.After(i, c) {
		if d.Key(c) == name {
			return c
		}
	}
	return -1
}

// At follows member names from node i; -1 when one is absent.
func (d *Doc) At(i int, names ...string) int {
	for _, n := range names {
		if i = d.Get(i, n); i < 0 {
			return -1
		}
	}
	return i
}

// StrAt is the string at a path of member names, "" when there is none.
func (d *Doc) StrAt(i int, names ...string) string {
	if i = d.At(i, names...); i < 0 {
		return ""
	}
	return d.Str(i)
}

func view(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b))
}

func unescape(s []byte) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		i++
		switch s[i] {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, _ := hex4(s[i-1:])
			i += 4
			if utf16.IsSurrogate(r) {
				r2, _ := hex4(s[i+1:])
				r = utf16.DecodeRune(r, r2)
				i += 6
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, s[i])
		}
	}
	return string(out)
}
