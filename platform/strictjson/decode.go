package strictjson

import (
	"encoding"
	"encoding/json"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/galen-health/galen/platform/errs"
)

// Decode reads data into the value that into points to: structs (json tags, names matched exactly, unknown members refused), pointers,
// slices, arrays of bytes as base64, maps with string keys, strings, numbers (integers must be whole and fit), booleans, interfaces, and
// whatever implements json.Unmarshaler or encoding.TextUnmarshaler. null leaves a pointer, slice, map or interface nil and is refused elsewhere.
func Decode(data []byte, into any, lim Limits) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return errs.New(errs.Internal, "strictjson decodes into a pointer, not %T", into)
	}
	n, err := parse(data, lim)
	if err != nil {
		return err
	}
	return bind(n, v.Elem(), "$")
}

// Read is Decode of what a reader has, at most lim.Size bytes.
func Read(r io.Reader, into any, lim Limits) error {
	lim = lim.or()
	data, err := io.ReadAll(io.LimitReader(r, int64(lim.Size)+1))
	if err != nil {
		return err
	}
	return Decode(data, into, lim)
}

func wrong(path string, n node, want string) error {
	return errs.New(errs.Invalid, "%s must be %s, not %s", path, want, n.kind)
}

func bind(n node, v reflect.Value, path string) error {
	if v.Kind() == reflect.Pointer {
		if n.kind == null {
			v.SetZero()
			return nil
		}
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return bind(n, v.Elem(), path)
	}
	switch u := v.Addr().Interface().(type) {
	case json.Unmarshaler:
		return own(u.UnmarshalJSON(n.raw), path)
	case *json.Number:
		if n.kind != number {
			return wrong(path, n, "a number")
		}
		*u = json.Number(n.raw)
		return nil
	case encoding.TextUnmarshaler:
		if n.kind != text {
			return wrong(path, n, "a string")
		}
		return own(u.UnmarshalText([]byte(n.text)), path)
	}
	switch v.Kind() {
	case reflect.String:
		if n.kind != text {
			return wrong(path, n, "a string")
		}
		v.SetString(n.text)
	case reflect.Bool:
		if n.kind != boolean {
			return wrong(path, n, "a boolean")
		}
		v.SetBool(string(n.raw) == "true")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(string(n.raw), 10, v.Type().Bits())
		if n.kind != number || err != nil {
			return wrong(path, n, "a whole number of "+strconv.Itoa(v.Type().Bits())+" bits")
		}
		v.SetInt(i)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		i, err := strconv.ParseUint(string(n.raw), 10, v.Type().Bits())
		if n.kind != number || err != nil {
			return wrong(path, n, "a whole number that is not negative, of "+strconv.Itoa(v.Type().Bits())+" bits")
		}
		v.SetUint(i)
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(string(n.raw), v.Type().Bits())
		if n.kind != number || err != nil {
			return wrong(path, n, "a number")
		}
		v.SetFloat(f)
	case reflect.Slice:
		return bindSlice(n, v, path)
	case reflect.Map:
		return bindMap(n, v, path)
	case reflect.Struct:
		return bindStruct(n, v, path)
	case reflect.Interface:
		if v.NumMethod() != 0 {
			return errs.New(errs.Internal, "strictjson cannot decode into %s", v.Type())
		}
		var x any
		if err := json.Unmarshal(n.raw, &x); err != nil {
			return errs.New(errs.Invalid, "%s cannot be read", path) // a number beyond float64
		}
		if x == nil {
			v.SetZero()
			return nil
		}
		v.Set(reflect.ValueOf(x))
	default:
		return errs.New(errs.Internal, "strictjson cannot decode into %s", v.Type())
	}
	return nil
}

// own keeps an Unmarshaler's error when it is one of ours; others may quote content.
func own(err error, path string) error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*errs.Error); ok {
		return errs.Named(e.Code, e.Name, "%s: %s", path, e.Message)
	}
	return errs.Wrap(errs.Invalid, err, "%s is malformed", path)
}

func bindSlice(n node, v reflect.Value, path string) error {
	if n.kind == null {
		v.SetZero()
		return nil
	}
	if v.Type().Elem().Kind() == reflect.Uint8 {
		if n.kind != text {
			return wrong(path, n, "base64 text")
		}
		return own(json.Unmarshal(n.raw, v.Addr().Interface()), path)
	}
	if n.kind != array {
		return wrong(path, n, "an array")
	}
	out := reflect.MakeSlice(v.Type(), len(n.items), len(n.items))
	for i, item := range n.items {
		if err := bind(item, out.Index(i), path+"["+strconv.Itoa(i)+"]"); err != nil {
			return err
		}
	}
	v.Set(out)
	return nil
}

func bindMap(n node, v reflect.Value, path string) error {
	if n.kind == null {
		v.SetZero()
		return nil
	}
	if n.kind != object {
		return wrong(path, n, "an object")
	}
	if v.Type().Key().Kind() != reflect.String {
		return errs.New(errs.Internal, "strictjson cannot decode into %s", v.Type())
	}
	out := reflect.MakeMapWithSize(v.Type(), len(n.items))
	for i, item := range n.items {
		e := reflect.New(v.Type().Elem()).Elem()
		if err := bind(item, e, path+".*"); err != nil { // names of map members are content
			return err
		}
		out.SetMapIndex(reflect.ValueOf(n.members[i]).Convert(v.Type().Key()), e)
	}
	v.Set(out)
	return nil
}

func bindStruct(n node, v reflect.Value, path string) error {
	if n.kind != object {
		return wrong(path, n, "an object")
	}
	for i, name := range n.members {
		index := fieldOf(v.Type(), name)
		if index == nil {
			return errs.New(errs.Invalid, "%s has a member that is not known here (number %d)", path, i+1)
		}
		if err := bind(n.items[i], v.FieldByIndex(index), path+"."+name); err != nil {
			return err
		}
	}
	return nil
}

// fieldOf finds the field of a member name; embedded structs count as their fields.
func fieldOf(t reflect.Type, name string) []int {
	for _, f := range reflect.VisibleFields(t) {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || tag == "-" || (f.Anonymous && tag == "") {
			continue
		}
		if tag == "" {
			tag = f.Name
		}
		if tag == name {
			return f.Index
		}
	}
	return nil
}
