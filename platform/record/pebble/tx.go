package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sort"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// errRetry says that a record changed between being read and being written without a condition: the batch is made again.
var errRetry = errors.New("record: a batch met another's change")

// maxRetries bounds how often a batch is made again before the caller is told.
const maxRetries = 50

// tx is one batch being made.
type tx struct {
	s        *Store
	ctx      context.Context
	sp       *space
	name     record.Space
	at       int64
	writes   []*write
	byRecord map[string]*write
	messages []record.Message
}

// write is what will become of one record.
type write struct {
	kind    string
	kindNo  uint16
	id      string
	old     *head // what was seen; nil = no record
	pid     uint64
	version int64
	deleted bool
	purge   bool
	body    []byte // plain, for the batch's own reads
	sealed  []byte
	entries []posting
	def     *record.KindDef
	middle  []middle // versions that the batch itself replaced: they belong to the history
}

type middle struct {
	version int64
	deleted bool
	sealed  []byte
}

// Update implements record.Store.
func (s *Store) Update(ctx context.Context, name record.Space, locks []string, fn func(record.Tx) error) (record.Commit, error) {
	release, err := s.locks.take(ctx, string(name), locks)
	if err != nil {
		return record.Commit{}, err
	}
	defer release()
	for attempt := 0; ; attempt++ {
		c, err := s.attempt(ctx, name, fn)
		if !errors.Is(err, errRetry) {
			return c, err
		}
		if attempt == maxRetries {
			return record.Commit{}, errs.New(errs.Throttled, "too many writers change the same record: try again")
		}
		if err := ctx.Err(); err != nil {
			return record.Commit{}, err
		}
	}
}

func (s *Store) attempt(ctx context.Context, name record.Space, fn func(record.Tx) error) (record.Commit, error) {
	sp, err := s.open(ctx, name)
	if err != nil {
		return record.Commit{}, err
	}
	ticket, at := s.line.take(s.now().UnixMicro())
	served := false
	defer func() {
		if !served {
			s.line.leave(ticket)
		}
	}()
	t := &tx{s: s, ctx: ctx, sp: sp, name: name, at: at, byRecord: map[string]*write{}}
	if err := fn(t); err != nil {
		return record.Commit{}, err
	}
	if len(t.writes) == 0 && len(t.messages) == 0 {
		return record.Commit{Seq: 0, Time: t.Time()}, nil
	}
	s.line.wait(ticket)
	batch := s.db.NewBatch()
	seq, err := t.build(batch)
	if err != nil {
		return record.Commit{}, errors.Join(err, batch.Close())
	}
	if err := s.db.ApplyNoSyncWait(batch, pebble.Sync); err != nil {
		return record.Commit{}, errors.Join(storeError(err), batch.Close())
	}
	served = true
	s.line.leave(ticket)
	if err := batch.SyncWait(); err != nil {
		return record.Commit{}, errors.Join(storeError(err), batch.Close())
	}
	if len(t.messages) > 0 {
		select {
		case s.changed <- struct{}{}:
		default:
		}
	}
	return record.Commit{Seq: seq, Time: t.Time()}, storeError(batch.Close())
}

// Time implements record.Tx.
func (t *tx) Time() time.Time { return time.UnixMicro(t.at).UTC() }

func recordKey(kind, id string) string { return kind + "\x00" + id }

