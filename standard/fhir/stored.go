package fhir

import (
	"bytes"
	"strconv"
	"time"

	"github.com/galen-health/galen/standard/fhir/tape"
)

// A resource is kept in stored form: compact JSON that begins with resourceType, id and (when it has any content of its own) meta, and
// that lacks meta.versionId and meta.lastUpdated. Whoever keeps it knows those two, and Present splices them in at a known place, so
// that neither a write nor a read has to serialise the resource again. All other members keep their order and their bytes.

// Store appends the stored form of the resource at node i of d. id replaces the id it came with. rewrite, if not nil, is asked for every
// reference and URL and answers what to write in its place (R4 http, "transaction processing rules": urn:uuid and conditional references).
func Store(dst []byte, d *tape.Doc, i int, id string, rewrite func(string) (string, bool)) []byte {
	w := writer{d: d, dst: dst, rewrite: rewrite}
	w.text(`{"resourceType":`)
	w.raw(d.Get(i, "resourceType"))
	w.text(`,"id":`)
	w.quote(id)
	if m := d.Get(i, "meta"); m >= 0 {
		mark := len(w.dst)
		w.text(`,"meta":`)
		if !w.members(m, "versionId", "lastUpdated") {
			w.dst = w.dst[:mark]
		}
	}
	for c := d.First(i); c >= 0; c = d.After(i, c) {
		switch d.Key(c) {
		case "resourceType", "id", "meta":
		default:
			w.text(",")
			w.member(c)
		}
	}
	w.text("}")
	return w.dst
}

// head is the length of `{"resourceType":"…","id":"…"` at the start of a stored form.
func head(body []byte) int {
	at := 0
	for quotes := 0; quotes < 8 && at < len(body); at++ {
		if body[at] == '"' { // neither a type nor an id can hold a quote
			quotes++
		}
	}
	return at
}

var metaStart = []byte(`,"meta":{`)

// Present appends the resource as clients see it: the stored form with its version and time.
func Present(dst, stored []byte, version int64, updated time.Time) []byte {
	h := head(stored)
	dst = append(dst, stored[:h]...)
	dst = append(dst, `,"meta":{"versionId":"`...)
	dst = strconv.AppendInt(dst, version, 10)
	dst = append(dst, `","lastUpdated":"`...)
	dst = updated.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	dst = append(dst, '"')
	if rest, ok := bytes.CutPrefix(stored[h:], metaStart); ok {
		dst = append(dst, ',')
		return append(dst, rest...)
	}
	dst = append(dst, '}')
	return append(dst, stored[h:]...)
}

// Subset appends the resource at node i, presented form, cut to the top-level elements that keep names (and those that R4 requires), and
// marks it with the tag SUBSETTED (R4 search #elements).
func Subset(dst []byte, d *tape.Doc, i int, keep func(element string) bool) []byte {
	t := loadTypes().types[d.StrAt(i, "resourceType")]
	if t == nil {
		return append(dst, d.Raw(i)...)
	}
	w := writer{d: d, dst: dst}
	first := true
	for c := d.First(i); c >= 0; c = d.After(i, c) {
		key := d.Key(c)
		e := t.elems[key]
		if key != "resourceType" && key != "id" && key != "meta" && (e == nil || e.slot.min == 0 && !keep(e.slot.name)) {
			continue
		}
		w.text(map[bool]string{true: "{", false: ","}[first])
		first = false
		if key != "meta" {
			w.member(c)
			continue
		}
		w.text(`"meta":{"tag":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}`)
		if tags := d.Get(c, "tag"); tags >= 0 {
			for x := d.First(tags); x >= 0; x = d.After(tags, x) {
				w.text(",")
				w.value(x)
			}
		}
		w.text("]")
		for m := d.First(c); m >= 0; m = d.After(c, m) {
			if d.Key(m) != "tag" {
				w.text(",")
				w.member(m)
			}
		}
		w.text("}")
	}
	w.text("}")
	return w.dst
}

// InSummary reports whether an element belongs to the summary of its resource type, or to the narrative ("text" mode) or data view.
func InSummary(resourceType, mode string) func(string) bool {
	t := loadTypes().types[resourceType]
	return func(name string) bool {
		switch mode {
		case "text":
			return name == "text"
		case "data":
			return name != "text"
		}
		if t != nil {
			for _, s := range t.order {
				if s.name == name {
					return s.summary
				}
			}
		}
		return false
	}
}

// writer copies nodes compactly.
type writer struct {
	d       *tape.Doc
	dst     []byte
	rewrite func(string) (string, bool)
}

func (w *writer) text(s string) { w.dst = append(w.dst, s...) }

func (w *writer) raw(i int) { w.dst = append(w.dst, w.d.Raw(i)...) }

func (w *writer) quote(s string) { w.dst = appendQuoted(w.dst, s) }

func (w *writer) member(c int) {
	n := &w.d.Nodes[c]
	w.dst = append(w.dst, w.d.Src[n.KeyStart-1:n.KeyEnd+1]...)
	w.dst = append(w.dst, ':')
	if w.rewrite != nil && n.Kind == tape.String {
		if key := w.d.Key(c); key == "reference" || key == "url" || key == "uri" || key == "valueUri" || key == "valueUrl" {
			if to, ok := w.rewrite(w.d.Str(c)); ok {
				w.quote(to)
				return
			}
		}
	}
	w.value(c)
}

func (w *writer) value(i int) {
	d := w.d
	switch d.Nodes[i].Kind {
	case tape.Object:
		w.members(i)
	case tape.Array:
		w.text("[")
		for c := d.First(i); c >= 0; c = d.After(i, c) {
			if c > i+1 {
				w.text(",")
			}
			w.value(c)
		}
		w.text("]")
	default:
		w.raw(i)
	}
}

// members writes object i without the named members and reports whether anything was left.
func (w *writer) members(i int, without ...string) (any bool) {
	d := w.d
	w.text("{")
next:
	for c := d.First(i); c >= 0; c = d.After(i, c) {
		for _, name := range without {
			if d.Key(c) == name || d.Key(c) == "_"+name {
				continue next
			}
		}
		if any {
			w.text(",")
		}
		any = true
		w.member(c)
	}
	w.text("}")
	return any
}

const hexDigits = "0123456789abcdef"

func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
