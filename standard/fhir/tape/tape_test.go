package tape

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestRefuses(t *testing.T) {
	for _, c := range []struct{ in, msg string }{
		{``, "unexpected end"}, {`{`, "a name"}, {`{"a":1,}`, "a name"}, {`[1,]`, "a value"}, {`{"a" 1}`, "a colon"},
		{`{"a":1 "b":2}`, "a comma or closing brace"}, {`[1 2]`, "a comma or closing bracket"}, {`"abc`, "without end"},
		{"\"a\nb\"", "control character"}, {`"\x"`, "bad escape"}, {`"\u12"`, "bad escape"}, {`"\ud800"`, "bad escape"},
		{`01`, "malformed number"}, {`-`, "malformed number"}, {`1.`, "malformed number"}, {`1e`, "malformed number"}, {`tru`, "a value"},
		{`1 2`, "after the value"}, {"\"\xff\"", "not UTF-8"}, {`{"a":1,"a":2}`, "twice"}, {`{"a":1,"\u0061":2}`, "twice"},
		{`{"x":{"b":1,"c":2,"b":3}}`, "twice"}, {strings.Repeat("[", 65) + strings.Repeat("]", 65), "nested deeper"},
		{"{" + strings.Repeat(`"k":1,`, 20) + `"k":2}`, "twice"},
	} {
		var d Doc
		err := d.Parse([]byte(c.in), Limits{})
		if err == nil || !strings.Contains(err.Error(), c.msg) {
			t.Errorf("%.40q: error %v, want one about %q", c.in, err, c.msg)
		}
	}
}

func TestReads(t *testing.T) {
	src := `{"resourceType":"X","n":[1.50,{"s":"a\u00e9\ud83d\ude00\n/\/"}],"e":[],"o":{},"t":true}`
	var d Doc
	if err := d.Parse([]byte(src), Limits{}); err != nil {
		t.Fatal(err)
	}
	arr := d.Get(0, "n")
	if got := d.Text(d.First(arr)); got != "1.50" {
		t.Errorf("number text = %q, want 1.50", got)
	}
	obj := d.After(arr, d.First(arr))
	if got, want := d.StrAt(obj, "s"), "aé😀\n//"; got != want {
		t.Errorf("string = %q, want %q", got, want)
	}
	if d.After(arr, obj) != -1 || d.First(d.Get(0, "e")) != -1 || d.First(d.Get(0, "o")) != -1 || d.Get(0, "none") != -1 {
		t.Error("an end is not where it should be")
	}
	if got := string(d.Raw(arr)); got != `[1.50,{"s":"a\u00e9\ud83d\ude00\n/\/"}]` {
		t.Errorf("raw = %s", got)
	}
}

// FuzzParse holds the parser to encoding/json: what it takes is valid there, and what it refuses beyond that is refused for a stated reason.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,2,{"b":"c\u0041"}],"d":null}`, `[]`, `"\ud83d\ude00"`, `-1.5e+10`, `{"a":{"a":{"a":1}}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var d Doc
		err := d.Parse(b, Limits{Depth: 16, Nodes: 1000, Bytes: 1 << 16})
		if err != nil {
			return
		}
		var want any
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.UseNumber()
		if e := dec.Decode(&want); e != nil {
			t.Fatalf("took %q, which encoding/json refuses: %v", b, e)
		}
		got, _ := json.Marshal(build(&d, 0))
		ref, _ := json.Marshal(want)
		if string(got) != string(ref) {
			t.Fatalf("read %s, want %s", got, ref)
		}
	})
}

func build(d *Doc, i int) any {
	switch d.Nodes[i].Kind {
	case Object:
		m := map[string]any{}
		for c := d.First(i); c >= 0; c = d.After(i, c) {
			m[d.Key(c)] = build(d, c)
		}
		return m
	case Array:
		a := []any{}
		for c := d.First(i); c >= 0; c = d.After(i, c) {
			a = append(a, build(d, c))
		}
		return a
	case String:
		return d.Str(i)
	case Number:
		return json.Number(d.Text(i))
	case True:
		return true
	case False:
		return false
	}
	return nil
}
