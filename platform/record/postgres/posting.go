package postgres

import (
	"bytes"
	"crypto/sha256"
	"slices"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// maxValue is how much of a value stands in the index, before it is hidden; the rest of a longer one stands beside it. Hidden it is twice as long, and an entry of
// PostgreSQL's B-tree has at most 2,704 bytes. The names of S3 objects, which are listed in their order, fit whole.
const maxValue = 1160

// posting is one row of galen.posting but for its record.
type posting struct {
	index  int16 // negative: the system of a token
	value  []byte
	part   []byte
	rest   []byte
	target []byte
}

// hidden is a value as it is compared: what stands in the index, and the rest.
func (sp *space) hidden(s scope, v string) (value, rest []byte) {
	h := sp.veil.hide(s, v)
	if len(h) <= 2*maxValue {
		return h, []byte{}
	}
	return h[:2*maxValue], h[2*maxValue:]
}

// periodOf is the Period that a value is, or that is the second of a Pair.
func periodOf(v record.Value) record.Value {
	if len(v) > 0 && v[0] == 'w' {
		v = v.Second()
	}
	if len(v) == 17 && v[0] == 'p' {
		return v
	}
	return ""
}

// systemOf is what a token is found by when its system alone is asked for: the escaped system.
func systemOf(v record.Value) string { return string(v.Second()) }

// postings are the rows of an entry.
func (sp *space) postings(kind int16, e entry) []posting {
	s := scope{kind: kind, index: e.index}
	p := posting{index: e.index, part: []byte{}}
	p.value, p.rest = sp.hidden(s, string(e.value))
	if period := periodOf(e.value); period != "" {
		_, end, _ := period.Ends()
		s.part = ofEnd
		p.part = sp.veil.hide(s, string(end))
	}
	p.part = append(p.part, sumOf(p.value, p.rest)...)
	if kind, id, ok := e.value.Target(); ok {
		p.target = sp.veil.id(kind, id)
	}
	if e.value[0] != 't' {
		return []posting{p}
	}
	y := posting{index: -e.index, part: []byte{}}
	y.value, y.rest = sp.hidden(scope{kind: kind, index: y.index}, systemOf(e.value))
	y.part = append(y.part, sumOf(y.value, y.rest)...)
	return []posting{p, y}
}

// endSize is the length of the hidden end of a period, sumSize that of the hash that tells long values apart.
const (
	endSize = 16
	sumSize = 20
)

// sumOf tells a long value from others that begin alike; nothing for a value that stands whole.
func sumOf(value, rest []byte) []byte {
	if len(rest) == 0 {
		return nil
	}
	sum := sha256.Sum256(append(bytes.Clone(value), rest...))
	return sum[:sumSize]
}

// numberEntries numbers the indexes of entries, sorts them and drops duplicates.
func (t *tx) numberEntries(entries []record.Entry) ([]entry, error) {
	out := make([]entry, 0, len(entries))
	for _, e := range entries {
		no, err := t.s.numbered(t.ctx, e.Index)
		if err != nil {
			return nil, err
		}
		if e.Value == "" || e.Value[0] == 'c' || e.Value[0] == 'y' {
			return nil, errs.New(errs.Internal, "an entry of index %s has no value, or one that is for queries only", e.Index)
		}
		out = append(out, entry{no, e.Value})
	}
	slices.SortFunc(out, compareEntries)
	return slices.Compact(out), nil
}
