package omics

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	api "github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/test/testbed"
	"github.com/galen-health/galen/test/testdata"
)

func fastqText(reads int, seed byte) string {
	var b strings.Builder
	for i := range reads {
		fmt.Fprintf(&b, "@read%d/%d\n%s\n+\n%s\n", i, seed, strings.Repeat("ACGTN"[i%5:i%5+1], 20)+"ACGT", strings.Repeat("I", 24))
	}
	return b.String()
}

// samtools runs the foreign tool, or skips.
func samtools(t testing.TB, stdin []byte, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("samtools")
	if err != nil {
		t.Skip("samtools is not on this machine (Debian package samtools)")
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("samtools %v: %v %s", args, err, errOut.String())
	}
	return out
}

func corpus(t testing.TB, archive, suffix string) []byte {
	t.Helper()
	var file []byte
	testdata.Tar(t, "omics/"+archive+".tar.gz", func(name string, body []byte) {
		if strings.HasSuffix(name, suffix) {
			file = body
		}
	})
	if file == nil {
		t.Fatalf("%s is not in the corpus", suffix)
	}
	return file
}

func TestFASTQPairIsImportedAndReadBack(t *testing.T) {
	l := newLab(t)
	store := l.sequenceStore()
	one, two := fastqText(1000, 1), fastqText(1000, 2)
	l.s3.Put("in/a_1.fastq.gz", gz(one))
	l.s3.Put("in/a_2.fastq.gz", gz(two))
	j := l.importReads(store, readsFrom(api.FileTypeFastq, "pair", "a_1.fastq.gz", "a_2.fastq.gz"))
	if j.Status != api.ReadSetImportJobStatusCompleted || j.Sources[0].Status != api.ReadSetImportJobItemStatusFinished {
		t.Fatalf("job %+v", j)
	}
	id := j.Sources[0].ReadSetId
	m := l.metadata(store, id)
	if m.Status != api.ReadSetStatusActive || m.Etag.Algorithm != api.ETagAlgorithmFastqMD5up || m.Etag.Source1 != md5of(one) || m.Etag.Source2 != md5of(two) ||
		*m.SequenceInformation.TotalReadCount != 2000 || *m.SequenceInformation.TotalBaseCount != 48_000 || m.SequenceInformation.Alignment != "UNALIGNED" ||
		m.CreationType != api.CreationTypeImport || m.CreationJobId != j.Id || m.Files.Index != nil || *m.Files.Source2.TotalParts != 1 {
		t.Errorf("metadata %+v, ETag %+v, information %+v", m, m.Etag, m.SequenceInformation)
	}
	if !bytes.Equal(l.file(store, id, api.ReadSetFileSource1), gz(one)) || !bytes.Equal(l.file(store, id, api.ReadSetFileSource2), gz(two)) {
		t.Error("the files do not come back as they were")
	}
	_, err := l.s.GetReadSet(l.Ctx, &api.GetReadSetInput{SequenceStoreId: store, Id: id, PartNumber: 2})
	wantCode(t, err, errs.OutOfRange)
	_, err = l.s.GetReadSet(l.Ctx, &api.GetReadSetInput{SequenceStoreId: store, Id: id, PartNumber: 1, File: api.ReadSetFileIndex})
	wantCode(t, err, errs.NotFound)
	want := []string{"Sequence Store Status Change: ACTIVE", "Read Set Import Job Status Change: SUBMITTED", "Read Set Import Job Status Change: IN_PROGRESS",
		"Read Set Status Change: ACTIVE", "Read Set Import Job Status Change: COMPLETED"}
	if got := l.events(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("events %q", got)
	}
}

func TestETagFamilies(t *testing.T) {
	l := newLab(t)
	text := fastqText(10, 1)
	l.s3.Put("in/r.fq.gz", gz(text))
	s256, s512 := sha256.Sum256([]byte(text)), sha512.Sum512([]byte(text))
	for family, want := range map[api.ETagAlgorithmFamily]string{api.ETagAlgorithmFamilySHA256up: hex.EncodeToString(s256[:]), api.ETagAlgorithmFamilySHA512up: hex.EncodeToString(s512[:])} {
		st := must[*api.CreateSequenceStoreOutput](t)(l.s.CreateSequenceStore(l.Ctx, &api.CreateSequenceStoreInput{Name: "x", ETagAlgorithmFamily: family}))
		j := l.importReads(st.Id, readsFrom(api.FileTypeFastq, "r", "r.fq.gz"))
		m := l.metadata(st.Id, j.Sources[0].ReadSetId)
		if m.Etag.Source1 != want || string(m.Etag.Algorithm) != "FASTQ_"+string(family) {
			t.Errorf("ETag %+v, want %s", m.Etag, want)
		}
	}
}

