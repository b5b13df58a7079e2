package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/galen-health/galen/platform/errs"
)

// Reach connects once and looks at what the server is, without a change: for an operator who wants to know before a start. It returns where that is, and how far the
// server's clock is from ours.
func Reach(ctx context.Context, url string) (at string, skew time.Duration, err error) {
	cfg, err := parse(url)
	if err != nil {
		return "", 0, err
	}
	at = where(cfg.ConnConfig)
	c, err := pgx.ConnectConfig(ctx, cfg.ConnConfig)
	if err != nil {
		return at, 0, errs.Wrap(errs.Unavailable, err, "%s cannot be reached, or refuses the user or the database", at)
	}
	defer c.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was changed
	if err := check(ctx, c); err != nil {
		return at, 0, err
	}
	var theirs time.Time
	before := time.Now()
	if err := c.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&theirs); err != nil {
		return at, 0, errs.Wrap(errs.Unavailable, err, "%s does not answer", at)
	}
	var may bool
	if err := c.QueryRow(ctx, `SELECT has_database_privilege(current_database(), 'CREATE')`).Scan(&may); err != nil || !may {
		return at, 0, errs.New(errs.Denied, "the user may not make a schema in %s: GRANT CREATE ON DATABASE … TO the user", at)
	}
	return at, theirs.Sub(before.Add(time.Since(before) / 2)), nil
}
