package wire

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/platform/errs"
)

// problem is one broken constraint, in the words that AWS services use.
type problem struct{ path, text string }

// ErrInvalidInput is the name that the edge replaces with the service's own name for a validation error.
const ErrInvalidInput = "ValidationException"

// maxProblems bounds a validation message.
const maxProblems = 10

func (d *decoder) add(path, constraint string) {
	d.problems = append(d.problems, problem{path, constraint})
}

func (d *decoder) missing(path string) {
	if !d.lenient {
		d.add(path, "Member must not be null")
	}
}

// Names that contracts have of their own: of text analysis for a text over its bound, of the audit log for the size of a page.
const (
	errTextSize   = "TextSizeLimitExceededException"
	errMaxResults = "InvalidMaxResultsException"
)

// err says all problems at once, as AWS does. Values are left out: they may be clinical. The operation may have
// a name of its own for the one problem that there is.
func (d *decoder) err() error {
	n := len(d.problems)
	if n == 0 {
		return nil
	}
	name := ErrInvalidInput
	if d.op != nil && n == 1 {
		for _, e := range d.op.Errors {
			if e.Name == errTextSize && d.tooLong || e.Name == errMaxResults && d.problems[0].path == "maxResults" {
				name = e.Name
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d validation error", n)
	if n > 1 {
		b.WriteByte('s')
	}
	b.WriteString(" detected: ")
	for i, p := range d.problems {
		if i == maxProblems {
			fmt.Fprintf(&b, "; and %d more", n-i)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "Value at '%s' failed to satisfy constraint: %s", p.path, p.text)
	}
	return errs.Named(errs.Invalid, name, "%s", b.String())
}

// Validate holds an input that did not come over the wire to the contract's constraints, as Decode does for one that did. An empty string or list is absent.
func Validate(op *aws.Operation, in any) error {
	d := &decoder{op: op}
	d.check(&aws.Member{Shape: op.Input}, reflect.ValueOf(in), "")
	return d.err()
}

func (d *decoder) check(m *aws.Member, v reflect.Value, path string) {
	if m.Shape.EventStream || m.Location == "statusCode" {
		return
	}
	if v.IsZero() && v.Kind() != reflect.Int32 && v.Kind() != reflect.Int64 && v.Kind() != reflect.Float32 && v.Kind() != reflect.Float64 && v.Kind() != reflect.Bool && v.Kind() != reflect.Struct {
		if m.Required {
			d.missing(path)
		}
		return
	}
	v = reflect.Indirect(v)
	sh := m.Shape
	switch sh.Kind {
	case aws.Structure:
		if sh.Document {
			return
		}
		set := 0
		for _, x := range sh.Members {
			f := v.FieldByName(x.Field)
			if !x.Shape.EventStream && !f.IsZero() {
				set++
			}
			if !x.Shape.EventStream {
				d.check(x, f, join(path, x.Name))
			}
		}
		if sh.Union && set != 1 {
			d.add(path, "Member must have exactly one of its union's members set")
		}
	case aws.List:
		d.size(sh, v.Len(), path)
		for i := range v.Len() {
			d.check(sh.Elem, v.Index(i), path+"."+strconv.Itoa(i+1)+".member")
		}
	case aws.Map:
		d.size(sh, v.Len(), path)
		for _, k := range v.MapKeys() {
			d.text(sh.Key.Shape, k.String(), path+".key")
			d.check(sh.Value, v.MapIndex(k), join(path, k.String()))
		}
	case aws.Blob:
		if !isStream(v) {
			d.size(sh, v.Len(), path)
		}
	case aws.String:
		d.text(sh, v.String(), path)
	case aws.Integer, aws.Long:
		d.number(sh, float64(v.Int()), path)
	case aws.Float, aws.Double:
		d.number(sh, v.Float(), path)
	case aws.Timestamp:
		if m.Required && v.IsZero() {
			d.missing(path)
		}
	}
}

// size checks the length of a list, map or blob.
func (d *decoder) size(sh *aws.Shape, n int, path string) { d.bounds(sh, n, path, "length") }

func (d *decoder) bounds(sh *aws.Shape, n int, path, what string) {
	if d.lenient {
		return
	}
	if sh.Min != nil && float64(n) < *sh.Min {
		d.add(path, fmt.Sprintf("Member must have %s greater than or equal to %s", what, trimFloat(*sh.Min)))
	}
	if sh.Max != nil && float64(n) > *sh.Max {
		d.add(path, fmt.Sprintf("Member must have %s less than or equal to %s", what, trimFloat(*sh.Max)))
	}
}

func (d *decoder) number(sh *aws.Shape, f float64, path string) {
	if d.lenient {
		return
	}
	if sh.Min != nil && f < *sh.Min {
		d.add(path, "Member must have value greater than or equal to "+trimFloat(*sh.Min))
	}
	if sh.Max != nil && f > *sh.Max {
		d.add(path, "Member must have value less than or equal to "+trimFloat(*sh.Max))
	}
}

// text checks length in characters, the set of values and the pattern.
func (d *decoder) text(sh *aws.Shape, s, path string) {
	if d.lenient {
		return
	}
	if len(sh.Enum) > 0 {
		for _, e := range sh.Enum {
			if e == s {
				return
			}
		}
		d.add(path, "Member must satisfy enum value set: ["+strings.Join(sh.Enum, ", ")+"]")
		return
	}
	if !utf8.ValidString(s) {
		d.add(path, "Member must be valid UTF-8")
		return
	}
	n := utf8.RuneCountInString(s)
	d.tooLong = d.tooLong || sh.Max != nil && float64(n) > *sh.Max
	d.bounds(sh, n, path, "length")
	if !compiled(sh.Pattern).matches(s) {
		d.add(path, "Member must satisfy regular expression pattern: "+sh.Pattern)
	}
}

func trimFloat(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
