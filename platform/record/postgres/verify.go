package postgres

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/jackc/pgx/v5"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/seal"
)

// verifier goes through one state.
type verifier struct {
	s                   *Store
	ctx                 context.Context
	snap                source
	fault               func(string)
	amiss               func(name record.Space, sp *space, x *stood) // when it is set: called for each record with a fault
	alike               func(sp *space, seq int64)                   // when it is set: called for each commit whose history has a place twice
	records, unreadable int64
}

// Verify reads everything of one consistent state and calls fault for each thing that does not agree: every version opens; records, versions and counters
// name each other; the postings are those of the sealed entries, and those that a declared kind computes from the newest body. Records are named by number (their PID),
// never by id. It returns how many records there are, deleted ones included, and how many of them could not be opened because their space's key is disabled or
// deleted, which is no fault.
func (s *Store) Verify(ctx context.Context, fault func(string)) (records, unreadable int64, err error) {
	done, err := s.use()
	if err != nil {
		return 0, 0, err
	}
	defer done()
	snap, err := s.snapshot(ctx, s.gates.views, "", nil)
	if err != nil {
		return 0, 0, err
	}
	defer snap.close()
	v := &verifier{s: s, ctx: ctx, snap: snap, fault: fault}
	if err := v.counters(); err != nil {
		return 0, 0, err
	}
	if err := v.spaces(); err != nil {
		return v.records, v.unreadable, err
	}
	return v.records, v.unreadable, v.outbox()
}

// spaces goes through the spaces whose keys may be used.
func (v *verifier) spaces() error {
	type named struct {
		name record.Space
		row  spaceRow
	}
	var spaces []named
	if err := v.snap.read(v.ctx, `SELECT name, `+spaceColumns+` FROM galen.space ORDER BY id`, nil, func(r pgx.Rows) error {
		var n named
		err := r.Scan(&n.name, &n.row.id, &n.row.wrapped, &n.row.keyARN, &n.row.context)
		spaces = append(spaces, n)
		return err
	}); err != nil {
		return err
	}
	for _, n := range spaces {
		sp, err := v.s.open(v.ctx, n.name, &n.row)
		switch {
		case errs.Is(err, errs.Conflict), errs.Is(err, errs.NotFound): // the key is not to be used, or gone
			if err := v.closed(n.row.id); err != nil {
				return err
			}
			continue
		case errs.Is(err, errs.Invalid), errs.Is(err, errs.Corrupt):
			v.fault(fmt.Sprintf("space %s: its data key does not open: %v", n.name, err))
			continue
		case err != nil:
			return err
		}
		if err := v.space(n.name, sp); err != nil {
			return err
		}
		if err := v.places(n.name, sp); err != nil {
			return err
		}
	}
	return nil
}

// places finds commits whose versions do not have a place each in the history.
func (v *verifier) places(name record.Space, sp *space) error {
	return v.snap.read(v.ctx, `SELECT DISTINCT seq FROM (SELECT seq FROM galen.version WHERE space = $1 AND line IS NOT NULL GROUP BY seq, line HAVING count(*) > 1) d ORDER BY seq`, []any{sp.id}, func(r pgx.Rows) error {
		var seq int64
		if err := r.Scan(&seq); err != nil {
			return err
		}
		v.fault(fmt.Sprintf("space %s, commit %d: versions share a place in the history", name, seq))
		if v.alike != nil {
			v.alike(sp, seq)
		}
		return nil
	})
}

// each is a query whose every row is a fault.
func (v *verifier) each(sql, words string) error {
	return v.snap.read(v.ctx, sql, nil, func(r pgx.Rows) error {
		values, err := r.Values()
		if err == nil {
			v.fault(fmt.Sprintf(words, values...))
		}
		return err
	})
}

// most bounds how many faults of one sort are told.
const most = 100

