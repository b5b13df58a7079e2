package pebble

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galen-health/galen/platform/record"
)

// counters are the store's, as the batch leaves them.
type counters struct{ seq, pid, outbox uint64 }

// change is one posting that the batch sets or deletes.
type change struct {
	posting
	w      *write
	delete bool
}

// prepare computes what does not need the turn: the differences of the postings, in the order of their keys, in which they are written fastest.
func (t *tx) prepare() error {
	for _, w := range t.writes {
		if w.old != nil {
			h, err := headOf(t.view.snap, t.sp.id, w.kindNo, w.old.pid)
			if err != nil {
				return err
			}
			w.oldHead = h
		}
		t.differ(w, w.oldHead.postings(), w.newHead().postings())
	}
	slices.SortFunc(t.changes, func(a, b change) int {
		if a.w.kindNo != b.w.kindNo {
			return int(a.w.kindNo) - int(b.w.kindNo)
		}
		if c := compare(a.posting, b.posting); c != 0 {
			return c
		}
		return a.w.place - b.w.place // new pids rise with it
	})
	return nil
}

// newHead is the head that the write makes, without what is known at the commit only; nil when it leaves no record.
func (w *write) newHead() *head {
	if w.purge {
		return nil
	}
	return &head{id: w.id, version: w.version, deleted: w.deleted, entries: w.entries}
}

// differ notes what differs between two sorted lists of postings.
func (t *tx) differ(w *write, was, will []posting) {
	for len(was) > 0 || len(will) > 0 {
		switch {
		case len(will) == 0 || len(was) > 0 && compare(was[0], will[0]) < 0:
			t.changes = append(t.changes, change{was[0], w, true})
			was = was[1:]
		case len(was) == 0 || compare(was[0], will[0]) > 0:
			t.changes = append(t.changes, change{will[0], w, false})
			will = will[1:]
		default:
			was, will = was[1:], will[1:]
		}
	}
}

// build writes the batch table by table; it is this ticket's turn, so nothing else commits meanwhile.
func (t *tx) build(batch *pebble.Batch, n *counters) error {
	var line uint32 // within the commit's history
	for _, w := range t.writes {
		w.pid = 0
		switch {
		case w.old != nil:
			w.pid = w.old.pid
		case !w.purge:
			n.pid++
			w.pid = n.pid
		}
	}
	for _, table := range []func(*pebble.Batch, *write) error{
		t.putDir, t.putHead,
		func(b *pebble.Batch, w *write) error { return t.putVersions(b, w, n.seq) },
		func(b *pebble.Batch, w *write) error { return t.putHistory(b, w, n.seq, &line) },
		t.purge,
	} {
		for _, w := range t.writes {
			if err := table(batch, w); err != nil {
				return err
			}
		}
	}
	for _, c := range t.changes {
		if err := t.putPosting(batch, c); err != nil {
			return err
		}
	}
	if err := t.putTimes(batch); err != nil {
		return err
	}
	for i := range t.messages {
		n.outbox++
		if err := batch.Set(outboxKey(n.outbox), encodeMessage(t.at(), t.name, &t.messages[i]), nil); err != nil {
			return err
		}
	}
	meta := make([]byte, 0, 32)
	for _, c := range []uint64{n.seq, n.pid, n.outbox, uint64(t.at())} {
		meta = binary.BigEndian.AppendUint64(meta, c)
	}
	return batch.Set([]byte{tableMeta}, meta, nil)
}

func (t *tx) putDir(batch *pebble.Batch, w *write) error {
	if w.purge {
		return nil
	}
	return batch.Set(dirKey(t.sp.id, w.kindNo, w.id), (&entry{w.pid, w.version, w.deleted}).encode(), nil)
}

func (t *tx) putHead(batch *pebble.Batch, w *write) error {
	h := w.newHead()
	if h == nil {
		return nil
	}
	h.commit, h.time = t.s.seq+1, t.at()
	return batch.Set(headKey(t.sp.id, w.kindNo, w.pid), encodeHead(h), nil)
}

