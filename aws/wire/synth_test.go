package wire

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"reflect"
	"regexp/syntax"
	"slices"
	"strings"
	"time"

	"github.com/galen-health/galen/aws"
)

// synth makes values that keep the contract, at random.
type synth struct {
	*rand.Rand
	full bool // set optional members too
}

// fill sets the members of a structure.
func (s *synth) fill(sh *aws.Shape, v reflect.Value, depth int) {
	members := sh.Members
	if sh.Union {
		members = members[s.IntN(len(members)):][:1]
	}
	sure := -1 // an empty structure inside another cannot be told from none in every protocol
	if depth > 0 && len(members) > 0 && depth < 20 {
		sure = s.IntN(len(members))
	}
	for i, m := range members {
		if m.Shape.EventStream || m.Location == "statusCode" {
			continue
		}
		always := m.Required || sh.Union || i == sure || m.Location == "header" && m.Wire() == "Content-Type" // a stream without a type gets the default one
		if !always && (!s.full || depth > 6 || s.IntN(4) == 0) {
			continue
		}
		s.value(m, v.FieldByName(m.Field), depth)
	}
}

func (s *synth) value(m *aws.Member, v reflect.Value, depth int) {
	sh := m.Shape
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if sh.Document {
		v.SetBytes(json.RawMessage(`{"k":[1,"two",null,{"d":1.50}]}`))
		return
	}
	if v.Type() == reflect.TypeFor[io.Reader]() || v.Type() == reflect.TypeFor[io.ReadCloser]() {
		v.Set(reflect.ValueOf(stream{strings.NewReader("bytes of a payload")}))
		return
	}
	switch sh.Kind {
	case aws.Structure:
		s.fill(sh, v, depth+1)
	case aws.List:
		n := s.length(sh, 3)
		if depth > 6 && sh.Min == nil {
			n = 0
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			s.value(sh.Elem, v.Index(i), depth+1)
		}
	case aws.Map:
		n := s.length(sh, 2)
		v.Set(reflect.MakeMap(v.Type()))
		for range n {
			k, el := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			s.value(sh.Key, k, depth+1)
			s.value(sh.Value, el, depth+1)
			if m.Location == "headers" {
				k.SetString(strings.ToLower(k.String()))
			}
			v.SetMapIndex(k, el)
		}
	case aws.String:
		v.SetString(s.text(m, sh))
	case aws.Boolean:
		v.SetBool(s.IntN(2) == 0)
	case aws.Integer, aws.Long:
		lo, hi := int64(0), int64(1000)
		if sh.Min != nil {
			lo = int64(*sh.Min)
			hi = lo + 1000
		}
		if sh.Max != nil {
			hi = min(hi, int64(*sh.Max))
		}
		v.SetInt(lo + s.Int64N(hi-lo+1))
	case aws.Float, aws.Double:
		lo, hi := 0.0, 1.0
		if sh.Min != nil {
			lo = *sh.Min
			hi = max(hi, lo+1)
		}
		if sh.Max != nil {
			hi = *sh.Max
		}
		v.SetFloat(lo + (hi-lo)*float64(s.IntN(65))/64) // the same number in single precision and in text
	case aws.Timestamp:
		v.Set(reflect.ValueOf(time.Unix(1_600_000_000+s.Int64N(100_000_000), 0).UTC()))
	case aws.Blob:
		n := s.length(sh, 20)
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(s.IntN(256))
		}
		v.SetBytes(b)
	}
}

func (s *synth) length(sh *aws.Shape, usual int) int {
	lo, hi := 0, usual
	if sh.Min != nil {
		lo = int(*sh.Min)
		hi = lo + usual
	}
	if sh.Max != nil {
		hi = min(hi, int(*sh.Max))
	}
	if lo == 0 && hi > 0 {
		lo = 1 // an empty list in a query string cannot be told from none
	}
	return lo + s.IntN(hi-lo+1)
}

// text makes a string that the shape's values, pattern and length allow.
func (s *synth) text(m *aws.Member, sh *aws.Shape) string {
	if len(sh.Enum) > 0 {
		return sh.Enum[s.IntN(len(sh.Enum))]
	}
	lo, hi := 1, 1<<30
	if sh.Min != nil {
		lo = max(lo, int(*sh.Min))
	}
	if sh.Max != nil {
		hi = int(*sh.Max)
	}
	if sh.Pattern != "" {
		expr, _ := rewrite(sh.Pattern)
		re, err := syntax.Parse(expr, syntax.Perl)
		if err != nil {
			panic(sh.Pattern + ": " + err.Error())
		}
		for try := range 4000 {
			t := s.match(re, []int{1, 3, 9, 30, lo, 2 * min(lo, 200)}[try%6])
			if n := len([]rune(t)); n >= lo && n <= hi && compiled(sh.Pattern).matches(t) {
				return t
			}
		}
		panic("no string found for " + sh.Name + ": " + sh.Pattern)
	}
	alphabet := []rune("abcXYZ019-_ é/:+%&\"<\u4e2d")
	if m.Location == "header" || m.Location == "headers" || m.Name == "key" {
		alphabet = []rune("abcXYZ019-_")
	}
	out := make([]rune, min(hi, lo+s.IntN(12)))
	for i := range out {
		out[i] = alphabet[s.IntN(len(alphabet))]
	}
	if m.Location != "" { // a header's outer spaces and a label's dots are not part of its value
		out[0], out[len(out)-1] = 'a', 'z'
	}
	return string(out)
}

// match makes a string of the language of re, repetitions at most about rep long.
func (s *synth) match(re *syntax.Regexp, rep int) string {
	var b strings.Builder
	repeat := func(lo, hi int) {
		if hi < 0 || hi > lo+rep {
			hi = lo + rep
		}
		for range lo + s.IntN(hi-lo+1) {
			b.WriteString(s.match(re.Sub[0], rep))
		}
	}
	switch re.Op {
	case syntax.OpLiteral:
		b.WriteString(string(re.Rune))
	case syntax.OpCharClass:
		printable := slices.DeleteFunc(pairs(re.Rune), func(p [2]rune) bool { return p[1] < ' ' || p[0] > 0x7e })
		if len(printable) == 0 {
			b.WriteRune(re.Rune[0])
			break
		}
		p := printable[s.IntN(len(printable))]
		lo, hi := max(p[0], ' '), min(p[1], 0x7e)
		b.WriteRune(lo + rune(s.IntN(int(hi-lo)+1)))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		b.WriteByte("abc-XY.19"[s.IntN(9)])
	case syntax.OpCapture:
		return s.match(re.Sub[0], rep)
	case syntax.OpStar:
		repeat(0, -1)
	case syntax.OpPlus:
		repeat(1, -1)
	case syntax.OpQuest:
		repeat(0, 1)
	case syntax.OpRepeat:
		repeat(re.Min, re.Max)
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			b.WriteString(s.match(sub, rep))
		}
	case syntax.OpAlternate:
		return s.match(re.Sub[s.IntN(len(re.Sub))], rep)
	}
	return b.String()
}

// stream is a payload that can be looked at again.
type stream struct{ *strings.Reader }

func (stream) Close() error { return nil }

func pairs(r []rune) (out [][2]rune) {
	for i := 0; i+1 < len(r); i += 2 {
		out = append(out, [2]rune{r[i], r[i+1]})
	}
	return out
}

func newSynth(seed uint64) *synth { return &synth{rand.New(rand.NewPCG(seed, 7)), true} }
