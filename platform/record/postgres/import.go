package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/jackc/pgx/v5"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/seal"
)

// importBytes is how much of an import goes to the database at a time.
const importBytes = 8 << 20

// Import implements record.Portable. It is one transaction, which holds the line: all of it is there when it returns, and nothing when it fails.
func (s *Store) Import(ctx context.Context, ring key.Ring, next func() (any, error)) error {
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	c, err := pgx.ConnectConfig(ctx, s.cfg.ConnConfig.Copy())
	if err != nil {
		return failure(err)
	}
	defer c.Close(context.WithoutCancel(ctx)) //nolint:errcheck // what was not committed is undone by it
	if _, err := c.Exec(ctx, durable); err != nil {
		return failure(err)
	}
	if err := pgx.BeginFunc(ctx, c, func(in pgx.Tx) error {
		var seq int64
		var spaces int
		if err := in.QueryRow(ctx, `SELECT seq FROM galen.line FOR UPDATE`).Scan(&seq); err != nil {
			return err
		}
		if err := in.QueryRow(ctx, `SELECT count(*) FROM galen.space`).Scan(&spaces); err != nil {
			return err
		}
		if seq != 0 || spaces > 0 {
			return errs.New(errs.Conflict, "the record database is not empty: make another one")
		}
		m := &importer{t: &tx{s: s, ctx: ctx}, tx: in, ring: ring}
		return m.run(ctx, next)
	}); err != nil {
		return failure(err)
	}
	_, err = c.Exec(ctx, `ANALYZE galen.record, galen.posting, galen.version`)
	return failure(err)
}

// importer writes what an empty database would have after all the commits.
type importer struct {
	t     *tx
	tx    pgx.Tx
	ring  key.Ring
	point *record.ExportPoint
	name  record.Space
	sp    *space // nil: the space's key is deleted, there is nothing of it
	last  int32  // the greatest number of a space
	line  int32  // of the history: rises through the whole import, so it is another for each version of a commit
	size  int
	rows  changes
}

func (m *importer) run(ctx context.Context, next func() (any, error)) error {
	for {
		it, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = m.take(ctx, it)
		}
		if err == nil && m.size > importBytes {
			err = m.flush(ctx)
		}
		if err != nil {
			return err
		}
	}
	if m.point == nil || m.point.Seq == 0 {
		return errs.New(errs.Corrupt, "the import does not say which commit it shows")
	}
	if err := m.flush(ctx); err != nil {
		return err
	}
	_, err := m.tx.Exec(ctx, `UPDATE galen.line SET seq = $1, at = $2, pid = $3, outbox = $4, space = $5`, int64(m.point.Seq), m.point.Time.UnixMicro(), int64(m.point.PID), int64(m.point.Outbox), int64(m.last))
	return err
}

func (m *importer) take(ctx context.Context, it any) error {
	switch it := it.(type) {
	case record.ExportPoint:
		m.point = &it
		return nil
	case record.ExportSpace:
		return m.space(ctx, it)
	case record.ExportRecord:
		return m.record(it)
	case record.Message:
		sealed, err := sealMessage(m.t.s.outbox, it.Seq, it.Space, &it)
		if err != nil {
			return err
		}
		_, err = m.tx.Exec(ctx, `INSERT INTO galen.outbox (seq, at, message) VALUES ($1, $2, $3)`, int64(it.Seq), it.Time.UnixMicro(), sealed)
		return err
	}
	return errs.New(errs.Internal, "%T is nothing that can be imported", it)
}

func (m *importer) space(ctx context.Context, x record.ExportSpace) error {
	m.name, m.sp = x.Name, nil
	if x.Lost {
		return nil
	}
	dk, err := m.ring.DataKey(ctx, key.Ref{Key: x.KeyARN, Context: spaceContext(x.Name, x.Ref.Context)})
	if err != nil {
		return err
	}
	defer clear(dk.Plain)
	more, err := json.Marshal(x.Ref.Context)
	if err != nil {
		return err
	}
	m.last++
	sp := &space{id: m.last, keyARN: dk.KeyARN}
	if sp.aead, err = seal.New(dk.Plain); err != nil {
		return err
	}
	if sp.veil, err = newVeil(dk.Plain); err != nil {
		return err
	}
	m.sp = sp
	_, err = m.tx.Exec(ctx, `INSERT INTO galen.space (id, name, wrapped, key_arn, ref_key, context) VALUES ($1, $2, $3, $4, $5, $6)`, sp.id, string(x.Name), dk.Wrapped, dk.KeyARN, x.Ref.Key, string(more))
	return err
}

// record adds the rows of a record as its newest version makes them: the same as a batch's.
func (m *importer) record(x record.ExportRecord) error {
	if m.sp == nil || len(x.Versions) == 0 || x.PID == 0 {
		return errs.New(errs.Corrupt, "a record of the import has no space, no versions or no number")
	}
	def, err := m.t.s.def(x.Kind)
	if err != nil {
		return err
	}
	no, err := m.t.s.numbered(m.t.ctx, x.Kind)
	if err != nil {
		return err
	}
	last := &x.Versions[len(x.Versions)-1]
	w := &write{kind: no, id: x.ID, digest: m.sp.veil.id(x.Kind, x.ID), pid: int64(x.PID), version: last.Version, deleted: last.Deleted}
	if !last.Deleted {
		given, err := def.Entries(x.ID, last.Body)
		if err != nil {
			return err
		}
		if w.entries, err = m.t.numberEntries(given); err != nil {
			return err
		}
	}
	id, err := m.sp.sealID(w.digest, x.ID)
	if err != nil {
		return err
	}
	entries, err := m.sp.sealEntries(no, x.ID, w.version, w.entries)
	if err != nil {
		return err
	}
	t := &tx{sp: m.sp, at: last.Time.UnixMicro()}
	h := &m.rows.heads
	h.key(t, w)
	h.version(t, last.Version, int64(last.Commit))
	h.digest, h.id, h.entries, h.deleted = append(h.digest, w.digest), append(h.id, id), append(h.entries, entries), append(h.deleted, last.Deleted)
	for _, v := range x.Versions {
		var body []byte
		if !v.Deleted {
			if body, err = seal.Seal(m.sp.aead, v.Body, m.sp.place(no, x.ID, v.Version)); err != nil {
				return err
			}
		}
		r := &m.rows.versions
		r.key(t, w)
		r.version(&tx{at: v.Time.UnixMicro()}, v.Version, int64(v.Commit))
		r.body = append(r.body, body)
		line := int32(-1)
		if !def.Volatile {
			line, m.line = m.line, m.line+1
		}
		r.line = append(r.line, line)
		m.size += len(body) + 200
	}
	_, rows := m.sp.differ(no, nil, w.entries)
	for _, p := range rows {
		m.rows.added.key(t, w)
		m.rows.added.postingOf = append(m.rows.added.postingOf, p)
		m.size += len(p.value) + len(p.rest) + 100
	}
	return nil
}

func (m *importer) flush(ctx context.Context) error {
	b := &pgx.Batch{}
	if err := m.rows.queue(b, nil, nil); err != nil {
		return err
	}
	m.rows, m.size = changes{}, 0
	if b.Len() == 0 {
		return nil
	}
	return m.tx.SendBatch(ctx, b).Close()
}
