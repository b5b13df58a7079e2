package pebble

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
)

// note is a kind with an index, and lease one that keeps no old versions.
type note struct {
	Code string
	Text string
}

var (
	notes  = record.Kind[note]{Name: "test.note", Indexes: record.Indexes[note]{record.ByToken("code", func(n *note) string { return n.Code }), record.ByString("text", func(n *note) string { return n.Text })}}
	leases = record.Kind[note]{Name: "test.lease", Volatile: true, Indexes: record.Indexes[note]{record.ByToken("code", func(n *note) string { return n.Code })}}
)

// filled is a store with records that were made, changed, deleted, purged and made again.
func filled(t *testing.T, dir string) (*Store, *keyring.Ring) {
	t.Helper()
	ring, err := keyring.Open(filepath.Join(dir, "keys"), make([]byte, 32), keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ring.Close() })
	s := reopen(t, dir, ring)
	ctx := context.Background()
	if err := s.CreateSpace(ctx, "one", key.Ref{}); err != nil {
		t.Fatal(err)
	}
	do := func(fn func(record.Tx) error) {
		t.Helper()
		if _, err := s.Update(ctx, "one", nil, fn); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 40 {
		do(func(tx record.Tx) error {
			n := &note{fmt.Sprint("c", i%5), strings.Repeat("long ", i*20)}
			if err := leases.Put(tx, fmt.Sprint("l", i%3), n); err != nil {
				return err
			}
			tx.Emit("test", []byte("message"))
			return notes.Put(tx, fmt.Sprint("n", i%20), n)
		})
	}
	do(func(tx record.Tx) error {
		if _, err := tx.Delete(notes.Name, "n1", record.Any); err != nil {
			return err
		}
		if err := notes.Put(tx, "n2", &note{"a", "x"}); err != nil { // two versions in one batch
			return err
		}
		if err := notes.Put(tx, "n2", &note{"b", "y"}); err != nil {
			return err
		}
		return tx.Purge(notes.Name, "n3")
	})
	do(func(tx record.Tx) error { return notes.Create(tx, "n3", &note{"again", ""}) })
	return s, ring
}

