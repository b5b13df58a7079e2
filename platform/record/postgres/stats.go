package postgres

import (
	"context"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/galen-health/galen/platform/record"
)

// counts are what this process committed.
type counts struct{ commits, versions, messages, retries atomic.Uint64 }

var _ record.Measured = (*Store)(nil)

// Stats implements record.Measured. Bytes is what the schema takes in the database, of all servers.
func (s *Store) Stats(ctx context.Context) (out record.Stats, err error) {
	done, err := s.use()
	if err != nil {
		return out, err
	}
	defer done()
	c := &s.counts
	out = record.Stats{Commits: c.commits.Load(), Versions: c.versions.Load(), Messages: c.messages.Load(), Retries: c.retries.Load()}
	err = s.brief(ctx, func(c *pgxpool.Conn) error {
		return ask(ctx, c.Conn(), `SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'galen' AND c.relkind = 'r'`, nil,
			func(r pgx.Rows) error { return r.Scan(&out.Bytes) })
	})
	return out, err
}

// ID names the database: it stays the same whatever its address is.
func (s *Store) ID() string { return s.id }

// Where is the address without its user and password.
func (s *Store) Where() string { return where(s.cfg.ConnConfig) }
