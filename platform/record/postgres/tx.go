package postgres

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/seal"
)

// tx is one batch being made.
type tx struct {
	s        *Store
	ctx      context.Context
	name     record.Space
	slots    []int32 // of its locks
	sp       *space
	snap     *snapshot // what it reads, nil until something is read and within the committer's transaction
	turn     source    // the committer's transaction, when the batch is made within it
	view     *view
	told     bool  // the function knows its time
	at       int64 // 0 = not asked for
	seen     map[int32]int64
	writes   []*write
	byRecord map[string]*write // by kind and digest
	messages []record.Message
}

// write is what will become of one record.
type write struct {
	def     *record.KindDef
	kind    int16
	id      string
	digest  []byte
	old     *current // what was seen; nil = no record
	pid     int64    // given at the commit
	version int64    // 0 = nothing written yet
	deleted bool
	purge   bool
	body    []byte // plain, for the batch's own reads
	sealed  []byte
	entries []entry
	earlier []earlier // versions that the batch itself replaced: they belong to the history
	add     []posting
	remove  []posting
}

type earlier struct {
	version int64
	sealed  []byte // nil: a deletion
}

// current is a record as it is committed.
type current struct {
	pid, version int64
	deleted      bool
	entries      []byte // sealed
}

// live reports the newest version that the batch would see, 0 = never existed, and whether it is not deleted.
func (w *write) live() (version int64, live bool) {
	switch {
	case w.version > 0:
		return w.version, !w.deleted
	case w.old != nil && !w.purge:
		return w.old.version, !w.old.deleted
	}
	return 0, false
}

// alive is the error of reading what the batch would see.
func (w *write) alive(kind string) error {
	version, live := w.live()
	switch {
	case version == 0:
		return notFound(kind)
	case !live:
		return gone(kind)
	}
	return nil
}

// begins opens the state that all of the batch's reads share: a snapshot, or within the committer's transaction what is committed and held.
func (t *tx) begins() error {
	if t.view != nil {
		return nil
	}
	from, row := t.turn, &spaceRow{}
	if from == nil {
		snap, err := t.s.snapshot(t.ctx, t.s.gates.batches, t.name, t.slots)
		if err != nil {
			return err
		}
		t.s.queue.heard(snap.at)
		t.snap, t.seen = snap, snap.locks
		from, row = snap, &snap.space
	} else if err := from.read(t.ctx, `SELECT `+spaceColumns+` FROM galen.space WHERE name = $1`, []any{string(t.name)}, row.scan); err != nil {
		return err
	}
	sp, err := t.s.open(t.ctx, t.name, row)
	if err != nil {
		return err
	}
	t.sp = sp
	t.view = &view{s: t.s, sp: sp, from: from, ctx: t.ctx, at: math.MaxInt64}
	return nil
}

func (t *tx) close() {
	if t.snap != nil {
		t.snap.close()
	}
}

// see returns the write in progress of a record, or a new one with what is committed.
func (t *tx) see(no int16, kind, id string) (w *write, again bool, err error) {
	if err := t.begins(); err != nil {
		return nil, false, err
	}
	digest := t.sp.veil.id(kind, id)
	if w := t.byRecord[writeKey(no, digest)]; w != nil {
		return w, true, nil
	}
	w = &write{kind: no, id: id, digest: digest}
	err = t.view.from.read(t.ctx, `SELECT pid, version, deleted, entries FROM galen.record WHERE space = $1 AND kind = $2 AND digest = $3`, []any{t.sp.id, no, digest}, func(r pgx.Rows) error {
		w.old = &current{}
		return r.Scan(&w.old.pid, &w.old.version, &w.old.deleted, &w.old.entries)
	})
	return w, false, err
}

func writeKey(no int16, digest []byte) string {
	return string([]byte{byte(no >> 8), byte(no)}) + string(digest)
}

func (t *tx) begin(w *write) {
	t.byRecord[writeKey(w.kind, w.digest)] = w
	t.writes = append(t.writes, w)
}

// Time implements record.Tx.
func (t *tx) Time() time.Time {
	if t.at == 0 {
		t.s.queue.ticket(t, t.s.now().UnixMicro())
	}
	t.told = true
	return micros(t.at)
}

// Get implements record.Tx.
func (t *tx) Get(kind, id string) (*record.Version, error) {
	if err := t.begins(); err != nil {
		return nil, err
	}
	no, err := t.s.number(t.ctx, t.view.from, kind)
	if err != nil || no == 0 {
		return nil, errors.Join(err, notFound(kind))
	}
	w := t.byRecord[writeKey(no, t.sp.veil.id(kind, id))]
	if w == nil {
		return t.view.Get(kind, id)
	}
	if err := w.alive(kind); err != nil {
		return nil, err
	}
	got := &record.Version{Kind: kind, ID: id, Version: w.version, Time: t.Time(), Body: w.body}
	if w.old != nil {
		got.PID = uint64(w.old.pid)
	}
	return got, nil
}

