package wire

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"strings"

	"github.com/galen-health/galen/aws"
)

// element is one XML element read whole.
type element struct {
	name     string
	attrs    map[string]string
	text     string
	children []*element
	said     []byte // text while it is read
}

func (e *element) child(name string) *element {
	for _, c := range e.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// parseXML reads one XML document of at most this many elements and attributes: no document type declaration, nesting within MaxDepth.
func parseXML(b []byte, most int) (*element, error) {
	dec := xml.NewDecoder(bytes.NewReader(b))
	var stack []*element
	var root *element
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) && root != nil && len(stack) == 0 {
			return root, nil
		}
		if err != nil {
			return nil, malformedXML("the body is not well-formed XML, at byte %d", dec.InputOffset())
		}
		switch t := tok.(type) {
		case xml.Directive:
			return nil, malformedXML("a document type declaration has no place here")
		case xml.StartElement:
			if len(stack) >= MaxDepth {
				return nil, malformedXML("the body nests deeper than %d levels", MaxDepth)
			}
			if root != nil && len(stack) == 0 {
				return nil, malformedXML("the body has more than one root element")
			}
			if most -= 1 + len(t.Attr); most < 0 {
				return nil, malformedXML("the body has too many elements")
			}
			e := &element{name: t.Name.Local}
			if len(t.Attr) > 0 {
				e.attrs = make(map[string]string, len(t.Attr))
			}
			for _, a := range t.Attr {
				key := a.Name.Local
				if a.Name.Space != "" && a.Name.Space != "xmlns" {
					key = "xsi:" + key
				}
				e.attrs[key] = a.Value
			}
			if len(stack) > 0 {
				p := stack[len(stack)-1]
				p.children = append(p.children, e)
			} else {
				root = e
			}
			stack = append(stack, e)
		case xml.EndElement:
			e := stack[len(stack)-1]
			e.text, e.said = string(e.said), nil
			stack = stack[:len(stack)-1]
		case xml.CharData:
			if len(stack) > 0 { // text may come in very many pieces, between comments
				e := stack[len(stack)-1]
				e.said = append(e.said, t...)
			}
		}
	}
}

func malformedXML(format string, args ...any) error {
	e := malformed(format, args...)
	return e
}

// xmlValue fills a value from an element.
func (d *decoder) xmlValue(sh *aws.Shape, e *element, v reflect.Value, path string) error {
	switch sh.Kind {
	case aws.Structure:
		if v.Kind() == reflect.Pointer {
			v.Set(reflect.New(v.Type().Elem()))
			v = v.Elem()
		}
		return d.xmlStructure(sh, e, v, path)
	case aws.List:
		name := "member"
		if sh.Elem.LocationName != "" {
			name = sh.Elem.LocationName
		}
		var items []*element
		for _, c := range e.children {
			if c.name == name {
				items = append(items, c)
			}
		}
		return d.xmlList(sh, items, v, path)
	case aws.Map:
		var entries []*element
		for _, c := range e.children {
			if c.name == "entry" {
				entries = append(entries, c)
			}
		}
		return d.xmlMap(sh, entries, v, path)
	}
	return d.scalar(sh, e.text, v, path)
}

