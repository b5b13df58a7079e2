package medicalimaging

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/standard/dicom"
)

// searchKey is one matching key (PS3.4 C.2.2.2). The indexes narrow a search; what is answered is decided here, on the attributes themselves.
type searchKey struct {
	tag    string   // eight hex digits
	within []string // tags below tag, for an attribute in a sequence
	vr     dicom.VR
	value  string
	fuzzy  bool

	list      []string // values of which one must match
	isRange   bool
	low, high string
	words     []string // of a fuzzy name
}

func (k *searchKey) parse() error {
	switch k.vr {
	case dicom.DA, dicom.TM, dicom.DT:
		k.low, k.high, k.isRange = dicom.SplitRange(k.value, k.vr)
		for _, end := range []string{k.low, k.high} {
			if end == "" && k.isRange {
				continue
			}
			if end == "" {
				break
			}
			if err := k.checkTime(end); err != nil {
				return errs.New(errs.Invalid, "the value of %s is not a %s, nor a range of it", k.tag, map[dicom.VR]string{dicom.DA: "date (YYYYMMDD)", dicom.TM: "time (HHMMSS)", dicom.DT: "date and time"}[k.vr])
			}
		}
		if k.isRange && k.low == "" && k.high == "" {
			return errs.New(errs.Invalid, "the range of %s has no end", k.tag)
		}
		k.list = []string{k.value}
	case dicom.PN:
		k.list = []string{dicom.FoldName(k.value)}
		k.words = dicom.NameWords(strings.ReplaceAll(k.value, "*", ""))
	case dicom.UI:
		k.list = strings.FieldsFunc(k.value, func(r rune) bool { return r == ',' || r == '\\' })
	default:
		k.list = strings.Split(k.value, "\\")
		if k.vr == dicom.CS || k.tag == "00201209" {
			k.list = strings.FieldsFunc(k.value, func(r rune) bool { return r == ',' || r == '\\' })
		}
	}
	return nil
}

func (k *searchKey) checkTime(s string) (err error) {
	switch k.vr {
	case dicom.DA:
		_, err = dicom.ParseDate(s)
	case dicom.TM:
		_, _, err = dicom.ParseTime(s)
	default:
		if len(s) < 4 {
			err = errs.New(errs.Invalid, "a date and time has at least a year")
		}
	}
	return err
}

// fits reports whether the attributes match the key.
func (k *searchKey) fits(ms []member) bool {
	b := find(ms, k.tag)
	if b == nil {
		return false
	}
	a := decodeAttribute(b)
	if len(k.within) == 0 {
		return k.matches(a)
	}
	return k.descend(a, k.within)
}

func (k *searchKey) descend(a attribute, path []string) bool {
	for _, item := range a.Value {
		m, _ := item.(map[string]any)
		raw, err := json.Marshal(m[path[0]])
		if err != nil || m[path[0]] == nil {
			continue
		}
		in := decodeAttribute(raw)
		if len(path) == 1 && k.matches(in) || len(path) > 1 && k.descend(in, path[1:]) {
			return true
		}
	}
	return false
}

func (k *searchKey) matches(a attribute) bool {
	for _, v := range a.strings() {
		if k.one(v) {
			return true
		}
	}
	return false
}

// one reports whether a single value matches.
func (k *searchKey) one(v string) bool {
	switch k.vr {
	case dicom.DA:
		return k.span(v, func(s string) (from, to string) { return compact(s), compact(s) })
	case dicom.TM:
		return k.span(v, func(s string) (string, string) {
			from, to, err := dicom.ParseTime(s)
			if err != nil {
				return "", ""
			}
			return clock(from), clock(to)
		})
	case dicom.DT:
		return k.span(v, func(s string) (string, string) { return s, s + "\xff" })
	case dicom.PN:
		return k.name(v)
	}
	for _, want := range k.list {
		if want == v || k.vr != dicom.UI && strings.ContainsAny(want, "*?") && dicom.MatchWildcard(want, v) {
			return true
		}
		if k.vr == dicom.IS || k.vr == dicom.DS {
			if strings.TrimLeft(strings.TrimSpace(v), "+0") == strings.TrimLeft(strings.TrimSpace(want), "+0") {
				return true
			}
		}
	}
	return false
}