// counters compares the line with the tables, and finds rows that belong to nothing.
func (v *verifier) counters() error {
	for _, q := range []struct{ sql, words string }{
		{`SELECT 'no line' WHERE (SELECT count(*) FROM galen.line) <> 1`, "counters: the table line has no row: %v"},
		{`SELECT l.seq, m.seq FROM galen.line l, (SELECT max(seq) AS seq FROM galen.version) m WHERE m.seq > l.seq`, "counters: the last commit is %v, a version is of commit %v"},
		{`SELECT l.pid, m.pid FROM galen.line l, (SELECT max(pid) AS pid FROM galen.record) m WHERE m.pid > l.pid`, "counters: the last record is %v, there is record %v"},
		{`SELECT l.outbox, m.seq FROM galen.line l, (SELECT max(seq) AS seq FROM galen.outbox) m WHERE m.seq > l.outbox`, "counters: the last message is %v, there is message %v"},
		{`SELECT DISTINCT r.space FROM galen.record r WHERE NOT EXISTS (SELECT FROM galen.space s WHERE s.id = r.space) AND NOT EXISTS (SELECT FROM galen.dropped d WHERE d.space = r.space)`, "space number %v: it has records but is not in the list of spaces"},
		{`SELECT DISTINCT r.kind FROM galen.record r WHERE NOT EXISTS (SELECT FROM galen.name n WHERE n.no = r.kind)`, "kind number %v has no name"},
		{fmt.Sprintf(`SELECT v.space, v.pid, v.version FROM galen.version v WHERE NOT EXISTS (SELECT FROM galen.record r WHERE r.space = v.space AND r.kind = v.kind AND r.pid = v.pid) AND NOT EXISTS (SELECT FROM galen.dropped d WHERE d.space = v.space) LIMIT %d`, most),
			"space number %v, record %v: version %v belongs to no record"},
		{fmt.Sprintf(`SELECT p.space, p.pid, p.index FROM galen.posting p WHERE NOT EXISTS (SELECT FROM galen.record r WHERE r.space = p.space AND r.kind = p.kind AND r.pid = p.pid AND NOT r.deleted) AND NOT EXISTS (SELECT FROM galen.dropped d WHERE d.space = p.space) LIMIT %d`, most),
			"space number %v, record %v: an entry of index number %v belongs to no live record"},
	} {
		if err := v.each(q.sql, q.words); err != nil {
			return err
		}
	}
	return nil
}

// closed counts the records of a space whose key may not be used.
func (v *verifier) closed(id int32) error {
	var n int64
	err := v.snap.read(v.ctx, `SELECT count(*) FROM galen.record WHERE space = $1`, []any{id}, func(r pgx.Rows) error { return r.Scan(&n) })
	v.records, v.unreadable = v.records+n, v.unreadable+n
	return err
}

// stood is a record as it stands in its row.
type stood struct {
	kind                  int16
	pid, version, seq, at int64
	deleted               bool
	digest, id, entries   []byte
}

// space goes through the records of a space in pages.
func (v *verifier) space(name record.Space, sp *space) error {
	kind, pid := int16(math.MinInt16), int64(0)
	for {
		var page []stood
		if err := v.snap.read(v.ctx, `SELECT kind, pid, version, seq, at, deleted, digest, id, entries FROM galen.record WHERE space = $1 AND (kind, pid) > ($2, $3) ORDER BY kind, pid LIMIT 500`, []any{sp.id, kind, pid}, func(r pgx.Rows) error {
			var x stood
			err := r.Scan(&x.kind, &x.pid, &x.version, &x.seq, &x.at, &x.deleted, &x.digest, &x.id, &x.entries)
			page = append(page, x)
			return err
		}); err != nil {
			return err
		}
		if len(page) == 0 {
			return nil
		}
		for i := range page {
			v.records++
			k := v.s.nameOf(page[i].kind)
			where := fmt.Sprintf("space %s, kind %s, record %d", name, k, page[i].pid)
			if err := v.look(name, where, k, sp, &page[i]); err != nil {
				return err
			}
			kind, pid = page[i].kind, page[i].pid
		}
	}
}

// look compares one record, and tells whoever wants to know which are amiss.
func (v *verifier) look(name record.Space, where, kind string, sp *space, x *stood) error {
	if v.amiss == nil {
		return v.record(where, kind, sp, x)
	}
	faults, fault := 0, v.fault
	v.fault = func(f string) { faults++; fault(f) }
	err := v.record(where, kind, sp, x)
	if v.fault = fault; faults > 0 && err == nil {
		v.amiss(name, sp, x)
	}
	return err
}

