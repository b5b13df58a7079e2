package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/galen-health/galen/platform/errs"
)

// How many connections a server holds, unless --records says otherwise (pool_max_conns), and the fewest that work. Two more are for commits and for news.
const (
	usualConns = 40
	leastConns = 12
)

// parse reads --records. Its password is in no error.
func parse(url string) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil || !strings.HasPrefix(url, "postgres://") && !strings.HasPrefix(url, "postgresql://") {
		return nil, errs.New(errs.Invalid, "--records is no PostgreSQL address: write postgres://USER:PASSWORD@HOST:PORT/DATABASE")
	}
	if !strings.Contains(url, "pool_max_conns") {
		cfg.MaxConns = usualConns
	}
	cfg.MaxConns = max(cfg.MaxConns, leastConns)
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = 10 * time.Second
	}
	p := cfg.ConnConfig.RuntimeParams
	for k, v := range map[string]string{
		"application_name":    "galen",
		"timezone":            "UTC",
		"search_path":         "", // everything is called by its full name
		"jit":                 "off",
		"plan_cache_mode":     "force_custom_plan",                                                // one text serves rare and common values
		"tcp_keepalives_idle": "30", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "3", // a dead server's locks end
		"default_transaction_isolation": "read committed", "idle_in_transaction_session_timeout": "1h", "statement_timeout": "0", "lock_timeout": "0",
		"client_min_messages": "error",
	} {
		if _, said := p[k]; !said || k == "search_path" {
			p[k] = v
		}
	}
	return cfg, nil
}

// Check refuses an address that cannot be one, before anything is opened.
func Check(url string) error {
	_, err := parse(url)
	return err
}

// where is an address without its user and password.
func where(c *pgx.ConnConfig) string {
	return fmt.Sprintf("postgres://%s:%d/%s", c.Host, c.Port, c.Database)
}

// check looks at what the server must be for our promises to hold.
func check(ctx context.Context, c *pgx.Conn) error {
	var version int
	var fsync, writes, recovery, encoding string
	err := c.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('fsync'), current_setting('full_page_writes'), pg_is_in_recovery()::text, current_setting('server_encoding')`).Scan(&version, &fsync, &writes, &recovery, &encoding)
	switch {
	case err != nil:
		return err
	case version < 140000:
		return errs.New(errs.Unsupported, "PostgreSQL %d is too old: version 14 or newer is needed", version/10000)
	case fsync != "on" || writes != "on":
		return errs.New(errs.Unsupported, "PostgreSQL runs with fsync=%s and full_page_writes=%s: both must be on, or acknowledged writes can be lost", fsync, writes)
	case recovery == "true":
		return errs.New(errs.Unavailable, "the record database is a standby: name the primary in --records")
	case encoding != "UTF8":
		return errs.New(errs.Unsupported, "the database's encoding is %s: make it with ENCODING 'UTF8'", encoding)
	}
	return nil
}

// durable makes a session's commits wait for the disk, whatever the database's default is.
const durable = `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`

// gates bound what each use takes of the pool, so that none can starve another: a batch that waits for a connection holds none that a view needs.
type gates struct{ views, batches, brief chan struct{} }

func newGates(conns int32) gates {
	brief, batches := 6, max(3, int(conns)/4)
	return gates{make(chan struct{}, int(conns)-brief-batches), make(chan struct{}, batches), make(chan struct{}, brief)}
}

// enter takes a place; errs.Throttled when none became free in time.
func enter(ctx context.Context, gate chan struct{}, wait time.Duration) error {
	select {
	case gate <- struct{}{}:
		return nil
	default:
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case gate <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return errs.New(errs.Throttled, "all connections to the record database are in use: try again, or raise pool_max_conns in --records")
	}
}

// retry asks again while the connection is lost, the server restarts or has no connection left, up to the store's patience. fn must be safe to repeat.
func (s *Store) retry(ctx context.Context, fn func() error) error {
	end := time.Now().Add(s.patience)
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		err := fn()
		if !lost(err) && !scarce(err) || time.Now().After(end) {
			return err
		}
		if lost(err) {
			s.pool.Reset() // the other connections are likely as dead
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// brief runs fn on a connection that is given back at once.
func (s *Store) brief(ctx context.Context, fn func(*pgxpool.Conn) error) error {
	if err := enter(ctx, s.gates.brief, s.patience); err != nil {
		return err
	}
	defer func() { <-s.gates.brief }()
	return failure(s.retry(ctx, func() error { return s.pool.AcquireFunc(ctx, fn) }))
}
