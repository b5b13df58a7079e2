package medicalimaging

import (
	"testing"

	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// TestVerify: what was stored is whole and kept from the sweep; a body that is gone behind the service's back is found.
func TestVerify(t *testing.T) {
	l := newLab(t)
	l.create(&api.CreateDatastoreInput{})
	for n := range 3 {
		l.mustPut(slice(study1, series1, n+1, nil))
	}
	verify := func() (named, faults int) {
		t.Helper()
		named, err := l.s.Verify(l.Ctx, func(err error) {
			faults++
			if !errs.Is(err, errs.Corrupt) {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return named, faults
	}
	if named, faults := verify(); named != 3 || faults != 0 {
		t.Fatalf("three instances: %d bodies, %d faults", named, faults)
	}
	var id blob.ID
	if err := l.s.view(l.Ctx, space(l.store), func(v record.View) error {
		for b, err := range v.Scan(bodies.Name, 0) {
			if err != nil {
				return err
			}
			id = blob.ID(b.ID)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if kept, err := l.s.Keeps(l.Ctx, id); err != nil || !kept {
		t.Errorf("Keeps of a body: %v, %v", kept, err)
	}
	if kept, err := l.s.Keeps(l.Ctx, "00000000000000000000000000000000"); err != nil || kept {
		t.Errorf("Keeps of a blob that nobody names: %v, %v", kept, err)
	}
	if err := l.Blobs.Delete(l.Ctx, id); err != nil {
		t.Fatal(err)
	}
	if named, faults := verify(); named != 3 || faults != 1 {
		t.Errorf("a body is gone: %d bodies, %d faults", named, faults)
	}
}
