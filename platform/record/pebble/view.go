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
)

// view is a record.View: a snapshot, maybe of a past time.
type view struct {
	s    *Store
	sp   *space
	snap *pebble.Snapshot
	at   int64 // 0 = newest; else microseconds
}

// View implements record.Store.
func (s *Store) View(ctx context.Context, name record.Space) (record.View, error) {
	sp, err := s.open(ctx, name)
	if err != nil {
		return nil, err
	}
	return &view{s: s, sp: sp, snap: s.db.NewSnapshot()}, nil
}

// ViewAt implements record.Store.
func (s *Store) ViewAt(ctx context.Context, name record.Space, at time.Time) (record.View, error) {
	sp, err := s.open(ctx, name)
	if err != nil {
		return nil, err
	}
	return &view{s: s, sp: sp, snap: s.db.NewSnapshot(), at: at.UnixMicro()}, nil
}

// Close implements record.View.
func (v *view) Close() {
	if v.snap != nil {
		_ = v.snap.Close() // closing a snapshot only releases it
		v.snap = nil
	}
}

func (v *view) kind(name string) (uint16, error) { return v.s.number(name, false) }

// current returns the state of a record in this view: nil when it did not exist.
func (v *view) current(kind uint16, pid uint64, h *head) (*head, error) {
	if v.at == 0 || h == nil || h.time <= v.at {
		return h, nil
	}
	lower := versionKey(v.sp.id, kind, pid, 0)
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: versionKey(v.sp.id, kind, pid, math.MaxInt64)})
	if err != nil {
		return nil, storeError(err)
	}
	defer it.Close()
	for ok := it.Last(); ok; ok = it.Prev() {
		at, commit, sealed, err := splitVersion(it.Value())
		if err != nil {
			return nil, err
		}
		if at <= v.at {
			return &head{id: h.id, version: int64(binary.BigEndian.Uint64(it.Key()[15:])), commit: commit, time: at, deleted: len(sealed) == 0}, nil
		}
	}
	return nil, storeError(it.Error())
}

// Get implements record.View.
func (v *view) Get(kind, id string) (*record.Version, error) {
	no, err := v.kind(kind)
	if err != nil || no == 0 {
		return nil, errors.Join(err, notFound(kind))
	}
	pid, h, err := lookup(v.snap, v.sp.id, no, id)
	if err != nil {
		return nil, err
	}
	if h, err = v.current(no, pid, h); err != nil {
		return nil, err
	}
	return newest(v.snap, v.sp, kind, no, pid, h, id)
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
	if err != nil || no == 0 {
		return nil, errors.Join(err, notFound(kind))
	}
	pid, h, err := lookup(v.snap, v.sp.id, no, id)
	if err != nil {
		return nil, err
	}
	if h == nil || version < 1 || version > h.version {
		return nil, notFound(kind)
	}
	return v.version(kind, no, pid, id, version)
}

// version reads one stored version.
func (v *view) version(kind string, no uint16, pid uint64, id string, version int64) (*record.Version, error) {
	b, err := getFrom(v.snap, versionKey(v.sp.id, no, pid, version))
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, notFound(kind)
	}
	at, commit, sealed, err := splitVersion(b)
	if err != nil {
		return nil, err
	}
	if v.at != 0 && at > v.at {
		return nil, notFound(kind)
	}
	out := &record.Version{Kind: kind, ID: id, PID: pid, Version: version, Commit: commit, Time: time.UnixMicro(at).UTC(), Deleted: b[16] == 1}
	if !out.Deleted {
		out.Body, err = unseal(v.sp.aead, sealed, place(v.sp.id, no, id, version))
	}
	return out, err
}

// History implements record.View.
func (v *view) History(kind, id string, before uint64, since time.Time) iter.Seq2[*record.Version, error] {
	return func(yield func(*record.Version, error) bool) {
		var err error
		switch {
		case id != "":
			err = v.recordHistory(kind, id, before, since, yield)
		default:
			err = v.kindHistory(kind, before, since, yield)
		}
		if err != nil && !errors.Is(err, errStop) {
			yield(nil, err)
		}
	}
}

var errStop = errors.New("record: the caller has enough")

