package pebble

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
)

// After a space is dropped no key of it is left, nor its wrapped data key in any table.
func TestDropSpaceLeavesNothing(t *testing.T) {
	s, ring := filled(t, t.TempDir())
	defer s.Close() //nolint:errcheck // test
	id := s.known("one").id
	b, err := s.get(spaceKey("one"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Wrapped json.RawMessage // as it is written
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	doc.Wrapped = doc.Wrapped[10:60]
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	if len(filesWith(t, s, ring, doc.Wrapped)) == 0 {
		t.Fatal("the wrapped key is in no file before: the test proves nothing")
	}
	if err := s.DropSpace(context.Background(), "one"); err != nil {
		t.Fatal(err)
	}
	for _, table := range []byte{tableDir, tableHead, tableVersion, tablePosting, tableHistory} {
		if err := s.scan(appendSpace(nil, table, id), func(k, _ []byte) error { t.Errorf("key %x is left", k); return nil }); err != nil {
			t.Error(err)
		}
	}
	if err := s.scan([]byte{tableSpace}, func(k, _ []byte) error { t.Errorf("key %x is left", k); return nil }); err != nil {
		t.Error(err)
	}
	for tries := 0; ; tries++ { // the files that held the key are removed behind the compaction
		holders := filesWith(t, s, ring, []byte(doc.Wrapped))
		if len(holders) == 0 {
			break
		}
		if tries == 100 {
			t.Fatalf("the wrapped key is still in %v", holders)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// filesWith are the database's files that hold a text when decrypted.
func filesWith(t *testing.T, s *Store, ring key.Ring, text []byte) (out []string) {
	t.Helper()
	plain, err := folderKey(s.fs, s.dir, ring)
	if err != nil {
		t.Fatal(err)
	}
	fs, err := newCryptFS(s.fs, plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.List(s.dir + "/db")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if !strings.HasSuffix(n, ".sst") && !strings.HasSuffix(n, ".log") {
			continue
		}
		if b, err := readFile(fs, s.dir+"/db/"+n); err == nil && bytes.Contains(b, text) {
			out = append(out, n)
		}
	}
	return out
}

// The stored forms read back, and nothing else is taken for one.
func FuzzStored(f *testing.F) {
	h := &head{id: "a", version: 3, commit: 9, time: 5, entries: []posting{{1, record.Token("s", "c")}, {2, record.String("x")}}}
	f.Add(encodeHead(h))
	f.Add((&entry{7, 3, true}).encode())
	v := &stored{time: 1, commit: 2, id: "abc", sealed: []byte("0123456789012345678901234567890")}
	b := make([]byte, storedSize(v.id)+len(v.sealed))
	v.put(b)
	f.Add(b)
	f.Add(encodeMessage(1, "space", &record.Message{Topic: "t", Body: []byte("b")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := decodeHead(b); err == nil {
			if again, err := decodeHead(encodeHead(h)); err != nil || again.id != h.id || len(again.entries) != len(h.entries) {
				t.Errorf("a head does not read back: %v", err)
			}
		}
		if d, err := decodeEntry(b); err == nil {
			if again, err := decodeEntry(d.encode()); err != nil || *again != *d {
				t.Errorf("a directory entry does not read back: %v", err)
			}
		}
		if v, err := decodeVersion(b); err == nil {
			out := make([]byte, storedSize(v.id)+len(v.sealed))
			v.put(out)
			if again, err := decodeVersion(out); err != nil || again.id != v.id || again.commit != v.commit {
				t.Errorf("a version does not read back: %v", err)
			}
		}
		_, _ = decodeMessage(make([]byte, 9), b)
	})
}
