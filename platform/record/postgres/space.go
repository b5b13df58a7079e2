package postgres

import (
	"context"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"maps"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/seal"
)

// space is an open space. It does not change: a space that was dropped and made again has another id.
type space struct {
	id     int32
	keyARN string
	aead   cipher.AEAD
	veil   *veil
}

// spaceContext binds a space's wrapped key to the space's name.
func spaceContext(name record.Space, more map[string]string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, more)
	out["galen:space"] = string(name)
	return out
}

func noSpace() error { return errs.New(errs.NotFound, "the space does not exist") }

// CreateSpace implements record.Store.
func (s *Store) CreateSpace(ctx context.Context, name record.Space, ref key.Ref) error {
	if name == "" || len(name) > 512 || !utf8.ValidString(string(name)) {
		return errs.New(errs.Invalid, "a space needs a name of at most 512 bytes")
	}
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	s.spaceMu.Lock()
	defer s.spaceMu.Unlock()
	there, err := s.same(ctx, name, ref)
	if err != nil || there {
		return err
	}
	dk, err := s.ring.DataKey(ctx, key.Ref{Key: ref.Key, Context: spaceContext(name, ref.Context)})
	if err != nil {
		return err
	}
	defer clear(dk.Plain)
	more, err := json.Marshal(ref.Context)
	if err != nil {
		return err
	}
	// The id is given under the line, so ids are never used again. A lost answer is harmless: asked again, the space is there.
	err = s.brief(ctx, func(c *pgxpool.Conn) error {
		return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, durable); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `SELECT FROM galen.line FOR UPDATE`); err != nil {
				return err
			}
			tag, err := tx.Exec(ctx, `INSERT INTO galen.space (id, name, wrapped, key_arn, ref_key, context) SELECT space + 1, $1, $2, $3, $4, $5 FROM galen.line ON CONFLICT (name) DO NOTHING`,
				string(name), dk.Wrapped, dk.KeyARN, ref.Key, string(more))
			if err != nil || tag.RowsAffected() == 0 {
				return err
			}
			_, err = tx.Exec(ctx, `UPDATE galen.line SET space = space + 1`)
			return err
		})
	})
	if err != nil {
		return err
	}
	_, err = s.same(ctx, name, ref) // another server may have made it meanwhile
	return err
}

// same reports whether a space exists, errs.Conflict when it does under another key.
func (s *Store) same(ctx context.Context, name record.Space, ref key.Ref) (there bool, err error) {
	var other string
	err = s.brief(ctx, func(c *pgxpool.Conn) error {
		return c.QueryRow(ctx, `SELECT ref_key FROM galen.space WHERE name = $1`, string(name)).Scan(&other)
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, nil
	case err == nil && other != ref.Key:
		return true, errs.New(errs.Conflict, "the space exists under another key")
	}
	return err == nil, err
}

// DropSpace implements record.Store. The space and its key are gone when it returns; its rows, which nobody can open any more, are swept afterwards.
func (s *Store) DropSpace(ctx context.Context, name record.Space) error {
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	s.spaceMu.Lock()
	defer s.spaceMu.Unlock()
	err = s.brief(ctx, func(c *pgxpool.Conn) error {
		return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, durable); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `SELECT FROM galen.line FOR UPDATE`); err != nil { // no batch commits into the space after it
				return err
			}
			_, err := tx.Exec(ctx, `WITH gone AS (DELETE FROM galen.space WHERE name = $1 RETURNING id) INSERT INTO galen.dropped (space) SELECT id FROM gone`, string(name))
			return err
		})
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.spaces, name)
	s.mu.Unlock()
	s.queue.swept()
	// The wrapped key shall not wait in the table for a vacuum that may be long in coming.
	return s.brief(ctx, func(c *pgxpool.Conn) error { _, err := c.Exec(ctx, `VACUUM galen.space`); return err })
}

// Spaces implements record.Store.
func (s *Store) Spaces(ctx context.Context) (names []record.Space, err error) {
	done, err := s.use()
	if err != nil {
		return nil, err
	}
	defer done()
	err = s.brief(ctx, func(c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, `SELECT name FROM galen.space ORDER BY name COLLATE "C"`)
		if err != nil {
			return err
		}
		names, err = pgx.CollectRows(rows, pgx.RowTo[record.Space])
		return err
	})
	return names, err
}

// spaceRow is a space as it is stored.
type spaceRow struct {
	id      int32
	wrapped []byte
	keyARN  string
	context string
}

const spaceColumns = `id, wrapped, key_arn, context`

func (r *spaceRow) scan(rows pgx.Rows) error {
	return rows.Scan(&r.id, &r.wrapped, &r.keyARN, &r.context)
}

// open returns the space of a row that a snapshot sees, if its key may be used now; errs.NotFound for no row.
func (s *Store) open(ctx context.Context, name record.Space, row *spaceRow) (*space, error) {
	if row.id == 0 {
		return nil, noSpace()
	}
	s.mu.RLock()
	sp := s.spaces[name]
	s.mu.RUnlock()
	if sp != nil && sp.id == row.id {
		if c, ok := s.ring.(key.Checker); ok {
			return sp, c.Check(ctx, sp.keyARN)
		}
		return sp, nil
	}
	var more map[string]string
	if err := json.Unmarshal([]byte(row.context), &more); err != nil {
		return nil, corrupt("a space's record cannot be read")
	}
	dk, err := s.ring.Open(ctx, row.wrapped, spaceContext(name, more))
	if err != nil {
		return nil, err
	}
	defer clear(dk.Plain)
	sp = &space{id: row.id, keyARN: row.keyARN}
	if sp.aead, err = seal.New(dk.Plain); err != nil {
		return nil, err
	}
	if sp.veil, err = newVeil(dk.Plain); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spaces[name] = sp
	return sp, nil
}

// sweepRows is how many rows of a dropped space go at a time.
const sweepRows = 5000

// sweep takes away what dropped spaces left, its own and those of servers that died over it.
func (s *Store) sweep(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := s.sweepOnce(ctx); err != nil {
			select { // the next minute tries again
			case <-ctx.Done():
			case <-tick.C:
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-s.queue.dropped:
		case <-tick.C:
		}
	}
}

func (s *Store) sweepOnce(ctx context.Context) error {
	var gone []int32
	if err := s.brief(ctx, func(c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, `SELECT space FROM galen.dropped`)
		if err != nil {
			return err
		}
		gone, err = pgx.CollectRows(rows, pgx.RowTo[int32])
		return err
	}); err != nil {
		return err
	}
	for _, id := range gone {
		for _, table := range []string{"posting", "version", "record"} {
			for left := int64(1); left > 0; {
				if err := s.brief(ctx, func(c *pgxpool.Conn) error {
					tag, err := c.Exec(ctx, `DELETE FROM galen.`+table+` WHERE ctid = ANY (ARRAY(SELECT ctid FROM galen.`+table+` WHERE space = $1 LIMIT $2))`, id, sweepRows)
					left = tag.RowsAffected()
					return err
				}); err != nil {
					return err
				}
			}
		}
		if err := s.brief(ctx, func(c *pgxpool.Conn) error {
			_, err := c.Exec(ctx, `DELETE FROM galen.dropped WHERE space = $1`, id)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}
