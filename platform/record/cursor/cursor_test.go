package cursor

import (
	"encoding/base64"
	"math"
	"reflect"
	"testing"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

func TestCursor(t *testing.T) {
	for _, s := range []*Spot{{PID: 7}, {PID: math.MaxInt64, Keys: [][]byte{nil}}, {PID: 1, Keys: [][]byte{{1, 2}, nil, {}}}} {
		if got, err := Decode(s.Encode(), len(s.Keys)); err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("%+v comes back as %+v, %v", s, got, err)
		}
		if _, err := Decode(s.Encode(), len(s.Keys)+1); !errs.Is(err, errs.Invalid) {
			t.Errorf("%+v in a query of more orders: %v", s, err)
		}
	}
	if s, err := Decode("", 3); s != nil || err != nil {
		t.Errorf("the beginning is %+v, %v", s, err)
	}
	for what, b := range map[string][]byte{
		"no number of keys":            {7},
		"no key":                       {7, 1},
		"a flag that is none":          {7, 1, 2},
		"a key without a length":       {7, 1, 1},
		"a key longer than the cursor": {7, 1, 1, 3, 'a', 'b'},
		"a length that ends nowhere":   {7, 1, 1, 0xff},
		"a pid that ends nowhere":      {0xff, 0xff},
		"a pid beyond all pids":        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 0},
		"more behind the keys":         {7, 1, 0, 0},
	} {
		if s, err := Decode(record.Cursor(base64.RawURLEncoding.EncodeToString(b)), 1); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s reads as %+v, %v", what, s, err)
		}
	}
	if s, err := Decode("!", 1); !errs.Is(err, errs.Invalid) {
		t.Errorf("what is not base64 reads as %+v, %v", s, err)
	}
}

// A page token comes from outside.
func FuzzCursor(f *testing.F) {
	f.Add(string((&Spot{Keys: [][]byte{nil, {1, 2}}, PID: 7}).Encode()), 2)
	f.Add("AAAA", 0)
	f.Add("!", 1)
	f.Fuzz(func(t *testing.T, token string, orders int) {
		if orders < 0 || orders > 16 {
			return
		}
		s, err := Decode(record.Cursor(token), orders)
		if err != nil || s == nil {
			return
		}
		if len(s.Keys) != orders {
			t.Errorf("%q reads as %+v", token, s)
		}
		if again, err := Decode(s.Encode(), orders); err != nil || !reflect.DeepEqual(again, s) {
			t.Errorf("%q does not come back: %v", token, err)
		}
	})
}