func (v *view) recordHistory(kind, id string, before uint64, since time.Time, yield func(*record.Version, error) bool) error {
	no, err := v.kind(kind)
	if err != nil || no == 0 {
		return err
	}
	pid, h, err := lookup(v.snap, v.sp.id, no, id)
	if err != nil || h == nil {
		return err
	}
	for n := h.version; n > 0; n-- {
		ver, err := v.version(kind, no, pid, id, n)
		if errs.Is(err, errs.NotFound) {
			continue // after the view's time, or of a volatile kind
		}
		if err != nil {
			return err
		}
		if before != 0 && ver.Commit >= before {
			continue
		}
		if ver.Time.Before(since) {
			return nil
		}
		if !yield(ver, nil) {
			return errStop
		}
	}
	return nil
}

// kindHistory walks one kind's history, or merges all kinds' when kind is "".
func (v *view) kindHistory(kind string, before uint64, since time.Time, yield func(*record.Version, error) bool) error {
	var numbers []uint16
	v.s.mu.RLock()
	for name, no := range v.s.names {
		if _, declared := v.s.kinds[name]; declared && (kind == "" || name == kind) {
			numbers = append(numbers, no)
		}
	}
	v.s.mu.RUnlock()
	type source struct {
		it   *pebble.Iterator
		no   uint16
		name string
	}
	var sources []source
	defer func() {
		for _, s := range sources {
			_ = s.it.Close() // errors were seen through Error
		}
	}()
	if before == 0 {
		before = math.MaxUint64
	}
	for _, no := range numbers {
		it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: historyKey(v.sp.id, no, 0, 0), UpperBound: historyKey(v.sp.id, no, before, 0)})
		if err != nil {
			return storeError(err)
		}
		if !it.Last() {
			if err := errors.Join(it.Error(), it.Close()); err != nil {
				return storeError(err)
			}
			continue
		}
		v.s.mu.RLock()
		sources = append(sources, source{it, no, v.s.back[no]})
		v.s.mu.RUnlock()
	}
	for len(sources) > 0 {
		best := 0
		for i := range sources { // commit and number within it are the same bytes in every kind's keys
			if string(sources[i].it.Key()[7:]) > string(sources[best].it.Key()[7:]) {
				best = i
			}
		}
		s := sources[best]
		pid, version := binary.BigEndian.Uint64(s.it.Value()), int64(binary.BigEndian.Uint64(s.it.Value()[8:]))
		h, err := headOf(v.snap, v.sp.id, s.no, pid)
		if err != nil {
			return err
		}
		ver, err := v.version(s.name, s.no, pid, h.id, version)
		switch {
		case errs.Is(err, errs.NotFound):
		case err != nil:
			return err
		case ver.Time.Before(since):
			return nil
		case !yield(ver, nil):
			return errStop
		}
		if !s.it.Prev() {
			if err := errors.Join(s.it.Error(), s.it.Close()); err != nil {
				return storeError(err)
			}
			sources = append(sources[:best], sources[best+1:]...)
		}
	}
	return nil
}

// Scan implements record.View.
func (v *view) Scan(kind string, after uint64) iter.Seq2[*record.Version, error] {
	return func(yield func(*record.Version, error) bool) {
		no, err := v.kind(kind)
		if err != nil || no == 0 {
			if err != nil {
				yield(nil, err)
			}
			return
		}
		it, err := v.heads(no, after)
		if err != nil {
			yield(nil, err)
			return
		}
		defer it.Close()
		for ok := it.First(); ok; ok = it.Next() {
			pid := binary.BigEndian.Uint64(it.Key()[7:])
			h, err := decodeHead(it.Value())
			if err == nil {
				h, err = v.current(no, pid, h)
			}
			var ver *record.Version
			if err == nil {
				if h == nil || h.deleted {
					continue
				}
				ver, err = newest(v.snap, v.sp, kind, no, pid, h, h.id)
			}
			if !yield(ver, err) || err != nil {
				return
			}
		}
		if err := it.Error(); err != nil {
			yield(nil, storeError(err))
		}
	}
}

func (v *view) heads(kind uint16, after uint64) (*pebble.Iterator, error) {
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: headKey(v.sp.id, kind, after+1), UpperBound: next(appendKind(nil, tableHead, v.sp.id, kind))})
	return it, storeError(err)
}
