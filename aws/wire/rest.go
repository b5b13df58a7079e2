package wire

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/galen-health/galen/aws"
)

// bindings reads the members that come from the path, the query and the headers.
func (d *decoder) bindings(sh *aws.Shape, v reflect.Value, labels map[string]string, query url.Values, header http.Header) error {
	for _, m := range sh.Members {
		if m.Location == "" {
			continue
		}
		f := v.FieldByName(m.Field)
		path := lowerFirst(m.Name)
		var values []string
		switch m.Location {
		case "uri":
			if l, ok := labels[m.Wire()]; ok {
				values = []string{l}
			}
		case "querystring":
			if m.Shape.Kind == aws.Map {
				d.queryMap(m, f, query)
				continue
			}
			values = query[m.Wire()]
		case "header":
			values = header.Values(m.Wire())
		case "headers":
			prefix := http.CanonicalHeaderKey(m.Wire())
			out := reflect.MakeMap(f.Type())
			for k, vs := range header {
				if strings.HasPrefix(k, prefix) && len(k) > len(prefix) && len(vs) > 0 {
					out.SetMapIndex(reflect.ValueOf(strings.ToLower(k[len(prefix):])), reflect.ValueOf(strings.Join(vs, ",")))
				}
			}
			if out.Len() > 0 {
				f.Set(out)
			}
			continue
		}
		if len(values) == 0 {
			if m.Required {
				d.missing(path)
			}
			continue
		}
		if m.Shape.Kind == aws.List {
			if m.Location == "header" {
				values = splitHeader(values)
			}
			out := reflect.MakeSlice(f.Type(), 0, len(values))
			for _, s := range values {
				el := reflect.New(f.Type().Elem()).Elem()
				if err := d.scalar(m.Shape.Elem.Shape, s, el, path); err != nil {
					return err
				}
				out = reflect.Append(out, el)
			}
			f.Set(out)
			d.size(m.Shape, out.Len(), path)
			continue
		}
		if err := d.scalar(m.Shape, values[0], f, path); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) queryMap(m *aws.Member, f reflect.Value, query url.Values) {
	out := reflect.MakeMap(f.Type())
	for k, vs := range query {
		if f.Type().Elem().Kind() == reflect.String && len(vs) > 0 {
			out.SetMapIndex(reflect.ValueOf(k), reflect.ValueOf(vs[0]))
		} else if f.Type().Elem().Kind() == reflect.Slice {
			out.SetMapIndex(reflect.ValueOf(k), reflect.ValueOf(vs))
		}
	}
	if out.Len() > 0 {
		f.Set(out)
	}
}

func splitHeader(values []string) []string {
	var out []string
	for _, v := range values {
		for _, s := range strings.Split(v, ",") {
			out = append(out, strings.TrimSpace(s))
		}
	}
	return out
}

// scalar reads a value from its text: in paths, queries, headers, XML and forms.
func (d *decoder) scalar(sh *aws.Shape, s string, v reflect.Value, path string) error {
	switch sh.Kind {
	case aws.String:
		v.SetString(s)
		d.text(sh, s, path)
	case aws.Boolean:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return malformed("%s must be true or false", at(path))
		}
		settable(v).SetBool(b)
	case aws.Integer, aws.Long:
		bits := 64
		if sh.Kind == aws.Integer {
			bits = 32
		}
		n, err := strconv.ParseInt(s, 10, bits)
		if err != nil {
			return malformed("%s must be a whole number", at(path))
		}
		settable(v).SetInt(n)
		d.number(sh, float64(n), path)
	case aws.Float, aws.Double:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return malformed("%s must be a number", at(path))
		}
		settable(v).SetFloat(f)
		d.number(sh, f, path)
	case aws.Timestamp:
		t, err := parseTime(s)
		if err != nil {
			return malformed("%s is not a timestamp", at(path))
		}
		v.Set(reflect.ValueOf(t))
	case aws.Blob:
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return malformed("%s is not base64", at(path))
		}
		v.SetBytes(b)
		d.size(sh, len(b), path)
	default:
		return malformed("%s cannot be read from text", at(path))
	}
	return nil
}

// scalarText is the inverse of scalar.
func scalarText(m *aws.Member, v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch m.Shape.Kind {
	case aws.Boolean:
		return strconv.FormatBool(v.Bool())
	case aws.Integer, aws.Long:
		return strconv.FormatInt(v.Int(), 10)
	case aws.Float, aws.Double:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case aws.Timestamp:
		format := m.Shape.TimeFormat
		if format == "" {
			format = map[string]string{"header": "rfc822", "querystring": "iso8601", "uri": "iso8601", "": "iso8601"}[m.Location]
		}
		return formatTime(v.Interface().(time.Time), format)
	case aws.Blob:
		return base64.StdEncoding.EncodeToString(v.Bytes())
	}
	return v.String()
}

// headers writes the members that go into headers, and returns the status code member when the contract has one.
func headers(sh *aws.Shape, v reflect.Value, h http.Header) (status int) {
	for _, m := range sh.Members {
		f := v.FieldByName(m.Field)
		switch m.Location {
		case "header":
			if absent(m, f) || f.Kind() == reflect.String && f.Len() == 0 {
				continue
			}
			if m.Shape.Kind == aws.List {
				for i := range f.Len() {
					h.Add(m.Wire(), scalarText(m.Shape.Elem, f.Index(i)))
				}
				continue
			}
			h.Set(m.Wire(), scalarText(m, f))
		case "headers":
			for _, k := range f.MapKeys() {
				h[strings.ToLower(m.Wire()+k.String())] = []string{f.MapIndex(k).String()} // names of user metadata are kept in lower case
			}
		case "statusCode":
			if f = reflect.Indirect(f); f.IsValid() && f.CanInt() {
				status = int(f.Int())
			}
		}
	}
	return status
}

// payload returns the member that is the body, nil when the members without a location are, or an event stream is.
func payload(sh *aws.Shape) *aws.Member {
	if m := sh.Member(sh.Payload); m != nil && !m.Shape.EventStream {
		return m
	}
	return nil
}

// hasBody says whether any member belongs into the body.
func hasBody(sh *aws.Shape) bool {
	for _, m := range sh.Members {
		if m.Location == "" && !m.Shape.EventStream {
			return true
		}
	}
	return false
}

var (
	readerType     = reflect.TypeFor[io.Reader]()
	readCloserType = reflect.TypeFor[io.ReadCloser]()
)

// isStream says that a payload field is a reader.
func isStream(f reflect.Value) bool { return f.Type() == readerType || f.Type() == readCloserType }
