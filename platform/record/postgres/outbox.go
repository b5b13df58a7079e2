package postgres

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/galen-health/galen/platform/record"
)

// Outbox implements record.Store. Commits of all servers become visible in the order of the line, so whoever has read up to a message has missed none before it.
func (s *Store) Outbox(ctx context.Context, after uint64, limit int) (out []record.Message, err error) {
	done, err := s.use()
	if err != nil {
		return nil, err
	}
	defer done()
	err = s.brief(ctx, func(c *pgxpool.Conn) error {
		out = nil
		return ask(ctx, c.Conn(), `SELECT seq, at, message FROM galen.outbox WHERE seq > $1 ORDER BY seq LIMIT $2`, []any{int64(min(after, math.MaxInt64)), limit}, func(r pgx.Rows) error {
			var seq, at int64
			var sealed []byte
			if err := r.Scan(&seq, &at, &sealed); err != nil {
				return err
			}
			m, err := openMessage(s.outbox, uint64(seq), sealed)
			m.Time = micros(at)
			out = append(out, m)
			return err
		})
	})
	return out, err
}

// Trim implements record.Store.
func (s *Store) Trim(ctx context.Context, upTo uint64) error {
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	return s.brief(ctx, func(c *pgxpool.Conn) error {
		_, err := c.Exec(ctx, `DELETE FROM galen.outbox WHERE seq <= $1`, int64(min(upTo, math.MaxInt64)))
		return err
	})
}

// pollEvery covers news that were lost with a connection.
const pollEvery = 2 * time.Second

// listen tells of the messages of other servers.
func (s *Store) listen(ctx context.Context) {
	for ctx.Err() == nil {
		c, err := pgx.ConnectConfig(ctx, s.cfg.ConnConfig.Copy())
		if err == nil {
			if _, err = c.Exec(ctx, `LISTEN galen_outbox`); err == nil {
				s.hear(ctx, c)
			}
			_ = c.Close(context.Background()) // nothing is under way
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollEvery / 4):
		}
		s.announce() // what was said meanwhile
	}
}

// hear waits for news until the connection is lost.
func (s *Store) hear(ctx context.Context, c *pgx.Conn) {
	for {
		wait, cancel := context.WithTimeout(ctx, pollEvery)
		_, err := c.WaitForNotification(wait)
		timedOut := wait.Err() != nil
		cancel()
		if ctx.Err() != nil || err != nil && !timedOut || c.IsClosed() {
			return
		}
		s.announce()
	}
}
