package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// committer is the process's one writer: it takes what the queue has into transactions, one after the other.
type committer struct {
	s    *Store
	conn *pgx.Conn // nil when there is none
}

// commits runs until ctx ends; then the connection is closed.
func (s *Store) commits(ctx context.Context) {
	c := &committer{s: s}
	defer c.hangUp()
	for {
		group := s.queue.take(ctx)
		if group == nil {
			return
		}
		c.group(ctx, group)
	}
}

func (c *committer) hangUp() {
	if c.conn != nil {
		_ = c.conn.Close(context.Background()) // a transaction that is open ends with it
		c.conn = nil
	}
}

// idleLimit ends a committer's transaction that does not go on, so that a server that hangs holds up nobody for long.
const idleLimit = 60 * time.Second

// connect makes the committer's connection, within the time that batches wait.
func (c *committer) connect(ctx context.Context, patience time.Duration) error {
	if c.conn != nil && !c.conn.IsClosed() {
		return nil
	}
	cfg := c.s.cfg.ConnConfig.Copy()
	end := time.Now().Add(patience)
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		dial, cancel := context.WithTimeout(ctx, max(time.Until(end), time.Second))
		conn, err := pgx.ConnectConfig(dial, cfg)
		if err == nil {
			b := &pgx.Batch{}
			b.Queue(durable)
			b.Queue(`SELECT set_config('idle_in_transaction_session_timeout', $1, false)`, fmt.Sprint(idleLimit.Milliseconds()))
			if err = conn.SendBatch(dial, b).Close(); err == nil {
				c.conn = conn
				cancel()
				return nil
			}
			_ = conn.Close(ctx) // err tells
		}
		cancel()
		if ctx.Err() != nil || time.Now().After(end) {
			return failure(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// turn is the committer's transaction as batches see it that are made within it: what is committed, what was written before them in it, and nothing else, for the
// line is held.
type turn struct {
	c   *committer
	ctx context.Context
	at  int64 // the batch's time

	reading atomic.Bool // an answer is waited for

	mu  sync.Mutex
	err error // the first failure of the connection or a statement
}

func (t *turn) read(ctx context.Context, sql string, args []any, row func(pgx.Rows) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return failure(t.err)
	}
	t.reading.Store(true)
	err := ask(ctx, t.c.conn, sql, args, row)
	t.reading.Store(false)
	var ours *errs.Error
	if err != nil && !errors.As(err, &ours) {
		t.err = err // the transaction is of no use any more
	}
	return failure(err)
}

// end lets nothing more be read, once a read in progress has ended, and tells the first failure.
func (t *turn) end() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.err
	if t.err == nil {
		t.err = errClosed
	}
	return err
}

// errLate says that a function held the line for too long. Its batch was answered; the others of the group are made again.
var errLate = errors.New("record: a function held the line for too long")

// errUnfit says that the transaction failed for a reason that may be one batch's.
var errUnfit = errors.New("record: the group failed")

// group commits a group, or finds out one by one what can be committed of it.
func (c *committer) group(ctx context.Context, group []*item) {
	if err := c.connect(ctx, c.s.patience); err != nil {
		for _, i := range group {
			i.done <- outcome{err: err}
		}
		return
	}
	err := c.transaction(ctx, group)
	switch {
	case err == nil:
	case lost(err) || repeatable(err) || errors.Is(err, errLate):
		for _, i := range group { // nothing was committed: all again
			if !i.late {
				i.again(c.s)
			}
		}
	case len(group) == 1:
		group[0].done <- outcome{err: failure(err)}
	default:
		for _, i := range group {
			c.group(ctx, []*item{i})
		}
	}
}

// again queues an item whose batch was made in vain. One that waits for too long is told so.
func (i *item) again(s *Store) {
	if time.Since(i.since) > s.patience {
		i.done <- outcome{err: errs.New(errs.Unavailable, "the record database does not hold its connections: nothing was written, try again")}
		return
	}
	i.firm, i.t = true, nil
	s.queue.submit(i, 0)
}

// transaction makes one transaction of a group and answers its items. On an error nothing was committed and nobody was answered.
func (c *committer) transaction(ctx context.Context, group []*item) (err error) {
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), idleLimit)
	defer cancel()
	defer func() {
		if err != nil {
			c.rollBack(limit)
		}
	}()
	var n counters
	good, err := c.begin(limit, group, &n)
	if err != nil {
		return err
	}
	g := &commitment{c: c, n: n, answers: map[*item]outcome{}}
	for _, i := range good {
		if err := g.take(i, i.t); err != nil {
			return err
		}
	}
	firm := 0
	for _, i := range group {
		if _, done := g.answers[i]; done {
			continue
		}
		if firm++; firm > maxFirm { // the next turn
			g.later = append(g.later, i)
			continue
		}
		if err := g.make(limit, i); err != nil {
			return err
		}
	}
	if err := g.commit(ctx, limit); err != nil {
		return err
	}
	for _, i := range g.later {
		i.firm, i.t = true, nil
		c.s.queue.submit(i, 0)
	}
	for i, o := range g.answers {
		if o.err == nil && o.commit.Seq > 0 {
			c.s.counts.commits.Add(1)
		}
		i.done <- o
	}
	c.s.counts.versions.Add(g.versions)
	nudge(c.s.grown)
	c.s.counts.messages.Add(g.messages)
	c.s.counts.retries.Add(uint64(firm))
	if g.told {
		c.s.announce()
	}
	return nil
}