// see returns the write in progress of a record, reading what is committed in r when there is none yet. r is one snapshot: between two reads of
// the live store another batch may purge the record or replace a version that is not kept.
func (t *tx) see(r pebble.Reader, kind, id string, create bool) (*write, error) {
	if w := t.byRecord[recordKey(kind, id)]; w != nil {
		return w, nil
	}
	no, err := t.s.number(kind, create)
	if err != nil {
		return nil, err
	}
	w := &write{kind: kind, kindNo: no, id: id}
	if no != 0 {
		if w.pid, w.old, err = lookup(r, t.sp.id, no, id); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// lookup finds a record's newest state by its id; a zero pid means that there is none.
func lookup(r pebble.Reader, space uint32, kind uint16, id string) (uint64, *head, error) {
	b, err := getFrom(r, dirKey(space, kind, id))
	if err != nil || b == nil {
		return 0, nil, err
	}
	pid := binary.BigEndian.Uint64(b)
	h, err := headOf(r, space, kind, pid)
	return pid, h, err
}

func headOf(r pebble.Reader, space uint32, kind uint16, pid uint64) (*head, error) {
	v, closer, err := r.Get(headKey(space, kind, pid))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, corrupt("a record has no head")
	}
	if err != nil {
		return nil, storeError(err)
	}
	h, err := decodeHead(v) // copies what it keeps
	return h, errors.Join(err, closer.Close())
}

// Get implements record.Tx.
func (t *tx) Get(kind, id string) (*record.Version, error) {
	snap := t.s.db.NewSnapshot()
	defer snap.Close()
	w, err := t.see(snap, kind, id, false)
	if err != nil {
		return nil, err
	}
	if t.byRecord[recordKey(kind, id)] != nil {
		if w.purge || w.version == 0 {
			return nil, notFound(kind)
		}
		if w.deleted {
			return nil, gone(kind)
		}
		return &record.Version{Kind: kind, ID: id, PID: w.pid, Version: w.version, Time: t.Time(), Body: w.body}, nil
	}
	return newest(snap, t.sp, kind, w.kindNo, w.pid, w.old, id)
}

func notFound(kind string) error { return errs.New(errs.NotFound, "there is no such %s record", kind) }
func gone(kind string) error     { return errs.New(errs.Gone, "the %s record was deleted", kind) }

func newest(r pebble.Reader, sp *space, kind string, no uint16, pid uint64, h *head, id string) (*record.Version, error) {
	if h == nil {
		return nil, notFound(kind)
	}
	if h.deleted {
		return nil, gone(kind)
	}
	body, err := bodyOf(r, sp, no, pid, id, h.version)
	if err != nil {
		return nil, err
	}
	return &record.Version{Kind: kind, ID: id, PID: pid, Version: h.version, Commit: h.commit, Time: time.UnixMicro(h.time).UTC(), Body: body}, nil
}

// bodyOf opens the body of one version; nil for a tombstone.
func bodyOf(r pebble.Reader, sp *space, kind uint16, pid uint64, id string, version int64) ([]byte, error) {
	v, closer, err := r.Get(versionKey(sp.id, kind, pid, version))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, corrupt("a version of a record is missing")
	}
	if err != nil {
		return nil, storeError(err)
	}
	defer closer.Close()
	_, _, sealed, err := splitVersion(v)
	if err != nil || len(sealed) == 0 {
		return nil, err
	}
	return unseal(sp.aead, sealed, place(sp.id, kind, id, version))
}

// splitVersion takes a stored version apart: time, commit, sealed body (empty for a tombstone).
func splitVersion(v []byte) (at int64, commit uint64, sealed []byte, err error) {
	if len(v) < 17 {
		return 0, 0, nil, corrupt("a version of a record is too short")
	}
	return int64(binary.BigEndian.Uint64(v)), binary.BigEndian.Uint64(v[8:]), v[17:], nil
}

// Put implements record.Tx.
func (t *tx) Put(p record.Put) (int64, error) {
	if p.Kind == "" || p.ID == "" || len(p.ID) > 2048 {
		return 0, errs.New(errs.Invalid, "a record needs a kind and an id of at most 2048 bytes")
	}
	if len(p.Body) > maxBody {
		return 0, errs.New(errs.TooLarge, "a record's body is over %d bytes", maxBody)
	}
	t.s.mu.RLock()
	def := t.s.kinds[p.Kind]
	t.s.mu.RUnlock()
	if def == nil {
		return 0, errs.New(errs.Internal, "kind %s was not declared", p.Kind)
	}
	w, err := t.write(p.Kind, p.ID, p.Expect)
	if err != nil {
		return 0, err
	}
	entries := p.Entries
	if entries == nil {
		if entries, err = def.Entries(p.ID, p.Body); err != nil {
			return 0, err
		}
	}
	posts, err := t.s.postings(entries)
	if err != nil {
		return 0, err
	}
	for _, index := range def.Single {
		n, err := t.s.number(index, false)
		if err != nil {
			return 0, err
		}
		if i := slices.IndexFunc(posts, func(p posting) bool { return p.index == n }); i >= 0 && i+1 < len(posts) && posts[i+1].index == n {
			return 0, errs.New(errs.Internal, "a %s record has several values of its single index %s", p.Kind, index)
		}
	}
	w.def, w.deleted, w.body, w.entries = def, false, p.Body, posts
	if w.sealed, err = seal(t.sp.aead, p.Body, place(t.sp.id, w.kindNo, p.ID, w.version)); err != nil {
		return 0, err
	}
	return w.version, nil
}

// postings numbers the indexes, sorts and drops duplicates.
func (s *Store) postings(entries []record.Entry) ([]posting, error) {
	out := make([]posting, 0, len(entries))
	for _, e := range entries {
		n, err := s.number(e.Index, true)
		if err != nil {
			return nil, err
		}
		if e.Value == "" {
			return nil, errs.New(errs.Internal, "an entry of index %s has no value", e.Index)
		}
		out = append(out, posting{n, e.Value})
	}
	sort.Slice(out, func(i, j int) bool { return less(out[i], out[j]) })
	kept := out[:0]
	for i, p := range out {
		if i == 0 || p != out[i-1] {
			kept = append(kept, p)
		}
	}
	return kept, nil
}

