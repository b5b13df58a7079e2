package postgres

import (
	"context"
	"crypto/cipher"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/guard"
	"github.com/galen-health/galen/platform/record/seal"
)

// Options of a store. The zero value is right for a server.
type Options struct {
	Now func() time.Time // nil = time.Now
	// Patience is how long a read or a batch waits for a server that is away, before it is errs.Unavailable; 0 = 15 s.
	Patience time.Duration
	// Watch is how long an answer may take before the server is asked whether it is there at all; 0 = 5 s.
	Watch time.Duration
	// Settle is how long the fate of a transaction is asked for whose answer was lost; 0 = 60 s.
	Settle time.Duration
}

// Store is a record.Store in one database. Several processes may have the same one.
type Store struct {
	cfg      *pgxpool.Config
	pool     *pgxpool.Pool
	gates    gates
	ring     key.Ring
	now      func() time.Time
	patience time.Duration
	settle   time.Duration
	changed  chan struct{}
	outbox   cipher.AEAD // of messages
	id       string
	counts   counts
	grown    chan struct{} // versions were written
	locks    guard.Names
	queue    queue
	inUse    guard.InUse
	stop     context.CancelFunc
	unwatch  context.CancelFunc // after all that it watches
	work     sync.WaitGroup

	// One space is made or dropped at a time: it waits for the line with a connection that batches in their turn may need for a new name.
	spaceMu sync.Mutex

	mu     sync.RWMutex // guards what follows
	kinds  map[string]*record.KindDef
	names  map[string]int16 // kinds and indexes share the numbers
	back   map[int16]string
	spaces map[record.Space]*space
	turns  func() // of tests: called while the line is held
}

var _ record.Store = (*Store)(nil)

// Open opens the store in the database that url names (postgres://…), and makes or migrates its schema. It waits a while for a server that is away; an error says what
// the operator can do.
func Open(ctx context.Context, url string, ring key.Ring, opts Options) (*Store, error) {
	cfg, err := parse(url)
	if err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, ring: ring, now: opts.Now, patience: opts.Patience, settle: opts.Settle, changed: make(chan struct{}, 1), grown: make(chan struct{}, 1), gates: newGates(cfg.MaxConns),
		kinds: map[string]*record.KindDef{}, names: map[string]int16{}, back: map[int16]string{}, spaces: map[record.Space]*space{}}
	if s.now == nil {
		s.now = time.Now
	}
	if s.patience <= 0 {
		s.patience = 15 * time.Second
	}
	if s.settle <= 0 {
		s.settle = time.Minute
	}
	if opts.Watch <= 0 {
		opts.Watch = watchAfter
	}
	watch := newWatch(cfg.ConnConfig, opts.Watch, s.patience)
	watching, unwatch := context.WithCancel(context.Background())
	s.unwatch = unwatch
	go watch.run(watching)
	s.queue.init()
	if s.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil { // connects when it is used
		unwatch()
		return nil, failure(err)
	}
	if err := s.retry(ctx, func() error { return s.begin(ctx) }); err != nil { // PostgreSQL may be starting too
		unwatch()
		s.pool.Close()
		return nil, failure(err)
	}
	work, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.work.Go(func() { s.commits(work) })
	s.work.Go(func() { s.listen(work) })
	s.work.Go(func() { s.sweep(work) })
	s.work.Go(func() { s.analyze(work) })
	return s, nil
}

// begin looks after the schema and reads what does not change.
func (s *Store) begin(ctx context.Context) error {
	c, err := pgx.ConnectConfig(ctx, s.cfg.ConnConfig.Copy())
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is under way
	if err := check(ctx, c); err != nil {
		return err
	}
	if _, err := migrate(ctx, c, 0); err != nil {
		return err
	}
	if err := whole(ctx, c); err != nil {
		return err
	}
	if err := s.openKey(ctx, c); err != nil {
		return err
	}
	return s.loadNames(ctx, c)
}

func storeContext() map[string]string {
	return map[string]string{"galen:purpose": "records in PostgreSQL"}
}

// openKey opens the store's own key, or makes it in a new database. It proves that the key ring is the one that the database belongs to.
func (s *Store) openKey(ctx context.Context, c *pgx.Conn) error {
	return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT FROM galen.line FOR UPDATE`); err != nil { // one server makes it
			return err
		}
		var wrapped []byte
		err := tx.QueryRow(ctx, `SELECT wrapped, id::text FROM galen.store`).Scan(&wrapped, &s.id)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if err == nil {
			dk, err := s.ring.Open(ctx, wrapped, storeContext())
			if errs.Is(err, errs.Invalid) || errs.Is(err, errs.NotFound) {
				return errs.Wrap(errs.Invalid, err, "the record database belongs to another key ring: give the data folder whose keys/ wrote it, or another database")
			}
			if err != nil {
				return err
			}
			defer clear(dk.Plain)
			s.outbox, err = seal.New(dk.Plain)
			return err
		}
		dk, err := s.ring.DataKey(ctx, key.Ref{Context: storeContext()})
		if err != nil {
			return err
		}
		defer clear(dk.Plain)
		if s.outbox, err = seal.New(dk.Plain); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `INSERT INTO galen.store (wrapped, key_arn) VALUES ($1, $2) RETURNING id::text`, dk.Wrapped, dk.KeyARN).Scan(&s.id)
	})
}

var errClosed = errs.New(errs.Unavailable, "the record store is closed")

func corrupt(format string, args ...any) error {
	return errs.New(errs.Corrupt, format+"; run galen verify", args...)
}

// use keeps the store open until the result is called; errClosed when it is closing.
func (s *Store) use() (func(), error) {
	done, open := s.inUse.Enter()
	if !open {
		return nil, errClosed
	}
	return done, nil
}

// Changed implements record.Store.
func (s *Store) Changed() <-chan struct{} { return s.changed }

// announce tells, without blocking, that there may be messages.
func (s *Store) announce() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Close implements record.Store. It waits for calls in progress; views that are still open lose their connections.
func (s *Store) Close() error {
	if !s.inUse.Close() {
		return nil
	}
	defer s.unwatch()
	s.stop()
	s.work.Wait()
	closed := make(chan struct{})
	go func() { s.pool.Close(); close(closed) }()
	select {
	case <-closed:
		return nil
	case <-time.After(5 * time.Second):
		return errs.New(errs.Internal, "the record store was closed while views were open")
	}
}
