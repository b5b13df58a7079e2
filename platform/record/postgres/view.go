package postgres

import (
	"context"
	"iter"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/seal"
)

// view is a record.View over a source; a batch has one too.
type view struct {
	s    *Store
	sp   *space
	from source
	snap *snapshot // what Close closes; nil for a batch's
	ctx  context.Context
	at   int64 // math.MaxInt64 = newest; else microseconds
}

// View implements record.Store.
func (s *Store) View(ctx context.Context, name record.Space) (record.View, error) {
	return s.view(ctx, name, math.MaxInt64)
}

// ViewAt implements record.Store.
func (s *Store) ViewAt(ctx context.Context, name record.Space, at time.Time) (record.View, error) {
	return s.view(ctx, name, at.UnixMicro())
}

func (s *Store) view(ctx context.Context, name record.Space, at int64) (record.View, error) {
	done, err := s.use()
	if err != nil {
		return nil, err
	}
	defer done()
	snap, err := s.snapshot(ctx, s.gates.views, name, nil)
	if err != nil {
		return nil, err
	}
	sp, err := s.open(ctx, name, &snap.space)
	if err != nil {
		snap.close()
		return nil, err
	}
	return &view{s: s, sp: sp, from: snap, snap: snap, ctx: context.WithoutCancel(ctx), at: at}, nil
}

// Close implements record.View.
func (v *view) Close() {
	if v.snap != nil {
		v.snap.close()
	}
}

func (v *view) past() bool { return v.at != math.MaxInt64 }

func notFound(kind string) error { return errs.New(errs.NotFound, "there is no such %s record", kind) }
func gone(kind string) error     { return errs.New(errs.Gone, "the %s record was deleted", kind) }

// kind is the number of a kind, errs.NotFound when no record of it was ever written.
func (v *view) kind(name string) (int16, error) {
	no, err := v.s.number(v.ctx, v.from, name)
	if err == nil && no == 0 {
		err = notFound(name)
	}
	return no, err
}

// kept is a version as it is stored.
type kept struct {
	pid, version, seq, at int64
	body                  []byte // nil: a deletion, or not asked for
}

const versionColumns = `v.pid, v.version, v.seq, v.at, v.body`

func (k *kept) scan(r pgx.Rows) error { return r.Scan(&k.pid, &k.version, &k.seq, &k.at, &k.body) }

func micros(at int64) time.Time { return time.UnixMicro(at).UTC() }

// tell turns a stored version into what callers see.
func (v *view) tell(kind string, no int16, id string, k *kept) (*record.Version, error) {
	out := &record.Version{Kind: kind, ID: id, PID: uint64(k.pid), Version: k.version, Commit: uint64(k.seq), Time: micros(k.at), Deleted: k.body == nil}
	var err error
	if k.body != nil {
		out.Body, err = seal.Open(v.sp.aead, k.body, v.sp.place(no, id, k.version))
	}
	return out, err
}

// newest is what a record is looked up with: its newest version, or in a past view the newest of then.
func (v *view) newest() string {
	if v.past() {
		return `FROM galen.record r CROSS JOIN LATERAL (SELECT * FROM galen.version v WHERE v.space = r.space AND v.kind = r.kind AND v.pid = r.pid AND v.at <= $4 ORDER BY v.version DESC LIMIT 1) v`
	}
	return `FROM galen.record r LEFT JOIN galen.version v ON v.space = r.space AND v.kind = r.kind AND v.pid = r.pid AND v.version = r.version AND r.version <= $4`
}

// Get implements record.View.
func (v *view) Get(kind, id string) (*record.Version, error) {
	var out *record.Version
	missing := notFound(kind)
	err := v.many(kind, []string{id}, func(_ int, got *record.Version) error {
		if got.Deleted {
			missing = gone(kind)
		} else {
			out = got
		}
		return nil
	})
	if err == nil && out == nil {
		err = missing
	}
	return out, err
}

// GetMany implements record.View.
func (v *view) GetMany(kind string, ids []string, fn func(int, *record.Version) error) error {
	const most = 64 // so that a page of large bodies fits
	for i := 0; i < len(ids); i += most {
		if err := v.many(kind, ids[i:min(i+most, len(ids))], func(j int, got *record.Version) error {
			if got.Deleted {
				return nil
			}
			return fn(i+j, got)
		}); err != nil {
			return err
		}
	}
	return nil
}