// TestBAM holds the ETag to samtools' own text, and the index to samtools' own queries.
func TestBAM(t *testing.T) {
	l := newLab(t)
	store := l.sequenceStore()
	bam := corpus(t, "htslib-test", "test/range.bam")
	text := string(samtools(t, bam, "view", "-"))
	l.s3.Put("in/range.bam", bam)
	j := l.importReads(store, readsFrom(api.FileTypeBam, "aligned", "range.bam"))
	if j.Status != api.ReadSetImportJobStatusCompleted {
		t.Fatalf("job %+v", j)
	}
	m := l.metadata(store, j.Sources[0].ReadSetId)
	if m.Etag.Algorithm != api.ETagAlgorithmBamMD5up || m.Etag.Source1 != md5of(text) || m.SequenceInformation.Alignment != "ALIGNED" || m.Files.Index == nil {
		t.Fatalf("metadata %+v, ETag %+v, want %s", m, m.Etag, md5of(text))
	}
	stored := l.file(store, m.Id, api.ReadSetFileSource1)
	if got := string(samtools(t, stored, "view", "-")); got != text {
		t.Error("the stored file has other records")
	}
	before, after := string(samtools(t, bam, "view", "-H", "--no-PG", "-")), string(samtools(t, stored, "view", "-H", "--no-PG", "-"))
	if added, ok := strings.CutPrefix(after, before); !ok || !strings.HasPrefix(added, "@CO\t") || !strings.Contains(added, store) || strings.Count(added, "\n") != 1 {
		t.Errorf("the header gained %q", added)
	}
	p := filepath.Join(t.TempDir(), "x.bam")
	for name, b := range map[string][]byte{p: stored, p + ".bai": l.file(store, m.Id, api.ReadSetFileIndex)} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, region := range []string{"CHROMOSOME_II:2980-2980", "CHROMOSOME_IV:1500-1600", "CHROMOSOME_II"} {
		got := samtools(t, nil, "view", p, region)
		if len(got) == 0 {
			continue
		}
		if !strings.Contains(text, strings.SplitN(string(got), "\n", 2)[0]) {
			t.Errorf("%s through the stored index gives other records", region)
		}
	}
	// An uBAM with aligned records is refused.
	j = l.importReads(store, readsFrom(api.FileTypeUbam, "u", "range.bam"))
	if j.Status != api.ReadSetImportJobStatusFailed || !strings.Contains(j.Sources[0].StatusMessage, "aligned records") {
		t.Errorf("uBAM: %+v", j.Sources[0])
	}
}

// TestCRAM holds the ETag to samtools' text without made-up MD and NM, decoded with the linked reference.
func TestCRAM(t *testing.T) {
	l := newLab(t)
	store := l.sequenceStore()
	file, fasta := corpus(t, "hts-specs-test", "3.0/passed/1404_index_multislice.cram"), corpus(t, "hts-specs-test", "cram/ce.fa")
	l.s3.Put("in/x.cram", file)
	src := readsFrom(api.FileTypeCram, "aligned", "x.cram")
	j := l.importReads(store, src)
	if j.Status != api.ReadSetImportJobStatusFailed || !strings.Contains(j.Sources[0].StatusMessage, "give the reference") {
		t.Errorf("without the reference: %+v", j.Sources[0])
	}
	src.ReferenceArn = l.reference("ce.fa", fasta)
	j = l.importReads(store, src)
	if j.Status != api.ReadSetImportJobStatusCompleted {
		t.Fatalf("%+v", j.Sources[0])
	}
	ref := filepath.Join(t.TempDir(), "ce.fa")
	if err := os.WriteFile(ref, fasta, 0o600); err != nil {
		t.Fatal(err)
	}
	want := md5of(string(samtools(t, file, "view", "--input-fmt-option", "decode_md=0", "-T", ref, "-")))
	m := l.metadata(store, j.Sources[0].ReadSetId)
	if m.Etag.Algorithm != api.ETagAlgorithmCramMD5up || m.Etag.Source1 != want || m.SequenceInformation.Alignment != "ALIGNED" || m.ReferenceArn != src.ReferenceArn {
		t.Errorf("ETag %+v, want %s", m.Etag, want)
	}
	stored := l.file(store, m.Id, api.ReadSetFileSource1)
	if got := md5of(string(samtools(t, stored, "view", "--input-fmt-option", "decode_md=0", "-T", ref, "-"))); got != want {
		t.Error("the stored file has other records")
	}
	// samtools finds the same records through the stored index.
	p := filepath.Join(t.TempDir(), "x.cram")
	for name, b := range map[string][]byte{p: stored, p + ".crai": l.file(store, m.Id, api.ReadSetFileIndex)} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := samtools(t, nil, "view", "-c", "-T", ref, p, "CHROMOSOME_I")
	all := samtools(t, stored, "view", "-T", ref, "-")
	n := 0
	for _, line := range strings.Split(string(all), "\n") {
		if f := strings.Split(line, "\t"); len(f) > 2 && f[2] == "CHROMOSOME_I" {
			n++
		}
	}
	if strings.TrimSpace(string(got)) != fmt.Sprint(n) || n == 0 {
		t.Errorf("%s records through the index, the file has %d", got, n)
	}
}

