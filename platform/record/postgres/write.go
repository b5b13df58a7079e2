package postgres

import (
	"crypto/cipher"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/galen-health/galen/platform/record"
)

// counters are the line's, as the transaction leaves them.
type counters struct{ seq, at, pid, outbox int64 }

// place gives a batch its place in the line, and its new records their pids.
func (n *counters) place(t *tx) {
	n.seq++
	n.at = t.at
	for _, w := range t.writes {
		switch {
		case w.old != nil:
			w.pid = w.old.pid
		case !w.purge:
			n.pid++
			w.pid = n.pid
		}
	}
}

// rows are the columns of one statement's rows.
type keyRows struct {
	space      []int32
	kind       []int16
	pid        []int64
	postingOf  []posting
	versionOf  []int64
	seqOf      []int64
	atOf       []int64
	digest, id [][]byte
	entries    [][]byte
	deleted    []bool
	line       []int32
	body       [][]byte
}

func (r *keyRows) key(t *tx, w *write) {
	r.space, r.kind, r.pid = append(r.space, t.sp.id), append(r.kind, w.kind), append(r.pid, w.pid)
}

func (r *keyRows) version(t *tx, version, seq int64) {
	r.versionOf, r.seqOf, r.atOf = append(r.versionOf, version), append(r.seqOf, seq), append(r.atOf, t.at)
}

// changes are what several batches write, a statement a table.
type changes struct {
	heads, versions, volatile, purged, added, removed keyRows
	messages                                          []record.Message
	messageAt                                         []int64
	messageOf                                         []record.Space
	slots                                             []int32
	slotSeq                                           []int64
}

// take adds what a batch writes; seq is its place. No two batches of a statement write the same record or share a lock.
func (c *changes) take(t *tx, seq int64) error {
	line := int32(0)
	for _, slot := range t.slots {
		c.slots, c.slotSeq = append(c.slots, slot), append(c.slotSeq, seq)
	}
	for _, m := range t.messages {
		c.messages, c.messageAt, c.messageOf = append(c.messages, m), append(c.messageAt, t.at), append(c.messageOf, t.name)
	}
	for _, w := range t.writes {
		if w.purge {
			if w.old != nil {
				c.purged.key(t, w)
			}
			continue
		}
		id, err := t.sp.sealID(w.digest, w.id)
		if err != nil {
			return err
		}
		entries, err := t.sp.sealEntries(w.kind, w.id, w.version, w.entries)
		if err != nil {
			return err
		}
		c.heads.key(t, w)
		c.heads.version(t, w.version, seq)
		c.heads.digest, c.heads.id, c.heads.entries, c.heads.deleted = append(c.heads.digest, w.digest), append(c.heads.id, id), append(c.heads.entries, entries), append(c.heads.deleted, w.deleted)
		if w.def.Volatile {
			w.earlier = nil
			if w.old != nil {
				c.volatile.key(t, w)
			}
		}
		for _, e := range append(slices.Clone(w.earlier), earlier{w.version, w.sealed}) {
			c.versions.key(t, w)
			c.versions.version(t, e.version, seq)
			c.versions.body = append(c.versions.body, e.sealed)
			if w.def.Volatile {
				c.versions.line = append(c.versions.line, -1)
				continue
			}
			c.versions.line = append(c.versions.line, line)
			line++
		}
		for _, p := range w.remove {
			c.removed.key(t, w)
			c.removed.postingOf = append(c.removed.postingOf, p)
		}
		for _, p := range w.add {
			c.added.key(t, w)
			c.added.postingOf = append(c.added.postingOf, p)
		}
	}
	return nil
}

// queue adds the statements to a pipeline.
func (c *changes) queue(b *pgx.Batch, outbox cipher.AEAD, n *counters) error {
	c.purged.purge(b)
	c.heads.heads(b)
	c.volatile.forget(b)
	c.versions.versions(b)
	c.removed.remove(b)
	c.added.add(b)
	if len(c.slots) > 0 {
		b.Queue(`INSERT INTO galen.lock (slot, seq) SELECT * FROM unnest($1::integer[], $2::bigint[]) ON CONFLICT (slot) DO UPDATE SET seq = excluded.seq`, c.slots, c.slotSeq)
	}
	if len(c.messages) == 0 {
		return nil
	}
	seqs, sealed := make([]int64, len(c.messages)), make([][]byte, len(c.messages))
	for i := range c.messages {
		n.outbox++
		seqs[i] = n.outbox
		var err error
		if sealed[i], err = sealMessage(outbox, uint64(n.outbox), c.messageOf[i], &c.messages[i]); err != nil {
			return err
		}
	}
	b.Queue(`INSERT INTO galen.outbox (seq, at, message) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[])`, seqs, c.messageAt, sealed)
	return nil
}

