package pebble

import (
	"context"
	"encoding/binary"
	"fmt"
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
	done, err := s.use()
	if err != nil {
		return 0, 0, err
	}
	defer done()
	v := &verifier{s: s, ctx: ctx, snap: s.db.NewSnapshot(), fault: fault}
	defer v.snap.Close() //nolint:errcheck // only releases it
	meta, err := getFrom(v.snap, []byte{tableMeta})
	if err := v.note("counters", err); err != nil {
		return 0, 0, err
	}
	if len(meta) == 32 {
		v.seq, v.pid = binary.BigEndian.Uint64(meta), binary.BigEndian.Uint64(meta[8:])
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
		known := s.known(name)
		if known == nil {
			continue // dropped meanwhile
		}
		closed := *known
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
	return each(v.snap, from, to, func(k, val []byte) error {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		return fn(k, val)
	})
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
	defer it.Close() //nolint:errcheck // Error has told it
	found := map[area]bool{}
	for ok := it.First(); ok; {
		k := it.Key()
		if len(k) < kindSize {
			v.fault(fmt.Sprintf("tables: a key of table %#x is too short", k[0]))
			ok = it.Next()
			continue
		}
		found[area{binary.BigEndian.Uint32(k[1:]), binary.BigEndian.Uint16(k[5:])}] = true
		ok = it.SeekGE(next(k[:kindSize]))
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
		if _, err := decodeMessage(k, val); err != nil {
			v.fault("outbox: a message cannot be read")
		}
		return nil
	})
}