func TestBrokenSourcesFailAloneAndLeaveNothing(t *testing.T) {
	l := newLab(t)
	store := l.sequenceStore()
	bam := corpus(t, "htslib-test", "test/range.bam")
	good := fastqText(50, 1)
	flipped := bytes.Clone(bam)
	flipped[len(flipped)/2] ^= 0x10
	for key, body := range map[string][]byte{"good": gz(good), "plain": []byte(good), "junk": gz("not fastq"), "cut": gz(good)[:40], "none": gz(""), "other": gz(fastqText(49, 2)),
		"cut.bam": bam[:len(bam)-28], "flip.bam": flipped} {
		l.s3.Put("in/"+key, body)
	}
	f, b := api.FileTypeFastq, api.FileTypeBam
	j := l.importReads(store, readsFrom(f, "1", "good"), readsFrom(f, "2", "plain"), readsFrom(f, "3", "junk"), readsFrom(f, "4", "cut"), readsFrom(f, "5", "none"),
		readsFrom(f, "6", "good", "other"), readsFrom(f, "7", "absent"), readsFrom(b, "8", "cut.bam"), readsFrom(b, "9", "flip.bam"), readsFrom(b, "10", "good"))
	if j.Status != api.ReadSetImportJobStatusCompletedWithFailures {
		t.Errorf("status %s", j.Status)
	}
	for i, want := range []string{"", "not gzip", "fastq: line 1 begins with 0x6e", "ends too early", "no read", "the files are no pair", "does not exist", "it is truncated", "bgzf: block at", "without the block size of BGZF"} {
		s := j.Sources[i]
		if (want == "") != (s.Status == api.ReadSetImportJobItemStatusFinished) || !strings.Contains(s.StatusMessage, want) {
			t.Errorf("source %s: %s %q, want %q", s.Name, s.Status, s.StatusMessage, want)
		}
	}
	if n := l.blobCount(); n != 1 {
		t.Errorf("%d blobs are stored, want that of the good source", n)
	}
	list := must[*api.ListReadSetsOutput](t)(l.s.ListReadSets(l.Ctx, &api.ListReadSetsInput{SequenceStoreId: store}))
	if len(list.ReadSets) != 1 || list.ReadSets[0].Name != "1" {
		t.Errorf("read sets %+v", list.ReadSets)
	}
}

func TestWrongRequestsChangeNothing(t *testing.T) {
	l := newLab(t)
	store := l.sequenceStore()
	start := func(role string, s api.StartReadSetImportJobSourceItem) error {
		_, err := l.s.StartReadSetImportJob(l.Ctx, &api.StartReadSetImportJobInput{SequenceStoreId: store, RoleArn: role, Sources: []api.StartReadSetImportJobSourceItem{s}})
		return err
	}
	good := readsFrom(api.FileTypeFastq, "x", "a")
	wantCode(t, start("arn:aws:iam::000000000000:role/forbidden", good), errs.Denied)
	wantCode(t, start(role, readsFrom(api.FileTypeBam, "x", "a", "b")), errs.Invalid)
	bad := good
	bad.SourceFiles = &api.SourceFiles{Source1: "http://x/y"}
	wantCode(t, start(role, bad), errs.Invalid)
	bad = good
	bad.ReferenceArn = "arn:aws:omics:us-east-1:000000000000:referenceStore/1111111111/reference/2222222222"
	wantCode(t, start(role, bad), errs.NotFound)
	bad = good
	bad.Tags = map[string]string{"aws:x": "y"}
	wantCode(t, start(role, bad), errs.Invalid)
	_, err := l.s.StartReadSetImportJob(l.Ctx, &api.StartReadSetImportJobInput{SequenceStoreId: "9999999999", RoleArn: role, Sources: []api.StartReadSetImportJobSourceItem{good}})
	wantCode(t, err, errs.NotFound)
	jobs := must[*api.ListReadSetImportJobsOutput](t)(l.s.ListReadSetImportJobs(l.Ctx, &api.ListReadSetImportJobsInput{SequenceStoreId: store}))
	if len(jobs.ImportJobs) != 0 {
		t.Errorf("%d jobs were made", len(jobs.ImportJobs))
	}
}

