package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"github.com/galen-health/galen/platform/errs"
)

// Bounds of an input document: how deep it nests, and how many values it has. A value costs many times its bytes in memory, so that a short document of very
// many would be a large one. What a server answers is bounded by its bytes only.
const (
	MaxDepth  = 64
	maxValues = 100_000
	anyValues = math.MaxInt
)

// malformed is the protocol's answer to a body that cannot be read as what it says it is.
func malformed(format string, args ...any) error {
	return errs.Named(errs.Invalid, "SerializationException", format, args...)
}

// parseJSON reads one strict JSON document of at most this many values: duplicate keys, trailing data and nesting over MaxDepth are refused. Numbers stay text.
func parseJSON(b []byte, most int) (any, error) {
	if len(bytes.TrimSpace(b)) == 0 {
		return map[string]any{}, nil
	}
	if !utf8.Valid(b) || loneSurrogate(b) {
		return nil, malformed("the body holds text that is not valid Unicode")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	v, err := jsonValue(dec, 0, &most)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, malformed("the body has data after its JSON value, at byte %d", dec.InputOffset())
	}
	return v, nil
}

// loneSurrogate says whether an escape stands for half a character, which a reader would have to replace: what was said is not what would be kept.
func loneSurrogate(b []byte) bool {
	unit := func(b []byte) (rune, bool) {
		if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
			return 0, false
		}
		n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
		return rune(n), err == nil
	}
	for i := bytes.IndexByte(b, '\\'); i >= 0 && i < len(b); {
		n := 2
		if r, ok := unit(b[i:]); ok {
			n = 6
			if utf16.IsSurrogate(r) {
				second, _ := unit(b[i+6:])
				if utf16.DecodeRune(r, second) == utf8.RuneError {
					return true
				}
				n = 12
			}
		}
		if i += n; i >= len(b) {
			break
		}
		next := bytes.IndexByte(b[i:], '\\')
		if next < 0 {
			break
		}
		i += next
	}
	return false
}

// jsonValue reads the next value; left is how many more there may be.
func jsonValue(dec *json.Decoder, depth int, left *int) (any, error) {
	if *left--; *left < 0 {
		return nil, malformed("the body has too many values")
	}
	if depth > MaxDepth {
		return nil, malformed("the body nests deeper than %d levels", MaxDepth)
	}
	tok, err := dec.Token()
	if err != nil {
		return nil, malformed("the body is not valid JSON, at byte %d", dec.InputOffset())
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		return tok, nil
	}
	if delim == '[' {
		list := []any{}
		for dec.More() {
			v, err := jsonValue(dec, depth+1, left)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, closing(dec)
	}
	object := map[string]any{}
	for dec.More() {
		k, err := dec.Token()
		if err != nil {
			return nil, malformed("the body is not valid JSON, at byte %d", dec.InputOffset())
		}
		key, ok := k.(string)
		if !ok {
			return nil, malformed("the body is not valid JSON, at byte %d", dec.InputOffset())
		}
		if _, twice := object[key]; twice {
			return nil, malformed("the body has the key %.64q twice in one object", key)
		}
		if object[key], err = jsonValue(dec, depth+1, left); err != nil {
			return nil, err
		}
	}
	return object, closing(dec)
}

func closing(dec *json.Decoder) error {
	if _, err := dec.Token(); err != nil {
		return malformed("the body ends inside its JSON value, at byte %d", dec.InputOffset())
	}
	return nil
}

var cborDecode = func() cbor.DecMode {
	m, err := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: MaxDepth, TimeTag: cbor.DecTagOptional, DefaultMapType: nil, IntDec: cbor.IntDecConvertNone}.DecMode()
	if err != nil {
		panic(err) // the options are constants
	}
	return m
}()

// parseCBOR reads one CBOR document into the same tree as parseJSON, with []byte, time.Time and integers as themselves.
func parseCBOR(b []byte) (any, error) {
	if len(b) == 0 {
		return map[string]any{}, nil
	}
	var v any
	if err := cborDecode.Unmarshal(b, &v); err != nil {
		return nil, malformed("the body is not one valid CBOR value")
	}
	return textKeys(v)
}

func textKeys(v any) (any, error) {
	switch t := v.(type) {
	case map[any]any:
		out := make(map[string]any, len(t))
		for k, x := range t {
			s, ok := k.(string)
			if !ok {
				return nil, malformed("a CBOR map has a key that is not text")
			}
			n, err := textKeys(x)
			if err != nil {
				return nil, err
			}
			out[s] = n
		}
		return out, nil
	case []any:
		for i, x := range t {
			n, err := textKeys(x)
			if err != nil {
				return nil, err
			}
			t[i] = n
		}
	case cbor.Tag:
		if t.Number == 1 {
			return epochOf(t.Content)
		}
		return nil, malformed("a CBOR tag %d has no place here", t.Number)
	}
	return v, nil
}

func epochOf(v any) (any, error) {
	switch n := v.(type) {
	case uint64:
		return time.Unix(int64(n), 0).UTC(), nil
	case int64:
		return time.Unix(n, 0).UTC(), nil
	case float64:
		if math.Abs(n) < 1e12 {
			return fromEpoch(n), nil
		}
	}
	return nil, malformed("a CBOR time is not a number of seconds that has a date")
}

func fromEpoch(f float64) time.Time {
	sec := int64(f)
	return time.Unix(sec, int64((f-float64(sec))*1e6+0.5)*1000).UTC()
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case json.Number, int64, uint64, float64, float32:
		return "a number"
	case []byte:
		return "bytes"
	case time.Time:
		return "a time"
	}
	return fmt.Sprintf("%T", v)
}
