package gosdk

import (
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/omics"
	"github.com/aws/aws-sdk-go-v2/service/omics/types"

	"github.com/galen-health/galen/test/galen"
	"github.com/galen-health/galen/test/sample"
)

// genomics is what the parts of the test hand on to each other.
type genomics struct {
	g                         *galen.Server
	c                         *omics.Client
	role, refs, seqs, refARN  *string
	ref, readSet, sequenceARN *string
}

func TestOmics(t *testing.T) {
	t.Parallel()
	g := galen.Start(t)
	seen := newCalls()
	o := &genomics{g: g, c: omics.NewFromConfig(config(g, seen)), role: role(t, g, "omics")}
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"reference", o.reference}, {"sequence store", o.sequenceStore}, {"import", o.readSetImport}, {"upload", o.upload}, {"jobs", o.jobs}, {"variants", o.variants},
		{"host prefixes", o.prefixed}, {"refused", o.refused}, {"delete", o.remove},
	} {
		if !t.Run(part.name, part.run) {
			return
		}
	}
	seen.all(t, "Omics", o.c)
}

func (o *genomics) reference(t *testing.T) {
	ctx, c := t.Context(), o.c
	put(t, o.g, "sdk-omics", "ref.fa", sample.FASTA())
	o.refs = must(c.CreateReferenceStore(ctx, &omics.CreateReferenceStoreInput{Name: aws.String("sdk")}))(t).Id
	if s := must(c.GetReferenceStore(ctx, &omics.GetReferenceStoreInput{Id: o.refs}))(t); *s.Name != "sdk" {
		t.Errorf("the store is called %s", *s.Name)
	}
	n := 0
	for pages := omics.NewListReferenceStoresPaginator(c, &omics.ListReferenceStoresInput{}); pages.HasMorePages(); {
		n += len(must(pages.NextPage(ctx))(t).ReferenceStores)
	}
	if n != 1 {
		t.Errorf("%d reference stores, want 1", n)
	}
	job := must(c.StartReferenceImportJob(ctx, &omics.StartReferenceImportJobInput{ReferenceStoreId: o.refs, RoleArn: o.role, Sources: []types.StartReferenceImportJobSourceItem{{SourceFile: aws.String("s3://sdk-omics/ref.fa"), Name: aws.String("sdk-ref")}}}))(t).Id
	done := omics.NewReferenceImportJobCompletedWaiter(c, func(w *omics.ReferenceImportJobCompletedWaiterOptions) {
		w.MinDelay, w.MaxDelay = 100*time.Millisecond, time.Second
	})
	out, err := done.WaitForOutput(ctx, &omics.GetReferenceImportJobInput{ReferenceStoreId: o.refs, Id: job}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	o.ref = out.Sources[0].ReferenceId
	for pages := omics.NewListReferenceImportJobsPaginator(c, &omics.ListReferenceImportJobsInput{ReferenceStoreId: o.refs}); pages.HasMorePages(); {
		if l := must(pages.NextPage(ctx))(t).ImportJobs; len(l) != 1 || *l[0].Id != *job {
			t.Errorf("import jobs are %+v", l)
		}
	}
	for pages := omics.NewListReferencesPaginator(c, &omics.ListReferencesInput{ReferenceStoreId: o.refs}); pages.HasMorePages(); {
		if l := must(pages.NextPage(ctx))(t).References; len(l) != 1 || *l[0].Id != *o.ref {
			t.Errorf("references are %+v", l)
		}
	}
	meta := must(c.GetReferenceMetadata(ctx, &omics.GetReferenceMetadataInput{ReferenceStoreId: o.refs, Id: o.ref}))(t)
	if meta.Status != types.ReferenceStatusActive || *meta.Name != "sdk-ref" {
		t.Errorf("the reference is %+v", meta)
	}
	o.refARN = meta.Arn
	body := must(c.GetReference(ctx, &omics.GetReferenceInput{ReferenceStoreId: o.refs, Id: o.ref, PartNumber: aws.Int32(1)}))(t).Payload
	if got := content(t, body); got != string(sample.FASTA()) {
		t.Errorf("the reference comes back with %d bytes", len(got))
	}
	body = must(c.GetReference(ctx, &omics.GetReferenceInput{ReferenceStoreId: o.refs, Id: o.ref, PartNumber: aws.Int32(1), File: types.ReferenceFileSource, Range: aws.String("bytes=1-7")}))(t).Payload
	if got := content(t, body); got != "sample1" {
		t.Errorf("bytes 1-7 are %q", got)
	}
}

func (o *genomics) sequenceStore(t *testing.T) {
	ctx, c := t.Context(), o.c
	out := must(c.CreateSequenceStore(ctx, &omics.CreateSequenceStoreInput{Name: aws.String("sdk"), Tags: map[string]string{"a": "b"}}))(t)
	o.seqs, o.sequenceARN = out.Id, out.Arn
	poll(t, func() types.SequenceStoreStatus {
		return must(c.GetSequenceStore(ctx, &omics.GetSequenceStoreInput{Id: o.seqs}))(t).Status
	}, types.SequenceStoreStatusActive)
	if s := must(c.UpdateSequenceStore(ctx, &omics.UpdateSequenceStoreInput{Id: o.seqs, Description: aws.String("reads of the suite")}))(t); *s.Description != "reads of the suite" {
		t.Errorf("the store is %+v", s)
	}
	must(c.CreateSequenceStore(ctx, &omics.CreateSequenceStoreInput{Name: aws.String("sdk-2")}))(t)
	n := 0
	for pages := omics.NewListSequenceStoresPaginator(c, &omics.ListSequenceStoresInput{MaxResults: aws.Int32(1)}); pages.HasMorePages(); {
		n += len(must(pages.NextPage(ctx))(t).SequenceStores)
	}
	if n != 2 {
		t.Errorf("%d sequence stores, want 2", n)
	}
	must(c.TagResource(ctx, &omics.TagResourceInput{ResourceArn: o.sequenceARN, Tags: map[string]string{"c": "d"}}))(t)
	must(c.UntagResource(ctx, &omics.UntagResourceInput{ResourceArn: o.sequenceARN, TagKeys: []string{"a"}}))(t)
	if tags := must(c.ListTagsForResource(ctx, &omics.ListTagsForResourceInput{ResourceArn: o.sequenceARN}))(t).Tags; len(tags) != 1 || tags["c"] != "d" {
		t.Errorf("tags are %v", tags)
	}
}

func (o *genomics) readSetImport(t *testing.T) {
	ctx, c := t.Context(), o.c
	reads := sample.FASTQ(400)
	put(t, o.g, "sdk-omics", "r1.fastq.gz", sample.Gzip(reads))
	put(t, o.g, "sdk-omics", "junk.fastq.gz", sample.Gzip([]byte("no reads\n")))
	source := func(key string) types.StartReadSetImportJobSourceItem {
		return types.StartReadSetImportJobSourceItem{SourceFiles: &types.SourceFiles{Source1: aws.String("s3://sdk-omics/" + key)}, SourceFileType: types.FileTypeFastq, SubjectId: aws.String("subject"), SampleId: aws.String("sample"), Name: &key}
	}
	job := must(c.StartReadSetImportJob(ctx, &omics.StartReadSetImportJobInput{SequenceStoreId: o.seqs, RoleArn: o.role, Sources: []types.StartReadSetImportJobSourceItem{source("r1.fastq.gz"), source("junk.fastq.gz")}}))(t).Id
	in := &omics.GetReadSetImportJobInput{SequenceStoreId: o.seqs, Id: job}
	poll(t, func() types.ReadSetImportJobStatus { return must(c.GetReadSetImportJob(ctx, in))(t).Status }, types.ReadSetImportJobStatusCompletedWithFailures)
	for _, s := range must(c.GetReadSetImportJob(ctx, in))(t).Sources {
		if *s.Name == "r1.fastq.gz" {
			o.readSet = s.ReadSetId
		}
	}
	for pages := omics.NewListReadSetImportJobsPaginator(c, &omics.ListReadSetImportJobsInput{SequenceStoreId: o.seqs}); pages.HasMorePages(); {
		if l := must(pages.NextPage(ctx))(t).ImportJobs; len(l) != 1 {
			t.Errorf("import jobs are %+v", l)
		}
	}
	meta := must(c.GetReadSetMetadata(ctx, &omics.GetReadSetMetadataInput{SequenceStoreId: o.seqs, Id: o.readSet}))(t)
	sum := md5.Sum(reads)
	if meta.Status != types.ReadSetStatusActive || *meta.Etag.Source1 != hex.EncodeToString(sum[:]) || *meta.SequenceInformation.TotalReadCount != 400 {
		t.Errorf("the read set is %s, %s, %+v", meta.Status, *meta.Etag.Source1, meta.SequenceInformation)
	}
	if got := o.read(t, o.readSet); got != string(reads) {
		t.Errorf("%d bytes of reads come back, want %d", len(got), len(reads))
	}
	n := 0
	for pages := omics.NewListReadSetsPaginator(c, &omics.ListReadSetsInput{SequenceStoreId: o.seqs, Filter: &types.ReadSetFilter{SubjectId: aws.String("subject"), Status: types.ReadSetStatusActive}}); pages.HasMorePages(); {
		n += len(must(pages.NextPage(ctx))(t).ReadSets)
	}
	if n != 1 {
		t.Errorf("%d read sets, want 1", n)
	}
}

// read takes a read set's first file part by part, as the transfer managers do, and unpacks it.
func (o *genomics) read(t *testing.T, id *string) string {
	t.Helper()
	var packed bytes.Buffer
	meta := must(o.c.GetReadSetMetadata(t.Context(), &omics.GetReadSetMetadataInput{SequenceStoreId: o.seqs, Id: id}))(t)
	for n := int32(1); n <= *meta.Files.Source1.TotalParts; n++ {
		out := must(o.c.GetReadSet(t.Context(), &omics.GetReadSetInput{SequenceStoreId: o.seqs, Id: id, PartNumber: &n, File: types.ReadSetFileSource1}))(t)
		packed.WriteString(content(t, out.Payload))
	}
	zr, err := gzip.NewReader(&packed)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(zr)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (o *genomics) upload(t *testing.T) {
	ctx, c := t.Context(), o.c
	start := func(name string) *string {
		return must(c.CreateMultipartReadSetUpload(ctx, &omics.CreateMultipartReadSetUploadInput{SequenceStoreId: o.seqs, SourceFileType: types.FileTypeFastq, SubjectId: aws.String("s2"), SampleId: aws.String("t2"), Name: &name}))(t).UploadId
	}
	reads := sample.FASTQ(300)
	body := sample.Gzip(reads)
	id := start("direct")
	var parts []types.CompleteReadSetUploadPartListItem
	for n, p := range [][]byte{body[:700], body[700:]} {
		number := aws.Int32(int32(n + 1))
		sum := sha256.Sum256(p)
		up := must(c.UploadReadSetPart(ctx, &omics.UploadReadSetPartInput{SequenceStoreId: o.seqs, UploadId: id, PartSource: types.ReadSetPartSourceSource1, PartNumber: number, Payload: bytes.NewReader(p)}))(t)
		if *up.Checksum != base64.StdEncoding.EncodeToString(sum[:]) {
			t.Errorf("the checksum of part %d is %s", *number, *up.Checksum)
		}
		parts = append(parts, types.CompleteReadSetUploadPartListItem{PartNumber: number, PartSource: types.ReadSetPartSourceSource1, Checksum: up.Checksum})
	}
	n := 0
	for pages := omics.NewListReadSetUploadPartsPaginator(c, &omics.ListReadSetUploadPartsInput{SequenceStoreId: o.seqs, UploadId: id, PartSource: types.ReadSetPartSourceSource1, MaxResults: aws.Int32(1)}); pages.HasMorePages(); {
		n += len(must(pages.NextPage(ctx))(t).Parts)
	}
	if n != 2 {
		t.Errorf("%d parts, want 2", n)
	}
	for pages := omics.NewListMultipartReadSetUploadsPaginator(c, &omics.ListMultipartReadSetUploadsInput{SequenceStoreId: o.seqs}); pages.HasMorePages(); {
		if l := must(pages.NextPage(ctx))(t).Uploads; len(l) != 1 || *l[0].UploadId != *id {
			t.Errorf("uploads are %+v", l)
		}
	}
	set := must(c.CompleteMultipartReadSetUpload(ctx, &omics.CompleteMultipartReadSetUploadInput{SequenceStoreId: o.seqs, UploadId: id, Parts: parts}))(t).ReadSetId
	poll(t, func() types.ReadSetStatus {
		return must(c.GetReadSetMetadata(ctx, &omics.GetReadSetMetadataInput{SequenceStoreId: o.seqs, Id: set}))(t).Status
	}, types.ReadSetStatusActive)
	if got := o.read(t, set); got != string(reads) {
		t.Errorf("%d bytes of reads come back, want %d", len(got), len(reads))
	}
	must(c.AbortMultipartReadSetUpload(ctx, &omics.AbortMultipartReadSetUploadInput{SequenceStoreId: o.seqs, UploadId: start("aborted")}))(t)
}

func (o *genomics) jobs(t *testing.T) {
	ctx, c := t.Context(), o.c
	job := must(c.StartReadSetActivationJob(ctx, &omics.StartReadSetActivationJobInput{SequenceStoreId: o.seqs, Sources: []types.StartReadSetActivationJobSourceItem{{ReadSetId: o.readSet}}}))(t).Id
	active := omics.NewReadSetActivationJobCompletedWaiter(c, func(w *omics.ReadSetActivationJobCompletedWaiterOptions) {
		w.MinDelay, w.MaxDelay = 100*time.Millisecond, time.Second
	})
	if err := active.Wait(ctx, &omics.GetReadSetActivationJobInput{SequenceStoreId: o.seqs, Id: job}, time.Minute); err != nil {
		t.Error(err)
	}
	for pages := omics.NewListReadSetActivationJobsPaginator(c, &omics.ListReadSetActivationJobsInput{SequenceStoreId: o.seqs}); pages.HasMorePages(); {
		if l := must(pages.NextPage(ctx))(t).ActivationJobs; len(l) != 1 || *l[0].Id != *job {
			t.Errorf("activation jobs are %+v", l)
		}
	}
	job = must(c.StartReadSetExportJob(ctx, &omics.StartReadSetExportJobInput{SequenceStoreId: o.seqs, RoleArn: o.role, Destination: aws.String("s3://sdk-omics/out/"), Sources: []types.ExportReadSet{{ReadSetId: o.readSet}}}))(t).Id
	exported := omics.NewReadSetExportJobCompletedWaiter(c, func(w *omics.ReadSetExportJobCompletedWaiterOptions) {
		w.MinDelay, w.MaxDelay = 100*time.Millisecond, time.Second
	})
	if err := exported.Wait(ctx, &omics.GetReadSetExportJobInput{SequenceStoreId: o.seqs, Id: job}, time.Minute); err != nil {
		t.Error(err)
	}
	for pages := omics.NewListReadSetExportJobsPaginator(c, &omics.ListReadSetExportJobsInput{SequenceStoreId: o.seqs}); pages.HasMorePages(); {
		if l := must(pages.NextPage(ctx))(t).ExportJobs; len(l) != 1 || *l[0].Id != *job {
			t.Errorf("export jobs are %+v", l)
		}
	}
	if l := keys(t, o.g, "sdk-omics", "out/"); len(l) != 1 || !strings.HasSuffix(l[0], ".fastq.gz") {
		t.Errorf("exported are %q", l)
	}
}

func (o *genomics) variants(t *testing.T) {
	ctx, c := t.Context(), o.c
	put(t, o.g, "sdk-omics", "v.vcf.gz", sample.Gzip(sample.VCF(200)))
	name := aws.String("sdk_variants")
	must(c.CreateVariantStore(ctx, &omics.CreateVariantStoreInput{Name: name, Reference: &types.ReferenceItemMemberReferenceArn{Value: *o.refARN}}))(t)
	created := omics.NewVariantStoreCreatedWaiter(c, func(w *omics.VariantStoreCreatedWaiterOptions) {
		w.MinDelay, w.MaxDelay = 100*time.Millisecond, time.Second
	})
	if err := created.Wait(ctx, &omics.GetVariantStoreInput{Name: name}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if s := must(c.UpdateVariantStore(ctx, &omics.UpdateVariantStoreInput{Name: name, Description: aws.String("calls")}))(t); *s.Description != "calls" {
		t.Errorf("the store is %+v", s)
	}
	for pages := omics.NewListVariantStoresPaginator(c, &omics.ListVariantStoresInput{}); pages.HasMorePages(); {
		if l := must(pages.NextPage(ctx))(t).VariantStores; len(l) != 1 || *l[0].Name != *name {
			t.Errorf("variant stores are %+v", l)
		}
	}
	start := func() *string {
		return must(c.StartVariantImportJob(ctx, &omics.StartVariantImportJobInput{DestinationName: name, RoleArn: o.role, Items: []types.VariantImportItemSource{{Source: aws.String("s3://sdk-omics/v.vcf.gz")}}}))(t).JobId
	}
	job := start()
	done := omics.NewVariantImportJobCreatedWaiter(c, func(w *omics.VariantImportJobCreatedWaiterOptions) {
		w.MinDelay, w.MaxDelay = 100*time.Millisecond, time.Second
	})
	out, err := done.WaitForOutput(ctx, &omics.GetVariantImportJobInput{JobId: job}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if out.Status != types.JobStatusCompleted {
		t.Errorf("the import is %s: %s", out.Status, aws.ToString(out.StatusMessage))
	}
	jobs := 1
	for cancelled := false; !cancelled; jobs++ { // a job may be over before it is cancelled
		if jobs > 20 {
			t.Fatal("no job of twenty could be cancelled")
		}
		next := start()
		_, err := c.CancelVariantImportJob(ctx, &omics.CancelVariantImportJobInput{JobId: next})
		cancelled = err == nil
		poll(t, func() types.JobStatus {
			return must(c.GetVariantImportJob(ctx, &omics.GetVariantImportJobInput{JobId: next}))(t).Status
		}, types.JobStatusCompleted, types.JobStatusCancelled)
	}
	n := 0
	for pages := omics.NewListVariantImportJobsPaginator(c, &omics.ListVariantImportJobsInput{MaxResults: aws.Int32(1)}); pages.HasMorePages(); {
		n += len(must(pages.NextPage(ctx))(t).VariantImportJobs)
	}
	if n != jobs {
		t.Errorf("%d variant import jobs, want %d", n, jobs)
	}
	must(c.DeleteVariantStore(ctx, &omics.DeleteVariantStoreInput{Name: name, Force: true}))(t)
	deleted := omics.NewVariantStoreDeletedWaiter(c, func(w *omics.VariantStoreDeletedWaiterOptions) {
		w.MinDelay, w.MaxDelay = 100*time.Millisecond, time.Second
	})
	if err := deleted.Wait(ctx, &omics.GetVariantStoreInput{Name: name}, time.Minute); err != nil {
		t.Error(err)
	}
}

// Each group of operations has its prefix before the host's name: with names that lead to the server the SDK works as it is.
func (o *genomics) prefixed(t *testing.T) {
	ctx := t.Context()
	cfg := config(o.g, newCalls())
	cfg.APIOptions = nil
	cfg.BaseEndpoint = aws.String(strings.Replace(o.g.URL, "127.0.0.1", "galen.test", 1))
	hosts := map[string]bool{}
	cfg.HTTPClient = noteHosts{toLoopback(), hosts}
	c := omics.NewFromConfig(cfg)
	must(c.ListSequenceStores(ctx, &omics.ListSequenceStoresInput{}))(t)
	must(c.ListVariantStores(ctx, &omics.ListVariantStoresInput{}))(t)
	must(c.ListTagsForResource(ctx, &omics.ListTagsForResourceInput{ResourceArn: o.sequenceARN}))(t)
	body := must(c.GetReadSet(ctx, &omics.GetReadSetInput{SequenceStoreId: o.seqs, Id: o.readSet, PartNumber: aws.Int32(1)}))(t).Payload
	if got := content(t, body); got == "" {
		t.Error("no reads")
	}
	for _, p := range []string{"control-storage-", "analytics-", "tags-", "storage-"} {
		if !hosts[p+strings.TrimPrefix(*cfg.BaseEndpoint, "http://")] {
			t.Errorf("the SDK did not use the prefix %s: %v", p, hosts)
		}
	}
}

func (o *genomics) refused(t *testing.T) {
	ctx, c := t.Context(), o.c
	none := aws.String("9999999999")
	_, err := c.GetSequenceStore(ctx, &omics.GetSequenceStoreInput{Id: none})
	refused[*types.ResourceNotFoundException](t, "an absent store", err, 404)
	_, err = c.GetReadSetMetadata(ctx, &omics.GetReadSetMetadataInput{SequenceStoreId: o.seqs, Id: none})
	refused[*types.ResourceNotFoundException](t, "an absent read set", err, 404)
	_, err = c.GetReadSet(ctx, &omics.GetReadSetInput{SequenceStoreId: o.seqs, Id: o.readSet, PartNumber: aws.Int32(2)})
	refused[*types.RangeNotSatisfiableException](t, "a part past the end", err, 416)
	_, err = c.GetSequenceStore(ctx, &omics.GetSequenceStoreInput{Id: aws.String("not digits")})
	refused[*types.ValidationException](t, "an id that is none", err, 400)
	_, err = c.CreateReferenceStore(ctx, &omics.CreateReferenceStoreInput{Name: aws.String("second")})
	refused[*types.ServiceQuotaExceededException](t, "a second reference store", err, 402)
	_, err = c.DeleteSequenceStore(ctx, &omics.DeleteSequenceStoreInput{Id: o.seqs})
	refused[*types.ConflictException](t, "a store with read sets", err, 409)
	_, err = c.UploadReadSetPart(ctx, &omics.UploadReadSetPartInput{SequenceStoreId: o.seqs, UploadId: none, PartSource: types.ReadSetPartSourceSource1, PartNumber: aws.Int32(1), Payload: strings.NewReader("x")})
	refused[*types.ResourceNotFoundException](t, "a part of no upload", err, 404)
}

func (o *genomics) remove(t *testing.T) {
	ctx, c := t.Context(), o.c
	var ids []string
	for _, r := range must(c.ListReadSets(ctx, &omics.ListReadSetsInput{SequenceStoreId: o.seqs}))(t).ReadSets {
		ids = append(ids, *r.Id)
	}
	out := must(c.BatchDeleteReadSet(ctx, &omics.BatchDeleteReadSetInput{SequenceStoreId: o.seqs, Ids: append(ids, "9999999999")}))(t)
	if len(out.Errors) != 1 || *out.Errors[0].Id != "9999999999" {
		t.Errorf("errors are %+v, want one for the absent read set", out.Errors)
	}
	must(c.DeleteSequenceStore(ctx, &omics.DeleteSequenceStoreInput{Id: o.seqs}))(t)
	must(c.DeleteReference(ctx, &omics.DeleteReferenceInput{ReferenceStoreId: o.refs, Id: o.ref}))(t)
	must(c.DeleteReferenceStore(ctx, &omics.DeleteReferenceStoreInput{Id: o.refs}))(t)
	_, err := c.GetReferenceStore(ctx, &omics.GetReferenceStoreInput{Id: o.refs})
	refused[*types.ResourceNotFoundException](t, fmt.Sprintf("the deleted store %s", *o.refs), err, 404)
}