func reopen(t *testing.T, dir string, ring key.Ring) *Store {
	t.Helper()
	s, err := Open(filepath.Join(dir, "records"), ring, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Declare(notes.Def(), leases.Def()); err != nil {
		t.Fatal(err)
	}
	return s
}

func faultsOf(t *testing.T, s *Store) (faults []string, records, unreadable int64) {
	t.Helper()
	records, unreadable, err := s.Verify(t.Context(), func(f string) { faults = append(faults, f) })
	if err != nil {
		t.Fatal(err)
	}
	return faults, records, unreadable
}

// TestVerify damages one thing at a time, behind the store's back, and undoes it; each must be found, by a line that says what it is.
func TestVerify(t *testing.T) {
	s, _ := filled(t, t.TempDir())
	defer s.Close()
	faults, records, unreadable := faultsOf(t, s)
	if len(faults) > 0 || records != 23 || unreadable != 0 {
		t.Fatalf("a whole store of 23 records: %d records, %d unreadable, faults %q", records, unreadable, faults)
	}
	sp, err := s.open(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	kind, index := s.names[notes.Name], s.names["code"]
	seven, err := find(s.db, sp.id, kind, "n7")
	if err != nil || seven == nil {
		t.Fatal(err)
	}
	pid := seven.pid
	h, err := headOf(s.db, sp.id, kind, pid)
	if err != nil {
		t.Fatal(err)
	}
	post := binary.BigEndian.AppendUint64(append(indexPrefix(sp.id, kind, index), record.Token("", h7(h, index))...), pid)
	one, err := find(s.db, sp.id, kind, "n1")
	if err != nil {
		t.Fatal(err)
	}
	deleted := one.pid
	var firstHistory []byte
	p := appendKind(nil, tableHistory, sp.id, kind)
	if err := s.scan(p, func(k, _ []byte) error {
		if firstHistory == nil {
			firstHistory = append([]byte(nil), k...)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte {
			if at < 0 {
				at += len(b)
			}
			b[at] ^= 1
			return b
		}
	}
	remove := func([]byte) []byte { return nil }
	set := func(v []byte) func([]byte) []byte { return func([]byte) []byte { return v } }
	other := *h
	other.entries = nil
	later := *h
	later.commit++
	for name, c := range map[string]struct {
		key    []byte
		change func([]byte) []byte
		want   string
	}{
		"version altered":          {versionKey(sp.id, kind, pid, 2), flip(-1), "version 2: its body does not open"},
		"old version altered":      {versionKey(sp.id, kind, pid, 1), flip(30), "version 1: its body does not open"},
		"version of another time":  {versionKey(sp.id, kind, pid, 2), flip(7), "does not agree with its newest version"},
		"version of no known form": {versionKey(sp.id, kind, pid, 1), flip(16), "version 1: it cannot be read"},
		"version cut":              {versionKey(sp.id, kind, pid, 1), set([]byte("short")), "version 1: it cannot be read"},
		"newest version removed":   {versionKey(sp.id, kind, pid, 2), remove, "its newest version, 2, is missing"},
		"old version removed":      {versionKey(sp.id, kind, pid, 1), remove, "1 of its 2 versions are there"},
		"version too many":         {versionKey(sp.id, kind, pid, 9), set(make([]byte, 60)), "version 9 is newer than its head"},
		"head removed":             {headKey(sp.id, kind, pid), remove, "it has versions and no head"},
		"head unreadable":          {headKey(sp.id, kind, pid), set([]byte{0xff}), "its head cannot be read"},
		"head without entries":     {headKey(sp.id, kind, pid), set(encodeHead(&other)), "its index entries are not those of its body"},
		"head of another commit":   {headKey(sp.id, kind, pid), set(encodeHead(&later)), "does not agree with its newest version"},
		"head of a deleted record": {headKey(sp.id, kind, deleted), set(encodeHead(&head{id: "n1", version: 3, commit: 41, deleted: true, entries: h.entries})), "it is deleted and still has index entries"},
		"directory entry removed":  {dirKey(sp.id, kind, "n7"), remove, "the directory does not lead to it"},
		"directory entry stray":    {dirKey(sp.id, kind, "nobody"), set(seven.encode()), "by an id that it does not have"},
		"directory of a version":   {dirKey(sp.id, kind, "n7"), set((&entry{pid, 1, false}).encode()), "the directory tells of another version"},
		"not live":                 {binary.BigEndian.AppendUint64(indexPrefix(sp.id, kind, indexLive), pid), remove, "index of live records is missing"},
		"time removed":             {binary.BigEndian.AppendUint64(append(indexPrefix(sp.id, kind, indexTime), timeValue(h.time)...), pid), remove, "index of commit times is missing"},
		"posting removed":          {post, remove, "its entry in index code is missing"},
		"posting without record":   {append(post[:len(post)-1:len(post)-1], 0xff), set([]byte{}), "has an entry that the record does not have"},
		"posting of another value": {binary.BigEndian.AppendUint64(append(indexPrefix(sp.id, kind, index), record.Token("", "other")...), pid), set([]byte{}), "has an entry that the record does not have"},
		"history entry removed":    {firstHistory, remove, "the history has"},
		"history to nowhere":       {historyKey(sp.id, kind, 1, 9), set(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, pid), 77)), "the history names version 77"},
		"history of other commit":  {historyKey(sp.id, kind, 9999, 0), set(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, pid), 1)), "gives version 1 to another commit"},
		"space unknown":            {headKey(77, kind, 1), set(encodeHead(h)), "space number 77"},
		"kind unknown":             {headKey(sp.id, 777, 1), set(encodeHead(h)), "kind number 777"},
		"no table":                 {[]byte{0x44}, set([]byte("x")), "belong to no table"},
		"outbox unreadable":        {outboxKey(3), set([]byte{0xff}), "a message cannot be read"},
		"counters gone back":       {[]byte{tableMeta}, func(b []byte) []byte { return append(binary.BigEndian.AppendUint64(nil, 1), b[8:]...) }, "newer than the store's counters"},
		"counters removed":         {[]byte{tableMeta}, remove, "counters"},
	} {
		t.Run(name, func(t *testing.T) {
			was, err := s.get(c.key)
			if err != nil {
				t.Fatal(err)
			}
			write := func(b []byte) {
				if b == nil {
					err = s.db.Delete(c.key, pebble.Sync)
				} else {
					err = s.db.Set(c.key, b, pebble.Sync)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			write(c.change(append([]byte(nil), was...)))
			faults, _, _ := faultsOf(t, s)
			write(was)
			if !strings.Contains(strings.Join(faults, "\n"), c.want) {
				t.Errorf("no line with %q in %q", c.want, faults)
			}
			if again, _, _ := faultsOf(t, s); len(again) > 0 {
				t.Errorf("faults stay although all is whole again: %q", again)
			}
		})
	}
}

// h7 is the code of a head's entries.
func h7(h *head, index uint16) string {
	for _, e := range h.entries {
		if e.index == index {
			return strings.Trim(string(e.value[1:]), "\x00\x01")
		}
	}
	return ""
}

// TestVerifyDamagedFile flips one byte in each table file that a closed store leaves: verification tells and the process lives. Nothing is in the
// write-ahead log alone then.
func TestVerifyDamagedFile(t *testing.T) {
	dir := t.TempDir()
	s, ring := filled(t, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "records", "db", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("no table files: %v", err)
	}
	for _, name := range tables {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		whole := append([]byte(nil), b...)
		b[headerSize+20] ^= 1 // in the first data block
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s := reopenDamaged(dir, ring)
		if s != nil {
			if faults, _, _ := faultsOf(t, s); len(faults) == 0 {
				t.Errorf("a damaged byte in %s was not found", filepath.Base(name))
			}
			s.Close()
		}
		if err := os.WriteFile(name, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = reopen(t, dir, ring)
	defer s.Close()
	if faults, _, _ := faultsOf(t, s); len(faults) > 0 {
		t.Errorf("whole again: %q", faults)
	}
}

// reopenDamaged is nil when the damage already shows at opening.
func reopenDamaged(dir string, ring key.Ring) *Store {
	s, err := Open(filepath.Join(dir, "records"), ring, Options{})
	if err != nil {
		return nil
	}
	_ = s.Declare(notes.Def(), leases.Def()) // fresh: no kind is declared twice
	return s
}

// TestVerifyDisabledKey passes over bodies under a key that may not be used.
func TestVerifyDisabledKey(t *testing.T) {
	s, ring := filled(t, t.TempDir())
	defer s.Close()
	k, err := ring.Create()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CreateSpace(t.Context(), "two", key.Ref{Key: k.ARN}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Update(t.Context(), "two", nil, func(tx record.Tx) error { return notes.Create(tx, "a", &note{"c", "t"}) }); err != nil {
		t.Fatal(err)
	}
	if err := ring.SetEnabled(k.ARN, false); err != nil {
		t.Fatal(err)
	}
	if faults, records, unreadable := faultsOf(t, s); len(faults) > 0 || records != 24 || unreadable != 1 {
		t.Errorf("%d records, %d unreadable, faults %q", records, unreadable, faults)
	}
}
