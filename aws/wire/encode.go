package wire

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"net/http"
	"reflect"
	"sort"
	"strconv"
	"time"

	"github.com/galen-health/galen/aws"
)

// jsonWriter writes Go values as JSON along a shape, members in the model's order.
type jsonWriter struct{ b []byte }

// structure writes the members that belong into the body.
func (w *jsonWriter) structure(sh *aws.Shape, v reflect.Value) {
	w.b = append(w.b, '{')
	first := true
	for _, m := range sh.Members {
		if m.Location != "" || m.Shape.EventStream {
			continue
		}
		f := v.FieldByName(m.Field)
		if absent(m, f) {
			continue
		}
		if !first {
			w.b = append(w.b, ',')
		}
		first = false
		w.string(m.Wire())
		w.b = append(w.b, ':')
		w.value(m.Shape, f)
	}
	w.b = append(w.b, '}')
}

func (w *jsonWriter) value(sh *aws.Shape, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if sh.Document {
		if v.Len() == 0 {
			w.b = append(w.b, "null"...)
			return
		}
		w.b = append(w.b, v.Bytes()...)
		return
	}
	switch sh.Kind {
	case aws.Structure:
		w.structure(sh, v)
	case aws.List:
		w.b = append(w.b, '[')
		for i := range v.Len() {
			if i > 0 {
				w.b = append(w.b, ',')
			}
			w.value(sh.Elem.Shape, v.Index(i))
		}
		w.b = append(w.b, ']')
	case aws.Map:
		w.b = append(w.b, '{')
		for i, k := range sortedKeys(v) {
			if i > 0 {
				w.b = append(w.b, ',')
			}
			w.string(k.String())
			w.b = append(w.b, ':')
			w.value(sh.Value.Shape, v.MapIndex(k))
		}
		w.b = append(w.b, '}')
	case aws.Blob:
		w.b = append(w.b, '"')
		w.b = base64.StdEncoding.AppendEncode(w.b, v.Bytes())
		w.b = append(w.b, '"')
	case aws.String:
		w.string(v.String())
	case aws.Boolean:
		w.b = strconv.AppendBool(w.b, v.Bool())
	case aws.Integer, aws.Long:
		w.b = strconv.AppendInt(w.b, v.Int(), 10)
	case aws.Float, aws.Double:
		w.float(v.Float(), sh.Kind == aws.Float)
	case aws.Timestamp:
		t := v.Interface().(time.Time)
		if sh.TimeFormat == "iso8601" || sh.TimeFormat == "rfc822" {
			w.string(formatTime(t, sh.TimeFormat))
			return
		}
		w.b = append(w.b, formatTime(t, "unixTimestamp")...)
	}
}

func (w *jsonWriter) float(f float64, single bool) {
	switch {
	case math.IsNaN(f):
		w.b = append(w.b, `"NaN"`...)
	case math.IsInf(f, 1):
		w.b = append(w.b, `"Infinity"`...)
	case math.IsInf(f, -1):
		w.b = append(w.b, `"-Infinity"`...)
	default:
		bits := 64
		if single {
			bits = 32
		}
		w.b = strconv.AppendFloat(w.b, f, 'g', -1, bits)
	}
}

func (w *jsonWriter) string(s string) {
	b, err := json.Marshal(s)
	if err != nil { // strings always marshal
		b = []byte(`""`)
	}
	w.b = append(w.b, b...)
}

// absent says that a member has nothing to write. Required members are written even when empty.
func absent(m *aws.Member, v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return v.IsNil()
	case reflect.Slice:
		return v.IsNil() && (!m.Required || m.Shape.Document)
	case reflect.Map:
		return v.IsNil() && !m.Required
	case reflect.String:
		return v.Len() == 0 && !m.Required
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok {
			return t.IsZero()
		}
	}
	return false
}

func sortedKeys(v reflect.Value) []reflect.Value {
	keys := v.MapKeys()
	sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
	return keys
}

// formatTime writes a timestamp in one of the models' formats. Epoch seconds have up to three decimals.
func formatTime(t time.Time, format string) string {
	switch format {
	case "iso8601":
		return t.UTC().Format("2006-01-02T15:04:05.000Z")
	case "rfc822":
		return t.UTC().Format(http.TimeFormat)
	}
	ms := t.UnixMilli()
	if ms%1000 == 0 {
		return strconv.FormatInt(ms/1000, 10)
	}
	return strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64)
}

// cborValue makes the tree that is marshalled as CBOR.
func cborValue(sh *aws.Shape, v reflect.Value) any {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch sh.Kind {
	case aws.Structure:
		out := map[string]any{}
		for _, m := range sh.Members {
			if f := v.FieldByName(m.Field); m.Location == "" && !m.Shape.EventStream && !absent(m, f) {
				out[m.Name] = cborValue(m.Shape, f)
			}
		}
		return out
	case aws.List:
		out := make([]any, v.Len())
		for i := range out {
			out[i] = cborValue(sh.Elem.Shape, v.Index(i))
		}
		return out
	case aws.Map:
		out := map[string]any{}
		for _, k := range v.MapKeys() {
			out[k.String()] = cborValue(sh.Value.Shape, v.MapIndex(k))
		}
		return out
	case aws.Timestamp:
		return v.Interface().(time.Time)
	case aws.String:
		return v.String()
	}
	return v.Interface()
}
