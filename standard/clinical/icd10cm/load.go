package icd10cm

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
)

// Bounds of a tabular list.
const (
	maxBytes = 64 << 20
	maxCodes = 300_000
	maxDepth = 24
)

// Code is a billable code.
type Code struct {
	Code        string // with its point: E11.9
	Description string
}

// Index finds codes.
type Index struct {
	codes   []Code
	terms   []term
	posting map[string][]int32 // word → terms
	idf     map[string]float64
	byName  map[string]int32 // description as listed, lower case → code
}

// term is a description or inclusion term of a code.
type term struct {
	code  int32
	words []string
	own   bool // the code's, not inherited from above it
}

// node is an open diag element.
type node struct {
	name, desc string
	terms      []string
	seventh    map[string]string
	children   bool
}

// Load reads the tabular list.
func Load(r io.Reader) (*Index, error) {
	d := xml.NewDecoder(io.LimitReader(r, maxBytes))
	d.Strict = true
	ix := &Index{posting: map[string][]int32{}, idf: map[string]float64{}, byName: map[string]int32{}}
	var stack []*node
	var path []string
	var text strings.Builder
	char := ""
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("icd10cm: %w", err)
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if len(path) >= maxDepth {
				return nil, fmt.Errorf("icd10cm: elements nest deeper than %d", maxDepth)
			}
			path = append(path, t.Name.Local)
			text.Reset()
			switch t.Name.Local {
			case "diag":
				if n := len(stack); n > 0 {
					stack[n-1].children = true
				}
				stack = append(stack, &node{})
			case "extension":
				for _, a := range t.Attr {
					if a.Name.Local == "char" {
						char = a.Value
					}
				}
			}
		case xml.CharData:
			text.Write(t)
		case xml.EndElement:
			if len(stack) > 0 {
				stack[len(stack)-1].take(path, strings.TrimSpace(text.String()), char)
			}
			if t.Name.Local == "diag" {
				if err := ix.add(stack); err != nil {
					return nil, err
				}
				stack = stack[:len(stack)-1]
			}
			path = path[:len(path)-1]
			text.Reset()
		}
	}
	if len(ix.codes) == 0 {
		return nil, fmt.Errorf("icd10cm: the list holds no codes")
	}
	for w, p := range ix.posting {
		ix.idf[w] = math.Log(1 + float64(len(ix.terms))/float64(len(p)))
	}
	return ix, nil
}

// take keeps the text of an element that ends.
func (n *node) take(path []string, text, char string) {
	last, parent := path[len(path)-1], ""
	if len(path) > 1 {
		parent = path[len(path)-2]
	}
	switch {
	case last == "name" && parent == "diag":
		n.name = text
	case last == "desc" && parent == "diag":
		n.desc = text
	case last == "note" && (parent == "inclusionTerm" || parent == "includes"):
		n.terms = append(n.terms, text)
	case last == "extension":
		if n.seventh == nil {
			n.seventh = map[string]string{}
		}
		n.seventh[char] = text
	}
}

// add indexes the code at the end of the stack if it is a leaf.
func (ix *Index) add(stack []*node) error {
	n := stack[len(stack)-1]
	if n.children || n.name == "" || strings.Contains(n.name, "-") {
		return nil
	}
	if len(ix.codes) >= maxCodes {
		return fmt.Errorf("icd10cm: more than %d codes", maxCodes)
	}
	c := Code{n.name, n.desc}
	for i := len(stack) - 1; i >= 0; i-- {
		if _, ok := stack[i].seventh["A"]; ok {
			c.Code, c.Description = seventh(n.name), n.desc+", "+stack[i].seventh["A"]
			break
		} else if stack[i].seventh != nil {
			break
		}
	}
	id := int32(len(ix.codes))
	ix.codes = append(ix.codes, c)
	ix.byName[strings.ToLower(n.desc)] = id
	ix.term(id, n.desc, true)
	for _, t := range n.terms {
		ix.term(id, t, true)
	}
	// What is said of a category holds for its unspecified code.
	if low := strings.ToLower(n.desc); strings.Contains(low, "unspecified") || strings.HasSuffix(n.name, "9") {
		for _, p := range stack[:len(stack)-1] {
			ix.term(id, p.desc, false)
			for _, t := range p.terms {
				ix.term(id, t, false)
			}
		}
	}
	return nil
}

// seventh pads a code with X to six characters and adds A.
func seventh(code string) string {
	plain := strings.ReplaceAll(code, ".", "")
	plain += strings.Repeat("X", max(0, 6-len(plain))) + "A"
	return plain[:3] + "." + plain[3:]
}

func (ix *Index) term(code int32, s string, own bool) {
	w := words(s)
	if len(w) == 0 {
		return
	}
	id := int32(len(ix.terms))
	ix.terms = append(ix.terms, term{code, w, own})
	seen := map[string]bool{}
	for _, x := range w {
		if !seen[x] {
			seen[x] = true
			ix.posting[x] = append(ix.posting[x], id)
		}
	}
}
