package pebble

import (
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galen-health/galen/platform/record"
)

// What is derived can be lost in any way, and is made anew; a version that is lost is not covered up.
func TestRepair(t *testing.T) {
	for _, c := range []struct {
		what   string
		table  byte
		lost   bool // what no repair brings back
		change func(k, v []byte) []byte
	}{
		{"directory", tableDir, false, nil}, {"heads", tableHead, false, nil}, {"history", tableHistory, false, nil}, {"postings", tablePosting, false, nil},
		{"a head's bytes", tableHead, false, func(_, v []byte) []byte { return v[:len(v)-1] }},
		{"newest versions", tableVersion, true, nil},
	} {
		dir := t.TempDir()
		s, ring := filled(t, dir)
		n := 0
		batch := s.db.NewBatch()
		if err := s.scan([]byte{c.table}, func(k, v []byte) error {
			if n++; n%3 != 1 {
				return nil
			}
			if c.change != nil {
				return batch.Set(k, c.change(k, append([]byte(nil), v...)), nil)
			}
			return batch.Delete(k, nil)
		}); err != nil || n < 3 {
			t.Fatal(err, n)
		}
		if err := batch.Commit(pebble.Sync); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = reopen(t, dir, ring)
		before, _, _ := faultsOf(t, s)
		if len(before) == 0 {
			t.Fatalf("%s: the damage is not found", c.what)
		}
		var would, did []string
		if err := s.Repair(t.Context(), true, func(w string) { would = append(would, w) }); err != nil {
			t.Fatal(err)
		}
		if after, _, _ := faultsOf(t, s); len(after) != len(before) {
			t.Errorf("%s: a dry run changed something", c.what)
		}
		if err := s.Repair(t.Context(), false, func(w string) { did = append(did, w) }); err != nil {
			t.Fatal(err)
		}
		after, _, _ := faultsOf(t, s)
		switch {
		case c.lost && len(after) == 0:
			t.Errorf("%s: the loss is covered up", c.what)
		case !c.lost && (len(after) > 0 || len(did) == 0 || len(did) != len(would)):
			t.Errorf("%s: %d repairs (%d foretold) left %q", c.what, len(did), len(would), after)
		}
		v, err := s.View(t.Context(), "one")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := v.Count(t.Context(), notes.Name, nil); err != nil || !c.lost && got != 19 {
			t.Errorf("%s: %d notes, %v", c.what, got, err)
		}
		if got, err := v.Count(t.Context(), notes.Name, record.Match{Index: "code", Value: record.Token("", "again")}); err != nil || !c.lost && got != 1 {
			t.Errorf("%s: %d by the index, %v", c.what, got, err)
		}
		v.Close()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
