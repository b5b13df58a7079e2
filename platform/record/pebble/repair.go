package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/seal"
)

// Repair makes anew what is derived of the versions of records (directory, heads, history, postings) wherever Verify finds it amiss, a kind of a space in one batch,
// and tells each. With dry it only tells. It never touches a version: a kind that has one which cannot be read is left as it is. Nothing else may use the store.
func (s *Store) Repair(ctx context.Context, dry bool, did func(string)) error {
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	v := &verifier{s: s, ctx: ctx, snap: s.db.NewSnapshot(), fault: func(string) {}}
	defer v.snap.Close() //nolint:errcheck // only releases it
	areas, err := v.areas()
	if err != nil {
		return err
	}
	list, err := s.Spaces(ctx)
	if err != nil {
		return err
	}
	names := map[uint32]record.Space{}
	for _, n := range list {
		if sp := s.known(n); sp != nil {
			names[sp.id] = n
		}
	}
	for _, a := range areas {
		name, known := names[a.space]
		s.mu.RLock()
		kind := s.back[a.kind]
		def := s.kinds[kind]
		s.mu.RUnlock()
		if !known || def == nil {
			continue // Verify tells
		}
		sp, err := s.open(ctx, name)
		if err != nil {
			continue // so does it of what cannot be opened
		}
		faults := 0
		k := &kindVerifier{verifier: &verifier{s: s, ctx: ctx, snap: v.snap, fault: func(string) { faults++ }}, sp: sp, no: a.kind, def: def}
		if err := k.run(); err != nil {
			return err
		}
		if faults == 0 {
			continue
		}
		r := &rebuild{s: s, snap: v.snap, sp: sp, no: a.kind, def: def, batch: s.db.NewBatch()}
		where := fmt.Sprintf("space %s, kind %s", name, kind)
		err = r.run()
		switch {
		case errs.Is(err, errs.Corrupt): // Verify tells which
		case err != nil:
		case dry:
			did(fmt.Sprintf("%s: what is derived of %d records", where, r.records))
		default:
			if err = storeError(r.batch.Commit(pebble.Sync)); err == nil {
				did(fmt.Sprintf("%s: what is derived of %d records", where, r.records))
			}
		}
		if cerr := r.batch.Close(); err == nil {
			err = cerr
		}
		if err != nil && !errs.Is(err, errs.Corrupt) {
			return err
		}
	}
	if dry {
		return nil
	}
	s.settled.advance(s.db.NewSnapshot(), s.seq) // views show it
	return nil
}

// rebuild writes one kind's derived tables.
type rebuild struct {
	s       *Store
	snap    *pebble.Snapshot
	sp      *space
	no      uint16
	def     *record.KindDef
	batch   *pebble.Batch
	records int
	line    uint32
}

func (r *rebuild) run() error {
	if err := r.nothingLost(); err != nil {
		return err
	}
	for _, table := range []byte{tableDir, tableHead, tableHistory, tablePosting} {
		p := appendKind(nil, table, r.sp.id, r.no)
		if err := r.batch.DeleteRange(p, next(p), nil); err != nil {
			return err
		}
	}
	var last uint64
	prefix := appendKind(nil, tableVersion, r.sp.id, r.no)
	return each(r.snap, prefix, next(prefix), func(k, b []byte) error {
		if len(k) != kindSize+16 {
			return corrupt("a version of a record cannot be read")
		}
		st, err := decodeVersion(b)
		if err != nil {
			return err
		}
		pid, version := binary.BigEndian.Uint64(k[kindSize:]), versionOf(k)
		if !r.def.Volatile {
			r.line++
			place := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, pid), uint64(version))
			if err := r.batch.Set(historyKey(r.sp.id, r.no, st.commit, r.line), place, nil); err != nil {
				return err
			}
		}
		if pid == last { // the newest came first
			return nil
		}
		last = pid
		r.records++
		return r.newest(pid, version, st)
	})
}

// nothingLost holds heads and directory against the versions: one that names a version which is not there tells of a loss, and is not to be made to fit.
func (r *rebuild) nothingLost() error {
	have := func(pid uint64, version int64) error {
		b, err := getFrom(r.snap, versionKey(r.sp.id, r.no, pid, version))
		if err == nil && b == nil {
			return corrupt("a version of a record is missing")
		}
		return err
	}
	heads, dirs := appendKind(nil, tableHead, r.sp.id, r.no), appendKind(nil, tableDir, r.sp.id, r.no)
	if err := each(r.snap, heads, next(heads), func(k, b []byte) error {
		h, err := decodeHead(b)
		if err != nil || len(k) != kindSize+8 { // it is made anew
			return nil
		}
		return have(binary.BigEndian.Uint64(k[kindSize:]), h.version)
	}); err != nil {
		return err
	}
	return each(r.snap, dirs, next(dirs), func(_, b []byte) error {
		d, err := decodeEntry(b)
		if err != nil {
			return nil
		}
		return have(d.pid, d.version)
	})
}

// newest writes what is derived of a record's newest version.
func (r *rebuild) newest(pid uint64, version int64, st *stored) error {
	h := &head{id: st.id, version: version, commit: st.commit, time: st.time, deleted: st.deleted}
	if !st.deleted {
		body, err := seal.Open(r.sp.aead, st.sealed, seal.Place(r.sp.id, r.no, st.id, version))
		if err != nil {
			return err
		}
		entries, err := r.def.Entries(st.id, body)
		if err != nil {
			return err
		}
		if h.entries, err = r.s.entryPostings(entries); err != nil {
			return err
		}
	}
	return errors.Join(r.batch.Set(dirKey(r.sp.id, r.no, st.id), (&entry{pid, version, st.deleted}).encode(), nil), r.batch.Set(headKey(r.sp.id, r.no, pid), encodeHead(h), nil),
		putPostings(r.batch, r.sp.id, r.no, pid, h))
}
