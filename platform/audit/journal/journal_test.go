package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/galen-health/galen/platform/audit/journal"
	"github.com/galen-health/galen/platform/disk"
	"github.com/galen-health/galen/platform/disk/disktest"
	"github.com/galen-health/galen/platform/errs"
)

var key = []byte("a key of the tests")

func entry(i uint64) []byte { return fmt.Appendf(nil, "entry %d", i) }

// appended puts n more entries in groups of up to most.
func appended(t testing.TB, j *journal.Journal, n, most int) {
	t.Helper()
	for n > 0 {
		var group [][]byte
		for range min(n, 1+rand.IntN(most)) {
			group = append(group, entry(j.Next()+uint64(len(group))))
		}
		if err := j.Append(group); err != nil {
			t.Fatal(err)
		}
		n -= len(group)
	}
}

func waiting(t testing.TB, s *journal.State, from, to uint64) {
	t.Helper()
	same(t, s, from, to, entry)
}

// long is an entry that is now and then longer than a block of a disk.
func long(i uint64) []byte { return append(entry(i), make([]byte, i%5*1500)...) }

func same(t testing.TB, s *journal.State, from, to uint64, entry func(uint64) []byte) {
	t.Helper()
	if uint64(len(s.Waiting)) != to-from {
		t.Fatalf("%d entries wait, want %d to %d", len(s.Waiting), from, to)
	}
	for i, e := range s.Waiting {
		if !bytes.Equal(e, entry(from+uint64(i))) {
			t.Fatalf("entry %d is %q", from+uint64(i), e)
		}
	}
}

func TestGoesOn(t *testing.T) {
	d := disktest.NewMem()
	j, s, err := journal.Open(d, key, 0)
	if err != nil {
		t.Fatal(err)
	}
	waiting(t, s, 0, 0)
	appended(t, j, 100, 7)
	for _, from := range []uint64{0, 1, 37, 99, 100} { // however far the tree is, nothing is lost and nothing comes twice
		if s, err = journal.Read(d, key, from); err != nil {
			t.Fatal(err)
		}
		waiting(t, s, from, 100)
	}
	if err := j.Close(60); err != nil {
		t.Fatal(err)
	}
	j, s, err = journal.Open(d, key, 60)
	if err != nil {
		t.Fatal(err)
	}
	waiting(t, s, 60, 100)
	appended(t, j, 50, 7)
	if err := j.Done(100); err != nil { // the first file goes
		t.Fatal(err)
	}
	if s, err = journal.Read(d, key, 100); err != nil {
		t.Fatal(err)
	}
	waiting(t, s, 100, 150)
	if _, err := journal.Read(d, key, 60); !errs.Is(err, errs.Corrupt) {
		t.Errorf("a tree without what the journal no longer has: %v", err)
	}
	if err := j.Close(150); err != nil {
		t.Fatal(err)
	}
	if names, err := d.List("."); err != nil || len(names) != 0 {
		t.Errorf("files are left of a journal that is done: %v, %v", names, err)
	}
}

func TestFilesAreFollowedByOthers(t *testing.T) {
	d := disktest.NewMem()
	j, _, err := journal.Open(d, key, 0)
	if err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte("x"), 1<<20)
	for i := range 20 {
		if err := j.Append([][]byte{big}); err != nil {
			t.Fatal(err)
		}
		if err := j.Done(uint64(i)); err != nil {
			t.Fatal(err)
		}
		if names, _ := d.List("."); len(names) > 2 {
			t.Fatalf("%d files for one waiting entry", len(names))
		}
	}
}

