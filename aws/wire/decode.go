package wire

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/galen-health/galen/aws"
)

// decoder puts a tree into Go values along a shape, and collects what breaks the contract's constraints.
type decoder struct {
	problems []problem
	lenient  bool           // client side: what a server answered is not validated
	op       *aws.Operation // whose input this is; nil elsewhere
	tooLong  bool           // a text was over its bound
}

// structure fills the struct v from an object. skip are members that come from elsewhere (header, label).
func (d *decoder) structure(sh *aws.Shape, node any, v reflect.Value, path string) error {
	obj, ok := node.(map[string]any)
	if !ok {
		return malformed("%s must be an object, not %s", at(path), kindOf(node))
	}
	set, known := 0, 0
	for _, m := range sh.Members {
		if m.Location != "" || m.Shape.EventStream {
			continue
		}
		child, present := obj[m.Wire()]
		if present {
			known++
		}
		if !present || child == nil {
			if m.Required {
				d.missing(join(path, m.Name))
			}
			continue
		}
		set++
		if err := d.value(m.Shape, child, v.FieldByName(m.Field), join(path, m.Name)); err != nil {
			return err
		}
	}
	if known < len(obj) && !d.lenient {
		if err := folded(sh, obj); err != nil {
			return err
		}
	}
	if sh.Union && set != 1 && !d.lenient {
		d.add(path, "Member must have exactly one of its union's members set")
	}
	return nil
}

// folded refuses a key that is a member's name in other letters: members that nobody knows are passed over, and a setting that is one by mistake must not be.
func folded(sh *aws.Shape, obj map[string]any) error {
	for k := range obj {
		near, exact := "", false
		for _, m := range sh.Members {
			if m.Location != "" {
				continue
			}
			exact = exact || m.Wire() == k
			if strings.EqualFold(k, m.Wire()) {
				near = m.Wire()
			}
		}
		if near != "" && !exact {
			return malformed("the body has a key that differs from %s in case only", near)
		}
	}
	return nil
}

// value fills one value of any kind.
func (d *decoder) value(sh *aws.Shape, node any, v reflect.Value, path string) error {
	if sh.Document {
		b, err := json.Marshal(node)
		if err != nil {
			return malformed("%s is not a document", at(path))
		}
		v.SetBytes(b)
		return nil
	}
	switch sh.Kind {
	case aws.Structure:
		if v.Kind() == reflect.Pointer {
			v.Set(reflect.New(v.Type().Elem()))
			v = v.Elem()
		}
		return d.structure(sh, node, v, path)
	case aws.List:
		list, ok := node.([]any)
		if !ok {
			return malformed("%s must be a list, not %s", at(path), kindOf(node))
		}
		out := reflect.MakeSlice(v.Type(), 0, len(list))
		for i, x := range list {
			if x == nil {
				continue // sparse lists are read densely
			}
			el := reflect.New(v.Type().Elem()).Elem()
			if err := d.value(sh.Elem.Shape, x, el, path+"."+strconv.Itoa(i+1)+".member"); err != nil {
				return err
			}
			out = reflect.Append(out, el)
		}
		v.Set(out)
		d.size(sh, out.Len(), path)
		return nil
	case aws.Map:
		obj, ok := node.(map[string]any)
		if !ok {
			return malformed("%s must be a map, not %s", at(path), kindOf(node))
		}
		out := reflect.MakeMapWithSize(v.Type(), len(obj))
		for k, x := range obj {
			if x == nil {
				continue
			}
			d.text(sh.Key.Shape, k, path+".key")
			el := reflect.New(v.Type().Elem()).Elem()
			if err := d.value(sh.Value.Shape, x, el, join(path, k)); err != nil {
				return err
			}
			out.SetMapIndex(reflect.ValueOf(k).Convert(v.Type().Key()), el)
		}
		v.Set(out)
		d.size(sh, out.Len(), path)
		return nil
	case aws.Blob:
		var b []byte
		switch t := node.(type) {
		case []byte:
			b = t
		case string:
			var err error
			if b, err = base64.StdEncoding.DecodeString(t); err != nil {
				return malformed("%s is not base64", at(path))
			}
		default:
			return malformed("%s must be a blob, not %s", at(path), kindOf(node))
		}
		v.SetBytes(b)
		d.size(sh, len(b), path)
		return nil
	case aws.String:
		s, ok := node.(string)
		if !ok {
			return malformed("%s must be a string, not %s", at(path), kindOf(node))
		}
		v.SetString(s)
		d.text(sh, s, path)
		return nil
	case aws.Boolean:
		b, ok := node.(bool)
		if !ok {
			return malformed("%s must be a boolean, not %s", at(path), kindOf(node))
		}
		settable(v).SetBool(b)
		return nil
	case aws.Integer, aws.Long:
		n, err := integer(node, path)
		if err != nil {
			return err
		}
		if sh.Kind == aws.Integer && (n > math.MaxInt32 || n < math.MinInt32) {
			return malformed("%s does not fit an integer", at(path))
		}
		settable(v).SetInt(n)
		d.number(sh, float64(n), path)
		return nil
	case aws.Float, aws.Double:
		f, err := float(node, path)
		if err != nil {
			return err
		}
		settable(v).SetFloat(f)
		d.number(sh, f, path)
		return nil
	case aws.Timestamp:
		t, err := timestamp(node, path)
		if err != nil {
			return err
		}
		v.Set(reflect.ValueOf(t))
		return nil
	}
	return malformed("%s has the unknown kind %s", at(path), sh.Kind)
}

