package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/seal"
)

// view is a record.View: the state that is on the disk, maybe of a past time; a batch's view has what is committed but not yet synced too.
type view struct {
	s    *Store
	sp   *space
	snap *pebble.Snapshot
	held *shared // whose snapshot it is; nil: the view's own
	at   int64   // math.MaxInt64 = newest; else microseconds
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
	sp, err := s.open(ctx, name)
	if err != nil {
		return nil, err
	}
	held := s.settled.take()
	return &view{s: s, sp: sp, snap: held.snap, held: held, at: at}, nil
}

// Close implements record.View.
func (v *view) Close() {
	switch {
	case v.snap == nil:
		return
	case v.held != nil:
		v.s.settled.release(v.held)
	default:
		_ = v.snap.Close() // only releases it
	}
	v.snap = nil
}

func (v *view) past() bool { return v.at != math.MaxInt64 }

// kind is the number of a kind, errs.NotFound when no record of it was ever written.
func (v *view) kind(name string) (uint16, error) {
	no, err := v.s.number(name, false)
	if err == nil && no == 0 {
		err = notFound(name)
	}
	return no, err
}

// open turns a stored version into what callers see.
func (v *view) open(kind string, no uint16, pid uint64, version int64, b *stored) (*record.Version, error) {
	out := &record.Version{Kind: kind, ID: b.id, PID: pid, Version: version, Commit: b.commit, Time: micros(b.time), Deleted: b.deleted}
	var err error
	if !b.deleted {
		out.Body, err = seal.Open(v.sp.aead, b.sealed, seal.Place(v.sp.id, no, b.id, version))
	}
	return out, err
}

// version reads one stored version; errs.NotFound when it is not kept, or of after the view's time.
func (v *view) version(kind string, no uint16, pid uint64, version int64) (*record.Version, error) {
	b, closer, err := v.snap.Get(versionKey(v.sp.id, no, pid, version))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, notFound(kind)
	}
	if err != nil {
		return nil, storeError(err)
	}
	defer closer.Close() //nolint:errcheck // only releases it
	st, err := decodeVersion(b)
	if err != nil {
		return nil, err
	}
	if st.time > v.at {
		return nil, notFound(kind)
	}
	return v.open(kind, no, pid, version, st)
}

// current is the version of a record in a past view: the newest that is not of after its time; nil when there is none.
func (v *view) current(kind string, no uint16, pid uint64) (*record.Version, error) {
	var found *record.Version
	err := each(v.snap, versionKey(v.sp.id, no, pid, math.MaxInt64), versionKey(v.sp.id, no, pid, 0), func(k, b []byte) error {
		st, err := decodeVersion(b)
		if err != nil || st.time > v.at {
			return err
		}
		if found, err = v.open(kind, no, pid, versionOf(k), st); err == nil {
			err = errStop
		}
		return err
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return found, err
}

// Get implements record.View.
func (v *view) Get(kind, id string) (*record.Version, error) {
	no, err := v.kind(kind)
	if err != nil {
		return nil, err
	}
	d, err := find(v.snap, v.sp.id, no, id)
	if err != nil {
		return nil, err
	}
	return v.newest(kind, no, d)
}

// newest is the version that a directory entry tells of.
func (v *view) newest(kind string, no uint16, d *entry) (*record.Version, error) {
	if d == nil {
		return nil, notFound(kind)
	}
	if v.past() {
		got, err := v.current(kind, no, d.pid)
		switch {
		case err != nil:
			return nil, err
		case got == nil:
			return nil, notFound(kind)
		case got.Deleted:
			return nil, gone(kind)
		}
		return got, nil
	}
	if d.deleted {
		return nil, gone(kind)
	}
	got, err := v.version(kind, no, d.pid, d.version)
	if errs.Is(err, errs.NotFound) {
		err = corrupt("a version of a record is missing")
	}
	return got, err
}

// GetMany implements record.View.
func (v *view) GetMany(kind string, ids []string, fn func(int, *record.Version) error) error {
	for i, id := range ids {
		ver, err := v.Get(kind, id)
		if errs.Is(err, errs.NotFound) || errs.Is(err, errs.Gone) {
			continue
		}
		if err != nil {
			return err
		}
		if err := fn(i, ver); err != nil {
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
	d, err := find(v.snap, v.sp.id, no, id)
	if err != nil {
		return nil, err
	}
	if d == nil || version < 1 || version > d.version {
		return nil, notFound(kind)
	}
	return v.version(kind, no, d.pid, version)
}

// Scan implements record.View.
func (v *view) Scan(kind string, after uint64) iter.Seq2[*record.Version, error] {
	return func(yield func(*record.Version, error) bool) {
		no, err := v.kind(kind)
		if errs.Is(err, errs.NotFound) {
			return
		}
		if err == nil {
			err = v.scan(kind, no, after, func(ver *record.Version) bool { return yield(ver, nil) })
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// scan walks the versions, of which the newest of each record comes first.
func (v *view) scan(kind string, no uint16, after uint64, fn func(*record.Version) bool) error {
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: versionKey(v.sp.id, no, after+1, math.MaxInt64), UpperBound: next(appendKind(nil, tableVersion, v.sp.id, no))})
	if err != nil {
		return storeError(err)
	}
	defer it.Close() //nolint:errcheck // Error has told it
	for ok := it.First(); ok; {
		b, err := it.ValueAndErr()
		if err != nil {
			return storeError(err)
		}
		st, err := decodeVersion(b)
		if err != nil {
			return err
		}
		if st.time > v.at {
			ok = it.Next()
			continue
		}
		pid := binary.BigEndian.Uint64(it.Key()[kindSize:])
		if !st.deleted {
			ver, err := v.open(kind, no, pid, versionOf(it.Key()), st)
			if err != nil {
				return err
			}
			if !fn(ver) {
				return nil
			}
		}
		if ok = it.Next(); ok && binary.BigEndian.Uint64(it.Key()[kindSize:]) == pid {
			ok = it.SeekGE(versionKey(v.sp.id, no, pid+1, math.MaxInt64))
		}
	}
	return storeError(it.Error())
}

var errStop = errors.New("record: the caller has enough")
