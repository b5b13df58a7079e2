package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/postgres"
	"github.com/galen-health/galen/platform/record/postgres/pgtest"
)

type note struct {
	Code string
	When int64
	Of   string
	Text string
}

// notes has an index of each sort: a token (two rows), a text that may be long, a period, a reference.
var notes = record.Kind[note]{Name: "test.note", Indexes: record.Indexes[note]{
	{Name: "code", Values: func(n *note) []record.Value { return []record.Value{record.Token("sys", n.Code)} }},
	record.ByString("text", func(n *note) string { return n.Text }),
	{Name: "when", Values: func(n *note) []record.Value {
		return []record.Value{record.Period(time.Unix(n.When, 0), time.Unix(n.When+5, 0))}
	}},
	{Name: "of", Values: func(n *note) []record.Value { return []record.Value{record.Reference("test.note", n.Of)} }},
}}

var rests = record.Kind[note]{Name: "test.rest", Volatile: true}

// filled has notes in several versions, one deleted, one purged and made again, and records without history.
func filled(t *testing.T, s *postgres.Store) {
	t.Helper()
	if err := s.Declare(notes.Def(), rests.Def()); err != nil {
		t.Fatal(err)
	}
	do := func(fn func(record.Tx) error) {
		t.Helper()
		if _, err := s.Update(ctx, workSpace, nil, fn); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 40 {
		do(func(tx record.Tx) error {
			n := &note{fmt.Sprint("c", i%5), int64(i), fmt.Sprint("n", i%7), strings.Repeat("long ", i*20)}
			if err := rests.Put(tx, fmt.Sprint("l", i%3), n); err != nil {
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
		if err := notes.Put(tx, "n2", &note{Code: "a"}); err != nil { // two versions in one batch
			return err
		}
		if err := notes.Put(tx, "n2", &note{Code: "b"}); err != nil {
			return err
		}
		return tx.Purge(notes.Name, "n3")
	})
	do(func(tx record.Tx) error { return notes.Create(tx, "n3", &note{Code: "again"}) })
}

func faultsOf(t *testing.T, s *postgres.Store) (faults []string) {
	t.Helper()
	if _, _, err := s.Verify(ctx, func(f string) { faults = append(faults, f) }); err != nil {
		t.Fatal(err)
	}
	return faults
}

// essence is what no repair may touch, as one text: ids, and versions but for their places.
func essence(t *testing.T, url string) (out string) {
	t.Helper()
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx) //nolint:errcheck // test
	if err := c.QueryRow(ctx, `SELECT (SELECT md5(string_agg(concat_ws('|', space, kind, pid, version, seq, at, body), '/' ORDER BY space, kind, pid, version)) FROM galen.version)
		|| (SELECT md5(string_agg(concat_ws('|', space, kind, pid, digest, id), '/' ORDER BY space, kind, pid)) FROM galen.record)
		|| (SELECT md5(string_agg(concat_ws('|', seq, at, message), '/' ORDER BY seq)) FROM galen.outbox)`).Scan(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// histories are the versions of all notes in the order that the history of the kind has.
func histories(t *testing.T, s *postgres.Store) (out []string) {
	t.Helper()
	v, err := s.View(ctx, workSpace)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for x, err := range v.History(notes.Name, "", 0, time.Time{}) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprint(x.Commit, " ", x.ID, " ", x.Version))
	}
	return out
}

// What is derived can be lost in any way, and is made anew; a version or an id that is lost is not covered up, and nothing that is not derived is touched.
func TestRepair(t *testing.T) {
	server := pgtest.Shared(t)
	keys := ring(t, t.TempDir())
	undamaged := server.Database(t)
	first, err := postgres.Open(ctx, undamaged, keys, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.CreateSpace(ctx, workSpace, key.Ref{}); err != nil {
		t.Fatal(err)
	}
	filled(t, first)
	if faults := faultsOf(t, first); len(faults) > 0 {
		t.Fatalf("before the damage: %q", faults)
	}
	was := histories(t, first)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	const kind = `(SELECT no FROM galen.name WHERE name = 'test.note')`
	for _, c := range []struct {
		what string
		lost bool // what no repair brings back
		sql  string
	}{
		{"entries gone", false, `DELETE FROM galen.posting WHERE pid % 3 = 1`},
		{"all entries gone", false, `TRUNCATE galen.posting`},
		{"another value", false, `UPDATE galen.posting SET value = value || '\x00' WHERE pid % 3 = 1 AND length(value) < 2000`},
		{"the rest of a long value", false, `UPDATE galen.posting SET rest = '\x00' WHERE rest <> ''`},
		{"another target", false, `UPDATE galen.posting SET target = '\x00' WHERE target IS NOT NULL`},
		{"the end of a period", false, `UPDATE galen.posting SET part = part || '\x00' WHERE part <> ''`},
		{"an entry too many", false, `INSERT INTO galen.posting SELECT space, kind, index, value || '\x01', pid, part, rest, target FROM galen.posting WHERE pid % 3 = 1 AND length(value) < 2000`},
		{"entries of a deleted record", false, `INSERT INTO galen.posting SELECT r.space, r.kind, 1, '\x01', r.pid, '', '', NULL FROM galen.record r WHERE r.deleted`},
		{"entries of no record", false, `INSERT INTO galen.posting SELECT space, kind, index, value, pid + 1000, part, rest, target FROM galen.posting`},
		{"older versions named", false, `UPDATE galen.record SET version = version - 1 WHERE version > 1 AND kind = ` + kind},
		{"another commit named", false, `UPDATE galen.record SET seq = seq + 1, at = at + 1 WHERE pid % 3 = 1`},
		{"deleted, and not", false, `UPDATE galen.record SET deleted = NOT deleted`},
		{"sealed entries", false, `UPDATE galen.record SET entries = '\x0102' WHERE pid % 3 = 1`},
		{"another's sealed entries", false, `UPDATE galen.record r SET entries = o.entries FROM galen.record o WHERE o.kind = r.kind AND o.pid = r.pid + 1 AND r.kind = ` + kind},
		{"places in the history", false, `UPDATE galen.version SET line = NULL WHERE pid % 3 = 1`},
		{"a place twice", false, `UPDATE galen.version SET line = 0 WHERE line IS NOT NULL`},
		{"a history that should be none", false, `UPDATE galen.version SET line = 7 WHERE line IS NULL`},
		{"counters", false, `UPDATE galen.line SET seq = 1, pid = 1, outbox = 1`},
		{"newest versions", true, `DELETE FROM galen.version v USING galen.record r WHERE v.space = r.space AND v.kind = r.kind AND v.pid = r.pid AND v.version = r.version AND v.pid % 3 = 1`},
		{"the row of records", true, `DELETE FROM galen.record WHERE pid % 3 = 1`},
		{"ids", true, `UPDATE galen.record SET id = '\x00' WHERE pid % 3 = 1`},
		{"newest bodies", true, `UPDATE galen.version v SET body = '\x00' || substring(body from 2) FROM galen.record r WHERE v.space = r.space AND v.kind = r.kind AND v.pid = r.pid AND v.version = r.version AND NOT r.deleted AND v.pid % 3 = 1`},
	} {
		t.Run(c.what, func(t *testing.T) {
			url := server.Clone(t, undamaged)
			s := open(t, url, keys, postgres.Options{})
			if err := s.Declare(notes.Def(), rests.Def()); err != nil {
				t.Fatal(err)
			}
			server.Exec(t, url, c.sql)
			before, kept := faultsOf(t, s), essence(t, url)
			if len(before) == 0 {
				t.Fatal("the damage is not found")
			}
			var would, did []string
			if err := s.Repair(ctx, true, func(w string) { would = append(would, w) }); err != nil {
				t.Fatal(err)
			}
			if after := faultsOf(t, s); !slices.Equal(after, before) {
				t.Error("a dry run changed something")
			}
			if err := s.Repair(ctx, false, func(w string) { did = append(did, w) }); err != nil {
				t.Fatal(err)
			}
			if essence(t, url) != kept {
				t.Error("something that is not derived was touched")
			}
			after := faultsOf(t, s)
			if !slices.Equal(did, would) {
				t.Errorf("did %q, foretold %q", did, would)
			}
			if c.lost {
				if len(after) == 0 {
					t.Error("the loss is covered up")
				}
				return
			}
			if len(after) > 0 || len(did) == 0 {
				t.Fatalf("%q left %q", did, after)
			}
			if now := histories(t, s); !slices.Equal(now, was) {
				t.Errorf("the history is %q, was %q", now, was)
			}
			v, err := s.View(ctx, workSpace)
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			if n, err := v.Count(ctx, notes.Name, nil); err != nil || n != 19 {
				t.Errorf("%d notes, %v", n, err)
			}
			for where, want := range map[record.Expr]int64{
				record.Match{Index: "code", Value: record.Token("sys", "again")}: 1,
				record.Match{Index: "code", Value: record.TokenSystem("sys")}:    19,
				record.Match{Index: "of", Value: record.Reference("test.note", "n4")}: func() (n int64) {
					for i := 20; i < 40; i++ {
						if i%7 == 4 && i%20 > 3 {
							n++
						}
					}
					return n
				}(),
			} {
				if n, err := v.Count(ctx, notes.Name, where); err != nil || n != want {
					t.Errorf("%+v finds %d, %v; want %d", where, n, err, want)
				}
			}
			if _, err := s.Update(ctx, workSpace, nil, func(tx record.Tx) error { return notes.Create(tx, "new", &note{Code: "new"}) }); err != nil {
				t.Error(err)
			}
			if again := faultsOf(t, s); len(again) > 0 {
				t.Errorf("after the next commit: %q", again)
			}
		})
	}
}

// Other servers may write while one repairs: nothing of theirs is lost, and all is whole.
func TestRepairBesideOthers(t *testing.T) {
	server := pgtest.Shared(t)
	url, keys := server.Database(t), ring(t, t.TempDir())
	s := open(t, url, keys, postgres.Options{})
	filled(t, s)
	other, err := postgres.Open(ctx, url, keys, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close() //nolint:errcheck // test
	if err := other.Declare(notes.Def(), rests.Def()); err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	ended := make(chan map[string]string)
	go func() {
		last := map[string]string{}
		for i := 0; !stop.Load(); i++ {
			id, code := fmt.Sprint("n", 4+i%16), fmt.Sprint("x", i)
			if _, err := other.Update(ctx, workSpace, nil, func(tx record.Tx) error { return notes.Put(tx, id, &note{Code: code}) }); err != nil {
				t.Error(err)
				break
			}
			last[id] = code
		}
		ended <- last
	}()
	repairs := 0
	for range 8 {
		server.Exec(t, url, `DELETE FROM galen.posting WHERE pid % 3 = 1`)
		if err := s.Repair(ctx, false, func(string) { repairs++ }); err != nil {
			t.Error(err)
		}
	}
	stop.Store(true)
	last := <-ended
	if err := s.Repair(ctx, false, func(string) {}); err != nil { // what was damaged while it was looked for
		t.Error(err)
	}
	if faults := faultsOf(t, s); len(faults) > 0 || repairs == 0 {
		t.Errorf("after %d repairs: %q", repairs, faults)
	}
	v, err := s.View(ctx, workSpace)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for id, code := range last {
		p, err := v.Query(ctx, record.Query{Kind: notes.Name, Where: record.Match{Index: "code", Value: record.Token("sys", code)}, Limit: 2})
		if err != nil || len(p.Hits) != 1 || p.Hits[0].ID != id {
			t.Errorf("%s is not found by what was written last: %d hits, %v", id, len(p.Hits), err)
		}
	}
}
