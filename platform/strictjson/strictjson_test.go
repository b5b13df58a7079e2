package strictjson_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/strictjson"
)

type inner struct {
	Name string `json:"name"`
}

type oneOrMany []string

func (o *oneOrMany) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*o = oneOrMany{s}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(o))
}

type base struct{ Base int }

type outer struct {
	base
	A      string
	Num    json.Number
	I      int8           `json:"i"`
	U      uint16         `json:"u"`
	F      float64        `json:"f"`
	B      bool           `json:"b"`
	P      *inner         `json:"p"`
	L      []inner        `json:"l"`
	M      map[string]int `json:"m"`
	Any    any            `json:"any"`
	Raw    json.RawMessage
	Bytes  []byte
	When   time.Time
	Many   oneOrMany
	Hidden string `json:"-"`
}

func TestDecode(t *testing.T) {
	var got outer
	err := strictjson.Decode([]byte(` {"Base":7,"A":"x\u00e9\ud83d\ude00","Num":1e400,"i":-128,"u":65535,"f":-0.5e+3,"b":true,"p":{"name":"n"},"l":[{"name":"1"},{}],
		"m":{"k":1},"any":{"x":[1,null]},"Raw":{ "q":1 },"Bytes":"AQI=","When":"2026-01-02T03:04:05Z","Many":"one"} `), &got, strictjson.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := outer{base: base{7}, A: "xé😀", Num: "1e400", I: -128, U: 65535, F: -500, B: true, P: &inner{"n"}, L: []inner{{"1"}, {}}, M: map[string]int{"k": 1},
		Any: map[string]any{"x": []any{1.0, nil}}, Raw: json.RawMessage(`{ "q":1 }`), Bytes: []byte{1, 2}, When: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Many: oneOrMany{"one"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	got = outer{P: &inner{"old"}, L: []inner{{}}, M: map[string]int{}, Any: 5}
	if err := strictjson.Decode([]byte(`{"p":null,"l":null,"m":null,"any":null}`), &got, strictjson.Limits{}); err != nil {
		t.Fatal(err)
	}
	if got.P != nil || got.L != nil || got.M != nil || got.Any != nil {
		t.Errorf("null left %+v", got)
	}
}

func TestRefused(t *testing.T) {
	for _, text := range []string{
		``, ` `, `{`, `}`, `[1,]`, `[,1]`, `[1 2]`, `{"A":"x",}`, `{,}`, `{"A" "x"}`, `{A:"x"}`, `{'A':"x"}`, `{"A":"x"} {}`, `{"A":"x"}x`, "{\"A\":\"x\"}\x00",
		`{"A":"x","A":"y"}`, `{"A":"x","a":"y"}`, `{"\u0041":"x","A":"y"}`, `{"m":{"K":1,"k":2}}`, `{"m":{"K":1,"` + "\u212a" + `":2}}`, // Kelvin sign folds to k
		`{"a":"x"}`, `{"Hidden":"x"}`, `{"unknown":1}`, `{"base":1}`,
		`{"A":1}`, `{"A":null}`, `{"A":true}`, `{"b":"true"}`, `{"b":null}`, `{"i":128}`, `{"i":1.5}`, `{"i":"1"}`, `{"u":-1}`, `{"f":"1"}`, `{"f":1e999}`, `{"any":1e999}`, `{"p":[]}`, `{"l":{}}`, `{"m":[]}`, `{"Num":"1"}`,
		`{"f":01}`, `{"f":1.}`, `{"f":.5}`, `{"f":+1}`, `{"f":-}`, `{"f":1e}`, `{"f":0x1}`, `{"f":NaN}`, `{"f":Infinity}`, `{"b":tru}`, `{"b":TRUE}`,
		`{"A":"` + "\x01" + `"}`, `{"A":"\x"}`, `{"A":"\u12"}`, `{"A":"\ud800"}`, `{"A":"\udc00"}`, `{"A":"\ud800\u0041"}`, `{"A":"\ud800x"}`, `{"A":"` + "\xff" + `"}`, `{"A":"`, `{"A":"\`, `{"A":"\u`,
		`{"Bytes":"*"}`, `{"When":"yesterday"}`, `{"Many":5}`, "\ufeff{}", `// c` + "\n{}", `{"A":"x"/*c*/}`,
	} {
		var v outer
		if err := strictjson.Decode([]byte(text), &v, strictjson.Limits{}); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: error = %v, want invalid", text, err)
		}
	}
}

func TestBoundsAreNamed(t *testing.T) {
	for _, c := range []struct {
		text string
		lim  strictjson.Limits
		name string
	}{
		{`"` + strings.Repeat("x", 100) + `"`, strictjson.Limits{Size: 50}, "50"},
		{strings.Repeat("[", 6) + strings.Repeat("]", 6), strictjson.Limits{Depth: 5}, "deeper than 5"},
		{`[1,2,3,4]`, strictjson.Limits{Values: 4}, "more than 4 values"},
		{strings.Repeat("[", 1<<20), strictjson.Limits{}, "deeper than 64"},
		{strings.Repeat(`{"a":`, 1<<18), strictjson.Limits{Size: 1 << 22}, "deeper than 64"},
	} {
		err := strictjson.Check([]byte(c.text), c.lim)
		if !errs.Is(err, errs.TooLarge) || !strings.Contains(err.Error(), c.name) {
			t.Errorf("%.20s: error = %v, want too large naming %q", c.text, err, c.name)
		}
	}
	var v any
	if err := strictjson.Read(strings.NewReader(strings.Repeat(" ", 100)), &v, strictjson.Limits{Size: 10}); !errs.Is(err, errs.TooLarge) {
		t.Errorf("Read of too much: %v", err)
	}
}

func TestMessagesHoldNoContent(t *testing.T) {
	for _, text := range []string{`{"A":"SECRET","SECRET":1}`, `{"A":{"SECRET":"SECRET"}}`, `{"m":{"SECRET":"SECRET"}}`, `{"When":"SECRET"}`, `SECRET`, `{"Bytes":"SECRET!"}`} {
		var v outer
		err := strictjson.Decode([]byte(text), &v, strictjson.Limits{})
		if e := errs.As(err); e == nil || strings.Contains(e.Message, "SECRET") {
			t.Errorf("%s: message %v shows content", text, err)
		}
	}
}

// What strictjson takes, encoding/json takes with the same meaning.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e-3,"\u00e9",null,true,{}]}`, `[]`, `"x"`, `{"a":1,"A":2}`, `-0`, `"\ud83d\ude00"`, `{"a":{"b":{"c":[[[]]]}}}`, `"000000\`, `"0000000\`, `"\u000`, `{"a\`} {
		f.Add(slices.Clip([]byte(s)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		data = slices.Clip(data) // what is read past the end must not be hidden by room behind it
		if err := strictjson.Check(data, strictjson.Limits{}); err != nil {
			if !errs.Is(err, errs.Invalid) && !errs.Is(err, errs.TooLarge) {
				t.Fatalf("error %v is of another kind", err)
			}
			return
		}
		if !json.Valid(data) {
			t.Fatalf("%q was taken but is not JSON", data)
		}
		var want, got any
		if json.Unmarshal(data, &want) != nil {
			return // a number beyond float64
		}
		if err := strictjson.Decode(data, &got, strictjson.Limits{}); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %v (%v), want %v", data, got, err, want)
		}
		if err := strictjson.Read(bytes.NewReader(data), &got, strictjson.Limits{}); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q from a stream: got %v (%v), want %v", data, got, err, want)
		}
		var s string
		if want, ok := want.(string); ok {
			if err := strictjson.Decode(data, &s, strictjson.Limits{}); err != nil || s != want {
				t.Fatalf("%q: got %q (%v), want %q", data, s, err, want)
			}
		}
	})
}
