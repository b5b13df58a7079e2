package omics

import (
	"io"
	"strings"
	"testing"

	api "github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/platform/errs"
)

func TestReference(t *testing.T) {
	l := newLab(t)
	text := corpus(t, "htslib-test", "test/ce.fa")
	arn := l.reference("ce.fa.gz", gz(string(text)))
	p := strings.Split(arn, "/")
	m := must[*api.GetReferenceMetadataOutput](t)(l.s.GetReferenceMetadata(l.Ctx, &api.GetReferenceMetadataInput{ReferenceStoreId: p[1], Id: p[3]}))
	if m.Status != api.ReferenceStatusActive || m.Md5 != md5of(string(text)) || *m.Files.Source.ContentLength != int64(len(text)) {
		t.Errorf("metadata %+v", m)
	}
	read := func(f api.ReferenceFile, span string) string {
		out := must[*api.GetReferenceOutput](t)(l.s.GetReference(l.Ctx, &api.GetReferenceInput{ReferenceStoreId: p[1], Id: p[3], PartNumber: 1, File: f, Range: span}))
		defer out.Payload.Close()
		b, err := io.ReadAll(out.Payload)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if read("", "") != string(text) || read(api.ReferenceFileSource, "bytes=10-19") != string(text[10:20]) || read("", "bytes=-5") != string(text[len(text)-5:]) || read("", "bytes=100-") != string(text[100:]) {
		t.Error("the FASTA file does not come back in whole or in ranges")
	}
	if got, want := read(api.ReferenceFileIndex, ""), string(corpus(t, "htslib-test", "test/ce.fa.fai")); got != want {
		t.Errorf("index\n%swant\n%s", got, want)
	}
	for _, bad := range []string{"bytes=99999999-", "bytes=5-1", "bytes=a-b", "bytes=1-2,3-4", "items=1-2", "bytes=-0"} {
		_, err := l.s.GetReference(l.Ctx, &api.GetReferenceInput{ReferenceStoreId: p[1], Id: p[3], PartNumber: 1, Range: bad})
		wantCode(t, err, errs.OutOfRange)
	}
	_, err := l.s.CreateReferenceStore(l.Ctx, &api.CreateReferenceStoreInput{Name: "second"})
	wantCode(t, err, errs.Exhausted)
	_, err = l.s.DeleteReferenceStore(l.Ctx, &api.DeleteReferenceStoreInput{Id: p[1]})
	wantCode(t, err, errs.Conflict)
	must[*api.TagResourceOutput](t)(l.s.TagResource(l.Ctx, &api.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"a": "1", "b": "2"}}))
	must[*api.UntagResourceOutput](t)(l.s.UntagResource(l.Ctx, &api.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a", "zz"}}))
	if tags := must[*api.ListTagsForResourceOutput](t)(l.s.ListTagsForResource(l.Ctx, &api.ListTagsForResourceInput{ResourceArn: arn})).Tags; len(tags) != 1 || tags["b"] != "2" {
		t.Errorf("tags %v", tags)
	}
	must[*api.DeleteReferenceOutput](t)(l.s.DeleteReference(l.Ctx, &api.DeleteReferenceInput{ReferenceStoreId: p[1], Id: p[3]}))
	must[*api.DeleteReferenceStoreOutput](t)(l.s.DeleteReferenceStore(l.Ctx, &api.DeleteReferenceStoreInput{Id: p[1]}))
	l.Await("the bytes are gone", func() bool { return l.blobCount() == 0 })
}

func TestAReferenceThatDoesNotFitIsFound(t *testing.T) {
	l := newLab(t)
	store := l.sequenceStore()
	l.s3.Put("in/range.bam", corpus(t, "htslib-test", "test/range.bam"))
	src := readsFrom(api.FileTypeBam, "x", "range.bam")
	src.ReferenceArn = l.reference("wrong.fa", []byte(">CHROMOSOME_I\nACGT\n"))
	j := l.importReads(store, src)
	if j.Status != api.ReadSetImportJobStatusFailed || !strings.Contains(j.Sources[0].StatusMessage, "aligned to another reference") {
		t.Errorf("%+v", j.Sources[0])
	}
	src.ReferenceArn = l.reference("ce.fa", corpus(t, "htslib-test", "test/ce.fa"))
	j = l.importReads(store, src)
	if j.Status != api.ReadSetImportJobStatusCompleted {
		t.Fatalf("%+v", j.Sources[0])
	}
	p := strings.Split(src.ReferenceArn, "/")
	_, err := l.s.DeleteReference(l.Ctx, &api.DeleteReferenceInput{ReferenceStoreId: p[1], Id: p[3]})
	wantCode(t, err, errs.Conflict) // a read set names it
}
