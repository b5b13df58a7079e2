package pebble

import (
	"context"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/span"
)

// errRetry says that a record changed after the batch saw it, or that the batch was overtaken: it is made again.
var errRetry = errors.New("record: a batch met another's change")

// maxRetries bounds how often a batch is made again before the caller is told.
const maxRetries = 50

// Update implements record.Store.
func (s *Store) Update(ctx context.Context, name record.Space, locks []string, fn func(record.Tx) error) (c record.Commit, err error) {
	ctx, part := span.Begin(ctx, "record.update", "")
	defer func() { part.End(err) }()
	done, err := s.use()
	if err != nil {
		return record.Commit{}, err
	}
	defer done()
	release, err := s.locks.Take(ctx, string(name), locks)
	if err != nil {
		return record.Commit{}, err
	}
	defer release()
	for attempt := 0; ; attempt++ {
		c, err := s.attempt(ctx, name, attempt > 0, fn)
		if !errors.Is(err, errRetry) {
			return c, err
		}
		s.counts.retries.Add(1)
		if attempt == maxRetries {
			return record.Commit{}, errs.New(errs.Throttled, "too many writers change the same record: try again")
		}
		if err := ctx.Err(); err != nil {
			return record.Commit{}, err
		}
	}
}

// attempt makes the batch once. firm says that it was made before in vain.
func (s *Store) attempt(ctx context.Context, name record.Space, firm bool, fn func(record.Tx) error) (record.Commit, error) {
	if err := ctx.Err(); err != nil {
		return record.Commit{}, err
	}
	sp, err := s.open(ctx, name)
	if err != nil {
		return record.Commit{}, err
	}
	t := &tx{s: s, ctx: ctx, sp: sp, name: name, firm: firm, byRecord: map[uint64][]*write{}}
	committed := false
	defer func() {
		if t.ticket != nil {
			s.line.leave(t.ticket, committed)
		}
		t.close()
	}()
	if err := fn(t); err != nil {
		return record.Commit{}, err
	}
	if len(t.writes) == 0 && len(t.messages) == 0 {
		if t.view != nil && !s.settled.wait(s.begun.Load()) { // the caller will answer with what it read
			return record.Commit{}, errs.New(errs.Unavailable, "a commit did not reach the disk")
		}
		return record.Commit{Time: t.Time()}, nil
	}
	if err := t.prepare(); err != nil {
		return record.Commit{}, err
	}
	told := t.ticket != nil
	t.at()
	for !s.line.wait(t.ticket) {
		s.line.leave(t.ticket, false)
		t.ticket = nil
		if told {
			return record.Commit{}, errRetry // the function knows a time that has passed
		}
		t.at()
	}
	batch := s.db.NewBatch()
	seq, err := t.commit(batch)
	if err != nil {
		return record.Commit{}, errors.Join(err, batch.Close())
	}
	outbox := s.outbox
	snap := s.db.NewSnapshot()
	at := t.Time()
	committed = true
	s.line.leave(t.ticket, committed)
	t.ticket = nil
	if err := batch.SyncWait(); err != nil {
		_ = snap.Close() // only releases it
		s.settled.fail()
		s.fatal("a commit did not reach the disk: " + err.Error())
		return record.Commit{}, errors.Join(storeError(err), batch.Close())
	}
	s.settled.advance(snap, seq)
	s.tail.note(seq)
	if len(t.messages) > 0 {
		s.announce(outbox)
	}
	s.counts.committed(t)
	return record.Commit{Seq: seq, Time: at}, storeError(batch.Close())
}

// commit makes the batch visible; it is this ticket's turn.
func (t *tx) commit(batch *pebble.Batch) (uint64, error) {
	s := t.s
	next := counters{s.seq + 1, s.pid, s.outbox}
	if err := t.check(); err != nil {
		return 0, err
	}
	if err := t.build(batch, &next); err != nil {
		return 0, storeError(err)
	}
	s.begun.Store(next.seq)
	if err := s.db.ApplyNoSyncWait(batch, pebble.Sync); err != nil {
		s.begun.Store(s.seq)
		return 0, storeError(err)
	}
	s.seq, s.pid, s.outbox = next.seq, next.pid, next.outbox
	for _, w := range t.writes {
		s.recent.wrote(w.hash, s.seq)
	}
	s.applied.Store(s.seq)
	return s.seq, nil
}

// check finds out whether what the batch saw is still so.
func (t *tx) check() error {
	s := t.s
	if sp := s.known(t.name); sp == nil || sp.id != t.sp.id {
		return errs.New(errs.NotFound, "the space was dropped meanwhile")
	}
	for _, w := range t.writes {
		same, known := s.recent.unchanged(w.hash, t.seen)
		if !known {
			now, err := find(s.db, t.sp.id, w.kindNo, w.id)
			if err != nil {
				return err
			}
			same = now == nil && w.old == nil || now != nil && w.old != nil && *now == *w.old
		}
		if !same {
			return errRetry
		}
	}
	return nil
}

// at is the commit's time in microseconds, fixed when it is first asked for.
func (t *tx) at() int64 {
	if t.ticket == nil {
		t.ticket = t.s.line.ticket(t.s.now().UnixMicro(), t.firm)
	}
	return t.ticket.at
}

// Time implements record.Tx.
func (t *tx) Time() time.Time { return time.UnixMicro(t.at()).UTC() }
