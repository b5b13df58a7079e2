package operations

import (
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/galen-health/galen/platform/record/postgres/pgtest"
	"github.com/galen-health/galen/test/galen"
)

// TestBadPostgreSQL: a record database that cannot be used is told of by the server, the verification and the doctor, with what to do and without its password; nobody
// speaks of a backup to restore, and the database is as it was.
func TestBadPostgreSQL(t *testing.T) {
	pg := pgtest.Start(t)
	good := pg.Database(t)
	dir := t.TempDir()
	p := start(t, dir, "--records", good)
	p.stop()
	name := func(database string) string { u, _ := url.Parse(database); return strings.TrimPrefix(u.Path, "/") }
	as := func(user, password, database string) string {
		return "postgres://" + user + ":" + url.PathEscape(password) + "@" + pg.Address() + "/" + name(database) + "?sslmode=disable&connect_timeout=2"
	}
	newer, damaged, foreign, closed := pg.Clone(t, good), pg.Clone(t, good), pg.Database(t), pg.Database(t)
	pg.Exec(t, newer, `INSERT INTO galen.format (version, name) VALUES (999, 'of the future')`)
	pg.Exec(t, damaged, `DROP TABLE galen.line`)
	pg.Exec(t, foreign, `CREATE SCHEMA galen; CREATE TABLE galen.invoices (n int)`)
	pg.Exec(t, closed, `CREATE ROLE poor LOGIN PASSWORD 'poor-secret'; REVOKE CREATE ON DATABASE `+name(closed)+` FROM PUBLIC`)
	t.Run("all", func(t *testing.T) {
		badDatabases(t, dir, []badDatabase{
			{"nobody there", "postgres://galen:poor-secret@127.0.0.1:1/x?sslmode=disable", "PostgreSQL runs"},
			{"a wrong password", as("galen", "poor-secret", good), "pg_hba.conf"},
			{"a database that is not there", as("galen", pgtest.Password, "/nowhere"), "CREATE DATABASE"},
			{"no right to make the schema", as("poor", "poor-secret", closed), "GRANT"},
			{"no right to the schema", as("poor", "poor-secret", good), "GRANT"},
			{"a newer format", newer, "999"},
			{"another's schema", foreign, "another database"},
		})
	})
	t.Run("a missing table", func(t *testing.T) { // this one is damage
		for _, tool := range []string{"verify", "doctor"} {
			if b, err := exec.Command(galen.Binary(t), tool, "--data-dir", dir, "--records", damaged).CombinedOutput(); err == nil || !strings.Contains(string(b), "backup") {
				t.Errorf("%s: %v %s", tool, err, b)
			}
		}
	})
	again := start(t, dir, "--records", good)
	again.stop()
}

type badDatabase struct{ what, url, says string }

// badDatabases asks about all at the same time: an address where nobody is takes a while.
func badDatabases(t *testing.T, dir string, list []badDatabase) {
	for _, c := range list {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			for _, args := range [][]string{{"serve", "--addr", "127.0.0.1:0"}, {"verify"}, {"doctor"}} {
				cmd := exec.Command(galen.Binary(t), append(args, "--data-dir", dir, "--records", c.url)...)
				cmd.Env = append(os.Environ(), "GALEN_ROOT_ACCESS_KEY_ID="+galen.AccessKeyID, "GALEN_ROOT_SECRET_ACCESS_KEY="+galen.SecretAccessKey)
				b, err := cmd.CombinedOutput()
				if cmd.ProcessState == nil {
					t.Fatal(err)
				}
				out := string(b)
				if status := cmd.ProcessState.ExitCode(); status != 1 || !strings.Contains(out, c.says) {
					t.Errorf("%s: status %d without %q: %s", args[0], status, c.says, out)
				}
				if strings.Contains(out, "poor-secret") || strings.Contains(out, pgtest.Password) {
					t.Errorf("%s shows the password: %s", args[0], out)
				}
				if strings.Contains(out, "from a backup") {
					t.Errorf("%s would have a backup restored: %s", args[0], out)
				}
			}
		})
	}
}
