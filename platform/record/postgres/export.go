package postgres

import (
	"context"
	"encoding/json"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/seal"
)

var _ record.Portable = (*Store)(nil)

// Export implements record.Portable over one snapshot; commits go on meanwhile.
func (s *Store) Export(ctx context.Context, ring key.Ring, w record.Exporter) error {
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	snap, err := s.snapshot(ctx, s.gates.views, "", nil)
	if err != nil {
		return err
	}
	defer snap.close()
	x := &exporter{s: s, ctx: ctx, snap: snap, ring: ring, w: w}
	return x.run()
}

type exporter struct {
	s    *Store
	ctx  context.Context
	snap *snapshot
	ring key.Ring
	w    record.Exporter
}

// numbered is a kind, or another thing with a name and a number.
type numbered struct {
	no   int16
	name string
}

func (x *exporter) run() error {
	var point record.ExportPoint
	if err := x.snap.read(x.ctx, `SELECT seq, at, pid, outbox FROM galen.line`, nil, func(r pgx.Rows) error {
		var at int64
		err := r.Scan(&point.Seq, &at, &point.PID, &point.Outbox)
		point.Time = micros(at)
		return err
	}); err != nil {
		return err
	}
	if err := x.w.Begin(point); err != nil {
		return err
	}
	type named struct {
		name record.Space
		key  string
		row  spaceRow
	}
	var spaces []named
	if err := x.snap.read(x.ctx, `SELECT name, ref_key, `+spaceColumns+` FROM galen.space ORDER BY name COLLATE "C"`, nil, func(r pgx.Rows) error {
		var n named
		err := r.Scan(&n.name, &n.key, &n.row.id, &n.row.wrapped, &n.row.keyARN, &n.row.context)
		spaces = append(spaces, n)
		return err
	}); err != nil {
		return err
	}
	for _, n := range spaces {
		if err := x.space(n.name, n.key, &n.row); err != nil {
			return err
		}
	}
	return x.messages()
}

func (x *exporter) space(name record.Space, refKey string, row *spaceRow) error {
	out := record.ExportSpace{Name: name, Life: uint32(row.id), Ref: key.Ref{Key: refKey}, KeyARN: row.keyARN}
	if err := json.Unmarshal([]byte(row.context), &out.Ref.Context); err != nil {
		return corrupt("a space's record cannot be read")
	}
	dk, err := x.ring.Open(x.ctx, row.wrapped, spaceContext(name, out.Ref.Context))
	switch {
	case errs.Is(err, errs.NotFound):
		out.Lost = true
		return x.w.Space(out)
	case err != nil:
		return err
	}
	defer clear(dk.Plain)
	sp := &space{id: row.id, keyARN: row.keyARN}
	if sp.aead, err = seal.New(dk.Plain); err != nil {
		return err
	}
	if err := x.w.Space(out); err != nil {
		return err
	}
	var kinds []numbered
	if err := x.snap.read(x.ctx, `SELECT n.no, n.name FROM galen.name n WHERE EXISTS (SELECT FROM galen.record r WHERE r.space = $1 AND r.kind = n.no) ORDER BY n.name COLLATE "C"`, []any{sp.id}, func(r pgx.Rows) error {
		var k numbered
		err := r.Scan(&k.no, &k.name)
		kinds = append(kinds, k)
		return err
	}); err != nil {
		return err
	}
	for _, k := range kinds {
		if err := x.kind(sp, k); err != nil {
			return err
		}
	}
	return nil
}

// kind gives the records of one kind, page by page of their versions.
func (x *exporter) kind(sp *space, k numbered) error {
	rec := record.ExportRecord{Kind: k.name}
	tell := func() error {
		if len(rec.Versions) == 0 {
			return nil
		}
		err := x.w.Record(rec)
		rec.Versions = nil
		return err
	}
	type row struct {
		digest, id []byte
		kept
	}
	pid, version, n, size := int64(0), int64(0), 0, 0
	for limit := pageOf(0, 0); ; limit = pageOf(n, size) {
		var page []row
		size = 0
		if err := x.snap.read(x.ctx, `SELECT r.digest, r.id, `+versionColumns+` FROM galen.version v JOIN galen.record r ON r.space = v.space AND r.kind = v.kind AND r.pid = v.pid
			WHERE v.space = $1 AND v.kind = $2 AND (v.pid, v.version) > ($3, $4) ORDER BY v.pid, v.version LIMIT $5`, []any{sp.id, k.no, pid, version, limit}, func(r pgx.Rows) error {
			var y row
			err := r.Scan(&y.digest, &y.id, &y.pid, &y.version, &y.seq, &y.at, &y.body)
			page, size = append(page, y), size+len(y.body)
			return err
		}); err != nil {
			return err
		}
		for i := range page {
			y := &page[i]
			if uint64(y.pid) != rec.PID {
				if err := tell(); err != nil {
					return err
				}
				id, err := sp.openID(y.digest, y.id)
				if err != nil {
					return err
				}
				rec.PID, rec.ID = uint64(y.pid), id
			}
			out := record.ExportVersion{Version: y.version, Commit: uint64(y.seq), Time: micros(y.at), Deleted: y.body == nil}
			if y.body != nil {
				var err error
				if out.Body, err = seal.Open(sp.aead, y.body, sp.place(k.no, rec.ID, y.version)); err != nil {
					return err
				}
			}
			rec.Versions = append(rec.Versions, out)
			pid, version = y.pid, y.version
		}
		if n = len(page); n < limit {
			return tell()
		}
	}
}

func (x *exporter) messages() error {
	for after := int64(0); after < math.MaxInt64; {
		var page []record.Message
		if err := x.snap.read(x.ctx, `SELECT seq, at, message FROM galen.outbox WHERE seq > $1 ORDER BY seq LIMIT 500`, []any{after}, func(r pgx.Rows) error {
			var seq, at int64
			var sealed []byte
			if err := r.Scan(&seq, &at, &sealed); err != nil {
				return err
			}
			m, err := openMessage(x.s.outbox, uint64(seq), sealed)
			m.Time = micros(at)
			page = append(page, m)
			return err
		}); err != nil {
			return err
		}
		if len(page) == 0 {
			return nil
		}
		for i := range page {
			if err := x.w.Message(page[i]); err != nil {
				return err
			}
			after = int64(page[i].Seq)
		}
	}
	return nil
}
