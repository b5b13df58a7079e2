package vcf

import (
	"bytes"
	"math"
	"strconv"
	"unsafe"
)

// Record is one line (VCFv4.3 §1.6). Its byte slices are parts of the line.
type Record struct {
	Line    int64
	Chrom   []byte
	Pos     int64 // from 1; 0 is the telomere before the first base
	IDs     []byte
	Ref     []byte
	Alts    [][]byte // none for "."
	Qual    float64  // NaN for "."
	Filters []byte   // "PASS", names between semicolons, or "."
	Info    []byte
	Format  []byte
	samples []byte
	keys    [][]byte // of Format
	gt      bool
	n       int // samples

	h *Header
}

// text is b as a string for as long as b lives: for look-ups and number parsing only.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// cut takes the bytes before the next tab.
func cut(b []byte) (field, rest []byte, ok bool) {
	if i := bytes.IndexByte(b, '\t'); i >= 0 {
		return b[:i], b[i+1:], true
	}
	return b, nil, false
}

// Parse reads a line without its line feed. The record keeps parts of the line.
func (r *Record) Parse(h *Header, number int64, line []byte) error {
	r.h, r.Line = h, number
	var f [8][]byte
	rest, more := line, true
	for i := range f {
		if !more {
			return &fault{number, "", "has fewer than 8 columns"}
		}
		f[i], rest, more = cut(rest)
		if len(f[i]) == 0 {
			return &fault{number, "", "has an empty column: a missing value is ."}
		}
	}
	if len(h.Samples) == 0 && more {
		// FORMAT without samples is allowed by the column line only when it names FORMAT.
		if _, rest, more = cut(rest); more {
			return &fault{number, "", "has more columns than the #CHROM line"}
		}
	}
	if len(h.Samples) > 0 && !more {
		return &fault{number, "", "has fewer columns than the #CHROM line"}
	}
	r.Chrom, r.IDs, r.Ref, r.Filters, r.Info = f[0], f[2], f[3], f[6], f[7]
	if reason := r.checkFixed(f[1], f[4], f[5]); reason != "" {
		return &fault{number, reasonColumn(reason), reasonText(reason)}
	}
	if reason := r.checkInfo(); reason != "" {
		return &fault{number, "INFO", reason}
	}
	r.Format, r.samples, r.keys, r.gt, r.n = nil, nil, r.keys[:0], false, 0
	if len(h.Samples) == 0 {
		return nil
	}
	r.Format, r.samples, _ = cut(rest)
	return r.checkSamples()
}

// Reasons of the fixed columns are "COLUMN|reason": one allocation-free string constant each.
func reasonColumn(s string) string { c, _, _ := bytes.Cut([]byte(s), []byte("|")); return string(c) }
func reasonText(s string) string   { _, t, _ := bytes.Cut([]byte(s), []byte("|")); return string(t) }

func (r *Record) checkFixed(pos, alt, qual []byte) string {
	chrom := r.Chrom
	if len(chrom) > 2 && chrom[0] == '<' && chrom[len(chrom)-1] == '>' { // a contig of the assembly file
		chrom = chrom[1 : len(chrom)-1]
	}
	if !contigName(text(chrom)) {
		return "CHROM|is no contig name"
	}
	var ok bool
	if r.Pos, ok = position(pos); !ok {
		return "POS|is no number from 0 to 2147483647"
	}
	for i, c := range r.IDs {
		if c <= ' ' || c == 0x7f {
			return "ID|has white space"
		}
		if c == ';' && (i == 0 || i == len(r.IDs)-1 || r.IDs[i-1] == ';') {
			return "ID|has an empty name"
		}
	}
	for _, c := range r.Ref {
		if !isBase[c] {
			return "REF|has a byte that is no base"
		}
	}
	if r.Alts = r.Alts[:0]; !(len(alt) == 1 && alt[0] == '.') {
		for rest := alt; ; {
			i := bytes.IndexByte(rest, ',')
			a := rest
			if i >= 0 {
				a = rest[:i]
			}
			if reason := checkAlt(a, r.Ref); reason != "" {
				return reason
			}
			r.Alts = append(r.Alts, a)
			if i < 0 {
				break
			}
			rest = rest[i+1:]
		}
	}
	if len(qual) == 1 && qual[0] == '.' {
		r.Qual = math.NaN()
	} else if r.Qual, ok = float(qual); !ok || r.Qual < 0 {
		return "QUAL|is no number from 0"
	}
	return r.checkFilters()
}