// putVersions writes the versions that the batch made of a record; of a volatile kind the newest only, in place of the old.
func (t *tx) putVersions(batch *pebble.Batch, w *write, seq uint64) error {
	if w.purge {
		return nil
	}
	if w.def.Volatile {
		w.earlier = nil
		if w.old != nil {
			if err := batch.Delete(versionKey(t.sp.id, w.kindNo, w.pid, w.old.version), nil); err != nil {
				return err
			}
		}
	}
	for _, e := range append(w.earlier, earlier{w.version, w.deleted, w.sealed}) {
		v := &stored{time: t.at(), commit: seq, deleted: e.deleted, id: w.id, sealed: e.sealed}
		op := batch.SetDeferred(kindSize+16, storedSize(w.id)+len(e.sealed))
		copy(op.Key, versionKey(t.sp.id, w.kindNo, w.pid, e.version))
		v.put(op.Value)
		if err := op.Finish(); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) putHistory(batch *pebble.Batch, w *write, seq uint64, line *uint32) error {
	if w.purge || w.def.Volatile {
		return nil
	}
	for v := w.version - int64(len(w.earlier)); v <= w.version; v++ {
		b := binary.BigEndian.AppendUint64(make([]byte, 0, 16), w.pid)
		if err := batch.Set(historyKey(t.sp.id, w.kindNo, seq, *line), binary.BigEndian.AppendUint64(b, uint64(v)), nil); err != nil {
			return err
		}
		*line++
	}
	return nil
}

func (t *tx) putPosting(batch *pebble.Batch, c change) error {
	v := short(c.value)
	deferred := batch.DeleteDeferred
	if !c.delete {
		deferred = func(n int) *pebble.DeferredBatchOp { return batch.SetDeferred(n, 0) }
	}
	op := deferred(kindSize + 2 + len(v) + 8)
	b := appendKind(op.Key[:0], tablePosting, t.sp.id, c.w.kindNo)
	b = append(binary.BigEndian.AppendUint16(b, c.index), v...)
	binary.BigEndian.AppendUint64(b, c.w.pid)
	return op.Finish()
}

// putTimes writes the postings of the commit's time, which is known only now.
func (t *tx) putTimes(batch *pebble.Batch) error {
	for _, w := range t.writes {
		if w.oldHead != nil && !w.oldHead.deleted {
			if err := t.putPosting(batch, change{posting{indexTime, record.Value(timeValue(w.oldHead.time))}, w, true}); err != nil {
				return err
			}
		}
	}
	for _, w := range t.writes {
		if !w.purge && !w.deleted {
			if err := t.putPosting(batch, change{posting{indexTime, record.Value(timeValue(t.at()))}, w, false}); err != nil {
				return err
			}
		}
	}
	return nil
}

// purge removes a record with all its versions. The batch has the turn, so what it reads of the store does not change.
func (t *tx) purge(batch *pebble.Batch, w *write) error {
	if !w.purge || w.old == nil {
		return nil
	}
	db, sp := t.s.db, t.sp.id
	commits := map[uint64]bool{}
	if err := each(db, versionKey(sp, w.kindNo, w.pid, math.MaxInt64), versionKey(sp, w.kindNo, w.pid, 0), func(k, b []byte) error {
		v, err := decodeVersion(b)
		if err != nil {
			return err
		}
		commits[v.commit] = true
		return batch.Delete(k, nil)
	}); err != nil {
		return err
	}
	for c := range commits {
		if err := each(db, historyKey(sp, w.kindNo, c, 0), historyKey(sp, w.kindNo, c+1, 0), func(k, v []byte) error {
			if len(v) == 16 && binary.BigEndian.Uint64(v) == w.pid {
				return batch.Delete(k, nil)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return errors.Join(batch.Delete(headKey(sp, w.kindNo, w.pid), nil), batch.Delete(dirKey(sp, w.kindNo, w.id), nil))
}

// each calls fn for every key of a span.
func each(r pebble.Reader, from, to []byte, fn func(k, v []byte) error) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return storeError(err)
	}
	defer it.Close() //nolint:errcheck // Error has told it
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return storeError(err)
		}
		if err := fn(it.Key(), v); err != nil {
			return err
		}
	}
	return storeError(it.Error())
}
