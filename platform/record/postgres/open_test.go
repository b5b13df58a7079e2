package postgres_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record/postgres"
	"github.com/galen-health/galen/platform/record/postgres/pgtest"
)

// What an operator can get wrong is a clear error that says what to do, without the password.
func TestOpenRefuses(t *testing.T) {
	server := pgtest.Start(t)
	keys := ring(t, t.TempDir())
	good := server.Database(t)
	s, err := postgres.Open(ctx, good, keys, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := func(database string) string { u, _ := url.Parse(database); return strings.TrimPrefix(u.Path, "/") }
	newer, foreign, damaged, poor, latin := server.Database(t), server.Database(t), server.Database(t), server.Database(t), "latin"
	for _, u := range []string{newer, damaged} {
		s, err := postgres.Open(ctx, u, keys, postgres.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	server.Exec(t, newer, `INSERT INTO galen.format (version, name) VALUES (999, 'of the future')`)
	server.Exec(t, damaged, `DROP TABLE galen.line`)
	server.Exec(t, foreign, `CREATE SCHEMA galen; CREATE TABLE galen.invoices (n int)`)
	server.Exec(t, "postgres", `CREATE ROLE poor LOGIN PASSWORD 'x'`)
	server.Exec(t, "postgres", `REVOKE CREATE ON DATABASE `+path(poor)+` FROM PUBLIC`)
	server.Exec(t, "postgres", `CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0`)
	tcp := func(user, password, database string) string {
		return "postgres://" + user + ":" + url.PathEscape(password) + "@" + server.Address() + "/" + database + "?sslmode=disable&connect_timeout=2"
	}
	for _, c := range []struct {
		what, url string
		keys      key.Ring
		code      errs.Code
		says      string
	}{
		{"no address", "somewhere", keys, errs.Invalid, "postgres://USER"},
		{"a file", "/var/lib/x", keys, errs.Invalid, "postgres://USER"},
		{"nobody there", "postgres://galen:secret@127.0.0.1:1/x?sslmode=disable", keys, errs.Unavailable, "PostgreSQL runs"},
		{"a wrong password", tcp("galen", "secret", path(good)), keys, errs.Denied, "pg_hba.conf"},
		{"an unknown user", tcp("nobody", "secret", path(good)), keys, errs.Denied, "user or password"},
		{"an unknown database", tcp("galen", pgtest.Password, "nowhere"), keys, errs.NotFound, "CREATE DATABASE"},
		{"no right to make a schema", tcp("poor", "x", path(poor)), keys, errs.Denied, "GRANT"},
		{"no right to the schema", tcp("poor", "x", path(good)), keys, errs.Denied, "GRANT"},
		{"a newer format", newer, keys, errs.Unsupported, "format 999"},
		{"another's schema", foreign, keys, errs.Conflict, "another database"},
		{"a missing table", damaged, keys, errs.Corrupt, "backup"},
		{"another encoding", server.URL(latin), keys, errs.Unsupported, "UTF8"},
		{"another key ring", good, ring(t, t.TempDir()), errs.Invalid, "key ring"},
	} {
		start := time.Now()
		s, err := postgres.Open(ctx, c.url, c.keys, postgres.Options{Patience: time.Second})
		if err == nil {
			s.Close()
			t.Errorf("%s: it opens", c.what)
			continue
		}
		if errs.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v %v; want %v with %q", c.what, errs.CodeOf(err), err, c.code, c.says)
		}
		if m := errs.As(err).Message; strings.Contains(m, "secret") || strings.Contains(m, pgtest.Password) {
			t.Errorf("%s: the message has the password: %s", c.what, m)
		}
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("%s: the error took %v", c.what, took)
		}
	}
	if s, err = postgres.Open(ctx, good, keys, postgres.Options{}); err != nil {
		t.Fatalf("after all that the good one: %v", err)
	}
	s.Close()
}

// Look tells what a database has and changes nothing: not even the schema is made.
func TestLook(t *testing.T) {
	server := pgtest.Shared(t)
	url, keys := server.Database(t), ring(t, t.TempDir())
	look := func() postgres.Found {
		t.Helper()
		f, err := postgres.Look(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for range 2 { // the second time as the first
		if f := look(); !f.Empty || f.ID != "" || f.Seq != 0 || strings.Contains(f.Where, "@") {
			t.Errorf("an empty database is %+v", f)
		}
	}
	s := open(t, url, keys, postgres.Options{}) // makes the space
	f := look()
	if f.Empty || f.ID != s.ID() {
		t.Errorf("a database with a space is %+v, its id is %s", f, s.ID())
	}
	if err := count(s, "one"); err != nil {
		t.Fatal(err)
	}
	if g := look(); g.Empty || g.Seq != f.Seq+1 || g.Time.IsZero() || g.ID != f.ID {
		t.Errorf("after a commit: %+v, was %+v", g, f)
	}
	server.Exec(t, url, `ALTER TABLE galen.store DROP COLUMN id; DELETE FROM galen.format WHERE version > 2`) // as an older version left it
	if f := look(); f.Empty || f.ID != "" || f.Seq == 0 {
		t.Errorf("an older format: %+v", f)
	}
	server.Exec(t, url, `INSERT INTO galen.format (version, name) VALUES (999, 'of the future')`)
	if _, err := postgres.Look(ctx, url); !errs.Is(err, errs.Unsupported) {
		t.Errorf("a newer format: %v", err)
	}
	server.Exec(t, url, `DELETE FROM galen.format`)
	if _, err := postgres.Look(ctx, url); !errs.Is(err, errs.Corrupt) {
		t.Errorf("no format: %v", err)
	}
}

// A server that is away makes calls wait, then fail; when it is back everything goes on by itself.
func TestServerAway(t *testing.T) {
	server := pgtest.Shared(t)
	direct, keys := server.Database(t), ring(t, t.TempDir())
	p := pgtest.NewProxy(t, server)
	s := open(t, p.URL(direct), keys, postgres.Options{Patience: 300 * time.Millisecond})
	if err := count(s, "before"); err != nil {
		t.Fatal(err)
	}
	p.Refuse.Store(true)
	p.CutAll()
	if err := count(s, "away"); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a batch without a server: %v", err)
	}
	if _, err := s.View(ctx, workSpace); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a view without a server: %v", err)
	}
	p.Refuse.Store(false)
	var err error
	for range 100 {
		if err = count(s, "after"); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatalf("the server is back, and: %v", err)
	}
	if n := counted(t, s, map[string]bool{"before": true, "after": true}); n != 2 {
		t.Errorf("%d batches, want 2", n)
	}
}
