package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/seal"
)

// Repair makes anew what is derived wherever Verify finds it amiss, and tells each: a record's row but for its id and number, its index entries, the places of
// versions in the history, and counters that are behind what they count. With dry it only tells. It never touches a version's body, time or number, nor an id: a
// record that names a version which is not there, or whose newest version does not open, is left as it is, for that is a loss. What it changes it changes under
// the line, in one transaction, so other servers may go on meanwhile.
func (s *Store) Repair(ctx context.Context, dry bool, did func(string)) error {
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	r := &repairer{s: s, ctx: ctx, amiss: map[area][]int64{}, commits: map[int32]map[int64]bool{}, spaces: map[int32]*space{}, names: map[int32]record.Space{}}
	if err := r.find(); err != nil {
		return err
	}
	c, err := pgx.ConnectConfig(ctx, s.cfg.ConnConfig.Copy())
	if err != nil {
		return failure(err)
	}
	defer c.Close(context.WithoutCancel(ctx)) //nolint:errcheck // what was not committed is undone by it
	if _, err := c.Exec(ctx, durable); err != nil {
		return failure(err)
	}
	var told []string
	r.did = func(what string) { told = append(told, what) }
	if err := pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		r.tx = tx
		if err := r.run(); err != nil {
			return err
		}
		if dry {
			return errDry
		}
		return nil
	}); err != nil && !errors.Is(err, errDry) {
		return failure(err)
	}
	for _, what := range told {
		did(what)
	}
	return nil
}

// errDry undoes what was only tried.
var errDry = errors.New("record: only tried")

// area is a kind in a space.
type area struct {
	space int32
	kind  int16
}

// repairer makes one repair.
type repairer struct {
	s       *Store
	ctx     context.Context
	tx      pgx.Tx
	did     func(string)
	amiss   map[area][]int64         // records by number
	commits map[int32]map[int64]bool // whose versions need places anew, by space
	spaces  map[int32]*space
	names   map[int32]record.Space
}

// find looks for what is amiss, over one snapshot.
func (r *repairer) find() error {
	snap, err := r.s.snapshot(r.ctx, r.s.gates.views, "", nil)
	if err != nil {
		return err
	}
	defer snap.close()
	v := &verifier{s: r.s, ctx: r.ctx, snap: snap, fault: func(string) {}}
	v.amiss = func(name record.Space, sp *space, x *stood) {
		a := area{sp.id, x.kind}
		r.spaces[sp.id], r.names[sp.id], r.amiss[a] = sp, name, append(r.amiss[a], x.pid)
	}
	v.alike = func(sp *space, seq int64) { r.spaces[sp.id] = sp; r.misplaced(sp.id, seq) }
	return v.spaces()
}

func (r *repairer) misplaced(space int32, seq int64) {
	if r.commits[space] == nil {
		r.commits[space] = map[int64]bool{}
	}
	r.commits[space][seq] = true
}

// read implements source within the repair's transaction.
func (r *repairer) read(ctx context.Context, sql string, args []any, row func(pgx.Rows) error) error {
	return ask(ctx, r.tx.Conn(), sql, args, row)
}

func (r *repairer) run() error {
	if _, err := r.tx.Exec(r.ctx, `SELECT FROM galen.line FOR UPDATE`); err != nil { // nothing is committed until this is
		return err
	}
	if err := r.counters(); err != nil {
		return err
	}
	areas := slices.SortedFunc(maps.Keys(r.amiss), func(a, b area) int {
		if a.space != b.space {
			return int(a.space - b.space)
		}
		return int(a.kind - b.kind)
	})
	for _, a := range areas {
		kind := r.s.nameOf(a.kind)
		def, err := r.s.def(kind)
		if err != nil {
			continue // of no service: Verify tells
		}
		n := 0
		for _, pid := range r.amiss[a] {
			switch err := r.record(r.spaces[a.space], a.kind, def, pid); {
			case errs.Is(err, errs.Corrupt): // a loss: Verify tells which
			case err != nil:
				return err
			default:
				n++
			}
		}
		if n > 0 {
			r.did(fmt.Sprintf("space %s, kind %s: what is derived of %d records", r.names[a.space], kind, n))
		}
	}
	for space := range r.commits {
		if err := r.places(r.spaces[space]); err != nil {
			return err
		}
	}
	return nil
}

