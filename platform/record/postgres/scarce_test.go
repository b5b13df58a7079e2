package postgres_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/postgres"
	"github.com/galen-health/galen/platform/record/postgres/pgtest"
)

func databaseOf(u string) string { p, _ := url.Parse(u); return strings.TrimPrefix(p.Path, "/") }

const cutAll = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()`

// eventually tries until a batch is made.
func eventually(t *testing.T, s *postgres.Store, id string) {
	t.Helper()
	var err error
	for range 100 {
		if err = count(s, id); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("it does not go on: %v", err)
}

// A database that was set read-only serves reads, refuses writes and starts with a reason, and goes on when it may be written to again.
func TestReadOnly(t *testing.T) {
	server := pgtest.Shared(t)
	at, keys := server.Database(t), ring(t, t.TempDir())
	s := open(t, at, keys, postgres.Options{Patience: 2 * time.Second})
	eventually(t, s, "before")
	server.Exec(t, at, `ALTER DATABASE `+databaseOf(at)+` SET default_transaction_read_only = on`)
	server.Exec(t, at, cutAll)
	if err := count(s, "refused"); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "takes no writes") {
		t.Errorf("a batch: %v", err)
	}
	if err := s.CreateSpace(ctx, "another", key.Ref{}); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "takes no writes") {
		t.Errorf("a space: %v", err)
	}
	if n := counted(t, s, map[string]bool{"before": true}); n != 1 {
		t.Errorf("%d batches are read, want 1", n)
	}
	if other, err := postgres.Open(ctx, at, keys, postgres.Options{Patience: time.Second}); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "takes no writes") {
		t.Errorf("a start: %v", err)
		if err == nil {
			other.Close() //nolint:errcheck // it should not be there
		}
	}
	server.Exec(t, "postgres", `ALTER DATABASE `+databaseOf(at)+` RESET default_transaction_read_only`)
	server.Exec(t, "postgres", strings.Replace(cutAll, "current_database()", "'"+databaseOf(at)+"'", 1))
	eventually(t, s, "after")
	counted(t, s, map[string]bool{"before": true, "after": true})
}

// A server with too few connections makes calls wait for those that there are, or refuses them with a reason; nothing is lost, and a start says what is missing.
func TestConnectionsExhausted(t *testing.T) {
	server := pgtest.Shared(t)
	at, keys := server.Database(t), ring(t, t.TempDir())
	role := "few_of_" + databaseOf(at)
	server.Exec(t, "postgres", `CREATE ROLE `+role+` LOGIN PASSWORD 'x' CONNECTION LIMIT 4`)
	server.Exec(t, "postgres", `GRANT CREATE ON DATABASE `+databaseOf(at)+` TO `+role)
	few := "postgres://" + role + ":x@" + server.Address() + "/" + databaseOf(at) + "?sslmode=disable"
	s := open(t, few, keys, postgres.Options{Patience: 5 * time.Second})
	acked := map[string]bool{}
	var mu sync.Mutex
	refused := 0
	load := func(name string) {
		var wg sync.WaitGroup
		for w := range 6 {
			wg.Go(func() {
				for n := range 3 {
					id := fmt.Sprint(name, w, "-", n)
					err := count(s, id)
					if v, e := s.View(ctx, workSpace); e == nil {
						if _, e = v.Count(ctx, steps.Name, nil); err == nil {
							err = e
						}
						v.Close()
					} else if !errs.Is(e, errs.Unavailable) && !errs.Is(e, errs.Throttled) {
						t.Errorf("a view: %v", e)
					}
					mu.Lock()
					switch {
					case err == nil:
						acked[id] = true
					case errs.Is(err, errs.Unavailable), errs.Is(err, errs.Throttled):
						refused++
						if m := err.Error(); !strings.Contains(m, "connection") {
							t.Errorf("the reason is %q", m)
						}
					default:
						t.Errorf("%s: %v", id, err)
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
	}
	load("few")
	if len(acked) < 6 {
		t.Errorf("with 4 connections %d of 18 went on", len(acked))
	}
	t.Logf("with 4 connections %d of 18 went on", len(acked))
	server.Exec(t, "postgres", `ALTER ROLE `+role+` CONNECTION LIMIT 0`)
	server.Exec(t, at, cutAll)
	if err := count(s, "none"); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "max_connections") {
		t.Errorf("without a connection: %v", err)
	}
	if other, err := postgres.Open(ctx, few, keys, postgres.Options{Patience: time.Second}); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "max_connections") {
		t.Errorf("a start: %v", err)
		if err == nil {
			other.Close() //nolint:errcheck // it should not be there
		}
	}
	server.Exec(t, "postgres", `ALTER ROLE `+role+` CONNECTION LIMIT -1`)
	before := refused
	load("many")
	if refused > before {
		t.Errorf("%d refused with connections enough", refused-before)
	}
	counted(t, s, acked)
}

// The disk of the database becomes full: batches are refused whole and with a reason, reads go on, and so do batches when there is room again.
func TestDatabaseDiskFull(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "galenpg")
	if err != nil {
		t.Skip(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		_ = os.Remove(dir)
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	server := pgtest.Start(t)
	t.Cleanup(func() {
		server.Close() // its files are there
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
		_ = os.Remove(dir)
	})
	space := filepath.Join(dir, "space")
	if err := os.Mkdir(space, 0o777); err != nil {
		t.Fatal(err)
	}
	server.Own(t, space)
	server.Exec(t, "postgres", `CREATE TABLESPACE small LOCATION '`+space+`'`)
	server.Exec(t, "postgres", `CREATE DATABASE small TABLESPACE small`)
	at, keys := server.URL("small"), ring(t, t.TempDir())
	s := open(t, at, keys, postgres.Options{})
	put := func(id string) error {
		_, err := s.Update(ctx, workSpace, nil, func(tx record.Tx) error {
			return steps.Create(tx, id, &step{strings.Repeat(id, 100_000)})
		})
		return err
	}
	acked := map[string]bool{}
	for n := 0; ; n++ {
		id := fmt.Sprint(n)
		if err = put(id); err != nil {
			break
		}
		if acked[id] = true; n > 500 {
			t.Fatal("the disk does not become full")
		}
	}
	if !errs.Is(err, errs.Exhausted) || !strings.Contains(err.Error(), "disk of the record database is full") {
		t.Errorf("on a full disk: %v %v", errs.CodeOf(err), err)
	}
	whole := func(when string) {
		t.Helper()
		v, err := s.View(ctx, workSpace)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		n := 0
		for x, err := range v.Scan(steps.Name, 0) {
			if err != nil {
				t.Fatal(err)
			}
			n++
			if !acked[x.ID] {
				t.Errorf("%s: %s was refused and is there", when, x.ID)
			}
		}
		if n != len(acked) {
			t.Errorf("%s: %d of %d are there", when, n, len(acked))
		}
		if faults := faultsOf(t, s); len(faults) > 0 {
			t.Errorf("%s: %v", when, faults)
		}
	}
	whole("full")
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	if err := put("room"); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	acked["room"] = true
	whole("with room again")
	t.Logf("%d batches acknowledged before the disk was full", len(acked)-1)
}

// A schema that somebody has changed is refused at the start, with what it lacks.
func TestChangedSchema(t *testing.T) {
	server := pgtest.Shared(t)
	at, keys := server.Database(t), ring(t, t.TempDir())
	s, err := postgres.Open(ctx, at, keys, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for change, says := range map[string]string{
		`DROP TABLE galen.settled`:                                              "settled.made",
		`DROP TABLE galen.posting`:                                              "and ",
		`ALTER TABLE galen.record DROP COLUMN entries`:                          "record.entries",
		`ALTER TABLE galen.version RENAME COLUMN body TO content`:               "version.body",
		`DROP INDEX galen.posting_target`:                                       "posting_target",
		`ALTER TABLE galen.record DROP CONSTRAINT record_space_kind_digest_key`: "record_space_kind_digest_key",
	} {
		u := server.Clone(t, at)
		server.Exec(t, u, change)
		other, err := postgres.Open(ctx, u, keys, postgres.Options{Patience: time.Second})
		if err == nil {
			other.Close() //nolint:errcheck // it should not be there
		}
		if !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "backup") {
			t.Errorf("%s: %v", change, err)
		}
	}
	u := server.Clone(t, at)
	server.Exec(t, u, `ALTER TABLE galen.record ADD COLUMN note text; CREATE TABLE galen.more (n int); CREATE INDEX mine ON galen.version (at)`) // harms nobody
	if s, err = postgres.Open(ctx, u, keys, postgres.Options{}); err != nil {
		t.Fatal(err)
	}
	s.Close() //nolint:errcheck // test
}
