package healthlake

import (
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/standard/fhir"
)

func entriesText(l []record.Entry) string {
	out := make([]string, len(l))
	for i, e := range l {
		out[i] = fmt.Sprintf("%s %q", e.Index, e.Value)
	}
	sort.Strings(out)
	return strings.Join(out, "\n")
}

// TestIndexesCanBeRebuilt: what a kind computes from a stored body is what was written with it, for every example, at every validation level.
func TestIndexesCanBeRebuilt(t *testing.T) {
	kinds := map[string]record.KindDef{}
	for _, k := range resourceKinds() {
		kinds[k.Name] = k
	}
	n := 0
	r := new(reader)
	corpus(t, r4Examples, func(file string, body []byte) bool {
		p, err := r.read(body, "", "some-id", minimal)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		again, err := kinds[kindOf(p.typ)].Entries(p.id, p.body)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := entriesText(again), entriesText(p.entries); got != want {
			t.Errorf("%s: rebuilt indexes differ:\n%s\nwant\n%s", file, got, want)
		}
		single := map[string]int{}
		for _, e := range p.entries {
			single[e.Index]++
		}
		for _, ix := range kinds[kindOf(p.typ)].Single {
			if single[ix] > 1 {
				t.Errorf("%s: %d values of the single index %s", file, single[ix], ix)
			}
		}
		n++
		return true
	})
	if n < 5000 {
		t.Errorf("only %d resources compared", n)
	}
}

func TestLongTextsAreCutBetweenCharacters(t *testing.T) {
	if got := bounded(strings.Repeat("ä", longest)); len(got) > longest || strings.ToValidUTF8(got, "?") != got {
		t.Errorf("cut to %d bytes, valid = %v", len(got), strings.ToValidUTF8(got, "?") == got)
	}
	if bounded("short") != "short" {
		t.Error("a short text was changed")
	}
	if fhir.Fold("Ä") != "a" {
		t.Error("folding changed")
	}
}
