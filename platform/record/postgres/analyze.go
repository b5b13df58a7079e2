package postgres

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
)

// A table that grew since PostgreSQL last looked at it is planned for as if it were small, and a query of many records then takes the square of its time. PostgreSQL
// looks after its tables about once a minute; until then a server that writes much asks for it: after so many versions, and then whenever they have become four times as many.
const (
	analyzeFirst  = 64
	analyzeGrowth = 4
)

// analyze runs until ctx ends.
func (s *Store) analyze(ctx context.Context) {
	next := uint64(analyzeFirst)
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.grown:
		}
		if s.counts.versions.Load() < next {
			continue
		}
		for next <= s.counts.versions.Load() {
			next *= analyzeGrowth
		}
		_ = s.brief(ctx, func(c *pgxpool.Conn) error { // PostgreSQL does it itself in the end
			_, err := c.Exec(ctx, `ANALYZE galen.record, galen.posting, galen.version`)
			return err
		})
	}
}