func (d *decoder) xmlStructure(sh *aws.Shape, e *element, v reflect.Value, path string) error {
	for _, m := range sh.Members {
		if m.Location != "" {
			continue
		}
		f, p := v.FieldByName(m.Field), join(path, m.Name)
		if m.XMLAttribute {
			name := m.Wire()
			if s, ok := e.attrs[name]; ok {
				if err := d.scalar(m.Shape, s, f, p); err != nil {
					return err
				}
			} else if m.Required {
				d.missing(p)
			}
			continue
		}
		name := m.Wire()
		if m.Shape.Flattened && (m.Shape.Kind == aws.List || m.Shape.Kind == aws.Map) {
			if m.LocationName == "" && m.Shape.Kind == aws.List && m.Shape.Elem.LocationName != "" {
				name = m.Shape.Elem.LocationName
			}
			var items []*element
			for _, c := range e.children {
				if c.name == name {
					items = append(items, c)
				}
			}
			if len(items) == 0 {
				if m.Required {
					d.missing(p)
				}
				continue
			}
			read := d.xmlList
			if m.Shape.Kind == aws.Map {
				read = d.xmlMap
			}
			if err := read(m.Shape, items, f, p); err != nil {
				return err
			}
			continue
		}
		c := e.child(name)
		if c == nil {
			if m.Required {
				d.missing(p)
			}
			continue
		}
		if err := d.xmlValue(m.Shape, c, f, p); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) xmlList(sh *aws.Shape, items []*element, v reflect.Value, path string) error {
	out := reflect.MakeSlice(v.Type(), 0, len(items))
	for _, it := range items {
		el := reflect.New(v.Type().Elem()).Elem()
		if err := d.xmlValue(sh.Elem.Shape, it, el, path); err != nil {
			return err
		}
		out = reflect.Append(out, el)
	}
	v.Set(out)
	d.size(sh, out.Len(), path)
	return nil
}

func (d *decoder) xmlMap(sh *aws.Shape, entries []*element, v reflect.Value, path string) error {
	out := reflect.MakeMap(v.Type())
	key, value := "key", "value"
	if sh.Key.LocationName != "" {
		key = sh.Key.LocationName
	}
	if sh.Value.LocationName != "" {
		value = sh.Value.LocationName
	}
	for _, e := range entries {
		k, x := e.child(key), e.child(value)
		if k == nil || x == nil {
			return malformedXML("%s has an entry without key or value", at(path))
		}
		el := reflect.New(v.Type().Elem()).Elem()
		if err := d.xmlValue(sh.Value.Shape, x, el, path); err != nil {
			return err
		}
		out.SetMapIndex(reflect.ValueOf(k.text).Convert(v.Type().Key()), el)
	}
	v.Set(out)
	return nil
}

// xmlWriter writes Go values as XML.
type xmlWriter struct{ b bytes.Buffer }

func (w *xmlWriter) open(name, attrs string) {
	w.b.WriteByte('<')
	w.b.WriteString(name)
	w.b.WriteString(attrs)
	w.b.WriteByte('>')
}

func (w *xmlWriter) close(name string) {
	w.b.WriteString("</")
	w.b.WriteString(name)
	w.b.WriteByte('>')
}

func (w *xmlWriter) text(s string) {
	_ = xml.EscapeText(&w.b, []byte(s)) // a bytes.Buffer takes every write
}

// value writes <name>…</name>.
func (w *xmlWriter) value(name string, m *aws.Member, v reflect.Value) {
	sh := m.Shape
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch sh.Kind {
	case aws.Structure:
		w.open(name, namespace(m.XMLNamespace)+attributes(sh, v))
		w.members(sh, v)
		w.close(name)
	case aws.List:
		item := "member"
		if sh.Elem.LocationName != "" {
			item = sh.Elem.LocationName
		}
		if sh.Flattened {
			if m.LocationName != "" || sh.Elem.LocationName == "" {
				item = name
			}
			for i := range v.Len() {
				w.value(item, sh.Elem, v.Index(i))
			}
			return
		}
		w.open(name, "")
		for i := range v.Len() {
			w.value(item, sh.Elem, v.Index(i))
		}
		w.close(name)
	case aws.Map:
		key, val := "key", "value"
		if sh.Key.LocationName != "" {
			key = sh.Key.LocationName
		}
		if sh.Value.LocationName != "" {
			val = sh.Value.LocationName
		}
		entry := "entry"
		if sh.Flattened {
			entry = name
		} else {
			w.open(name, "")
		}
		for _, k := range sortedKeys(v) {
			w.open(entry, "")
			w.open(key, "")
			w.text(k.String())
			w.close(key)
			w.value(val, sh.Value, v.MapIndex(k))
			w.close(entry)
		}
		if !sh.Flattened {
			w.close(name)
		}
	default:
		w.open(name, "")
		w.text(scalarText(&aws.Member{Shape: sh}, v))
		w.close(name)
	}
}

func (w *xmlWriter) members(sh *aws.Shape, v reflect.Value) {
	for _, m := range sh.Members {
		f := v.FieldByName(m.Field)
		if m.Location != "" || m.XMLAttribute || m.Shape.EventStream || absent(m, f) {
			continue
		}
		w.value(m.Wire(), m, f)
	}
}

func namespace(uri string) string {
	if uri == "" {
		return ""
	}
	if strings.Contains(uri, "XMLSchema-instance") {
		return ` xmlns:xsi="` + uri + `"`
	}
	return ` xmlns="` + uri + `"`
}

func attributes(sh *aws.Shape, v reflect.Value) string {
	out := ""
	for _, m := range sh.Members {
		if f := v.FieldByName(m.Field); m.XMLAttribute && !absent(m, f) {
			var b bytes.Buffer
			_ = xml.EscapeText(&b, []byte(scalarText(m, f))) // a bytes.Buffer takes every write
			out += " " + m.Wire() + `="` + b.String() + `"`
		}
	}
	return out
}
