package pebble

import (
	"context"
	"errors"
	"hash/maphash"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/seal"
)

// tx is one batch being made.
type tx struct {
	s        *Store
	ctx      context.Context
	sp       *space
	name     record.Space
	firm     bool
	ticket   *ticket // nil until the time is asked for
	seen     uint64  // the last commit that the batch's reads see
	view     *view   // nil until something is read
	dir      *pebble.Iterator
	writes   []*write
	changes  []change            // of the indexes
	byRecord map[uint64][]*write // by hash
	messages []record.Message
}

// write is what will become of one record.
type write struct {
	def     *record.KindDef
	kindNo  uint16
	id      string
	hash    uint64
	old     *entry // what was seen; nil = no record
	oldHead *head  // its entries
	pid     uint64 // given at the commit
	place   int    // among the batch's writes
	version int64
	deleted bool
	purge   bool
	body    []byte // plain, for the batch's own reads
	sealed  []byte
	entries []posting
	earlier []earlier // versions that the batch itself replaced: they belong to the history
}

type earlier struct {
	version int64
	deleted bool
	sealed  []byte
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

var hashSeed = maphash.MakeSeed()

func (t *tx) hash(kind uint16, id string) uint64 {
	var h maphash.Hash
	h.SetSeed(hashSeed)
	_, _ = h.Write(appendKind(make([]byte, 0, kindSize), tableDir, t.sp.id, kind)) // never fails
	_, _ = h.WriteString(id)
	return h.Sum64()
}

// begun is the write in progress of a record, if any.
func (t *tx) begun(hash uint64, kind uint16, id string) *write {
	for _, w := range t.byRecord[hash] {
		if w.kindNo == kind && w.id == id {
			return w
		}
	}
	return nil
}

func (t *tx) begin(w *write) {
	t.byRecord[w.hash] = append(t.byRecord[w.hash], w)
	w.place = len(t.writes)
	t.writes = append(t.writes, w)
}

// begins opens the snapshot that all of the batch's reads share. A record that changes after it makes the batch be made again.
func (t *tx) begins() error {
	if t.view != nil {
		return nil
	}
	t.seen = t.s.applied.Load()
	t.view = &view{s: t.s, sp: t.sp, snap: t.s.db.NewSnapshot(), at: math.MaxInt64}
	p := appendSpace(nil, tableDir, t.sp.id)
	var err error
	t.dir, err = t.view.snap.NewIter(&pebble.IterOptions{LowerBound: p, UpperBound: next(p), UseL6Filters: true}) // most ids that are looked up here are new
	return storeError(err)
}

func (t *tx) close() {
	if t.dir != nil {
		_ = t.dir.Close() // errors were seen when it was read
	}
	if t.view != nil {
		t.view.Close()
	}
}

// see returns the write in progress of a record, or a new one with what is committed.
func (t *tx) see(kind uint16, id string) (w *write, again bool, err error) {
	hash := t.hash(kind, id)
	if w := t.begun(hash, kind, id); w != nil {
		return w, true, nil
	}
	if err := t.begins(); err != nil {
		return nil, false, err
	}
	w = &write{kindNo: kind, id: id, hash: hash}
	if !t.dir.SeekPrefixGE(dirKey(t.sp.id, kind, id)) {
		return w, false, storeError(t.dir.Error())
	}
	b, err := t.dir.ValueAndErr()
	if err != nil {
		return nil, false, storeError(err)
	}
	w.old, err = decodeEntry(b)
	return w, false, err
}

// Get implements record.Tx.
func (t *tx) Get(kind, id string) (*record.Version, error) {
	no, err := t.s.number(kind, false)
	if err != nil || no == 0 {
		return nil, errors.Join(err, notFound(kind))
	}
	w, again, err := t.see(no, id)
	if err != nil {
		return nil, err
	}
	if !again {
		return t.view.newest(kind, no, w.old)
	}
	if err := w.alive(kind); err != nil {
		return nil, err
	}
	got := &record.Version{Kind: kind, ID: id, Version: w.version, Time: t.Time(), Body: w.body}
	if w.old != nil {
		got.PID = w.old.pid
	}
	return got, nil
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

// Put implements record.Tx.
func (t *tx) Put(p record.Put) (int64, error) {
	if p.ID == "" || len(p.ID) > 2048 {
		return 0, errs.New(errs.Invalid, "a record needs an id of at most 2048 bytes")
	}
	if len(p.Body) > seal.MaxBody {
		return 0, errs.New(errs.TooLarge, "a record's body is over %d bytes", seal.MaxBody)
	}
	if err := t.s.checkRoom(); err != nil {
		return 0, err
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
	if w.entries, err = t.s.entryPostings(entries); err != nil {
		return 0, err
	}
	for _, index := range def.Single {
		if n, ok := t.s.indexNumber(index); ok && len((&head{entries: w.entries}).of(n)) > 1 {
			return 0, errs.New(errs.Internal, "a %s record has several values of its single index %s", p.Kind, index)
		}
	}
	w.deleted, w.body = false, p.Body
	if w.sealed, err = seal.Seal(t.sp.aead, p.Body, seal.Place(t.sp.id, w.kindNo, p.ID, w.version)); err != nil {
		return 0, err
	}
	return w.version, nil
}

// write begins or goes on with a record's write and checks the condition.
func (t *tx) write(def *record.KindDef, id string, expect record.Expect) (*write, error) {
	no, err := t.s.number(def.Name, true)
	if err != nil {
		return nil, err
	}
	w, again, err := t.see(no, id)
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
		w.earlier = append(w.earlier, earlier{w.version, w.deleted, w.sealed})
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
	no, err := t.s.number(kind, true)
	if err != nil {
		return 0, err
	}
	w, _, err := t.see(no, id)
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
	no, err := t.s.number(kind, false)
	if err != nil || no == 0 {
		return errors.Join(err, notFound(kind))
	}
	w, again, err := t.see(no, id)
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
	t.messages = append(t.messages, record.Message{Topic: topic, Body: append([]byte(nil), body...)})
}

func notFound(kind string) error { return errs.New(errs.NotFound, "there is no such %s record", kind) }
func gone(kind string) error     { return errs.New(errs.Gone, "the %s record was deleted", kind) }
