package wire

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/platform/errs"
)

// leaf is a value with a constraint that can be broken.
type leaf struct {
	sh *aws.Shape
	v  reflect.Value
}

// leaves finds the constrained strings and numbers of a value that can be set in place.
func leaves(m *aws.Member, v reflect.Value, out *[]leaf) {
	sh := m.Shape
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	switch {
	case sh.Document || sh.EventStream || v.Kind() == reflect.Interface || v.IsZero() && v.Kind() == reflect.Slice:
	case sh.Kind == aws.Structure:
		for _, x := range sh.Members {
			if !x.Shape.EventStream {
				leaves(x, v.FieldByName(x.Field), out)
			}
		}
	case sh.Kind == aws.List:
		for i := range v.Len() {
			leaves(sh.Elem, v.Index(i), out)
		}
	case sh.Kind == aws.String && v.Len() > 0 && (len(sh.Enum) > 0 || sh.Pattern != "" || sh.Max != nil), (sh.Kind == aws.Integer || sh.Kind == aws.Long) && sh.Max != nil:
		*out = append(*out, leaf{sh, v})
	}
}

// TestValidateAgreesWithDecode breaks one constraint at a time: an input in the process is refused with the same words as one over the wire.
func TestValidateAgreesWithDecode(t *testing.T) {
	broken := 0
	for _, s := range contracts {
		if p := s.Protocols[len(s.Protocols)-1]; p != aws.JSON10 && p != aws.JSON11 {
			continue
		}
		for _, name := range s.OperationNames() {
			op := s.Operations[name]
			for seed := range uint64(4) {
				gen := newSynth(seed)
				in := reflect.New(op.In)
				gen.fill(op.Input, in.Elem(), 0)
				var all []leaf
				leaves(&aws.Member{Shape: op.Input}, in, &all)
				if len(all) == 0 {
					continue
				}
				l := all[gen.IntN(len(all))]
				switch {
				case l.sh.Kind != aws.String:
					l.v.SetInt(int64(*l.sh.Max) + 1)
				case len(l.sh.Enum) > 0:
					l.v.SetString("NOT_AMONG_THEM")
				case l.sh.Max != nil && *l.sh.Max < 1<<20:
					l.v.SetString(strings.Repeat("a", int(*l.sh.Max)+1))
				default:
					l.v.SetString("\x01")
				}
				var here, wire *errs.Error
				if err := Validate(op, in.Interface()); !errors.As(err, &here) {
					if l.sh.Pattern != "" && compiled(l.sh.Pattern).matches("\x01") {
						continue
					}
					t.Errorf("%s %s: %s = %.40q is valid in the process", s.Package, name, l.sh.Name, l.v)
					continue
				}
				p := s.Protocols[len(s.Protocols)-1]
				req, err := EncodeRequest("http://host.example", op, p, in.Interface())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := Decode(&Request{Op: op, Protocol: p, Header: req.Header, Body: req.Body}); !errors.As(err, &wire) || wire.Message != here.Message || wire.Name != here.Name {
					t.Errorf("%s %s:\n in the process %v\n over the wire  %v", s.Package, name, here, err)
				}
				broken++
			}
		}
	}
	if broken < 300 {
		t.Errorf("only %d constraints were broken", broken)
	}
}
