package pebble

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/seal"
)

// importBatch is how many bytes of a batch go to the database at a time.
const importBatch = 8 << 20

// Import implements record.Portable. It syncs at its end only: an import that did not return is begun anew in an empty folder.
func (s *Store) Import(ctx context.Context, ring key.Ring, next func() (any, error)) error {
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	s.spaceMu.Lock()
	defer s.spaceMu.Unlock()
	if s.seq != 0 || len(s.spaces) > 0 {
		return errs.New(errs.Conflict, "the record store in %s is not empty", s.dir)
	}
	m := &importer{s: s, ctx: ctx, ring: ring, batch: s.db.NewBatch(), spaces: map[record.Space]*space{}}
	defer func() { _ = m.batch.Close() }() // committed or dropped
	for {
		it, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = m.take(it)
		}
		if err == nil {
			err = m.flush(importBatch)
		}
		if err != nil {
			return err
		}
	}
	return m.finish()
}

// importer writes what an empty store would have after all the commits.
type importer struct {
	s      *Store
	ctx    context.Context
	ring   key.Ring
	batch  *pebble.Batch
	point  record.ExportPoint
	name   record.Space
	sp     *space // nil: the space's key is deleted, there is nothing of it
	lives  uint32 // the greatest number of a space
	line   uint32 // of the history: rises through the whole import, so it is another for each version of a commit
	spaces map[record.Space]*space
}

func (m *importer) take(it any) error {
	switch it := it.(type) {
	case record.ExportPoint:
		m.point = it
		return nil
	case record.ExportSpace:
		return m.space(it)
	case record.ExportRecord:
		return m.record(it)
	case record.Message:
		return m.batch.Set(outboxKey(it.Seq), encodeMessage(it.Time.UnixMicro(), it.Space, &it), nil)
	}
	return errs.New(errs.Internal, "%T is nothing that can be imported", it)
}

func (m *importer) space(x record.ExportSpace) error {
	m.name, m.sp = x.Name, nil
	if x.Lost {
		return nil
	}
	dk, err := m.ring.DataKey(m.ctx, key.Ref{Key: x.KeyARN, Context: spaceContext(x.Name, x.Ref.Context)})
	if err != nil {
		return err
	}
	defer clear(dk.Plain)
	aead, err := seal.New(dk.Plain)
	if err != nil {
		return err
	}
	m.lives++
	doc, err := json.Marshal(spaceDoc{ID: m.lives, Wrapped: dk.Wrapped, KeyARN: dk.KeyARN, RefKey: x.Ref.Key, Context: x.Ref.Context})
	if err != nil {
		return err
	}
	m.sp = &space{id: m.lives, aead: aead}
	m.spaces[x.Name] = &space{id: m.lives, ref: x.Ref, keyARN: dk.KeyARN} // opened by its first use, if its key may be used then
	return m.batch.Set(spaceKey(x.Name), doc, nil)
}

// record writes a record as its newest version makes it: the same keys as a batch's.
func (m *importer) record(x record.ExportRecord) error {
	if m.sp == nil || len(x.Versions) == 0 || x.PID == 0 {
		return errs.New(errs.Corrupt, "a record of the import has no space, no versions or no number")
	}
	def, err := m.s.def(x.Kind)
	if err != nil {
		return err
	}
	no, err := m.s.number(x.Kind, true)
	if err != nil {
		return err
	}
	sp, b := m.sp.id, m.batch
	for _, v := range x.Versions {
		st := &stored{time: v.Time.UnixMicro(), commit: v.Commit, deleted: v.Deleted, id: x.ID}
		if !v.Deleted {
			if st.sealed, err = seal.Seal(m.sp.aead, v.Body, seal.Place(sp, no, x.ID, v.Version)); err != nil {
				return err
			}
		}
		op := b.SetDeferred(kindSize+16, storedSize(x.ID)+len(st.sealed))
		copy(op.Key, versionKey(sp, no, x.PID, v.Version))
		st.put(op.Value)
		if err := op.Finish(); err != nil {
			return err
		}
		if def.Volatile {
			continue
		}
		m.line++
		place := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, x.PID), uint64(v.Version))
		if err := b.Set(historyKey(sp, no, v.Commit, m.line), place, nil); err != nil {
			return err
		}
	}
	last := &x.Versions[len(x.Versions)-1]
	h := &head{id: x.ID, version: last.Version, commit: last.Commit, time: last.Time.UnixMicro(), deleted: last.Deleted}
	if !last.Deleted {
		entries, err := def.Entries(x.ID, last.Body)
		if err != nil {
			return err
		}
		if h.entries, err = m.s.entryPostings(entries); err != nil {
			return err
		}
	}
	if err := errors.Join(b.Set(dirKey(sp, no, x.ID), (&entry{x.PID, last.Version, last.Deleted}).encode(), nil), b.Set(headKey(sp, no, x.PID), encodeHead(h), nil)); err != nil {
		return err
	}
	return putPostings(b, sp, no, x.PID, h)
}

// putPostings writes every posting of a head.
func putPostings(b *pebble.Batch, sp uint32, kind uint16, pid uint64, h *head) error {
	all := h.postings()
	if len(all) > 0 {
		all = append(all, posting{indexTime, record.Value(timeValue(h.time))})
	}
	for _, p := range all {
		k := append(indexPrefix(sp, kind, p.index), short(p.value)...)
		if err := b.Set(binary.BigEndian.AppendUint64(k, pid), nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// flush gives the batch to the database when it has grown to so many bytes.
func (m *importer) flush(size int) error {
	if m.batch.Len() < size {
		return nil
	}
	if err := m.s.checkRoom(); err != nil {
		return err
	}
	if err := m.batch.Commit(pebble.NoSync); err != nil {
		return storeError(err)
	}
	if err := m.batch.Close(); err != nil {
		return storeError(err)
	}
	m.batch = m.s.db.NewBatch()
	return nil
}

// finish writes the counters, makes all of it durable and lets the store go on from there.
func (m *importer) finish() error {
	s := m.s
	if m.point.Seq == 0 {
		return errs.New(errs.Corrupt, "the import does not say which commit it shows")
	}
	at := m.point.Time.UnixMicro()
	meta := make([]byte, 0, 32)
	for _, c := range []uint64{m.point.Seq, m.point.PID, m.point.Outbox, uint64(at)} {
		meta = binary.BigEndian.AppendUint64(meta, c)
	}
	if err := errors.Join(m.batch.Set([]byte{tableMeta}, meta, nil), m.batch.Set([]byte{tableMeta, 's'}, binary.BigEndian.AppendUint32(nil, m.lives), nil)); err != nil {
		return err
	}
	if err := m.batch.Commit(pebble.Sync); err != nil {
		return storeError(err)
	}
	if err := s.db.Flush(); err != nil {
		return storeError(err)
	}
	s.seq, s.pid, s.outbox = m.point.Seq, m.point.PID, m.point.Outbox
	s.line.start(at)
	s.begun.Store(s.seq)
	s.applied.Store(s.seq)
	s.durable.Store(s.outbox)
	s.recent.floor = s.seq
	s.mu.Lock()
	s.spaces = m.spaces
	s.mu.Unlock()
	s.tail.note(s.seq)
	s.settled.advance(s.db.NewSnapshot(), s.seq)
	return nil
}