func (c *committer) rollBack(ctx context.Context) {
	if c.conn == nil || c.conn.IsClosed() {
		c.conn = nil
		return
	}
	if _, err := c.conn.Exec(ctx, `ROLLBACK`); err != nil {
		c.hangUp()
	}
}

// begin takes the line and finds out which batches can be committed as they were made: those in time, whose records and locks are as they saw them.
func (c *committer) begin(ctx context.Context, group []*item, n *counters) (good []*item, err error) {
	var spaces, slots []int32
	var at keyRows
	for _, i := range group {
		if i.firm {
			continue
		}
		spaces, slots = append(spaces, i.t.sp.id), append(slots, i.t.slots...)
		for _, w := range i.t.writes {
			at.space, at.kind, at.digest = append(at.space, i.t.sp.id), append(at.kind, w.kind), append(at.digest, w.digest)
		}
	}
	there, locks := map[int32]bool{}, map[int32]int64{}
	now := make([]current, len(at.space)+1)
	b := &pgx.Batch{}
	b.Queue(`BEGIN ISOLATION LEVEL READ COMMITTED`) // not READ WRITE: a database that was set read-only takes no writes
	b.Queue(`SELECT seq, at, pid, outbox FROM galen.line FOR UPDATE`).QueryRow(func(r pgx.Row) error { return r.Scan(&n.seq, &n.at, &n.pid, &n.outbox) })
	if len(spaces) > 0 {
		b.Queue(`SELECT id FROM galen.space WHERE id = ANY ($1)`, spaces).Query(func(r pgx.Rows) error {
			var id int32
			_, err := pgx.ForEachRow(r, []any{&id}, func() error { there[id] = true; return nil })
			return err
		})
	}
	if len(slots) > 0 {
		b.Queue(`SELECT slot, seq FROM galen.lock WHERE slot = ANY ($1)`, slots).Query(func(r pgx.Rows) error {
			var slot int32
			var seq int64
			_, err := pgx.ForEachRow(r, []any{&slot, &seq}, func() error { locks[slot] = seq; return nil })
			return err
		})
	}
	if len(at.space) > 0 {
		b.Queue(`SELECT k.n, r.pid, r.version, r.deleted FROM unnest($1::integer[], $2::smallint[], $3::bytea[]) WITH ORDINALITY k (space, kind, digest, n)
			JOIN galen.record r ON r.space = k.space AND r.kind = k.kind AND r.digest = k.digest`, at.space, at.kind, at.digest).Query(func(r pgx.Rows) error {
			var place int64
			var x current
			_, err := pgx.ForEachRow(r, []any{&place, &x.pid, &x.version, &x.deleted}, func() error { now[place-1] = x; return nil })
			return err
		})
	}
	if err := c.conn.SendBatch(ctx, b).Close(); err != nil {
		return nil, err
	}
	c.s.queue.heard(n.at)
	last, place := n.at, 0
	taken := map[string]bool{} // records and locks of the batches before
	for _, i := range group {
		if i.firm {
			continue
		}
		t := i.t
		fits := there[t.sp.id]
		for _, w := range t.writes {
			old := current{}
			if w.old != nil {
				old = *w.old
			}
			is := now[place]
			place++
			key := string(appendSpace(nil, t.sp.id)) + writeKey(w.kind, w.digest)
			fits = fits && is.pid == old.pid && is.version == old.version && is.deleted == old.deleted && !taken[key]
		}
		for _, slot := range t.slots {
			fits = fits && (t.snap == nil || locks[slot] == t.seen[slot]) && !taken[string(appendSpace([]byte("lock"), slot))]
		}
		if t.at <= last && t.told {
			fits = false
		}
		if !fits {
			continue
		}
		t.at = max(t.at, last+1)
		last = t.at
		for _, w := range t.writes {
			taken[string(appendSpace(nil, t.sp.id))+writeKey(w.kind, w.digest)] = true
		}
		for _, slot := range t.slots {
			taken[string(appendSpace([]byte("lock"), slot))] = true
		}
		good = append(good, i)
	}
	return good, nil
}

