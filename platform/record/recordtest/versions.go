package recordtest

import (
	"context"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

func versions(t *testing.T, b Backend) {
	s := start(t, b)
	for i, body := range []string{"one", "two", "three"} {
		n, err := put(t, s, "a", body, record.Any)
		must(t, err)
		if n != int64(i+1) {
			t.Errorf("version = %d, want %d", n, i+1)
		}
	}
	_, err := s.Update(context.Background(), space, nil, func(tx record.Tx) error {
		n, err := tx.Delete(subject, "a", record.Any)
		if n != 4 {
			t.Errorf("the tombstone is version %d, want 4", n)
		}
		return err
	})
	must(t, err)
	v := view(t, s)
	_, err = v.Get(subject, "a")
	wantCode(t, err, errs.Gone, "a deleted record")
	_, err = v.Get(subject, "b")
	wantCode(t, err, errs.NotFound, "an absent record")
	old, err := v.GetVersion(subject, "a", 2)
	must(t, err)
	if string(old.Body) != "two" || old.Deleted {
		t.Errorf("version 2 = %q", old.Body)
	}
	if tomb, err := v.GetVersion(subject, "a", 4); err != nil || !tomb.Deleted || tomb.Body != nil {
		t.Errorf("version 4 = %+v, %v: want a tombstone", tomb, err)
	}
	_, err = v.GetVersion(subject, "a", 5)
	wantCode(t, err, errs.NotFound, "a version that does not exist")
	if n, err := put(t, s, "a", "again", record.Absent); err != nil || n != 5 {
		t.Errorf("made again: version %d, %v; want 5", n, err)
	}
	if p, err := view(t, s).Query(context.Background(), record.Query{Kind: subject, Where: record.Match{Index: "body", Value: record.String("two")}, Limit: 5}); err != nil || len(p.Hits) != 0 {
		t.Errorf("an index still finds an old version: %v %v", p, err)
	}
}

func conditions(t *testing.T, b Backend) {
	s := start(t, b)
	_, err := put(t, s, "a", "x", 1)
	wantCode(t, err, errs.Precondition, "version 1 of nothing")
	_, err = put(t, s, "a", "x", record.Absent)
	must(t, err)
	_, err = put(t, s, "a", "y", record.Absent)
	wantCode(t, err, errs.Conflict, "a second creation")
	_, err = put(t, s, "a", "y", 2)
	wantCode(t, err, errs.Precondition, "the wrong version")
	_, err = put(t, s, "a", "y", 1)
	must(t, err)
	got, err := view(t, s).Get(subject, "a")
	must(t, err)
	if string(got.Body) != "y" || got.Version != 2 {
		t.Errorf("got %q version %d", got.Body, got.Version)
	}
	_, err = s.Update(context.Background(), space, nil, func(tx record.Tx) error { _, err := tx.Delete(subject, "none", record.Any); return err })
	wantCode(t, err, errs.NotFound, "deleting nothing")
}

func volatile(t *testing.T, b Backend) {
	s := start(t, b)
	for i := range 4 {
		_, err := s.Update(context.Background(), space, nil, func(tx record.Tx) error {
			_, err := tx.Put(record.Put{Kind: "test.lease", ID: "l", Body: []byte{byte(i)}, Expect: record.Any})
			return err
		})
		must(t, err)
	}
	v := view(t, s)
	if got, err := v.Get("test.lease", "l"); err != nil || got.Body[0] != 3 || got.Version != 4 {
		t.Errorf("newest = %+v, %v", got, err)
	}
	_, err := v.GetVersion("test.lease", "l", 2)
	wantCode(t, err, errs.NotFound, "an old version of a volatile kind")
}

func purge(t *testing.T, b Backend) {
	s := start(t, b)
	for _, body := range []string{"a1", "a2"} {
		_, err := put(t, s, "a", body, record.Any)
		must(t, err)
	}
	_, err := put(t, s, "b", "b1", record.Any)
	must(t, err)
	_, err = s.Update(context.Background(), space, nil, func(tx record.Tx) error { return tx.Purge(subject, "a") })
	must(t, err)
	v := view(t, s)
	_, err = v.Get(subject, "a")
	wantCode(t, err, errs.NotFound, "a purged record")
	_, err = v.GetVersion(subject, "a", 1)
	wantCode(t, err, errs.NotFound, "a purged version")
	n := 0
	for ver, err := range v.History(subject, "", 0, time.Time{}) {
		must(t, err)
		n++
		if ver.ID != "b" {
			t.Errorf("the history still has %s", ver.ID)
		}
	}
	if n != 1 {
		t.Errorf("history has %d versions, want 1", n)
	}
	if got, err := put(t, s, "a", "new", record.Absent); err != nil || got != 1 {
		t.Errorf("made again: version %d, %v", got, err)
	}
}
