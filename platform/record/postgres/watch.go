package postgres

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A statement may take as long as it needs, so none has a limit of its own. But a server that hangs, or a network that swallows everything, would never answer: when
// answers are waited for, the server is asked something that takes no time, on a connection of its own. One that does not answer that either gives nobody an answer: the
// connections that wait are cut, and what asked goes on as after any lost connection.

// watchAfter is how long an answer may take before the server is asked whether it is there.
const watchAfter = 5 * time.Second

// watch knows the connections of a store that wait for the server.
type watch struct {
	cfg   *pgx.ConnConfig // of the questions
	after time.Duration
	limit time.Duration // for the answer to a question

	mu    sync.Mutex
	conns map[*watched]bool
}

// watched is a connection that tells since when it waits.
type watched struct {
	net.Conn
	w     *watch
	since atomic.Int64 // nanoseconds; 0 = nothing waits
}

// newWatch lets a configuration make connections that are watched.
func newWatch(cfg *pgx.ConnConfig, after, limit time.Duration) *watch {
	w := &watch{cfg: cfg.Copy(), after: after, limit: limit, conns: map[*watched]bool{}}
	// A peer that is gone without a word is noticed while nothing is on its way to it.
	d := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}}
	w.cfg.DialFunc = d.DialContext
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		x := &watched{Conn: c, w: w}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.conns[x] = true
		return x, nil
	}
	return w
}

// Read implements net.Conn.
func (c *watched) Read(b []byte) (int, error) {
	c.since.Store(time.Now().UnixNano())
	defer c.since.Store(0)
	return c.Conn.Read(b)
}

// Close implements net.Conn.
func (c *watched) Close() error {
	c.w.mu.Lock()
	delete(c.w.conns, c)
	c.w.mu.Unlock()
	return c.Conn.Close()
}

// waiting are the connections that have waited for long.
func (w *watch) waiting() (out []*watched) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		if since := c.since.Load(); since != 0 && time.Since(time.Unix(0, since)) > w.after {
			out = append(out, c)
		}
	}
	return out
}

// run watches until ctx ends.
func (w *watch) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(w.after / 4):
		}
		if len(w.waiting()) == 0 || !w.silent(ctx) {
			continue
		}
		for _, c := range w.waiting() {
			_ = c.Close() // its reader is told
		}
	}
}

// silent asks the server whether it is there. Any answer will do, a refusal too.
func (w *watch) silent(ctx context.Context) bool {
	limit, cancel := context.WithTimeout(ctx, w.limit)
	defer cancel()
	cfg := w.cfg.Copy()
	cfg.ConnectTimeout = w.limit
	c, err := pgx.ConnectConfig(limit, cfg)
	if err == nil {
		_, err = c.Exec(limit, `SELECT 1`)
		_ = c.Close(limit) // only the answer counts
	}
	var answer *pgconn.PgError
	if err == nil || ctx.Err() != nil || errors.As(err, &answer) {
		return false
	}
	return limit.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}
