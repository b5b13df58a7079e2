package pebble

import (
	"encoding/binary"
	"errors"
	"iter"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// History implements record.View.
func (v *view) History(kind, id string, before uint64, since time.Time) iter.Seq2[*record.Version, error] {
	if before == 0 {
		before = math.MaxUint64
	}
	return func(yield func(*record.Version, error) bool) {
		h := &historian{v: v, before: before, since: since, yield: yield}
		var err error
		if id != "" {
			err = h.record(kind, id)
		} else {
			err = h.kinds(kind)
		}
		if err != nil && !errors.Is(err, errStop) {
			yield(nil, err)
		}
	}
}

// historian walks one history, newest first.
type historian struct {
	v      *view
	before uint64
	since  time.Time
	yield  func(*record.Version, error) bool
}

// tell yields one version; errStop when the rest is not wanted.
func (h *historian) tell(kind string, no uint16, pid uint64, version int64) error {
	ver, err := h.v.version(kind, no, pid, version)
	switch {
	case errs.Is(err, errs.NotFound):
		return nil // after the view's time, or of a volatile kind
	case err != nil:
		return err
	case ver.Commit >= h.before:
		return nil
	case ver.Time.Before(h.since), !h.yield(ver, nil):
		return errStop
	}
	return nil
}

func (h *historian) record(kind, id string) error {
	v := h.v
	no, err := v.kind(kind)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	d, err := find(v.snap, v.sp.id, no, id)
	if err != nil || d == nil {
		return err
	}
	return each(v.snap, versionKey(v.sp.id, no, d.pid, d.version), versionKey(v.sp.id, no, d.pid, 0), func(k, _ []byte) error {
		return h.tell(kind, no, d.pid, versionOf(k))
	})
}

// source is the history of one kind.
type source struct {
	it   *pebble.Iterator
	no   uint16
	name string
}

// kinds walks one kind's history, or merges all kinds' when kind is "".
func (h *historian) kinds(kind string) error {
	v := h.v
	var sources []source
	defer func() {
		for _, s := range sources {
			_ = s.it.Close() // Error has told it
		}
	}()
	v.s.mu.RLock()
	for name := range v.s.kinds {
		if no := v.s.names[name]; no != 0 && (kind == "" || name == kind) {
			sources = append(sources, source{no: no, name: name})
		}
	}
	v.s.mu.RUnlock()
	open := sources[:0]
	all := sources
	sources = nil
	for _, s := range all {
		it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: historyKey(v.sp.id, s.no, 0, 0), UpperBound: historyKey(v.sp.id, s.no, h.before, 0)})
		if err != nil {
			return storeError(err)
		}
		s.it = it
		if it.Last() {
			open = append(open, s)
			sources = open
		} else if err := errors.Join(it.Error(), it.Close()); err != nil {
			return storeError(err)
		}
	}
	for len(sources) > 0 {
		best := 0
		for i := range sources { // commit and line within it are the same bytes in every kind's keys
			if string(sources[i].it.Key()[kindSize:]) > string(sources[best].it.Key()[kindSize:]) {
				best = i
			}
		}
		s := sources[best]
		b, err := s.it.ValueAndErr()
		if err != nil {
			return storeError(err)
		}
		if len(b) != 16 {
			return corrupt("a line of the history cannot be read")
		}
		pid, version := binary.BigEndian.Uint64(b), int64(binary.BigEndian.Uint64(b[8:]))
		if err := h.tell(s.name, s.no, pid, version); err != nil {
			return err
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
