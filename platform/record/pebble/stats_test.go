package pebble_test

import (
	"context"
	"testing"

	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
)

// TestStats: a commit counts once with what is in it, a batch that failed or wrote nothing does not.
func TestStats(t *testing.T) {
	s, closeAll := open(t, t.TempDir())
	defer closeAll()
	ctx := context.Background()
	if err := s.Declare(record.KindDef{Name: "k", Entries: func(string, []byte) ([]record.Entry, error) { return nil, nil }}); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateSpace(ctx, "a", key.Ref{}); err != nil {
		t.Fatal(err)
	}
	before, err := s.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, fn := range []func(record.Tx) error{
		func(tx record.Tx) error {
			tx.Emit("topic", nil)
			if _, err := tx.Put(record.Put{Kind: "k", ID: "1", Body: []byte("{}"), Expect: record.Any}); err != nil {
				return err
			}
			_, err := tx.Put(record.Put{Kind: "k", ID: "2", Body: []byte("{}"), Expect: record.Any})
			return err
		},
		func(record.Tx) error { return nil },
		func(record.Tx) error { return context.Canceled },
	} {
		_, _ = s.Update(ctx, "a", nil, fn) // the last one fails on purpose
	}
	after, err := s.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if after.Commits-before.Commits != 1 || after.Versions-before.Versions != 2 || after.Messages-before.Messages != 1 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if after.Bytes == 0 {
		t.Error("the store takes no room")
	}
}
