package fhirtest

import (
	"net/url"
	"strings"
)

// Query is one search to try: code[:modifier]=value.
type Query struct{ Code, Modifier, Value string }

// String is the query as it stands in a URL, escaped.
func (q Query) String() string {
	name := q.Code
	if q.Modifier != "" {
		name += ":" + q.Modifier
	}
	return name + "=" + url.QueryEscape(strings.NewReplacer(`\`, `\\`, `,`, `\,`, `$`, `\$`).Replace(q.Value))
}

// Queries makes searches that a resource's values suggest: hits, near misses and boundaries.
func (d Definition) Queries(r Resource) []Query {
	var out []Query
	add := func(mod, value string) {
		if value != "" {
			out = append(out, Query{d.Code, mod, value})
		}
	}
	found := d.present(r.Eval(d.Expression))
	for _, f := range found {
		switch d.Type {
		case "token":
			for _, t := range tokens(f) {
				if strings.Contains(t[0]+t[1], "|") {
					continue
				}
				add("", t[1])
				add("not", t[1])
				if t[1] != "" {
					add("", t[0]+"|"+t[1])
					add("", "http://other|"+t[1])
				}
				if t[0] != "" {
					add("", t[0]+"|")
				}
			}
			for _, t := range texts(f) {
				add("text", t[:min(len(t), 5)])
			}
		case "string":
			for _, w := range Words("string", f) {
				if len(w) > 400 {
					continue
				}
				add("", strings.ToUpper(first(w, 3)))
				add("exact", w)
				add("exact", strings.ToLower(w))
				add("contains", first(w[len(first(w, len([]rune(w))/2)):], 3))
			}
		case "reference":
			for _, w := range Words("reference", f) {
				if strings.Contains(w, "#") || strings.HasPrefix(w, "urn:") && strings.Contains(w, " ") {
					continue
				}
				add("", w)
				if typ, id, ok := strings.Cut(w, "/"); ok && !strings.Contains(w, ":") && !strings.Contains(id, "/") {
					add("", id)
					add("", typ+"/other")
				}
			}
		case "uri":
			for _, w := range Words("uri", f) {
				add("", w)
				add("", w+"x")
				if i := strings.LastIndexByte(w, '/'); i > 8 {
					add("below", w[:i])
				}
			}
		case "date":
			s, _ := f.Value.(string)
			if m, ok := f.Value.(map[string]any); ok {
				if s, _ = m["start"].(string); s == "" {
					s, _ = m["end"].(string)
				}
			}
			for _, cut := range []string{s, s[:min(len(s), 10)], s[:min(len(s), 7)], s[:min(len(s), 4)]} {
				if _, _, ok := date(cut); !ok {
					continue
				}
				for _, op := range []string{"", "ne", "gt", "lt", "ge", "le", "sa", "eb"} {
					add("", op+cut)
				}
			}
		case "number", "quantity":
			for _, w := range Words(d.Type, f) {
				if strings.ContainsAny(w, "eE") {
					continue
				}
				for _, op := range []string{"", "ne", "gt", "lt", "ge", "le"} {
					add("", op+w)
				}
				for _, q := range numbers(f) {
					if d.Type == "quantity" && q.code != "" && !strings.Contains(q.code, "|") {
						add("", w+"|"+q.system+"|"+q.code)
						add("", "ge"+w+"||"+q.code)
						if q.unit != "" {
							add("", w+"||"+q.unit)
						}
					}
				}
			}
		}
	}
	if d.Type != "composite" {
		add("missing", "true")
		add("missing", "false")
	}
	return out
}

func first(s string, n int) string {
	r := []rune(s)
	return string(r[:min(len(r), n)])
}