// counters raises those that are behind, and takes away index entries that belong to nothing.
func (r *repairer) counters() error {
	for _, c := range []struct{ sql, what string }{
		{`UPDATE galen.line l SET seq = greatest(l.seq, m.seq), at = greatest(l.at, m.at), pid = greatest(l.pid, m.pid), outbox = greatest(l.outbox, m.outbox)
			FROM (SELECT (SELECT max(seq) FROM galen.version) AS seq, (SELECT max(at) FROM galen.version) AS at, (SELECT max(pid) FROM galen.record) AS pid, (SELECT max(seq) FROM galen.outbox) AS outbox) m
			WHERE m.seq > l.seq OR m.pid > l.pid OR m.outbox > l.outbox`, "the counters of commits, records and messages"},
		// What has versions but no record has lost its record: its entries stay with them.
		{`DELETE FROM galen.posting p WHERE NOT EXISTS (SELECT FROM galen.record r WHERE r.space = p.space AND r.kind = p.kind AND r.pid = p.pid)
			AND NOT EXISTS (SELECT FROM galen.version v WHERE v.space = p.space AND v.kind = p.kind AND v.pid = p.pid) AND NOT EXISTS (SELECT FROM galen.dropped d WHERE d.space = p.space)`, "index entries of no record"},
	} {
		tag, err := r.tx.Exec(r.ctx, c.sql)
		if err != nil {
			return err
		}
		if tag.RowsAffected() > 0 {
			r.did(c.what)
		}
	}
	return nil
}

// record makes one record's row and index entries anew; errs.Corrupt says that it has lost something.
func (r *repairer) record(sp *space, kind int16, def *record.KindDef, pid int64) error {
	args := []any{sp.id, kind, pid}
	var digest, sealed []byte
	var named int64
	err := r.tx.QueryRow(r.ctx, `SELECT digest, id, version FROM galen.record WHERE space = $1 AND kind = $2 AND pid = $3`, args...).Scan(&digest, &sealed, &named)
	if errors.Is(err, pgx.ErrNoRows) {
		return corrupt("the record is gone") // since it was found
	}
	if err != nil {
		return err
	}
	id, err := sp.openID(digest, sealed)
	if err != nil {
		return err
	}
	var last kept
	err = r.tx.QueryRow(r.ctx, `SELECT `+versionColumns+` FROM galen.version v WHERE v.space = $1 AND v.kind = $2 AND v.pid = $3 ORDER BY v.version DESC LIMIT 1`, args...).Scan(&last.pid, &last.version, &last.seq, &last.at, &last.body)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return corrupt("a record has no version")
	case err != nil:
		return err
	case named > last.version:
		return corrupt("the newest version is missing")
	}
	w := &write{kind: kind, id: id, pid: pid, version: last.version, deleted: last.body == nil}
	if !w.deleted {
		body, err := seal.Open(sp.aead, last.body, sp.place(kind, id, last.version))
		if err != nil {
			return err
		}
		given, err := def.Entries(id, body)
		if err != nil {
			return corrupt("a body is not one of its kind")
		}
		t := &tx{s: r.s, ctx: r.ctx}
		if w.entries, err = t.numberEntries(given); err != nil {
			return err
		}
	}
	entries, err := sp.sealEntries(kind, id, w.version, w.entries)
	if err != nil {
		return err
	}
	b := &pgx.Batch{}
	b.Queue(`UPDATE galen.record SET version = $4, deleted = $5, seq = $6, at = $7, entries = $8 WHERE space = $1 AND kind = $2 AND pid = $3`, append(args, last.version, w.deleted, last.seq, last.at, entries)...)
	b.Queue(`DELETE FROM galen.posting WHERE space = $1 AND kind = $2 AND pid = $3`, args...)
	var added keyRows
	_, rows := sp.differ(kind, nil, w.entries)
	for _, p := range rows {
		added.key(&tx{sp: sp}, w)
		added.postingOf = append(added.postingOf, p)
	}
	added.add(b)
	if err := r.tx.SendBatch(r.ctx, b).Close(); err != nil {
		return err
	}
	return r.read(r.ctx, `SELECT seq FROM galen.version WHERE space = $1 AND kind = $2 AND pid = $3 AND (line IS NULL) <> $4`, append(args, def.Volatile), func(rows pgx.Rows) error {
		var seq int64
		err := rows.Scan(&seq)
		r.misplaced(sp.id, seq)
		return err
	})
}

// places gives the versions of commits their places in the history anew. Within a commit the order is that of the numbers of records, as after an import.
func (r *repairer) places(sp *space) error {
	var kept []int16
	r.s.mu.RLock()
	for name, def := range r.s.kinds {
		if no := r.s.names[name]; no != 0 && !def.Volatile {
			kept = append(kept, no)
		}
	}
	r.s.mu.RUnlock()
	tag, err := r.tx.Exec(r.ctx, `UPDATE galen.version v SET line = n.line FROM (
			SELECT kind, pid, version, CASE WHEN kind = ANY ($2) THEN row_number() OVER (PARTITION BY seq ORDER BY pid, kind, version) - 1 END AS line
			FROM galen.version WHERE space = $1 AND seq = ANY ($3)) n
		WHERE v.space = $1 AND v.kind = n.kind AND v.pid = n.pid AND v.version = n.version AND v.line IS DISTINCT FROM n.line`, sp.id, kept, slices.Sorted(maps.Keys(r.commits[sp.id])))
	if err == nil && tag.RowsAffected() > 0 {
		r.did(fmt.Sprintf("space number %d: the places of %d versions in the history", sp.id, tag.RowsAffected()))
	}
	return err
}
