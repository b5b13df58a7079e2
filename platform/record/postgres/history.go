package postgres

import (
	"iter"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// History implements record.View.
func (v *view) History(kind, id string, before uint64, since time.Time) iter.Seq2[*record.Version, error] {
	h := &historian{v: v, before: int64(min(before, math.MaxInt64)), since: math.MinInt64}
	if before == 0 {
		h.before = math.MaxInt64
	}
	if !since.IsZero() {
		h.since = since.UnixMicro()
		if micros(h.since).Before(since) {
			h.since++ // times of commits are whole microseconds
		}
	}
	return func(yield func(*record.Version, error) bool) {
		var err error
		if id != "" {
			err = h.record(kind, id, yield)
		} else {
			err = h.kinds(kind, yield)
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// historian walks one history, newest first, page by page.
type historian struct {
	v             *view
	before, since int64
}

type yielder func(*record.Version, error) bool

func (h *historian) record(kind, id string, yield yielder) error {
	v := h.v
	no, err := v.kind(kind)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	last, n, size := int64(math.MaxInt64), 0, 0
	for limit := pageOf(0, 0); ; limit = pageOf(n, size) {
		var page []kept
		size = 0
		if err := v.from.read(v.ctx, `SELECT `+versionColumns+` FROM galen.record r JOIN galen.version v ON v.space = r.space AND v.kind = r.kind AND v.pid = r.pid
			WHERE r.space = $1 AND r.kind = $2 AND r.digest = $3 AND v.version < $4 AND v.seq < $5 AND v.at >= $6 AND v.at <= $7 ORDER BY v.version DESC LIMIT $8`,
			[]any{v.sp.id, no, v.sp.veil.id(kind, id), last, h.before, h.since, v.at, limit}, func(r pgx.Rows) error {
				var k kept
				err := k.scan(r)
				page, size = append(page, k), size+len(k.body)
				return err
			}); err != nil {
			return err
		}
		for i := range page {
			got, err := v.tell(kind, no, id, &page[i])
			if err != nil {
				return err
			}
			if !yield(got, nil) {
				return nil
			}
			last = got.Version
		}
		if n = len(page); n < limit {
			return nil
		}
	}
}

// kinds walks one kind's history, or all kinds' when kind is "". Each kind has its own lines, and the newest of all come first.
func (h *historian) kinds(kind string, yield yielder) error {
	v := h.v
	var numbers []int16
	v.s.mu.RLock()
	for name := range v.s.kinds {
		if no := v.s.names[name]; no != 0 && (kind == "" || name == kind) {
			numbers = append(numbers, no)
		}
	}
	v.s.mu.RUnlock()
	type row struct {
		no         int16
		line       int32
		digest, id []byte
		kept
	}
	seq, line, n, size := h.before, int32(math.MinInt32), 0, 0 // all of the commits before, and of this one the lines below
	for limit := pageOf(0, 0); ; limit = pageOf(n, size) {
		var page []row
		size = 0
		if err := v.from.read(v.ctx, `SELECT h.kind, h.line, r.digest, r.id, h.pid, h.version, h.seq, h.at, h.body FROM unnest($2::smallint[]) k (no) CROSS JOIN LATERAL (
				SELECT * FROM galen.version v WHERE v.space = $1 AND v.kind = k.no AND v.line IS NOT NULL AND (v.seq, v.line) < ($3, $4) AND v.at >= $5 AND v.at <= $6 ORDER BY v.seq DESC, v.line DESC LIMIT $7) h
			JOIN galen.record r ON r.space = $1 AND r.kind = h.kind AND r.pid = h.pid ORDER BY h.seq DESC, h.line DESC LIMIT $7`,
			[]any{v.sp.id, numbers, seq, line, h.since, v.at, limit}, func(r pgx.Rows) error {
				var x row
				err := r.Scan(&x.no, &x.line, &x.digest, &x.id, &x.pid, &x.version, &x.seq, &x.at, &x.body)
				page, size = append(page, x), size+len(x.body)
				return err
			}); err != nil {
			return err
		}
		for i := range page {
			x := &page[i]
			id, err := v.sp.openID(x.digest, x.id)
			if err != nil {
				return err
			}
			got, err := v.tell(v.s.nameOf(x.no), x.no, id, &x.kept)
			if err != nil {
				return err
			}
			if !yield(got, nil) {
				return nil
			}
			seq, line = x.seq, x.line
		}
		if n = len(page); n < limit {
			return nil
		}
	}
}