func TestDeleteRemovesBytes(t *testing.T) {
	l := newLab(t)
	store := l.sequenceStore()
	l.s3.Put("in/a", gz(fastqText(5, 1)))
	id := l.importReads(store, readsFrom(api.FileTypeFastq, "x", "a")).Sources[0].ReadSetId
	_, err := l.s.DeleteSequenceStore(l.Ctx, &api.DeleteSequenceStoreInput{Id: store})
	wantCode(t, err, errs.Conflict)
	var stored blob.ID
	rs, err := get(l.Ctx, l.s, readSets, within(store, id), "read set")
	if err != nil {
		t.Fatal(err)
	}
	stored = rs.Source1.Blob
	if kept, err := l.s.Keeps(l.Ctx, stored); err != nil || !kept {
		t.Errorf("Keeps = %v, error %v", kept, err)
	}
	out := must[*api.BatchDeleteReadSetOutput](t)(l.s.BatchDeleteReadSet(l.Ctx, &api.BatchDeleteReadSetInput{SequenceStoreId: store, Ids: []string{id, "8888888888"}}))
	if len(out.Errors) != 1 || out.Errors[0].Id != "8888888888" || out.Errors[0].Code != "ResourceNotFoundException" {
		t.Errorf("errors %+v", out.Errors)
	}
	_, err = l.s.GetReadSetMetadata(l.Ctx, &api.GetReadSetMetadataInput{SequenceStoreId: store, Id: id})
	wantCode(t, err, errs.NotFound)
	if kept, err := l.s.Keeps(l.Ctx, stored); err != nil || kept {
		t.Errorf("Keeps = %v after the deletion, error %v", kept, err)
	}
	l.Await("the bytes are gone", func() bool { return l.blobCount() == 0 })
	if _, err := l.s.DeleteSequenceStore(l.Ctx, &api.DeleteSequenceStoreInput{Id: store}); err != nil {
		t.Error(err)
	}
	_, err = l.s.GetSequenceStore(l.Ctx, &api.GetSequenceStoreInput{Id: store})
	wantCode(t, err, errs.NotFound)
}

func TestListFiltersAndPages(t *testing.T) {
	l := newLab(t)
	store := l.sequenceStore()
	l.s3.Put("in/a", gz(fastqText(1, 1)))
	var sources []api.StartReadSetImportJobSourceItem
	for i := range 7 {
		s := readsFrom(api.FileTypeFastq, fmt.Sprint("set", i), "a")
		s.SubjectId = fmt.Sprint("subject", i%2)
		sources = append(sources, s)
	}
	l.importReads(store, sources...)
	in := &api.ListReadSetsInput{SequenceStoreId: store, MaxResults: new(int32), Filter: &api.ReadSetFilter{SubjectId: "subject0", Status: api.ReadSetStatusActive}}
	*in.MaxResults = 2
	var names []string
	for {
		out := must[*api.ListReadSetsOutput](t)(l.s.ListReadSets(l.Ctx, in))
		for _, r := range out.ReadSets {
			names = append(names, r.Name)
		}
		if in.NextToken = out.NextToken; in.NextToken == "" {
			break
		}
	}
	if strings.Join(names, " ") != "set0 set2 set4 set6" {
		t.Errorf("names %v", names)
	}
	in.NextToken = "bm90IG91cnM"
	_, err := l.s.ListReadSets(l.Ctx, in)
	wantCode(t, err, errs.Invalid)
	_, err = l.s.ListReadSets(l.Ctx, &api.ListReadSetsInput{SequenceStoreId: "7777777777"})
	wantCode(t, err, errs.NotFound)
}

