package omics

import (
	"testing"

	api "github.com/galen-health/galen/aws/omics"
)

// TestVerify: what an import stored is whole; a file that is gone behind the service's back is found; what was deleted is not missed.
func TestVerify(t *testing.T) {
	l := newLab(t)
	verify := func() (named, faults int) {
		t.Helper()
		named, err := l.s.Verify(l.Ctx, func(error) { faults++ })
		if err != nil {
			t.Fatal(err)
		}
		return named, faults
	}
	store := l.sequenceStore()
	l.s3.Put("in/a", gz(fastqText(5, 1)))
	l.s3.Put("in/b", gz(fastqText(7, 1)))
	var ids []string
	for _, name := range []string{"a", "b"} {
		ids = append(ids, l.importReads(store, readsFrom(api.FileTypeFastq, "x", name)).Sources[0].ReadSetId)
	}
	if named, faults := verify(); named < 2 || faults != 0 {
		t.Fatalf("two read sets: %d files, %d faults", named, faults)
	}
	rs, err := get(l.Ctx, l.s, readSets, within(store, ids[0]), "read set")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Blobs.Delete(l.Ctx, rs.Source1.Blob); err != nil {
		t.Fatal(err)
	}
	if _, faults := verify(); faults != 1 {
		t.Errorf("a file is gone: %d faults", faults)
	}
	if _, err := l.s.BatchDeleteReadSet(l.Ctx, &api.BatchDeleteReadSetInput{SequenceStoreId: store, Ids: ids}); err != nil {
		t.Fatal(err)
	}
	if named, faults := verify(); named != 0 || faults != 0 {
		t.Errorf("after the deletion: %d files, %d faults", named, faults)
	}
}
