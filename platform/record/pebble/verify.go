package pebble

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// Verify reads everything of one consistent state and calls fault for each thing that does not agree: every version opens; head, directory,
// versions and history name each other; the postings are those of the heads, and those that a declared kind computes from the newest body.
// Records are named by number (their PID), never by id, which may be clinical. It returns how many records there are, deleted ones included, and
// how many of them could not be opened because their space's key is disabled or deleted, which is no fault.
func (s *Store) Verify(ctx context.Context, fault func(string)) (records, unreadable int64, err error) {
	v := &verifier{s: s, ctx: ctx, snap: s.db.NewSnapshot(), fault: fault}
	defer v.snap.Close()
	meta, err := getFrom(v.snap, []byte{tableMeta})
	if err := v.note("counters", err); err != nil {
		return 0, 0, err
	}
	if len(meta) == 33 {
		v.seq, v.pid = binary.BigEndian.Uint64(meta[1:]), binary.BigEndian.Uint64(meta[9:])
	} else {
		fault("counters: they are missing or cannot be read")
	}
	areas, err := v.areas()
	if err != nil {
		return 0, 0, err
	}
	spaces := map[uint32]*space{}
	names := map[uint32]record.Space{}
	list, err := s.Spaces(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, name := range list {
		s.mu.RLock()
		closed := *s.spaces[name]
		s.mu.RUnlock()
		closed.aead = nil
		sp, err := s.open(ctx, name)
		switch {
		case errs.Is(err, errs.Conflict), errs.Is(err, errs.NotFound): // the key is not to be used, or gone
			sp = &closed
		case errs.Is(err, errs.Invalid), errs.Is(err, errs.Corrupt):
			fault(fmt.Sprintf("space %s: its data key does not open: %v", name, err))
			sp = &closed
		case err != nil:
			return 0, 0, err
		}
		spaces[sp.id], names[sp.id] = sp, name
	}
	for _, a := range areas {
		if spaces[a.space] == nil {
			fault(fmt.Sprintf("space number %d: it has records but is not in the list of spaces", a.space))
			continue
		}
		s.mu.RLock()
		kind := s.back[a.kind]
		def := s.kinds[kind]
		s.mu.RUnlock()
		if kind == "" {
			fault(fmt.Sprintf("space %s: kind number %d has no name", names[a.space], a.kind))
		}
		k := &kindVerifier{verifier: v, sp: spaces[a.space], no: a.kind, def: def, where: fmt.Sprintf("space %s, kind %s", names[a.space], kind)}
		if err := k.run(); err != nil {
			return v.records, v.unreadable, err
		}
	}
	return v.records, v.unreadable, v.note("outbox", v.outbox())
}

// verifier is one verification.
type verifier struct {
	s                   *Store
	ctx                 context.Context
	snap                *pebble.Snapshot
	fault               func(string)
	seq, pid            uint64 // the counters; 0 when they are not known
	records, unreadable int64
}

// note makes a fault of what is damaged and passes on every other error.
func (v *verifier) note(where string, err error) error {
	if errs.Is(err, errs.Corrupt) {
		v.fault(fmt.Sprintf("%s: %s", where, errs.As(err).Message))
		return nil
	}
	return err
}

// each calls fn for all keys of a range.
func (v *verifier) each(from, to []byte, fn func(k, val []byte) error) error {
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return storeError(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		val, err := it.ValueAndErr()
		if err != nil {
			return storeError(err)
		}
		if err := fn(it.Key(), val); err != nil {
			return err
		}
	}
	return storeError(it.Error())
}

// area is the part of the tables that belongs to one kind in one space.
type area struct {
	space uint32
	kind  uint16
}

// areas finds the kinds that have anything at all, and keys that belong to no table.
func (v *verifier) areas() ([]area, error) {
	for _, gap := range [][2]byte{{0, tableMeta}, {tableName + 1, tableDir}, {tableOutbox + 1, 0xff}} {
		stray := 0
		err := v.each([]byte{gap[0]}, []byte{gap[1]}, func([]byte, []byte) error { stray++; return nil })
		if stray > 0 {
			v.fault(fmt.Sprintf("tables: %d keys belong to no table", stray))
		}
		if err := v.note("tables", err); err != nil {
			return nil, err
		}
	}
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: []byte{tableDir}, UpperBound: []byte{tableOutbox}})
	if err != nil {
		return nil, storeError(err)
	}
	defer it.Close()
	found := map[area]bool{}
	for ok := it.First(); ok; {
		k := it.Key()
		if len(k) < 7 {
			v.fault(fmt.Sprintf("tables: a key of table %#x is too short", k[0]))
			ok = it.Next()
			continue
		}
		found[area{binary.BigEndian.Uint32(k[1:]), binary.BigEndian.Uint16(k[5:])}] = true
		ok = it.SeekGE(next(k[:7]))
	}
	out := make([]area, 0, len(found))
	for a := range found {
		out = append(out, a)
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].space < out[j].space || out[i].space == out[j].space && out[i].kind < out[j].kind
	})
	return out, v.note("tables", storeError(it.Error()))
}

