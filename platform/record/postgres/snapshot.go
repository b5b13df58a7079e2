package postgres

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/galen-health/galen/platform/record"
)

// source answers reads over one state: a snapshot, or the committer's own transaction. row is called for each row; it must copy what it keeps.
type source interface {
	read(ctx context.Context, sql string, args []any, row func(pgx.Rows) error) error
}

// snapshot is one state of the database, as a transaction of its own on a connection of the pool.
type snapshot struct {
	s     *Store
	name  record.Space
	slots []int32 // locks whose last commits are asked for

	gate chan struct{}
	mu   sync.Mutex // one statement at a time
	conn *pgxpool.Conn
	told bool // something was read: another snapshot would be another state

	space spaceRow
	seq   uint64          // of the last commit that it sees
	at    int64           // its time
	locks map[int32]int64 // the last commits under the slots
}

// snapshot takes one; a place of the gate is its own until it is closed.
func (s *Store) snapshot(ctx context.Context, gate chan struct{}, name record.Space, slots []int32) (*snapshot, error) {
	if err := enter(ctx, gate, s.patience); err != nil {
		return nil, err
	}
	n := &snapshot{s: s, name: name, slots: slots, gate: gate}
	if err := n.open(ctx); err != nil {
		n.close()
		return nil, failure(err)
	}
	return n, nil
}

// open begins the transaction. All of its questions go out together.
func (n *snapshot) open(ctx context.Context) error {
	return n.s.retry(ctx, func() error {
		n.drop()
		conn, err := n.s.pool.Acquire(ctx)
		if err != nil {
			return err
		}
		n.conn, n.space, n.locks = conn, spaceRow{}, map[int32]int64{}
		b := &pgx.Batch{}
		b.Queue(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`)
		b.Queue(`SELECT seq, at FROM galen.line`).QueryRow(func(r pgx.Row) error { return r.Scan(&n.seq, &n.at) })
		b.Queue(`SELECT `+spaceColumns+` FROM galen.space WHERE name = $1`, string(n.name)).Query(func(r pgx.Rows) error {
			for r.Next() {
				if err := n.space.scan(r); err != nil {
					return err
				}
			}
			return r.Err()
		})
		if len(n.slots) > 0 {
			b.Queue(`SELECT slot, seq FROM galen.lock WHERE slot = ANY ($1)`, n.slots).Query(func(r pgx.Rows) error {
				var slot int32
				var seq int64
				_, err := pgx.ForEachRow(r, []any{&slot, &seq}, func() error { n.locks[slot] = seq; return nil })
				return err
			})
		}
		return conn.SendBatch(ctx, b).Close()
	})
}

// read implements source. A connection that is lost before anything was read is made good: nobody has seen the state yet.
func (n *snapshot) read(ctx context.Context, sql string, args []any, row func(pgx.Rows) error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conn == nil {
		return errClosed
	}
	told := n.told
	tell := func(r pgx.Rows) error { told = true; return row(r) }
	err := ask(ctx, n.conn.Conn(), sql, args, tell)
	if lost(err) && !told {
		if err = n.open(ctx); err == nil {
			err = ask(ctx, n.conn.Conn(), sql, args, tell)
		}
	}
	n.told = true
	return failure(err)
}

// ask runs one statement to its end.
func ask(ctx context.Context, c *pgx.Conn, sql string, args []any, row func(pgx.Rows) error) error {
	rows, err := c.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// drop ends the transaction and gives the connection back.
func (n *snapshot) drop() {
	if n.conn == nil {
		return
	}
	conn := n.conn
	n.conn = nil
	if conn.Conn().IsClosed() {
		conn.Release()
		return
	}
	if _, err := conn.Exec(context.Background(), `ROLLBACK`); err != nil {
		_ = conn.Conn().Close(context.Background()) // it is no use any more
	}
	conn.Release()
}

// close may be called twice.
func (n *snapshot) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop()
	if n.gate != nil {
		<-n.gate
		n.gate = nil
	}
}