// Put implements record.Tx.
func (t *tx) Put(p record.Put) (int64, error) {
	if p.ID == "" || len(p.ID) > 2048 {
		return 0, errs.New(errs.Invalid, "a record needs an id of at most 2048 bytes")
	}
	if len(p.Body) > seal.MaxBody {
		return 0, errs.New(errs.TooLarge, "a record's body is over %d bytes", seal.MaxBody)
	}
	def, err := t.s.def(p.Kind)
	if err != nil {
		return 0, err
	}
	w, err := t.write(def, p.ID, p.Expect)
	if err != nil {
		return 0, err
	}
	entries := p.Entries
	if entries == nil {
		if entries, err = def.Entries(p.ID, p.Body); err != nil {
			return 0, err
		}
	}
	if w.entries, err = t.numberEntries(entries); err != nil {
		return 0, err
	}
	for _, index := range def.Single {
		no := t.s.known(index)
		if n := slices.IndexFunc(w.entries, func(e entry) bool { return e.index == no }); n >= 0 && n+1 < len(w.entries) && w.entries[n+1].index == no {
			return 0, errs.New(errs.Internal, "a %s record has several values of its single index %s", p.Kind, index)
		}
	}
	w.deleted, w.body = false, p.Body
	if w.sealed, err = seal.Seal(t.sp.aead, p.Body, t.sp.place(w.kind, p.ID, w.version)); err != nil {
		return 0, err
	}
	return w.version, nil
}

// write begins or goes on with a record's write and checks the condition.
func (t *tx) write(def *record.KindDef, id string, expect record.Expect) (*write, error) {
	no, err := t.s.numbered(t.ctx, def.Name)
	if err != nil {
		return nil, err
	}
	w, again, err := t.see(no, def.Name, id)
	if err != nil {
		return nil, err
	}
	if w.purge {
		return nil, errs.New(errs.Invalid, "a record cannot be written in the batch that purges it")
	}
	version, live := w.live()
	switch {
	case expect == record.Absent && live:
		return nil, errs.New(errs.Conflict, "the %s record exists already", def.Name)
	case expect > 0 && (!live || version != int64(expect)):
		return nil, errs.New(errs.Precondition, "the %s record has another version", def.Name)
	}
	if w.version > 0 {
		w.earlier = append(w.earlier, earlier{w.version, w.sealed})
	}
	w.def, w.version = def, version+1
	if !again {
		t.begin(w)
	}
	return w, nil
}

// Delete implements record.Tx.
func (t *tx) Delete(kind, id string, expect record.Expect) (int64, error) {
	def, err := t.s.def(kind)
	if err != nil {
		return 0, err
	}
	no, err := t.s.numbered(t.ctx, kind)
	if err != nil {
		return 0, err
	}
	w, _, err := t.see(no, kind, id)
	if err != nil {
		return 0, err
	}
	if err := w.alive(kind); err != nil {
		return 0, err
	}
	if w, err = t.write(def, id, expect); err != nil {
		return 0, err
	}
	w.deleted, w.body, w.sealed, w.entries = true, nil, nil, nil
	return w.version, nil
}

// Purge implements record.Tx.
func (t *tx) Purge(kind, id string) error {
	if err := t.begins(); err != nil {
		return err
	}
	no, err := t.s.number(t.ctx, t.view.from, kind)
	if err != nil || no == 0 {
		return errors.Join(err, notFound(kind))
	}
	w, again, err := t.see(no, kind, id)
	if err != nil {
		return err
	}
	if !again {
		if w.old == nil {
			return notFound(kind)
		}
		t.begin(w)
	}
	w.purge, w.version, w.deleted, w.body, w.sealed, w.entries, w.earlier = true, 0, false, nil, nil, nil, nil
	return nil
}

// Query implements record.Tx.
func (t *tx) Query(q record.Query) (*record.Page, error) {
	if err := t.begins(); err != nil {
		return nil, err
	}
	return t.view.Query(t.ctx, q)
}

// Emit implements record.Tx.
func (t *tx) Emit(topic string, body []byte) {
	t.messages = append(t.messages, record.Message{Topic: topic, Body: slices.Clone(body)})
}

// prepare computes how the postings of what the batch writes differ from what is there.
func (t *tx) prepare() error {
	for _, w := range t.writes {
		var was []entry
		var err error
		if w.old != nil && !w.old.deleted {
			if was, err = t.sp.openEntries(w.kind, w.id, w.old.version, w.old.entries); err != nil {
				return err
			}
		}
		before, after := t.sp.differ(w.kind, was, w.entries)
		w.remove, w.add = before, after
	}
	return nil
}

// differ is the rows to remove and to add for other entries; both are sorted. What stays costs nothing but the comparison of plain entries. The row of a
// system, which several tokens may share, is decided on the systems as a whole.
func (sp *space) differ(kind int16, was, will []entry) (remove, add []posting) {
	index := func(list []entry) map[entry]bool {
		m := make(map[entry]bool, len(list))
		for _, e := range list {
			m[e] = true
		}
		return m
	}
	old, now := index(was), index(will)
	systems := func(list []entry) map[entry]bool {
		m := map[entry]bool{}
		for _, e := range list {
			if e.value[0] == 't' {
				m[entry{e.index, record.Value(systemOf(e.value))}] = true
			}
		}
		return m
	}
	oldSystems, nowSystems := systems(was), systems(will)
	rows := func(list []entry, not, notSystems map[entry]bool) (out []posting) {
		done := map[entry]bool{}
		for _, e := range list {
			if not[e] {
				continue
			}
			for _, p := range sp.postings(kind, e) {
				if p.index < 0 {
					s := entry{e.index, record.Value(systemOf(e.value))}
					if notSystems[s] || done[s] {
						continue
					}
					done[s] = true
				}
				out = append(out, p)
			}
		}
		return out
	}
	return rows(was, now, nowSystems), rows(will, old, oldSystems)
}