func TestExportAndActivation(t *testing.T) {
	l := newLab(t)
	store := l.sequenceStore()
	one := gz(fastqText(10, 1))
	l.s3.Put("in/a.fastq.gz", one)
	id := l.importReads(store, readsFrom(api.FileTypeFastq, "x", "a.fastq.gz")).Sources[0].ReadSetId
	ex := must[*api.StartReadSetExportJobOutput](t)(l.s.StartReadSetExportJob(l.Ctx, &api.StartReadSetExportJobInput{SequenceStoreId: store, RoleArn: role, Destination: "s3://out/p",
		Sources: []api.ExportReadSet{{ReadSetId: id}}}))
	l.Await("the export ends", func() bool {
		return must[*api.GetReadSetExportJobOutput](t)(l.s.GetReadSetExportJob(l.Ctx, &api.GetReadSetExportJobInput{SequenceStoreId: store, Id: ex.Id})).Status == api.ReadSetExportJobStatusCompleted
	})
	if !bytes.Equal(l.s3.Get("out/p/"+id+"/a.fastq.gz"), one) {
		t.Error("the exported object is not the file")
	}
	ac := must[*api.StartReadSetActivationJobOutput](t)(l.s.StartReadSetActivationJob(l.Ctx, &api.StartReadSetActivationJobInput{SequenceStoreId: store,
		Sources: []api.StartReadSetActivationJobSourceItem{{ReadSetId: id}}}))
	l.Await("the activation ends", func() bool {
		return must[*api.GetReadSetActivationJobOutput](t)(l.s.GetReadSetActivationJob(l.Ctx, &api.GetReadSetActivationJobInput{SequenceStoreId: store, Id: ac.Id})).Status == api.ReadSetActivationJobStatusCompleted
	})
}

// TestImportGoesOnAfterARestart stops the process in the middle of a job of three sources and starts another over the same folder.
func TestImportGoesOnAfterARestart(t *testing.T) {
	dir := t.TempDir()
	obj := testbed.NewObjects()
	for _, k := range []string{"a", "b", "c"} {
		obj.Put("in/"+k, gz(fastqText(100, k[0])))
	}
	held, gets := make(chan struct{}), map[string]int{}
	obj.OnGet = func(in *s3.GetObjectInput) error {
		key := in.Key
		gets[key]++
		if key == "b" && gets[key] == 1 {
			close(held)
			return errs.New(errs.Unavailable, "the source is slow")
		}
		return nil
	}
	l := labIn(t, dir, obj)
	store := l.sequenceStore()
	j := must[*api.StartReadSetImportJobOutput](t)(l.s.StartReadSetImportJob(l.Ctx, &api.StartReadSetImportJobInput{SequenceStoreId: store, RoleArn: role, ClientToken: "once",
		Sources: []api.StartReadSetImportJobSourceItem{readsFrom(api.FileTypeFastq, "a", "a"), readsFrom(api.FileTypeFastq, "b", "b"), readsFrom(api.FileTypeFastq, "c", "c")}}))
	<-held
	l.Stop()
	l = labIn(t, dir, obj)
	again := must[*api.StartReadSetImportJobOutput](t)(l.s.StartReadSetImportJob(l.Ctx, &api.StartReadSetImportJobInput{SequenceStoreId: store, RoleArn: role, ClientToken: "once",
		Sources: []api.StartReadSetImportJobSourceItem{readsFrom(api.FileTypeFastq, "a", "a"), readsFrom(api.FileTypeFastq, "b", "b"), readsFrom(api.FileTypeFastq, "c", "c")}}))
	if again.Id != j.Id {
		t.Errorf("the same client token made job %s, before %s", again.Id, j.Id)
	}
	done := l.importEnd(store, j.Id)
	if done.Status != api.ReadSetImportJobStatusCompleted {
		t.Fatalf("job %+v", done)
	}
	list := must[*api.ListReadSetsOutput](t)(l.s.ListReadSets(l.Ctx, &api.ListReadSetsInput{SequenceStoreId: store}))
	if len(list.ReadSets) != 3 || gets["a"] != 1 {
		t.Errorf("%d read sets; the first source was read %d times", len(list.ReadSets), gets["a"])
	}
}

func TestACustomerKeyIsAsked(t *testing.T) {
	l := newLab(t)
	_, err := l.s.CreateSequenceStore(l.Ctx, &api.CreateSequenceStoreInput{Name: "x", SseConfig: &api.SseConfig{Type: api.EncryptionTypeKms, KeyArn: "arn:aws:kms:us-east-1:000000000000:key/forbidden"}})
	wantCode(t, err, errs.Denied)
}
