package tagger

import (
	"fmt"
	"io"

	"github.com/galen-health/galen/standard/clinical/weights"
)

const magic = "galen-tagger-1"

// Write stores a model: labels, transitions, weights.
func (t *Tagger) Write(out io.Writer) error {
	w := &weights.Writer{}
	w.Number(uint32(len(t.labels)))
	for _, l := range t.labels {
		w.String(l)
	}
	for _, v := range t.trans {
		w.Float(v)
	}
	w.Table(t.table)
	return w.Close(out, magic)
}

// Read loads a model that Write stored.
func Read(in io.Reader) (*Tagger, error) {
	r, err := weights.Open(in, magic)
	if err != nil {
		return nil, err
	}
	n := int(r.Number())
	if n == 0 || n%2 == 0 || n > 63 {
		return nil, fmt.Errorf("tagger: model has %d labels, want O and pairs of B and I", n)
	}
	t := &Tagger{trans: make([]float32, (n+1)*n)}
	for range n {
		t.labels = append(t.labels, r.String())
	}
	for i := range t.trans {
		t.trans[i] = r.Float()
	}
	t.table = r.Table(n)
	for i, l := range t.labels {
		if i > 0 && len(l) < 3 {
			return nil, fmt.Errorf("tagger: label %q has no type", l)
		}
	}
	return t, r.Err()
}
