package postgres

import (
	"context"
	"hash/fnv"
	"slices"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/span"
)

// lockSlots is how many rows the named locks share. Two names in one slot cost a batch that is made twice, nothing else.
const lockSlots = 1 << 16

func slotsOf(space record.Space, locks []string) []int32 {
	var out []int32
	for _, l := range locks {
		h := fnv.New32a()
		h.Write([]byte(space))
		h.Write([]byte{0})
		h.Write([]byte(l))
		out = append(out, int32(h.Sum32()%lockSlots))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

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
	if err := ctx.Err(); err != nil {
		return record.Commit{}, err
	}
	slots := slotsOf(name, locks)
	t := &tx{s: s, ctx: ctx, name: name, slots: slots, byRecord: map[string]*write{}}
	end := time.Now().Add(s.patience)
	err = t.make(fn)
	for wait := 20 * time.Millisecond; lost(err) && time.Now().Before(end) && ctx.Err() == nil; wait = min(2*wait, time.Second) { // the connection died on the way
		time.Sleep(wait)
		t = &tx{s: s, ctx: ctx, name: name, slots: slots, byRecord: map[string]*write{}}
		err = t.make(fn)
	}
	if err != nil {
		return record.Commit{}, failure(err)
	}
	if len(t.writes) == 0 && len(t.messages) == 0 {
		at := t.Time()
		s.queue.leave(t)
		return record.Commit{Time: at}, nil
	}
	i := &item{t: t, since: time.Now(), done: make(chan outcome, 1), turn: make(chan *turn), made: make(chan outcome, 1)}
	for _, w := range t.writes {
		i.size += len(w.sealed)
	}
	s.queue.submit(i, s.now().UnixMicro())
	cancelled := ctx.Done()
	for {
		select {
		case o := <-i.done:
			return o.commit, o.err
		case turn := <-i.turn: // overtaken: made again while the line is held
			i.within(turn, fn, &tx{s: s, ctx: turn.ctx, name: name, slots: slots, turn: turn, at: turn.at, byRecord: map[string]*write{}})
		case <-cancelled:
			if s.queue.withdraw(i) {
				return record.Commit{}, ctx.Err()
			}
			cancelled = nil // it is being committed: what became of it is told soon
		}
	}
}

// make runs the function and computes what follows from it.
func (t *tx) make(fn func(record.Tx) error) (err error) {
	defer func() {
		t.close()
		if err != nil {
			t.s.queue.leave(t)
		}
	}()
	if err := fn(t); err != nil {
		return err
	}
	if err := t.begins(); err != nil { // no space, no batch
		return err
	}
	return t.prepare()
}

// within makes a batch in the committer's transaction. Whatever the function does, the committer gets its answer.
func (i *item) within(turn *turn, fn func(record.Tx) error, t *tx) {
	o := outcome{err: errs.New(errs.Internal, "a batch met a defect")}
	defer func() { i.made <- o }()
	err := fn(t)
	if err == nil {
		err = t.begins()
	}
	if err == nil {
		err = t.prepare()
	}
	o = outcome{t: t, err: err}
}
