package pebble_test

import (
	"context"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// What is not on the disk yet is not shown, and who finds it in a batch that writes nothing is answered only when it is.
func TestOnlyWhatIsOnTheDiskIsShown(t *testing.T) {
	fs := &gateFS{FS: vfs.NewMem()}
	s := openOn(t, fs, ring(t, t.TempDir()+"/keys"))
	defer s.Close() //nolint:errcheck // test
	put := func(id string) error {
		_, err := s.Update(context.Background(), workSpace, nil, func(tx record.Tx) error { return steps.Put(tx, id, &step{Text: id}) })
		return err
	}
	shown := func(id string) bool {
		v, err := s.View(context.Background(), workSpace)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		_, _, err = steps.Get(v, id)
		if err != nil && errs.As(err).Code != errs.NotFound {
			t.Fatal(err)
		}
		return err == nil
	}
	if err := put("first"); err != nil || !shown("first") {
		t.Fatalf("%v; an acknowledged record is not shown", err)
	}

	fs.gate.Lock()
	written, found := make(chan error, 1), make(chan error, 1)
	go func() { written <- put("second") }()
	asked := make(chan struct{}, 1000)
	go func() { // asks until it finds the record
		for {
			_, err := s.Update(context.Background(), workSpace, nil, func(tx record.Tx) error {
				_, _, err := steps.Get(tx, "second")
				if err == nil {
					asked <- struct{}{}
				}
				return err // a batch that fails need not wait
			})
			if err == nil || errs.As(err).Code != errs.NotFound {
				found <- err
				return
			}
		}
	}()
	<-asked // a batch sees what is committed
	if shown("second") {
		t.Error("a view shows what is not on the disk")
	}
	select {
	case err := <-written:
		t.Errorf("the write was acknowledged before it was on the disk: %v", err)
	case err := <-found:
		t.Errorf("a batch answered with what is not on the disk: %v", err)
	case <-time.After(50 * time.Millisecond): // nothing may come, however long
	}
	fs.gate.Unlock()
	if err := <-written; err != nil {
		t.Error(err)
	}
	if err := <-found; err != nil {
		t.Error(err)
	}
	if !shown("second") {
		t.Error("an acknowledged record is not shown")
	}
}