func (r *keyRows) purge(b *pgx.Batch) {
	if len(r.pid) == 0 {
		return
	}
	for _, table := range []string{"posting", "version", "record"} {
		b.Queue(`DELETE FROM galen.`+table+` t USING unnest($1::integer[], $2::smallint[], $3::bigint[]) d (space, kind, pid) WHERE t.space = d.space AND t.kind = d.kind AND t.pid = d.pid`, r.space, r.kind, r.pid)
	}
}

func (r *keyRows) heads(b *pgx.Batch) {
	if len(r.pid) == 0 {
		return
	}
	b.Queue(`INSERT INTO galen.record (space, kind, pid, digest, version, deleted, seq, at, id, entries)
		SELECT * FROM unnest($1::integer[], $2::smallint[], $3::bigint[], $4::bytea[], $5::bigint[], $6::boolean[], $7::bigint[], $8::bigint[], $9::bytea[], $10::bytea[])
		ON CONFLICT (space, kind, pid) DO UPDATE SET version = excluded.version, deleted = excluded.deleted, seq = excluded.seq, at = excluded.at, entries = excluded.entries`,
		r.space, r.kind, r.pid, r.digest, r.versionOf, r.deleted, r.seqOf, r.atOf, r.id, r.entries)
}

// forget takes away the versions that a volatile kind does not keep.
func (r *keyRows) forget(b *pgx.Batch) {
	if len(r.pid) == 0 {
		return
	}
	b.Queue(`DELETE FROM galen.version t USING unnest($1::integer[], $2::smallint[], $3::bigint[]) d (space, kind, pid) WHERE t.space = d.space AND t.kind = d.kind AND t.pid = d.pid`, r.space, r.kind, r.pid)
}

// maxStatement bounds the bodies of one statement.
const maxStatement = 32 << 20

func (r *keyRows) versions(b *pgx.Batch) {
	for from := 0; from < len(r.pid); {
		to, size := from, 0
		for to < len(r.pid) && (to == from || size+len(r.body[to]) <= maxStatement) {
			size += len(r.body[to])
			to++
		}
		b.Queue(`INSERT INTO galen.version (space, kind, pid, version, seq, at, line, body)
			SELECT space, kind, pid, version, seq, at, nullif(line, -1), body FROM unnest($1::integer[], $2::smallint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::integer[], $8::bytea[]) v (space, kind, pid, version, seq, at, line, body)`,
			r.space[from:to], r.kind[from:to], r.pid[from:to], r.versionOf[from:to], r.seqOf[from:to], r.atOf[from:to], r.line[from:to], r.body[from:to])
		from = to
	}
}

// postings are the columns of galen.posting.
func (r *keyRows) postings() (index []int16, value, part, rest, target [][]byte) {
	for _, p := range r.postingOf {
		index, value, part, rest, target = append(index, p.index), append(value, p.value), append(part, p.part), append(rest, p.rest), append(target, p.target)
	}
	return index, value, part, rest, target
}

func (r *keyRows) remove(b *pgx.Batch) {
	if len(r.pid) == 0 {
		return
	}
	index, value, part, _, _ := r.postings()
	b.Queue(`DELETE FROM galen.posting p USING unnest($1::integer[], $2::smallint[], $3::bigint[], $4::smallint[], $5::bytea[], $6::bytea[]) d (space, kind, pid, index, value, part)
		WHERE p.space = d.space AND p.kind = d.kind AND p.index = d.index AND p.value = d.value AND p.pid = d.pid AND p.part = d.part`, r.space, r.kind, r.pid, index, value, part)
}

func (r *keyRows) add(b *pgx.Batch) {
	if len(r.pid) == 0 {
		return
	}
	index, value, part, rest, target := r.postings()
	b.Queue(`INSERT INTO galen.posting (space, kind, pid, index, value, part, rest, target)
		SELECT * FROM unnest($1::integer[], $2::smallint[], $3::bigint[], $4::smallint[], $5::bytea[], $6::bytea[], $7::bytea[], $8::bytea[])`, r.space, r.kind, r.pid, index, value, part, rest, target)
}