func less(a, b posting) bool {
	if a.index != b.index {
		return a.index < b.index
	}
	return a.value < b.value
}

// write begins or goes on with a record's write and checks the condition.
func (t *tx) write(kind, id string, expect record.Expect) (*write, error) {
	snap := t.s.db.NewSnapshot()
	defer snap.Close()
	w, err := t.see(snap, kind, id, true)
	if err != nil {
		return nil, err
	}
	k := recordKey(kind, id)
	again := t.byRecord[k] != nil
	if again && w.purge {
		return nil, errs.New(errs.Invalid, "a record cannot be written in the batch that purges it")
	}
	var version int64
	live := false
	switch {
	case again:
		version, live = w.version, w.version > 0 && !w.deleted
	case w.old != nil:
		version, live = w.old.version, !w.old.deleted
	}
	switch {
	case expect == record.Absent && live:
		return nil, errs.New(errs.Conflict, "the %s record exists already", kind)
	case expect > 0 && (!live || version != int64(expect)):
		return nil, errs.New(errs.Precondition, "the %s record has another version", kind)
	}
	if again && w.version > 0 {
		w.middle = append(w.middle, middle{w.version, w.deleted, w.sealed})
	}
	w.version = version + 1
	if !again {
		t.byRecord[k] = w
		t.writes = append(t.writes, w)
	}
	return w, nil
}

// Delete implements record.Tx.
func (t *tx) Delete(kind, id string, expect record.Expect) (int64, error) {
	if _, err := t.Get(kind, id); err != nil {
		return 0, err
	}
	t.s.mu.RLock()
	def := t.s.kinds[kind]
	t.s.mu.RUnlock()
	w, err := t.write(kind, id, expect)
	if err != nil {
		return 0, err
	}
	w.def, w.deleted, w.body, w.sealed, w.entries = def, true, nil, nil, nil
	return w.version, nil
}

// Purge implements record.Tx.
func (t *tx) Purge(kind, id string) error {
	snap := t.s.db.NewSnapshot()
	defer snap.Close()
	w, err := t.see(snap, kind, id, false)
	if err != nil {
		return err
	}
	if k := recordKey(kind, id); t.byRecord[k] == nil {
		if w.old == nil {
			return notFound(kind)
		}
		t.byRecord[k] = w
		t.writes = append(t.writes, w)
	}
	w.purge, w.version, w.deleted, w.body, w.sealed, w.entries, w.middle = true, 0, false, nil, nil, nil, nil
	return nil
}

// Query implements record.Tx.
func (t *tx) Query(q record.Query) (*record.Page, error) {
	v := &view{s: t.s, sp: t.sp, snap: t.s.db.NewSnapshot()}
	defer v.Close()
	return v.Query(t.ctx, q)
}

// Emit implements record.Tx.
func (t *tx) Emit(topic string, body []byte) {
	t.messages = append(t.messages, record.Message{Topic: topic, Body: append([]byte(nil), body...)})
}

// build writes the batch; it is this ticket's turn, so nothing else commits meanwhile.
func (t *tx) build(batch *pebble.Batch) (uint64, error) {
	s := t.s
	for _, w := range t.writes { // every condition before any effect
		_, now, err := lookup(s.db, t.sp.id, w.kindNo, w.id)
		if err != nil {
			return 0, err
		}
		if (now == nil) != (w.old == nil) || now != nil && now.version != w.old.version {
			return 0, errRetry
		}
	}
	if sp, err := s.open(t.ctx, t.name); err != nil || sp.id != t.sp.id {
		return 0, errors.Join(err, errs.New(errs.NotFound, "the space was dropped meanwhile"))
	}
	seq, pid, outbox := s.seq, s.pid, s.outbox
	s.seq++
	fail := func(err error) (uint64, error) {
		s.seq, s.pid, s.outbox = seq, pid, outbox
		return 0, storeError(err)
	}
	var n uint32
	for _, w := range t.writes {
		if err := t.put(batch, w, &n); err != nil {
			return fail(err)
		}
	}
	for _, m := range t.messages {
		s.outbox++
		b := binary.AppendVarint(make([]byte, 0, len(m.Body)+64), t.at)
		b = binary.AppendUvarint(b, uint64(len(t.name)))
		b = append(b, t.name...)
		b = binary.AppendUvarint(b, uint64(len(m.Topic)))
		b = append(b, m.Topic...)
		if err := batch.Set(outboxKey(s.outbox), append(b, m.Body...), nil); err != nil {
			return fail(err)
		}
	}
	if err := s.meta(batch, t.at); err != nil {
		return fail(err)
	}
	return s.seq, nil
}