func appendSpace(b []byte, n int32) []byte {
	return append(b, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// commitment is a transaction while it is made.
type commitment struct {
	c       *committer
	n       counters
	pending changes // not sent yet
	dirty   bool    // something was taken
	waiting bool    // something pends
	told    bool    // there are messages

	versions, messages uint64
	answers            map[*item]outcome
	later              []*item
}

// take adds a batch.
func (g *commitment) take(i *item, t *tx) error {
	g.n.place(t)
	if err := g.pending.take(t, g.n.seq); err != nil {
		return err
	}
	g.versions, g.messages = g.versions+uint64(len(t.writes)), g.messages+uint64(len(t.messages))
	g.dirty, g.waiting, g.told = true, true, g.told || len(t.messages) > 0
	g.answers[i] = outcome{commit: record.Commit{Seq: uint64(g.n.seq), Time: micros(t.at)}}
	return nil
}

// send writes what pends, so that a batch that is made now sees it.
func (g *commitment) send(ctx context.Context) error {
	if !g.waiting {
		return nil
	}
	b := &pgx.Batch{}
	if err := g.pending.queue(b, g.c.s.outbox, &g.n); err != nil {
		return err
	}
	g.pending, g.waiting = changes{}, false
	return g.c.conn.SendBatch(ctx, b).Close()
}

// make lets a batch be made within the transaction, by whoever waits for it.
func (g *commitment) make(ctx context.Context, i *item) error {
	if err := g.send(ctx); err != nil {
		return err
	}
	if g.c.s.turns != nil {
		g.c.s.turns()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	turn := &turn{c: g.c, ctx: ctx, at: g.c.s.queue.between(g.n.at, g.c.s.now().UnixMicro())}
	i.turn <- turn
	var o outcome
	late := time.NewTimer(g.c.s.queue.firmness)
	defer late.Stop()
	select {
	case o = <-i.made:
	case <-late.C:
		slow := errs.New(errs.Timeout, "the batch takes too long while others wait for it: nothing was written")
		if turn.reading.Load() {
			slow = errs.New(errs.Unavailable, "the record database takes too long to answer: nothing was written")
		}
		cancel() // a read in progress ends, and the connection with it
		_ = turn.end()
		i.late = true
		i.done <- outcome{err: slow}
		return errLate
	}
	err := turn.end()
	switch {
	case err != nil:
		return err
	case o.err != nil:
		g.answers[i] = outcome{err: failure(o.err)}
		return nil
	case len(o.t.writes) == 0 && len(o.t.messages) == 0:
		g.answers[i] = outcome{commit: record.Commit{Time: micros(o.t.at)}}
		return nil
	}
	return g.take(i, o.t)
}

// commit ends the transaction. When its answer is lost, its fate is found out; errLost says that it was not committed.
func (g *commitment) commit(ctx, limit context.Context) error {
	if !g.dirty {
		g.c.rollBack(limit)
		return nil
	}
	var token [16]byte
	_, _ = rand.Read(token[:]) // never fails on supported systems
	b := &pgx.Batch{}
	if g.waiting {
		if err := g.pending.queue(b, g.c.s.outbox, &g.n); err != nil {
			return err
		}
	}
	b.Queue(`UPDATE galen.line SET seq = $1, at = $2, pid = $3, outbox = $4`, g.n.seq, g.n.at, g.n.pid, g.n.outbox)
	b.Queue(`INSERT INTO galen.settled (token) VALUES ($1)`, token)
	if g.n.seq%1024 < int64(len(g.answers)) { // now and then
		b.Queue(`DELETE FROM galen.settled WHERE made < now() - interval '1 day'`)
	}
	if g.told {
		b.Queue(`NOTIFY galen_outbox`)
	}
	ended := ""
	b.Queue(`COMMIT`)
	results := g.c.conn.SendBatch(limit, b)
	var err error
	for range b.Len() {
		tag, e := results.Exec()
		if e != nil {
			err = e
			break
		}
		ended = tag.String()
	}
	if e := results.Close(); err == nil {
		err = e
	}
	switch {
	case err == nil && ended == "COMMIT":
		return nil
	case err == nil:
		return errUnfit
	case !lost(err) && limit.Err() == nil:
		return err // answered: the transaction failed
	}
	return g.settle(ctx, token)
}

// errLost is as if the connection had been lost before the commit.
var errLost = errors.New("record: the transaction was not committed")

// settle finds out whether a transaction was committed whose answer was lost. The old session may still be at it: the line, which it holds until it ends, is waited for.
func (g *commitment) settle(ctx context.Context, token [16]byte) error {
	c := g.c
	c.hangUp()
	end := time.Now().Add(c.s.settle)
	unknown := errs.New(errs.Unavailable, "the record database was lost while it committed, and does not come back: whether the write was made is not known")
	for time.Now().Before(end) {
		if err := c.connect(context.WithoutCancel(ctx), time.Until(end)); err != nil {
			continue
		}
		limit, cancel := context.WithDeadline(context.WithoutCancel(ctx), end)
		var made bool
		b := &pgx.Batch{}
		b.Queue(`BEGIN ISOLATION LEVEL READ COMMITTED`)
		b.Queue(`SELECT FROM galen.line FOR UPDATE`)
		b.Queue(`SELECT EXISTS (SELECT FROM galen.settled WHERE token = $1)`, token).QueryRow(func(r pgx.Row) error { return r.Scan(&made) })
		b.Queue(`ROLLBACK`)
		err := c.conn.SendBatch(limit, b).Close()
		cancel()
		switch {
		case err != nil:
			c.hangUp()
			time.Sleep(20 * time.Millisecond)
			continue
		case made:
			return nil
		}
		return errLost
	}
	for i := range g.answers {
		if g.answers[i].err == nil {
			g.answers[i] = outcome{err: unknown}
		}
	}
	return nil
}
