package audit_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/platform/errs"
)

// split cuts a bundle of entries apart; join is its inverse (C2SP tlog-tiles: 16 bits of length before each).
func split(t *testing.T, b []byte) (entries [][]byte) {
	t.Helper()
	for len(b) > 0 {
		n := int(binary.BigEndian.Uint16(b)) + 2
		entries, b = append(entries, b[2:n]), b[n:]
	}
	return entries
}

func join(entries [][]byte) (b []byte) {
	for _, e := range entries {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(e))), e...)
	}
	return b
}

// Each entry in turn is altered, removed, doubled, put elsewhere, made to be another entry, and the last of a cut bundle: all of it is found. The log is also
// rolled back whole, to each of its earlier lengths, which a kept checkpoint shows.
func TestEveryEntryIsGuarded(t *testing.T) {
	dir := t.TempDir()
	r := ring(t, dir)
	whole := filepath.Join(dir, "audit")
	var kept [][]byte
	var states []string
	for _, n := range []int{60, 140, 90} { // 290: a full bundle and one of 34
		m := open(t, dir, r)
		fill(t, m, n)
		closed(t, m)
		cp, err := audit.Checkpoint(whole)
		if err != nil {
			t.Fatal(err)
		}
		state := filepath.Join(t.TempDir(), "audit")
		copyTree(t, whole, state)
		kept, states = append(kept, cp), append(states, state)
	}
	counts, missed := map[string]int{}, 0
	for _, bundle := range []string{"000", "001.p/34"} {
		path := filepath.Join(whole, "log", "tile", "entries", bundle)
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		entries := split(t, body)
		for i := range entries {
			other := (i + 1 + i%7) % len(entries)
			for kind, change := range map[string]func(e [][]byte) [][]byte{
				"altered":   func(e [][]byte) [][]byte { e[i] = bytes.Replace(e[i], []byte("Op"), []byte("No"), 1); return e },
				"removed":   func(e [][]byte) [][]byte { return slices.Delete(e, i, i+1) },
				"doubled":   func(e [][]byte) [][]byte { return slices.Insert(e, i, e[i]) },
				"reordered": func(e [][]byte) [][]byte { e[i], e[other] = e[other], e[i]; return e },
				"replaced":  func(e [][]byte) [][]byte { e[i] = e[other]; return e },
				"truncated": func(e [][]byte) [][]byte { return e[:i] },
			} {
				if other == i {
					t.Fatal("the test changes nothing")
				}
				if err := os.WriteFile(path, join(change(slices.Clone(entries))), 0o600); err != nil {
					t.Fatal(err)
				}
				counts[kind]++
				if _, err := audit.Verify(ctx, whole, "", nil); !errs.Is(err, errs.Corrupt) {
					missed++
					t.Errorf("entry %d of bundle %s %s: %v", i, bundle, kind, err)
				}
			}
		}
		if err := os.WriteFile(path, body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := audit.Verify(ctx, whole, "", kept[0]); err != nil {
		t.Errorf("put back: %v", err)
	}
	for i, state := range states {
		for j, cp := range kept {
			_, err := audit.Verify(ctx, state, "", cp)
			if j > i {
				counts["rolled back whole"]++
			}
			if found := errs.Is(err, errs.Corrupt); found != (j > i) {
				missed++
				t.Errorf("the log as it was at its checkpoint %d, held against checkpoint %d: %v", i, j, err)
			}
		}
	}
	t.Logf("found, of as many tried: %v; missed: %d", counts, missed)
}

// Every entry has a proof that holds with the public key alone, and does not hold for another number, entry, tree or key.
func TestProofs(t *testing.T) {
	dir := t.TempDir()
	r := ring(t, dir)
	whole := filepath.Join(dir, "audit")
	m := open(t, dir, r)
	fill(t, m, 100)
	closed(t, m)
	old, err := audit.Checkpoint(whole)
	if err != nil {
		t.Fatal(err)
	}
	m = open(t, dir, r)
	fill(t, m, 200)
	closed(t, m)
	key, err := audit.Verifier(whole)
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(300) {
		p, err := audit.Prove(ctx, whole, i)
		if err != nil {
			t.Fatal(err)
		}
		if e, err := p.Check(key); err != nil || e.Source != "s3.amazonaws.com" {
			t.Errorf("entry %d: %+v, %v", i, e, err)
		}
		bad := *p
		bad.Index ^= 1
		if _, err := bad.Check(key); !errs.Is(err, errs.Corrupt) {
			t.Errorf("entry %d as number %d: %v", i, bad.Index, err)
		}
		bad = *p
		bad.Entry = bytes.Replace(p.Entry, []byte("Op"), []byte("No"), 1)
		if _, err := bad.Check(key); !errs.Is(err, errs.Corrupt) {
			t.Errorf("entry %d altered: %v", i, err)
		}
		bad = *p
		bad.Checkpoint = string(old)
		if _, err := bad.Check(key); !errs.Is(err, errs.Corrupt) {
			t.Errorf("entry %d under another tree: %v", i, err)
		}
	}
	if _, err := audit.Prove(ctx, whole, 300); !errs.Is(err, errs.NotFound) {
		t.Errorf("an entry that is not there: %v", err)
	}
	p, err := audit.ProveContinues(ctx, whole, old)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Check(key); err != nil {
		t.Errorf("continues: %v", err)
	}
	p.Earlier, p.Checkpoint = p.Checkpoint, p.Earlier
	if _, err := p.Check(key); !errs.Is(err, errs.Corrupt) {
		t.Errorf("the other way round: %v", err)
	}
	elsewhere := t.TempDir()
	closed(t, open(t, elsewhere, ring(t, elsewhere)))
	foreign, err := audit.Verifier(filepath.Join(elsewhere, "audit"))
	if err != nil {
		t.Fatal(err)
	}
	if p, err = audit.Prove(ctx, whole, 7); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Check(foreign); !errs.Is(err, errs.Corrupt) {
		t.Errorf("under another log's key: %v", err)
	}
}
