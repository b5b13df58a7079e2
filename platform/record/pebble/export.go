package pebble

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/seal"
)

var _ record.Portable = (*Store)(nil)

// Export implements record.Portable. It shows what is on the disk; commits go on meanwhile.
func (s *Store) Export(ctx context.Context, ring key.Ring, w record.Exporter) error {
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	held := s.settled.take()
	defer s.settled.release(held)
	x := &exporter{ctx: ctx, snap: held.snap, ring: ring, w: w, names: map[uint16]string{}}
	return x.run()
}

// exporter reads one snapshot by its tables alone.
type exporter struct {
	ctx   context.Context
	snap  *pebble.Snapshot
	ring  key.Ring
	w     record.Exporter
	names map[uint16]string
	kinds []uint16 // by name; indexes are among them and have no records
}

func (x *exporter) run() error {
	meta, err := getFrom(x.snap, []byte{tableMeta})
	if err != nil {
		return err
	}
	if len(meta) != 32 {
		return corrupt("the store's counters cannot be read")
	}
	if err := x.w.Begin(record.ExportPoint{Seq: binary.BigEndian.Uint64(meta), PID: binary.BigEndian.Uint64(meta[8:]), Outbox: binary.BigEndian.Uint64(meta[16:]), Time: micros(int64(binary.BigEndian.Uint64(meta[24:])))}); err != nil {
		return err
	}
	if err := each(x.snap, []byte{tableName}, []byte{tableName + 1}, func(k, v []byte) error {
		if len(v) != 2 {
			return corrupt("a name's number cannot be read")
		}
		n := binary.BigEndian.Uint16(v)
		x.names[n] = string(k[1:])
		x.kinds = append(x.kinds, n) // the table is in the order of names
		return nil
	}); err != nil {
		return err
	}
	if err := each(x.snap, []byte{tableSpace}, []byte{tableSpace + 1}, func(k, v []byte) error {
		var d spaceDoc
		if err := json.Unmarshal(v, &d); err != nil {
			return corrupt("a space's record cannot be read")
		}
		return x.space(record.Space(k[1:]), &d)
	}); err != nil {
		return err
	}
	return each(x.snap, []byte{tableOutbox}, []byte{tableOutbox + 1}, func(k, v []byte) error {
		m, err := decodeMessage(k, v)
		if err != nil {
			return err
		}
		return x.w.Message(m)
	})
}

func (x *exporter) space(name record.Space, d *spaceDoc) error {
	out := record.ExportSpace{Name: name, Life: d.ID, Ref: key.Ref{Key: d.RefKey, Context: d.Context}, KeyARN: d.KeyARN}
	dk, err := x.ring.Open(x.ctx, d.Wrapped, spaceContext(name, d.Context))
	switch {
	case errs.Is(err, errs.NotFound):
		out.Lost = true
		return x.w.Space(out)
	case err != nil:
		return err
	}
	aead, err := seal.New(dk.Plain)
	clear(dk.Plain)
	if err != nil {
		return err
	}
	if err := x.w.Space(out); err != nil {
		return err
	}
	sp := &space{id: d.ID, aead: aead}
	for _, no := range x.kinds {
		if err := x.kind(sp, no); err != nil {
			return err
		}
	}
	return nil
}

// kind gives the records of one kind. The table has the newest version of each record first.
func (x *exporter) kind(sp *space, no uint16) error {
	prefix := appendKind(nil, tableVersion, sp.id, no)
	rec := record.ExportRecord{Kind: x.names[no]}
	tell := func() error {
		if len(rec.Versions) == 0 {
			return nil
		}
		slices.Reverse(rec.Versions)
		err := x.w.Record(rec)
		rec.Versions = rec.Versions[:0]
		return err
	}
	if err := each(x.snap, prefix, next(prefix), func(k, v []byte) error {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		if len(k) != kindSize+16 {
			return corrupt("a version of a record cannot be read")
		}
		st, err := decodeVersion(v)
		if err != nil {
			return err
		}
		if pid := binary.BigEndian.Uint64(k[kindSize:]); pid != rec.PID {
			if err := tell(); err != nil {
				return err
			}
			rec.PID, rec.ID = pid, st.id
		}
		out := record.ExportVersion{Version: versionOf(k), Commit: st.commit, Time: micros(st.time), Deleted: st.deleted}
		if !st.deleted {
			if out.Body, err = seal.Open(sp.aead, st.sealed, seal.Place(sp.id, no, st.id, out.Version)); err != nil {
				return err
			}
		}
		rec.Versions = append(rec.Versions, out)
		return nil
	}); err != nil {
		return err
	}
	return tell()
}