// record compares one record with its versions and postings.
func (v *verifier) record(where, kind string, sp *space, x *stood) error {
	id, err := sp.openID(x.digest, x.id)
	if err != nil || !bytes.Equal(x.digest, sp.veil.id(kind, id)) {
		v.fault(where + ": its id does not open")
		return nil
	}
	entries, err := sp.openEntries(x.kind, id, x.version, x.entries)
	if err != nil {
		v.fault(where + ": its index entries do not open")
		return nil
	}
	v.s.mu.RLock()
	def := v.s.kinds[kind]
	v.s.mu.RUnlock()
	body, err := v.versions(where, sp, x, id, def)
	if err != nil {
		return err
	}
	if err := v.postings(where, sp, x, entries); err != nil {
		return err
	}
	if def == nil || body == nil {
		return nil
	}
	given, err := def.Entries(id, body)
	if err != nil {
		v.fault(where + ": its body is not one of its kind")
		return nil
	}
	t := &tx{s: v.s, ctx: v.ctx}
	want, err := t.numberEntries(given)
	if err == nil && !slices.Equal(want, entries) {
		v.fault(where + ": its index entries are not those of its body")
	}
	return err
}

// versions opens every version and returns the newest body, nil when there is none.
func (v *verifier) versions(where string, sp *space, x *stood, id string, def *record.KindDef) (newest []byte, err error) {
	last := int64(0)
	err = v.snap.read(v.ctx, `SELECT `+versionColumns+`, v.line IS NOT NULL FROM galen.version v WHERE v.space = $1 AND v.kind = $2 AND v.pid = $3 ORDER BY v.version`, []any{sp.id, x.kind, x.pid}, func(r pgx.Rows) error {
		var k kept
		var placed bool
		if err := r.Scan(&k.pid, &k.version, &k.seq, &k.at, &k.body, &placed); err != nil {
			return err
		}
		last = k.version
		if def != nil && placed == def.Volatile {
			v.fault(fmt.Sprintf("%s: version %d is not in the history as it should be", where, k.version))
		}
		if k.version == x.version && (k.seq != x.seq || k.at != x.at || (k.body == nil) != x.deleted) {
			v.fault(fmt.Sprintf("%s: its newest version %d is another than the record tells", where, k.version))
		}
		if k.body == nil {
			return nil
		}
		body, err := seal.Open(sp.aead, k.body, sp.place(x.kind, id, k.version))
		if err != nil {
			v.fault(fmt.Sprintf("%s: version %d does not open", where, k.version))
		} else if k.version == x.version {
			newest = body
		}
		return nil
	})
	if err == nil && last != x.version {
		v.fault(fmt.Sprintf("%s: its newest version %d is missing", where, x.version))
	}
	return newest, err
}

// postings compares a record's rows in the index with its entries.
func (v *verifier) postings(where string, sp *space, x *stood, entries []entry) error {
	var have, want []string
	say := func(p *posting) string {
		return fmt.Sprintf("%d %x %x %x %x", p.index, p.value, p.part, p.rest, p.target)
	}
	if !x.deleted {
		_, rows := sp.differ(x.kind, nil, entries)
		for i := range rows {
			want = append(want, say(&rows[i]))
		}
	}
	err := v.snap.read(v.ctx, `SELECT index, value, part, rest, target FROM galen.posting WHERE space = $1 AND kind = $2 AND pid = $3`, []any{sp.id, x.kind, x.pid}, func(r pgx.Rows) error {
		var p posting
		err := r.Scan(&p.index, &p.value, &p.part, &p.rest, &p.target)
		have = append(have, say(&p))
		return err
	})
	sort.Strings(have)
	sort.Strings(want)
	if err == nil && !slices.Equal(have, want) {
		v.fault(fmt.Sprintf("%s: the index has %d entries of it, not the %d that it should have", where, len(have), len(want)))
	}
	return err
}

// outbox opens every message.
func (v *verifier) outbox() error {
	return v.snap.read(v.ctx, `SELECT seq, message FROM galen.outbox`, nil, func(r pgx.Rows) error {
		var seq int64
		var sealed []byte
		if err := r.Scan(&seq, &sealed); err != nil {
			return err
		}
		if _, err := openMessage(v.s.outbox, uint64(seq), sealed); err != nil {
			v.fault(fmt.Sprintf("outbox: message %d does not open", seq))
		}
		return nil
	})
}
