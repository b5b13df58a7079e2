package postgres

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/postgres/pgtest"
)

// A database of the oldest format, with records in it, is brought to the newest, by several servers at once, and reads as it did.
func TestMigrateFromTheOldest(t *testing.T) {
	server := pgtest.Shared(t)
	ctx := context.Background()
	keys, err := keyring.Open(t.TempDir(), make([]byte, 32), keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close() //nolint:errcheck // test
	steps, err := migrations()
	if err != nil || len(steps) < 3 {
		t.Fatal(steps, err)
	}
	kind := record.KindDef{Name: "test.old", Entries: func(_ string, b []byte) ([]record.Entry, error) {
		return []record.Entry{{Index: "text", Value: record.String(string(b))}}, nil
	}}
	open := func(u string) *Store {
		s, err := Open(ctx, u, keys, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Declare(kind); err != nil {
			t.Fatal(err)
		}
		return s
	}
	// The newest schema is filled, then its rows are carried into one of the oldest format: those columns that it has.
	now := server.Database(t)
	s := open(now)
	if err := s.CreateSpace(ctx, "a", key.Ref{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Update(ctx, "a", nil, func(tx record.Tx) error {
		tx.Emit("t", []byte("kept"))
		_, err := tx.Put(record.Put{Kind: kind.Name, ID: "1", Body: []byte("hello"), Expect: record.Absent})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	old := server.Database(t)
	c, err := pgx.Connect(ctx, old)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx) //nolint:errcheck // test
	if found, err := migrate(ctx, c, 1); err != nil || found != 0 {
		t.Fatal(found, err)
	}
	from, err := pgx.Connect(ctx, now)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close(ctx) //nolint:errcheck // test
	if _, err := c.Exec(ctx, `DELETE FROM galen.line`); err != nil {
		t.Fatal(err)
	}
	rows, err := c.Query(ctx, `SELECT table_name, string_agg(column_name, ', ' ORDER BY ordinal_position) FROM information_schema.columns WHERE table_schema = 'galen' AND table_name <> 'format' GROUP BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]string{}
	var table, columns string
	if _, err := pgx.ForEachRow(rows, []any{&table, &columns}, func() error { tables[table] = columns; return nil }); err != nil || len(tables) != 9 {
		t.Fatal(tables, err)
	}
	for table, columns := range tables {
		rows, err := from.Query(ctx, `SELECT `+columns+` FROM galen.`+table)
		if err != nil {
			t.Fatal(err)
		}
		var all [][]any
		for rows.Next() {
			v, err := rows.Values()
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, v)
		}
		if _, err := c.CopyFrom(ctx, pgx.Identifier{"galen", table}, strings.Split(columns, ", "), pgx.CopyFromRows(all)); err != nil {
			t.Fatal(table, err)
		}
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			s := open(old)
			defer s.Close() //nolint:errcheck // test
			v, err := s.View(ctx, "a")
			if err != nil {
				t.Error(err)
				return
			}
			defer v.Close()
			p, err := v.Query(ctx, record.Query{Kind: kind.Name, Where: record.Match{Index: "text", Value: record.String("hello")}, Limit: 5})
			if err != nil || len(p.Hits) != 1 || string(p.Hits[0].Body) != "hello" {
				t.Errorf("after the migration: %+v, %v", p, err)
			}
			if m, err := s.Outbox(ctx, 0, 5); err != nil || len(m) != 1 || string(m[0].Body) != "kept" {
				t.Errorf("its outbox: %+v, %v", m, err)
			}
		})
	}
	wg.Wait()
	var format int
	if err := c.QueryRow(ctx, `SELECT count(*) FROM galen.format`).Scan(&format); err != nil || format != len(steps) {
		t.Errorf("%d migrations were made, want %d, each once; %v", format, len(steps), err)
	}
}

// What reads the database sees nothing of what was written: neither ids, bodies, values nor messages.
func TestNothingInClear(t *testing.T) {
	server := pgtest.Start(t)
	ctx := context.Background()
	keys, err := keyring.Open(t.TempDir(), make([]byte, 32), keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close() //nolint:errcheck // test
	u := server.Database(t)
	s, err := Open(ctx, u, keys, Options{})
	if err != nil {
		t.Fatal(err)
	}
	const mark = "Mustermann1890"
	if err := s.Declare(record.KindDef{Name: "test.kind", Entries: func(string, []byte) ([]record.Entry, error) { return nil, nil }}); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateSpace(ctx, "a", key.Ref{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Update(ctx, "a", []string{mark}, func(tx record.Tx) error {
		tx.Emit(mark, []byte(mark))
		_, err := tx.Put(record.Put{Kind: "test.kind", ID: mark, Body: []byte(mark), Expect: record.Absent, Entries: []record.Entry{{Index: "name", Value: record.String(mark)},
			{Index: "code", Value: record.Token(mark, mark)}, {Index: "long", Value: record.String(strings.Repeat(mark, 200))}, {Index: "of", Value: record.Reference("test.kind", mark)},
			{Index: "pair", Value: record.Quantity(mark, mark, 5)}, {Index: "uri", Value: record.URI(mark)}}})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path, _ := url.Parse(u)
	for what, found := range server.Grep(t, strings.TrimPrefix(path.Path, "/"), mark) {
		t.Errorf("%s holds the value in clear: %d times", what, found)
	}
	if n := server.Grep(t, strings.TrimPrefix(path.Path, "/"), "test.kind"); len(n) == 0 {
		t.Error("the search finds nothing at all, not even the name of a kind")
	}
}