// settable makes an optional number's pointer.
func settable(v reflect.Value) reflect.Value {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		return v.Elem()
	}
	return v
}

func integer(node any, path string) (int64, error) {
	switch t := node.(type) {
	case int64:
		return t, nil
	case uint64:
		if t <= math.MaxInt64 {
			return int64(t), nil
		}
	case float64:
		if t == math.Trunc(t) && math.Abs(t) < 1<<53 {
			return int64(t), nil
		}
	case json.Number:
		if n, err := strconv.ParseInt(t.String(), 10, 64); err == nil {
			return n, nil
		}
		if f, err := t.Float64(); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return int64(f), nil
		}
	default:
		return 0, malformed("%s must be a whole number, not %s", at(path), kindOf(node))
	}
	return 0, malformed("%s is not a whole number that fits", at(path))
}

func float(node any, path string) (float64, error) {
	switch t := node.(type) {
	case float64:
		return t, nil
	case float32:
		return float64(t), nil
	case int64:
		return float64(t), nil
	case uint64:
		return float64(t), nil
	case json.Number:
		if f, err := t.Float64(); err == nil {
			return f, nil
		}
	case string: // the three values that JSON has no number for
		switch t {
		case "NaN":
			return math.NaN(), nil
		case "Infinity":
			return math.Inf(1), nil
		case "-Infinity":
			return math.Inf(-1), nil
		}
	}
	return 0, malformed("%s must be a number, not %s", at(path), kindOf(node))
}

func timestamp(node any, path string) (time.Time, error) {
	switch t := node.(type) {
	case time.Time:
		return t.UTC(), nil
	case int64:
		return time.Unix(t, 0).UTC(), nil
	case uint64:
		return time.Unix(int64(t), 0).UTC(), nil
	case float64:
		if math.Abs(t) < 1e12 {
			return fromEpoch(t), nil
		}
	case json.Number:
		if f, err := t.Float64(); err == nil && math.Abs(f) < 1e12 {
			return fromEpoch(f), nil
		}
	case string:
		if tm, err := parseTime(t); err == nil {
			return tm, nil
		}
	}
	return time.Time{}, malformed("%s is not a timestamp", at(path))
}

// parseTime reads the three forms of timestamps as text: ISO 8601, an HTTP date, epoch seconds.
func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05Z0700", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	if t, err := http.ParseTime(s); err == nil {
		return t.UTC(), nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(math.Abs(f) < 1e12) { // NaN is no time either
		return time.Time{}, malformed("not a timestamp")
	}
	return fromEpoch(f), nil
}

func at(path string) string {
	if path == "" {
		return "the body"
	}
	return "member " + path
}

func join(path, name string) string {
	if path == "" {
		return lowerFirst(name)
	}
	return path + "." + lowerFirst(name)
}

// lowerFirst is how AWS's validation messages name members.
func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
