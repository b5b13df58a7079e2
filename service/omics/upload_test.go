package omics

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	api "github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/platform/errs"
)

func TestUpload(t *testing.T) {
	l := newLab(t)
	store := l.sequenceStore()
	text := fastqText(3000, 1)
	body := gz(text)
	create := func(name string) string {
		return must[*api.CreateMultipartReadSetUploadOutput](t)(l.s.CreateMultipartReadSetUpload(l.Ctx, &api.CreateMultipartReadSetUploadInput{SequenceStoreId: store,
			SourceFileType: api.FileTypeFastq, SubjectId: "s", SampleId: "t", Name: name})).UploadId
	}
	put := func(up string, n int32, b []byte) string {
		out := must[*api.UploadReadSetPartOutput](t)(l.s.UploadReadSetPart(l.Ctx, &api.UploadReadSetPartInput{SequenceStoreId: store, UploadId: up, PartSource: api.ReadSetPartSourceSource1,
			PartNumber: n, Payload: bytes.NewReader(b)}))
		sum := sha256.Sum256(b)
		if out.Checksum != base64.StdEncoding.EncodeToString(sum[:]) {
			t.Errorf("checksum %s", out.Checksum)
		}
		return out.Checksum
	}
	finish := func(up string, sums ...string) (string, error) {
		in := &api.CompleteMultipartReadSetUploadInput{SequenceStoreId: store, UploadId: up}
		for i, s := range sums {
			in.Parts = append(in.Parts, api.CompleteReadSetUploadPartListItem{PartNumber: int32(i + 1), PartSource: api.ReadSetPartSourceSource1, Checksum: s})
		}
		out, err := l.s.CompleteMultipartReadSetUpload(l.Ctx, in)
		if err != nil {
			return "", err
		}
		return out.ReadSetId, nil
	}
	up := create("up")
	put(up, 2, []byte("wrong at first"))
	one, two := put(up, 1, body[:1000]), put(up, 2, body[1000:])
	parts := must[*api.ListReadSetUploadPartsOutput](t)(l.s.ListReadSetUploadParts(l.Ctx, &api.ListReadSetUploadPartsInput{SequenceStoreId: store, UploadId: up, PartSource: api.ReadSetPartSourceSource1}))
	if len(parts.Parts) != 2 {
		t.Errorf("parts %+v", parts.Parts)
	}
	_, err := finish(up, one)
	wantCode(t, err, errs.Invalid)
	_, err = finish(up, one, one)
	wantCode(t, err, errs.Invalid)
	id, err := finish(up, one, two)
	if err != nil {
		t.Fatal(err)
	}
	l.Await("the upload is taken in", func() bool { return l.metadata(store, id).Status != api.ReadSetStatusProcessingUpload })
	m := l.metadata(store, id)
	if m.Status != api.ReadSetStatusActive || m.Etag.Source1 != md5of(text) || m.CreationType != api.CreationTypeUpload {
		t.Errorf("metadata %+v", m)
	}
	if !bytes.Equal(l.file(store, id, api.ReadSetFileSource1), body) {
		t.Error("the file does not come back as it was")
	}
	// One that is no FASTQ fails, and what was uploaded is forgotten.
	up = create("junk")
	id, err = finish(up, put(up, 1, gz("junk")))
	if err != nil {
		t.Fatal(err)
	}
	l.Await("the upload fails", func() bool { return l.metadata(store, id).Status == api.ReadSetStatusUploadFailed })
	if m := l.metadata(store, id); !strings.Contains(m.StatusMessage, "fastq: line 1") {
		t.Errorf("message %q", m.StatusMessage)
	}
	_, err = l.s.GetReadSet(l.Ctx, &api.GetReadSetInput{SequenceStoreId: store, Id: id, PartNumber: 1})
	wantCode(t, err, errs.Conflict)
	// An aborted one is gone.
	up = create("aborted")
	put(up, 1, body)
	must[*api.AbortMultipartReadSetUploadOutput](t)(l.s.AbortMultipartReadSetUpload(l.Ctx, &api.AbortMultipartReadSetUploadInput{SequenceStoreId: store, UploadId: up}))
	_, err = finish(up, one)
	wantCode(t, err, errs.NotFound)
	open := must[*api.ListMultipartReadSetUploadsOutput](t)(l.s.ListMultipartReadSetUploads(l.Ctx, &api.ListMultipartReadSetUploadsInput{SequenceStoreId: store}))
	if len(open.Uploads) != 0 {
		t.Errorf("uploads %+v", open.Uploads)
	}
	l.Await("only the good read set's file is left", func() bool { return l.blobCount() == 1 })
}
