package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// maxNames bounds the numbers; the negative of an index's number is the index of its tokens' systems.
const maxNames = 32_000

// Declare implements record.Store.
func (s *Store) Declare(kinds ...record.KindDef) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range kinds {
		if k.Name == "" || k.Entries == nil {
			return errs.New(errs.Invalid, "a kind needs a name and a function for its entries")
		}
		if _, twice := s.kinds[k.Name]; twice {
			return errs.New(errs.Conflict, "kind %s is declared twice", k.Name)
		}
		s.kinds[k.Name] = &k
	}
	return nil
}

// def returns a declared kind.
func (s *Store) def(kind string) (*record.KindDef, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if d := s.kinds[kind]; d != nil {
		return d, nil
	}
	return nil, errs.New(errs.Internal, "kind %s was not declared", kind)
}

// single reports whether records of a kind have at most one value of an index.
func (s *Store) single(kind, index string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	def := s.kinds[kind]
	return def != nil && slices.Contains(def.Single, index)
}

// known is the number of a name as far as this process has met it; 0 = not.
func (s *Store) known(name string) int16 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.names[name]
}

func (s *Store) learn(name string, no int16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[name], s.back[no] = no, name
}

// nameOf is the name of a number.
func (s *Store) nameOf(no int16) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.back[no]
}

func (s *Store) loadNames(ctx context.Context, c *pgx.Conn) error {
	rows, err := c.Query(ctx, `SELECT no, name FROM galen.name`)
	if err != nil {
		return err
	}
	var no int16
	var name string
	_, err = pgx.ForEachRow(rows, []any{&no, &name}, func() error { s.learn(name, no); return nil })
	return err
}

// numbered returns the number of a kind or index name for writing, giving it one when it has none. A number is durable before it is used.
func (s *Store) numbered(ctx context.Context, name string) (int16, error) {
	if no := s.known(name); no != 0 {
		return no, nil
	}
	if name == "" || len(name) > 512 {
		return 0, errs.New(errs.Invalid, "the name of a kind or index has 1 to 512 bytes")
	}
	var no int16
	err := s.brief(ctx, func(c *pgxpool.Conn) error {
		return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `LOCK TABLE galen.name IN SHARE ROW EXCLUSIVE MODE`); err != nil {
				return err
			}
			err := tx.QueryRow(ctx, `SELECT no FROM galen.name WHERE name = $1`, name).Scan(&no)
			if !errors.Is(err, pgx.ErrNoRows) {
				return err
			}
			return tx.QueryRow(ctx, `INSERT INTO galen.name (no, name) SELECT coalesce(max(no), 0) + 1, $1 FROM galen.name HAVING coalesce(max(no), 0) < $2 RETURNING no`, name, maxNames).Scan(&no)
		})
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, errs.New(errs.Exhausted, "the store has no number left for the name %q", name)
	}
	if err != nil {
		return 0, err
	}
	s.learn(name, no)
	return no, nil
}

// number is the number of a name in what a source sees; 0 when no record can have it.
func (s *Store) number(ctx context.Context, from source, name string) (int16, error) {
	if no := s.known(name); no != 0 {
		return no, nil
	}
	var no int16
	err := from.read(ctx, `SELECT no FROM galen.name WHERE name = $1`, []any{name}, func(r pgx.Rows) error { return r.Scan(&no) })
	if err == nil && no != 0 {
		s.learn(name, no)
	}
	return no, err
}
