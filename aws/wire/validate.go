package wire

import (
	"fmt"
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

// err says all problems at once, as AWS does. Values are left out: they may be clinical.
func (d *decoder) err() error {
	n := len(d.problems)
	if n == 0 {
		return nil
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
	return errs.Named(errs.Invalid, ErrInvalidInput, "%s", b.String())
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
	d.bounds(sh, utf8.RuneCountInString(s), path, "length")
	if !compiled(sh.Pattern).matches(s) {
		d.add(path, "Member must satisfy regular expression pattern: "+sh.Pattern)
	}
}

func trimFloat(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