func compact(s string) string {
	d, err := dicom.ParseDate(s)
	if err != nil {
		return ""
	}
	return d.Format("20060102")
}

func clock(d time.Duration) string { return time.Time{}.Add(d).Format("150405.000000") }

// span compares a value with the key's bounds, both as the spans of time that they stand for.
func (k *searchKey) span(v string, parse func(string) (from, to string)) bool {
	from, to := parse(v)
	if from == "" {
		return false
	}
	low, high := k.low, k.high
	if !k.isRange {
		high = low
	}
	if low != "" {
		if l, _ := parse(low); to < l {
			return false
		}
	}
	if high != "" {
		if _, h := parse(high); from > h {
			return false
		}
	}
	return true
}

// name compares person names: without regard to case and accents, with wildcards over each group of components. Fuzzy matching asks that
// each word of the key begins a word of the name.
func (k *searchKey) name(v string) bool {
	folded := dicom.FoldName(v)
	for _, want := range k.list {
		for _, group := range append(strings.Split(folded, "="), folded) {
			if dicom.MatchWildcard(want, group) {
				return true
			}
		}
	}
	if !k.fuzzy || len(k.words) == 0 {
		return false
	}
	have := dicom.NameWords(v)
	for _, w := range k.words {
		if !slices.ContainsFunc(have, func(h string) bool { return strings.HasPrefix(h, w) }) {
			return false
		}
	}
	return true
}

// An index of a kind that a key can use, by the key's tag: token indexes by their name, text indexes under the tag itself.
var (
	studyIndexes    = map[string]string{"0020000D": "study", "00100010": "", "00100020": "", "00080050": "", "00200010": "", "00080020": ""}
	setIndexes      = map[string]string{"0020000D": "study", "0020000E": "series", "00100010": "", "00100020": "", "00080050": "", "00200010": "", "00080020": "", "00080060": ""}
	instanceIndexes = map[string]string{"00080018": "sop", "00080016": "class"}
)

// where turns the keys that an index knows into the algebra. It never excludes what fits.
func (s *search) where(indexes map[string]string) record.And {
	var out record.And
	for _, k := range s.keys {
		index, ok := indexes[k.tag]
		if !ok || len(k.within) > 0 {
			continue
		}
		if index != "" {
			var or record.Or
			for _, v := range k.list {
				or = append(or, record.Match{Index: index, Value: record.Token("", v)})
			}
			out = append(out, or)
			continue
		}
		if e := k.expr(); e != nil {
			out = append(out, e)
		}
	}
	return out
}

func (k *searchKey) expr() record.Expr {
	switch {
	case k.vr == dicom.DA && k.isRange:
		r := record.Range{Index: k.tag}
		if k.low != "" {
			r.Low = record.String(compact(k.low))
		}
		if k.high != "" {
			r.High = record.String(compact(k.high) + "\x7f")
		}
		return r
	case k.vr == dicom.DA, k.vr == dicom.PN && k.fuzzy, k.vr == dicom.IS, k.vr == dicom.DS:
		return nil
	}
	var or record.Or
	for _, v := range k.list {
		i := strings.IndexAny(v, "*?")
		switch {
		case i < 0 && k.vr != dicom.PN:
			or = append(or, record.Match{Index: k.tag, Value: record.String(v)})
		case i > 0 && k.vr != dicom.PN:
			or = append(or, record.Prefix{Index: k.tag, Value: record.String(v[:i])})
		case i < 0: // a name may be one group of the stored one
			or = append(or, record.Contains{Index: k.tag, Text: v})
		default:
			longest := ""
			for _, part := range strings.FieldsFunc(v, func(r rune) bool { return r == '*' || r == '?' }) {
				if len(part) > len(longest) {
					longest = part
				}
			}
			if longest == "" {
				return nil
			}
			or = append(or, record.Contains{Index: k.tag, Text: longest})
		}
	}
	return or
}