// Each byte of each group is covered: what is changed is found, and what cannot be told from a crash is said to be dropped.
func TestChangesAreFound(t *testing.T) {
	dir := t.TempDir()
	d, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close() //nolint:errcheck // test
	j, _, err := journal.Open(d, key, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends []int64 // of groups
	path := filepath.Join(dir, "0000000000000001")
	for i := range uint64(18) {
		appended(t, j, 1, 1)
		end := int64(8 + 4 + 4 + 8 + 32 + 4 + len(entry(i)) + 4 + 32)
		if i > 0 {
			end += ends[i-1]
		}
		ends = append(ends, end)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole = whole[:ends[len(ends)-1]]
	last := int(ends[16]) // where the last group begins
	flips, dropped := 0, 0
	for at := range whole {
		b := bytes.Clone(whole)
		b[at] ^= 1 << rand.IntN(8)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := journal.Read(d, key, 0)
		flips++
		switch {
		case errs.Is(err, errs.Corrupt):
		case err == nil && s.Discarded > 0 && len(s.Waiting) == 17 && at >= last:
			dropped++
		default:
			t.Fatalf("byte %d of %d flipped: %v, %+v", at, len(whole), err, s)
		}
	}
	t.Logf("%d flipped: %d told, %d of the last group dropped", flips, flips-dropped, dropped)
	// Groups that are whole in themselves, but not where they were.
	first, rest := whole[:ends[2]], whole[ends[2]:]
	for what, b := range map[string][]byte{"exchanged": append(bytes.Clone(rest), first...), "doubled": append(bytes.Clone(whole), rest...), "removed": append(bytes.Clone(first), whole[ends[5]:]...)} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := journal.Read(d, key, 0); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%s: %v, %d entries", what, err, len(s.Waiting))
		}
	}
	// Written by somebody without the key.
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := journal.Read(d, []byte("another key"), 0); err == nil && len(s.Waiting) > 0 {
		t.Error("groups under another key are taken")
	}
	if s, err := journal.Read(d, nil, 0); err != nil || len(s.Waiting) != 18 {
		t.Errorf("without a key: %v", err)
	}
}

// What was acknowledged survives a power cut; what was not is there whole or not at all, and the journal goes on.
func TestPowerCuts(t *testing.T) {
	cuts, torn := disktest.Rounds(t, disktest.Cuts, 150), 0
	rng := rand.New(rand.NewPCG(7, uint64(cuts)))
	d := disktest.NewMem()
	from := uint64(0) // what the tree has
	for range cuts {
		f := &disktest.Fault{FS: d, Ops: disktest.Writes | disktest.Syncs, Err: errors.New("power"), Sticky: true}
		j, s, err := journal.Open(f, key, from)
		if err != nil {
			t.Fatal(err)
		}
		same(t, s, from, j.Next(), long)
		f.Arm(1 + rng.IntN(12)) // the cut comes in the middle of this: nothing after it is acknowledged
		for err == nil {
			var group [][]byte
			for range 1 + rng.IntN(5) {
				group = append(group, long(j.Next()+uint64(len(group))))
			}
			if err = j.Append(group); err == nil {
				if rng.IntN(3) == 0 {
					from += uint64(rng.IntN(int(j.Next()-from) + 1))
				}
				if derr := j.Done(from); derr != nil { // after each group, as the log does
					t.Fatal(derr)
				}
				if rng.IntN(4) == 0 { // a disk keeps names, removals too, by itself after a while; else the files of all lives would come back each time
					if derr := d.SyncDir("."); derr != nil {
						t.Fatal(derr)
					}
				}
			}
		}
		if again := j.Append([][]byte{entry(j.Next())}); !errs.Is(again, errs.Unavailable) {
			t.Fatalf("a journal whose write failed (%v) goes on: %v", err, again)
		}
		acknowledged := j.Next()
		d = d.Crash(rng.IntN(101), rng)
		if s, err = journal.Read(d, key, from); err != nil {
			t.Fatal(err)
		}
		if got := from + uint64(len(s.Waiting)); got < acknowledged {
			t.Fatalf("%d entries were acknowledged, %d are there", acknowledged, got)
		}
		same(t, s, from, from+uint64(len(s.Waiting)), long)
		if s.Discarded > 0 {
			torn++
		}
		if rng.IntN(4) > 0 { // as a start does
			from += uint64(len(s.Waiting))
		}
	}
	t.Logf("%d power cuts, 0 lost, %d torn ends dropped", cuts, torn)
}

func FuzzRead(f *testing.F) {
	d := disktest.NewMem()
	j, _, err := journal.Open(d, key, 0)
	if err != nil {
		f.Fatal(err)
	}
	appended(f, j, 5, 2)
	whole, err := disk.ReadFile(d, "0000000000000001", 1<<20)
	if err != nil {
		f.Fatal(err)
	}
	whole = bytes.TrimRight(whole, "\x00")
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Fuzz(func(t *testing.T, b []byte) {
		d := disktest.NewMem()
		w, err := d.Create("0000000000000001")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
		for _, k := range [][]byte{key, nil} {
			if s, err := journal.Read(d, k, 0); err != nil && !errs.Is(err, errs.Corrupt) || err == nil && int64(len(b)) < s.Discarded {
				t.Fatalf("%v", err)
			}
		}
	})
}
