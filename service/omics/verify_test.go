package omics

import (
	"bytes"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	api "github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
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

// A file of variants is held against its record by its footer: other rows, other columns and what is no Parquet are told, even where the size is right.
func TestVerifyVariants(t *testing.T) {
	l := newLab(t)
	l.variantStore("cohort")
	l.s3.Put("in/a.vcf", []byte(vcfHead+"c1\t10\trs1\tA\tC\t50\tPASS\tDP=7\tGT\t0|1\t1/1\n"))
	if j := l.importVariants("cohort", "a.vcf"); j.Status != api.JobStatusCompleted {
		t.Fatalf("job %+v", j)
	}
	var id string
	if err := l.s.view(l.Ctx, func(v record.View) error {
		for h, err := range v.Scan(variantFiles.Name, 0) {
			if err != nil {
				return err
			}
			id = h.ID
		}
		return nil
	}); err != nil || id == "" {
		t.Fatalf("no file of variants: %v", err)
	}
	store := func(b []byte) *file {
		t.Helper()
		in, err := l.Blobs.Put(l.Ctx, key.Ref{}, bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		return &file{in.ID, in.Size, "a"}
	}
	var other bytes.Buffer
	if err := parquet.Write(&other, []struct{ Sampleid string }{{"s1"}, {"s2"}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		says   string
		change func(*variantFile)
	}{
		{"", func(*variantFile) {}},
		{"it has 2 rows, not the 3", func(f *variantFile) { f.Rows++ }},
		{"no Parquet", func(f *variantFile) { f.File = store(bytes.Repeat([]byte("x"), int(f.File.Size))) }},
		{"its columns", func(f *variantFile) { f.File = store(other.Bytes()) }},
	} {
		var whole variantFile
		set := func(fn func(*variantFile)) {
			t.Helper()
			if _, err := change(l.Ctx, l.s, variantFiles, id, "file", func(_ record.Tx, f *variantFile) error { fn(f); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		set(func(f *variantFile) { whole = *f; c.change(f) })
		var faults []string
		if _, err := l.s.Verify(l.Ctx, func(err error) { faults = append(faults, err.Error()) }); err != nil || c.says == "" && len(faults) > 0 || c.says != "" && (len(faults) != 1 || !strings.Contains(faults[0], c.says)) {
			t.Errorf("%q: %q, %v", c.says, faults, err)
		}
		set(func(f *variantFile) { *f = whole })
	}
}