// many calls fn for each id that has a version in the view, tombstones included, in the order of ids.
func (v *view) many(kind string, ids []string, fn func(int, *record.Version) error) error {
	no, err := v.kind(kind)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	digests := make([][]byte, len(ids))
	for i, id := range ids {
		digests[i] = v.sp.veil.id(kind, id)
	}
	found := map[string]kept{}
	if err := v.from.read(v.ctx, `SELECT r.digest, r.deleted, r.pid, coalesce(v.version, 0), coalesce(v.seq, -1), coalesce(v.at, 0), v.body `+v.newest()+` WHERE r.space = $1 AND r.kind = $2 AND r.digest = ANY ($3)`,
		[]any{v.sp.id, no, digests, v.at}, func(r pgx.Rows) error {
			var digest []byte
			var deleted bool
			var k kept
			if err := r.Scan(&digest, &deleted, &k.pid, &k.version, &k.seq, &k.at, &k.body); err != nil {
				return err
			}
			if k.seq < 0 || !v.past() && deleted != (k.body == nil) {
				return corrupt("a version of a record is missing")
			}
			found[string(digest)] = k
			return nil
		}); err != nil {
		return err
	}
	for i, id := range ids {
		k, ok := found[string(digests[i])]
		if !ok {
			continue
		}
		got, err := v.tell(kind, no, id, &k)
		if err == nil {
			err = fn(i, got)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// GetVersion implements record.View.
func (v *view) GetVersion(kind, id string, version int64) (*record.Version, error) {
	no, err := v.kind(kind)
	if err != nil {
		return nil, err
	}
	var out *kept
	if err := v.from.read(v.ctx, `SELECT `+versionColumns+` FROM galen.record r JOIN galen.version v ON v.space = r.space AND v.kind = r.kind AND v.pid = r.pid
		WHERE r.space = $1 AND r.kind = $2 AND r.digest = $3 AND v.version = $4 AND v.at <= $5`, []any{v.sp.id, no, v.sp.veil.id(kind, id), version, v.at}, func(r pgx.Rows) error {
		out = &kept{}
		return out.scan(r)
	}); err != nil {
		return nil, err
	}
	if out == nil {
		return nil, notFound(kind)
	}
	return v.tell(kind, no, id, out)
}

// pageOf says how many rows to read next: about eight MiB, after what the last page's were.
func pageOf(rows, bytes int) int {
	const first, most, room = 32, 512, 8 << 20
	if rows == 0 {
		return first
	}
	return max(1, min(most, room/max(1, bytes/rows)))
}

// Scan implements record.View.
func (v *view) Scan(kind string, after uint64) iter.Seq2[*record.Version, error] {
	return func(yield func(*record.Version, error) bool) {
		no, err := v.kind(kind)
		if errs.Is(err, errs.NotFound) {
			return
		}
		if err != nil {
			yield(nil, err)
			return
		}
		type row struct {
			digest, id []byte
			kept
		}
		if after > math.MaxInt64 {
			return
		}
		last, n, size := int64(after), 0, 0
		for limit := pageOf(0, 0); ; limit = pageOf(n, size) {
			var page []row
			size = 0
			err := v.from.read(v.ctx, `SELECT r.digest, r.id, r.pid, v.version, v.seq, v.at, v.body `+v.newest()+` WHERE r.space = $1 AND r.kind = $2 AND r.pid > $3 AND (v.body IS NOT NULL OR v.version IS NULL) ORDER BY r.pid LIMIT $5`,
				[]any{v.sp.id, no, last, v.at, limit}, func(r pgx.Rows) error {
					var x row
					var version *int64
					var seq, at *int64
					if err := r.Scan(&x.digest, &x.id, &x.pid, &version, &seq, &at, &x.body); err != nil {
						return err
					}
					if version == nil {
						return corrupt("a version of a record is missing")
					}
					x.version, x.seq, x.at = *version, *seq, *at
					page, size = append(page, x), size+len(x.body)
					return nil
				})
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range page {
				id, err := v.sp.openID(page[i].digest, page[i].id)
				var got *record.Version
				if err == nil {
					got, err = v.tell(kind, no, id, &page[i].kept)
				}
				if !yield(got, err) || err != nil {
					return
				}
				last = page[i].pid
			}
			if n = len(page); n < limit {
				return
			}
		}
	}
}