// put writes one record: version, head, postings by difference, history.
func (t *tx) put(batch *pebble.Batch, w *write, n *uint32) error {
	s := t.s
	var old []posting
	if w.old != nil {
		old = w.old.entries
	}
	if w.purge {
		if w.old == nil {
			return nil
		}
		return t.purge(batch, w, old)
	}
	if w.pid == 0 {
		s.pid++
		w.pid = s.pid
		if err := batch.Set(dirKey(t.sp.id, w.kindNo, w.id), binary.BigEndian.AppendUint64(nil, w.pid), nil); err != nil {
			return err
		}
	}
	volatile := w.def != nil && w.def.Volatile
	if volatile && w.old != nil {
		if err := batch.Delete(versionKey(t.sp.id, w.kindNo, w.pid, w.old.version), nil); err != nil {
			return err
		}
	}
	steps := append(w.middle, middle{w.version, w.deleted, w.sealed})
	if volatile {
		steps = steps[len(steps)-1:]
	}
	for _, m := range steps {
		v := make([]byte, 17, 17+len(m.sealed))
		binary.BigEndian.PutUint64(v, uint64(t.at))
		binary.BigEndian.PutUint64(v[8:], s.seq)
		if m.deleted {
			v[16] = 1
		}
		if err := batch.Set(versionKey(t.sp.id, w.kindNo, w.pid, m.version), append(v, m.sealed...), nil); err != nil {
			return err
		}
		if volatile {
			continue
		}
		h := binary.BigEndian.AppendUint64(nil, w.pid)
		if err := batch.Set(historyKey(t.sp.id, w.kindNo, s.seq, *n), binary.BigEndian.AppendUint64(h, uint64(m.version)), nil); err != nil {
			return err
		}
		*n++
	}
	h := &head{id: w.id, version: w.version, commit: s.seq, time: t.at, deleted: w.deleted, entries: w.entries}
	if err := batch.Set(headKey(t.sp.id, w.kindNo, w.pid), h.encode(), nil); err != nil {
		return err
	}
	return t.reindex(batch, w, old, w.entries)
}

// reindex writes only what differs between two sorted lists of postings.
func (t *tx) reindex(batch *pebble.Batch, w *write, old, fresh []posting) error {
	key := func(p posting) []byte {
		text, _ := short(p.value)
		b := append(indexPrefix(t.sp.id, w.kindNo, p.index), text...)
		return binary.BigEndian.AppendUint64(b, w.pid)
	}
	for len(old) > 0 || len(fresh) > 0 {
		switch {
		case len(fresh) == 0 || len(old) > 0 && less(old[0], fresh[0]):
			if err := batch.Delete(key(old[0]), nil); err != nil {
				return err
			}
			old = old[1:]
		case len(old) == 0 || less(fresh[0], old[0]):
			if err := batch.Set(key(fresh[0]), nil, nil); err != nil {
				return err
			}
			fresh = fresh[1:]
		default:
			old, fresh = old[1:], fresh[1:]
		}
	}
	return nil
}

// purge removes a record with all its versions.
func (t *tx) purge(batch *pebble.Batch, w *write, old []posting) error {
	if err := t.reindex(batch, w, old, nil); err != nil {
		return err
	}
	from, to := versionKey(t.sp.id, w.kindNo, w.pid, 0), versionKey(t.sp.id, w.kindNo, w.pid, w.old.version)
	it, err := t.s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: append(to, 0)})
	if err != nil {
		return err
	}
	commits := map[uint64]bool{}
	for ok := it.First(); ok; ok = it.Next() {
		_, c, _, err := splitVersion(it.Value())
		if err != nil {
			return errors.Join(err, it.Close())
		}
		commits[c] = true
	}
	if err := it.Close(); err != nil {
		return err
	}
	for c := range commits {
		p := historyKey(t.sp.id, w.kindNo, c, 0)
		it, err := t.s.db.NewIter(&pebble.IterOptions{LowerBound: p, UpperBound: historyKey(t.sp.id, w.kindNo, c+1, 0)})
		if err != nil {
			return err
		}
		for ok := it.First(); ok; ok = it.Next() {
			if binary.BigEndian.Uint64(it.Value()) == w.pid {
				if err := batch.Delete(append([]byte(nil), it.Key()...), nil); err != nil {
					return errors.Join(err, it.Close())
				}
			}
		}
		if err := it.Close(); err != nil {
			return err
		}
	}
	return errors.Join(batch.DeleteRange(from, append(to, 0), nil), batch.Delete(headKey(t.sp.id, w.kindNo, w.pid), nil), batch.Delete(dirKey(t.sp.id, w.kindNo, w.id), nil))
}
