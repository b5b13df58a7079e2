package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Found is what a database has.
type Found struct {
	ID    string    // of the store; "" when there is none, or none that has an id yet
	Empty bool      // nothing was ever committed to it
	Seq   uint64    // last commit
	Time  time.Time // of it
	Where string    // the address, for people
}

// Look tells what a database has. It needs no keys and changes nothing; what Open would refuse it refuses too.
func Look(ctx context.Context, url string) (f Found, err error) {
	cfg, err := parse(url)
	if err != nil {
		return f, err
	}
	f.Where, f.Empty = where(cfg.ConnConfig), true
	c, err := pgx.ConnectConfig(ctx, cfg.ConnConfig)
	if err != nil {
		return f, failure(err)
	}
	defer c.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it only read
	if err := check(ctx, c); err != nil {
		return f, failure(err)
	}
	err = pgx.BeginTxFunc(ctx, c, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		format, err := readFormat(ctx, tx)
		if err != nil || format == 0 {
			return err
		}
		var seq, at int64
		// The column id is of a later format than the table.
		err = tx.QueryRow(ctx, `SELECT l.seq, l.at, NOT EXISTS (SELECT FROM galen.space), coalesce((SELECT to_jsonb(s) ->> 'id' FROM galen.store s), '') FROM galen.line l`).Scan(&seq, &at, &f.Empty, &f.ID)
		f.Seq, f.Time, f.Empty = uint64(seq), micros(at), f.Empty && seq == 0
		return err
	})
	return f, failure(err)
}