func (v *verifier) outbox() error {
	return v.each([]byte{tableOutbox}, []byte{tableOutbox + 1}, func(k, val []byte) error {
		r := &reader{b: val}
		r.varint()
		r.bytes(r.uvarint())
		r.bytes(r.uvarint())
		if r.bad || len(k) != 9 {
			v.fault("outbox: a message cannot be read")
		}
		return nil
	})
}

// kindVerifier checks one kind in one space.
type kindVerifier struct {
	*verifier
	sp    *space // without aead when its key cannot be used
	no    uint16
	def   *record.KindDef // nil when nobody declared the kind
	where string

	heads, found, versions, postings int64 // found = heads that the directory leads to
}

func (k *kindVerifier) say(format string, args ...any) {
	k.fault(k.where + ": " + fmt.Sprintf(format, args...))
}

func (k *kindVerifier) table(table byte) (from, to []byte) {
	from = appendKind(nil, table, k.sp.id, k.no)
	return from, next(from)
}

// run checks the tables one after the other. What a damaged table file hides of one does not hide the others.
func (k *kindVerifier) run() error {
	for _, check := range []func() error{k.checkHeads, k.checkVersions, k.checkHistory, k.checkDirectory, k.checkPostings} {
		if err := k.note(k.where, check()); err != nil {
			return err
		}
	}
	k.records += k.heads
	if k.sp.aead == nil {
		k.unreadable += k.heads
	}
	return nil
}

// keeps reports whether old versions are kept: known only of declared kinds.
func (k *kindVerifier) keeps() bool { return k.def != nil && !k.def.Volatile }

func (k *kindVerifier) checkHeads() error {
	from, to := k.table(tableHead)
	return k.each(from, to, func(key, val []byte) error {
		if len(key) != 15 {
			k.say("a head has a malformed key")
			return nil
		}
		k.heads++
		pid := binary.BigEndian.Uint64(key[7:])
		h, err := decodeHead(val)
		if err != nil {
			k.say("record %d: its head cannot be read", pid)
			return nil
		}
		return k.note(fmt.Sprintf("%s, record %d", k.where, pid), k.checkRecord(pid, h))
	})
}

// checkRecord checks what a head says.
func (k *kindVerifier) checkRecord(pid uint64, h *head) error {
	if k.seq > 0 && (h.commit > k.seq || pid > k.pid) {
		k.say("record %d: it is newer than the store's counters", pid)
	}
	dir, err := getFrom(k.snap, dirKey(k.sp.id, k.no, h.id))
	if err != nil {
		return err
	}
	if len(dir) == 8 && binary.BigEndian.Uint64(dir) == pid {
		k.found++
	} else {
		k.say("record %d: the directory does not lead to it", pid)
	}
	for i, p := range h.entries {
		text, _ := short(p.value)
		if i > 0 && !less(h.entries[i-1], p) {
			k.say("record %d: its index entries are not in order", pid)
		}
		key := binary.BigEndian.AppendUint64(append(indexPrefix(k.sp.id, k.no, p.index), text...), pid)
		_, closer, err := k.snap.Get(key)
		switch {
		case err == nil:
			k.postings++
			if err := closer.Close(); err != nil {
				return storeError(err)
			}
		case errors.Is(err, pebble.ErrNotFound):
			k.say("record %d: its entry in index %s is missing", pid, k.index(p.index))
		default:
			return storeError(err)
		}
	}
	val, err := getFrom(k.snap, versionKey(k.sp.id, k.no, pid, h.version))
	if err != nil {
		return err
	}
	if val == nil {
		k.say("record %d: its newest version, %d, is missing", pid, h.version)
		return nil
	}
	at, commit, sealed, err := splitVersion(val)
	if err != nil {
		return err
	}
	if at != h.time || commit != h.commit || (val[16] == 1) != h.deleted {
		k.say("record %d: its head does not agree with its newest version", pid)
	}
	if h.deleted {
		if len(h.entries) > 0 {
			k.say("record %d: it is deleted and still has index entries", pid)
		}
		return nil
	}
	if k.sp.aead == nil || k.def == nil {
		return nil
	}
	body, err := unseal(k.sp.aead, sealed, place(k.sp.id, k.no, h.id, h.version))
	if err != nil {
		return nil //nolint:nilerr // checkVersions tells
	}
	entries, err := k.def.Entries(h.id, body)
	if err != nil {
		k.say("record %d: its index entries cannot be computed from its body", pid)
		return nil
	}
	if want, ok := k.known(entries); !ok || !slices.Equal(want, h.entries) {
		k.say("record %d: its index entries are not those of its body", pid)
	}
	return nil
}

// known numbers entries as postings does, without giving new numbers; ok is false when an index has none.
func (k *kindVerifier) known(entries []record.Entry) (out []posting, ok bool) {
	for _, e := range entries {
		if n, err := k.s.number(e.Index, false); err != nil || n == 0 {
			return nil, false
		}
	}
	out, err := k.s.postings(entries)
	return out, err == nil
}

