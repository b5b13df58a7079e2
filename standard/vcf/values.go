package vcf

import (
	"bytes"
	"iter"
	"math"
	"strconv"
)

// InfoFields yields the keys of INFO with their raw values; a flag has none.
func (r *Record) InfoFields() iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		if len(r.Info) == 1 && r.Info[0] == '.' {
			return
		}
		for rest := r.Info; len(rest) > 0; {
			f := rest
			if i := bytes.IndexByte(rest, ';'); i >= 0 {
				f, rest = rest[:i], rest[i+1:]
			} else {
				rest = nil
			}
			key, value, _ := bytes.Cut(f, []byte("="))
			if !yield(key, value) {
				return
			}
		}
	}
}

func (r *Record) checkInfo() string {
	if len(r.Info) == 1 && r.Info[0] == '.' {
		return ""
	}
	rest := bytes.TrimSuffix(r.Info, []byte(";")) // common callers end with one
	for more := true; more; {
		var f []byte
		if i := bytes.IndexByte(rest, ';'); i >= 0 {
			f, rest = rest[:i], rest[i+1:]
		} else {
			f, more = rest, false
		}
		key, value, has := bytes.Cut(f, []byte("="))
		if !keyName(text(key)) {
			return "has a key that is empty or has white space or a comma"
		}
		d, declared := r.h.Info[text(key)]
		if !declared {
			continue
		}
		if d.Type == "Flag" {
			if has && string(value) != "1" && string(value) != "0" {
				return string(key) + " is a flag and has a value"
			}
			continue
		}
		if !has || len(value) == 0 {
			continue // no value though one is declared: missing
		}
		if reason := checkValues(&d, value); reason != "" {
			return string(key) + " " + reason
		}
	}
	return ""
}

// checkValues checks the type of a field's values and, where the header gives a count of numbers, how many there are. The numbers of A, R and G are
// not held: tools that drop alleles often leave them wrong, and nothing is read by their place.
func checkValues(d *Field, value []byte) string {
	if d.Type == "String" || d.Type == "Character" || len(value) == 0 || len(value) == 1 && value[0] == '.' {
		return ""
	}
	n := 0
	for rest, more := value, true; more; n++ {
		v := rest
		if i := bytes.IndexByte(rest, ','); i >= 0 {
			v, rest = rest[:i], rest[i+1:]
		} else {
			more = false
		}
		if v = bytes.TrimRight(v, " "); len(v) == 1 && v[0] == '.' {
			continue
		}
		ok := false
		if d.Type == "Integer" {
			_, ok = integer(v)
		} else {
			_, ok = float(v)
		}
		if !ok {
			return "has a value that is no " + d.Type
		}
	}
	if d.Count > 0 && n != d.Count {
		return "has " + strconv.Itoa(n) + " values, the header says " + strconv.Itoa(d.Count)
	}
	return ""
}

