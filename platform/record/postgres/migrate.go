package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"sort"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/galen-health/galen/platform/errs"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migration is one step of the schema; steps are never changed once they were released, only added.
type migration struct {
	version int
	name    string
	sql     string
}

func migrations() ([]migration, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	sort.Strings(names)
	var out []migration
	for i, n := range names {
		b, err := migrationFiles.ReadFile(n)
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(strings.TrimPrefix(n, "migrations/"), ".sql")
		version, err := strconv.Atoi(name[:4])
		if err != nil || version != i+1 {
			return nil, fmt.Errorf("migration %s is out of order", n)
		}
		out = append(out, migration{version, name, string(b)})
	}
	return out, nil
}

// migrateLock is the advisory lock under which one server at a time looks after the schema.
const migrateLock = 0x67616c656e // "galen"

// migrate brings the schema to the newest format that this version knows, up to a format (0 = all). It reports the format that was found, 0 = an empty database.
func migrate(ctx context.Context, c *pgx.Conn, upTo int) (found int, err error) {
	steps, err := migrations()
	if err != nil {
		return 0, err
	}
	err = pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrateLock)); err != nil {
			return err
		}
		if found, err = readFormat(ctx, tx); err != nil {
			return err
		}
		if found == 0 {
			if _, err := tx.Exec(ctx, `CREATE SCHEMA galen; CREATE TABLE galen.format (version integer PRIMARY KEY, name text NOT NULL, made timestamptz NOT NULL DEFAULT now())`); err != nil {
				return err
			}
		}
		for _, m := range steps[found:] {
			if upTo > 0 && m.version > upTo {
				break
			}
			if _, err := tx.Exec(ctx, m.sql); err != nil {
				return fmt.Errorf("migration %s: %w", m.name, err)
			}
			if _, err := tx.Exec(ctx, `INSERT INTO galen.format (version, name) VALUES ($1, $2)`, m.version, m.name); err != nil {
				return err
			}
		}
		return nil
	})
	return found, err
}

// readFormat reads the format of the schema, 0 when there is none. One that is not ours, or newer than this version, is an error.
func readFormat(ctx context.Context, tx pgx.Tx) (n int, err error) {
	steps, err := migrations()
	if err != nil {
		return 0, err
	}
	var there, ours bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'galen'), to_regclass('galen.format') IS NOT NULL`).Scan(&there, &ours); err != nil {
		return 0, err
	}
	switch {
	case !there:
		return 0, nil
	case !ours:
		return 0, errs.New(errs.Conflict, "the database has a schema named galen that is not Galen's: give another database in --records")
	}
	if err := tx.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM galen.format`).Scan(&n); err != nil {
		return 0, err
	}
	switch {
	case n > len(steps):
		return 0, errs.New(errs.Unsupported, "the database has format %d, this version of Galen knows %d: use the version that wrote it, or a newer one", n, len(steps))
	case n == 0: // schema and first step are made in one transaction
		return 0, errs.New(errs.Corrupt, "the list of the schema's formats is empty: restore the database from a backup")
	}
	return n, nil
}