func (r *Record) checkFilters() string {
	f := r.Filters
	if len(f) == 1 && f[0] == '.' || string(f) == "PASS" {
		return ""
	}
	for len(f) > 0 {
		name := f
		if i := bytes.IndexByte(f, ';'); i >= 0 {
			if name, f = f[:i], f[i+1:]; len(f) == 0 {
				return "FILTER|ends with a semicolon"
			}
		} else {
			f = nil
		}
		switch {
		case len(name) == 0:
			return "FILTER|has an empty name"
		case len(name) == 1 && name[0] == '0':
			return "FILTER|has the reserved name 0"
		case bytes.IndexByte(name, ' ') >= 0 || bytes.IndexByte(name, ',') >= 0:
			return "FILTER|has white space or a comma: names are separated by semicolons"
		}
	}
	return ""
}

func position(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 10 {
		return 0, false
	}
	n := int64(0)
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, n <= math.MaxInt32
}

// float reads a number as VCF has it, with Inf and NaN in any case (VCFv4.3 §1.3).
func float(b []byte) (float64, bool) {
	for _, c := range b {
		if c == '_' || c == 'x' || c == 'X' || c == 'p' || c == 'P' { // Go's own forms
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(text(b), 64)
	if e, ok := err.(*strconv.NumError); ok && e.Err == strconv.ErrRange {
		err = nil
	}
	return f, err == nil
}

// isBase holds ACGTN and the ambiguity codes: real references have them, and callers copy them.
var isBase = func() (b [256]bool) {
	for _, c := range "ACGTNMRWSYKVHDBacgtnmrwsykvhdb" {
		b[c] = true
	}
	return
}()

// checkAlt checks one alternate allele: bases, *, <ID>, a breakend, or . of a breakend (VCFv4.3 §1.6.1, §5.4).
func checkAlt(a, ref []byte) string {
	switch {
	case len(a) == 0:
		return "ALT|has an empty allele"
	case a[0] == '<':
		id := a[1:]
		if len(id) < 2 || id[len(id)-1] != '>' || bytes.ContainsAny(id[:len(id)-1], "<> \t") {
			return "ALT|has a symbolic allele that is not <ID>"
		}
		return ""
	case len(a) == 1 && a[0] == '*':
		return ""
	case bytes.IndexByte(a, '[') >= 0 || bytes.IndexByte(a, ']') >= 0:
		return checkBreakend(a)
	}
	if len(a) > 1 && (a[0] == '.' || a[len(a)-1] == '.') { // a single breakend
		if a[0] == '.' {
			a = a[1:]
		} else {
			a = a[:len(a)-1]
		}
	}
	for _, c := range a {
		if !isBase[c] {
			return "ALT|has a byte that is no base"
		}
	}
	return ""
}

// checkBreakend checks t[p[, t]p], ]p]t and [p[t.
func checkBreakend(a []byte) string {
	const reason = "ALT|has a breakend that is none of t[p[ t]p] ]p]t [p[t"
	i := bytes.IndexAny(a, "[]")
	bracket := a[i]
	k := bytes.IndexByte(a[i+1:], bracket)
	if k < 0 {
		return reason
	}
	end := i + 1 + k
	place, bases := a[i+1:end], a[:i]
	if i == 0 {
		bases = a[end+1:]
	} else if end != len(a)-1 {
		return reason
	}
	colon := bytes.LastIndexByte(place, ':')
	if colon <= 0 || len(bases) == 0 {
		return reason
	}
	if _, ok := position(place[colon+1:]); !ok {
		return reason
	}
	for _, c := range bases {
		if !isBase[c] && c != '.' {
			return reason
		}
	}
	return ""
}