func integer(b []byte) (int64, bool) {
	i, neg := 0, false
	if len(b) > 1 && (b[0] == '-' || b[0] == '+') {
		neg, i = b[0] == '-', 1
	}
	if len(b) == i || len(b) > 19 {
		return 0, false
	}
	n := int64(0)
	for _, c := range b[i:] {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if neg {
		n = -n
	}
	// The lowest eight of 32 bits are reserved (VCFv4.3 §1.3); positions beyond 32 bits are in use.
	return n, n >= math.MinInt32+8
}

// checkSamples checks FORMAT and every sample's values against it.
func (r *Record) checkSamples() error {
	fail := func(column, reason string) error { return &fault{r.Line, column, reason} }
	for i, k := range bytes.Split(r.Format, []byte(":")) {
		if !keyName(text(k)) && !(len(k) == 1 && k[0] == '.') {
			return fail("FORMAT", "has a key that is empty or has white space or a comma")
		}
		if string(k) == "GT" {
			if i > 0 {
				return fail("FORMAT", "has GT, which must come first, elsewhere")
			}
			r.gt = true
		}
		for _, before := range r.keys {
			if bytes.Equal(before, k) {
				return fail("FORMAT", "has a key twice")
			}
		}
		r.keys = append(r.keys, k)
	}
	for rest, more := r.samples, true; more; r.n++ {
		var s []byte
		s, rest, more = cut(rest)
		if r.n >= len(r.h.Samples) {
			return fail("", "has more columns than the #CHROM line")
		}
		if reason := r.checkSample(s); reason != "" {
			return fail("sample "+strconv.Itoa(r.n+1), reason)
		}
	}
	if r.n < len(r.h.Samples) {
		return fail("", "has fewer columns than the #CHROM line")
	}
	return nil
}

func (r *Record) checkSample(s []byte) string {
	if len(s) == 0 {
		if r.h.Version >= "VCFv4.5" { // a local-allele list of length zero
			return ""
		}
		return "is empty: a missing value is ."
	}
	for i, more := 0, true; more; i++ {
		v := s
		if k := bytes.IndexByte(s, ':'); k >= 0 {
			v, s = s[:k], s[k+1:]
		} else {
			more = false
		}
		if i >= len(r.keys) {
			return "has more values than FORMAT has keys"
		}
		if i == 0 && r.gt {
			if !r.checkGenotype(v) {
				return "has a GT that is not alleles of this line between / and |"
			}
			continue
		}
		d, ok := r.h.Format[text(r.keys[i])]
		if !ok {
			continue
		}
		if reason := checkValues(&d, v); reason != "" {
			return string(r.keys[i]) + " " + reason
		}
	}
	return ""
}

// checkGenotype checks that v is allele numbers of this line, or dots, between / and |. A line without alternate alleles may still call a 1.
func (r *Record) checkGenotype(v []byte) bool {
	if len(v) > 0 && (v[0] == '/' || v[0] == '|') && r.h.Version >= "VCFv4.4" { // a leading phase
		v = v[1:]
	}
	digits, n, missing := 0, 0, false
	for i := 0; i <= len(v); i++ {
		if i == len(v) || v[i] == '/' || v[i] == '|' {
			if digits == 0 || n > max(len(r.Alts), 1) || missing && digits > 1 {
				return false
			}
			digits, n, missing = 0, 0, false
			continue
		}
		switch c := v[i]; {
		case c == '.':
			missing = true
		case c >= '0' && c <= '9':
			n = min(n*10+int(c-'0'), 1<<30)
		default:
			return false
		}
		digits++
	}
	return true
}

// Call is one sample's values in a record.
type Call struct {
	Sample string
	GT     []byte // "" when the record has no GT
	values []byte
	r      *Record
}

// Calls yields every sample's call.
func (r *Record) Calls() iter.Seq[Call] {
	return func(yield func(Call) bool) {
		rest := r.samples
		for i := range r.n {
			var s []byte
			s, rest, _ = cut(rest)
			c := Call{Sample: r.h.Samples[i], values: s, r: r}
			if r.gt {
				c.GT, _, _ = bytes.Cut(s, []byte(":"))
			}
			if !yield(c) {
				return
			}
		}
	}
}

// Values yields the keys and raw values of a call; values left off at the end are not yielded.
func (c Call) Values() iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		rest := c.values
		for _, k := range c.r.keys {
			v, next, more := bytes.Cut(rest, []byte(":"))
			if !yield(k, v) || !more {
				return
			}
			rest = next
		}
	}
}

// Alleles appends the allele numbers of the genotype, −1 for a missing one, and says whether the genotype is phased.
func (c Call) Alleles(to []int32) (alleles []int32, phased bool) {
	if len(c.GT) == 0 {
		return to, false
	}
	n, missing := int32(0), false
	end := func() {
		if missing {
			n = -1
		}
		to = append(to, n)
		n, missing = 0, false
	}
	gt := c.GT
	if gt[0] == '/' || gt[0] == '|' {
		phased, gt = gt[0] == '|', gt[1:]
	}
	for _, b := range gt {
		switch b {
		case '/', '|':
			phased = phased || b == '|'
			end()
		case '.':
			missing = true
		default:
			n = n*10 + int32(b-'0')
		}
	}
	end()
	return to, phased
}

// Ints appends the numbers of a raw value; a missing one is ok = false for all.
func Ints(to []int32, value []byte) (out []int32, ok bool) {
	for _, v := range bytes.Split(value, []byte(",")) {
		n, ok := integer(v)
		if !ok || n > math.MaxInt32 {
			return to, false
		}
		to = append(to, int32(n))
	}
	return to, true
}

// Floats appends the numbers of a raw value; a missing one is ok = false for all.
func Floats(to []float64, value []byte) (out []float64, ok bool) {
	for _, v := range bytes.Split(value, []byte(",")) {
		f, ok := float(v)
		if !ok {
			return to, false
		}
		to = append(to, f)
	}
	return to, true
}

// End is the position of the last base of the reference that the record is about (INFO END, else POS and the length of REF).
func (r *Record) End() int64 {
	for k, v := range r.InfoFields() {
		if string(k) == "END" {
			if n, ok := position(v); ok && n >= r.Pos {
				return n
			}
		}
	}
	return r.Pos + int64(len(r.Ref)) - 1
}