func (k *kindVerifier) index(no uint16) string {
	k.s.mu.RLock()
	defer k.s.mu.RUnlock()
	return k.s.back[no]
}

// checkVersions opens every version, and counts those of each record.
func (k *kindVerifier) checkVersions() error {
	var pid uint64
	var h *head
	var count int64
	end := func() {
		if h != nil && k.keeps() && count != h.version {
			k.say("record %d: %d of its %d versions are there", pid, count, h.version)
		}
	}
	from, to := k.table(tableVersion)
	err := k.each(from, to, func(key, val []byte) error {
		if len(key) != 23 {
			k.say("a version has a malformed key")
			return nil
		}
		k.versions++
		version := int64(binary.BigEndian.Uint64(key[15:]))
		if p := binary.BigEndian.Uint64(key[7:]); p != pid {
			end()
			pid, h, count = p, nil, 0
			b, err := getFrom(k.snap, headKey(k.sp.id, k.no, pid))
			if err != nil {
				return err
			}
			if b == nil {
				k.say("record %d: it has versions and no head", pid)
			} else if h, err = decodeHead(b); err != nil {
				h = nil // checkHeads told
			}
		}
		if h == nil {
			return nil
		}
		if count++; version > h.version {
			k.say("record %d: version %d is newer than its head", pid, version)
		}
		_, _, sealed, err := splitVersion(val)
		switch {
		case err != nil:
			k.say("record %d, version %d: it cannot be read", pid, version)
		case val[16] > 1 || (val[16] == 1) != (len(sealed) == 0):
			k.say("record %d, version %d: it is neither a body nor a deletion", pid, version)
		case len(sealed) > 0 && k.sp.aead != nil:
			if _, err := unseal(k.sp.aead, sealed, place(k.sp.id, k.no, h.id, version)); err != nil {
				k.say("record %d, version %d: its body does not open", pid, version)
			}
		}
		return nil
	})
	if err == nil {
		end()
	}
	return err
}

// checkHistory follows every entry to its version; in kinds that keep their versions each has one.
func (k *kindVerifier) checkHistory() error {
	var count int64
	from, to := k.table(tableHistory)
	err := k.each(from, to, func(key, val []byte) error {
		count++
		if len(key) != 19 || len(val) != 16 {
			k.say("an entry of the history is malformed")
			return nil
		}
		pid, version := binary.BigEndian.Uint64(val), int64(binary.BigEndian.Uint64(val[8:]))
		b, err := getFrom(k.snap, versionKey(k.sp.id, k.no, pid, version))
		switch {
		case err != nil:
			return err
		case b == nil:
			k.say("record %d: the history names version %d, which is missing", pid, version)
		case len(b) < 17 || !bytes.Equal(b[8:16], key[7:15]):
			k.say("record %d: the history gives version %d to another commit", pid, version)
		}
		return nil
	})
	if err == nil && k.keeps() && count != k.versions {
		k.say("the history has %d entries for %d versions", count, k.versions)
	}
	return err
}

// checkDirectory looks for entries that lead to no record. Each head has been looked up, so it is enough to count when all is well.
func (k *kindVerifier) checkDirectory() error {
	from, to := k.table(tableDir)
	count, err := k.count(from, to)
	if err != nil || count == k.found {
		return err
	}
	return k.each(from, to, func(key, val []byte) error {
		if len(val) != 8 {
			k.say("an entry of the directory is malformed")
			return nil
		}
		pid := binary.BigEndian.Uint64(val)
		b, err := getFrom(k.snap, headKey(k.sp.id, k.no, pid))
		if err != nil {
			return err
		}
		if h, err := decodeHead(b); b == nil || err == nil && h.id != string(key[7:]) {
			k.say("record %d: the directory names it by an id that it does not have", pid)
		}
		return nil
	})
}

// checkPostings looks for postings that no head has; it counts first, as checkDirectory.
func (k *kindVerifier) checkPostings() error {
	from, to := k.table(tablePosting)
	count, err := k.count(from, to)
	if err != nil || count == k.postings {
		return err
	}
	return k.each(from, to, func(key, _ []byte) error {
		if len(key) < 9+8 {
			k.say("an index entry is malformed")
			return nil
		}
		index, text, pid := binary.BigEndian.Uint16(key[7:]), string(key[9:len(key)-8]), binary.BigEndian.Uint64(key[len(key)-8:])
		b, err := getFrom(k.snap, headKey(k.sp.id, k.no, pid))
		if err != nil {
			return err
		}
		h, err := decodeHead(b)
		if b != nil && err != nil {
			return nil // checkHeads told
		}
		if b == nil || !slices.ContainsFunc(h.entries, func(p posting) bool {
			s, _ := short(p.value)
			return p.index == index && s == text
		}) {
			k.say("record %d: index %s has an entry that the record does not have", pid, k.index(index))
		}
		return nil
	})
}

func (k *kindVerifier) count(from, to []byte) (n int64, err error) {
	err = k.each(from, to, func([]byte, []byte) error { n++; return nil })
	return n, err
}
