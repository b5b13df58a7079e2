package ingest_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galen-health/galen/app/ingest"
	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/aws/transcribe"
	"github.com/galen-health/galen/standard/htj2k"
	"github.com/galen-health/galen/standard/sniff"
	"github.com/galen-health/galen/test/galen"
	"github.com/galen-health/galen/test/mixed"
)

func TestMixedFolder(t *testing.T) {
	g := galen.Start(t)
	dir, byPath := folder(t)
	first := take(t, g, dir)
	check(t, first, byPath, ingest.Landed, ingest.Already) // the same content under two names lands once
	v := look(t, g, first)
	t.Run("records", func(t *testing.T) { records(t, v, first, byPath) })
	t.Run("images", func(t *testing.T) { images(t, v, first, byPath) })
	t.Run("reads", func(t *testing.T) { reads(t, v, first, byPath) })
	t.Run("references", func(t *testing.T) { references(t, v, byPath) })
	t.Run("variants", func(t *testing.T) { variants(t, v, byPath) })
	t.Run("visits", func(t *testing.T) { visits(t, v, byPath) })
	t.Run("again", func(t *testing.T) { again(t, g, dir, byPath, first) })
}

// records: every history is one patient, and reads the same by FHIR at the endpoint that AWS's contract names.
func records(t *testing.T, v *view, r *ingest.Report, byPath map[string]mixed.File) {
	want := 0
	for _, f := range byPath {
		if f.Kind == sniff.FHIRJSON {
			want++
		}
	}
	if got := v.total("Patient"); got != want {
		t.Errorf("%d patients, want %d", got, want)
	}
	d := must[*healthlake.DescribeFHIRDatastoreOutput](t)(healthlake.NewClient(v.g.Client()).DescribeFHIRDatastore(context.Background(), &healthlake.DescribeFHIRDatastoreInput{DatastoreId: v.stores["datastore"]}))
	if p := d.DatastoreProperties; p.DatastoreStatus != healthlake.DatastoreStatusActive || !strings.Contains(p.DatastoreEndpoint, "/datastore/"+v.stores["datastore"]+"/r4") {
		t.Errorf("the data store is %s at %s", p.DatastoreStatus, p.DatastoreEndpoint)
	}
	// the references inside of a history were resolved: everything of a patient is found from the patient
	for _, res := range r.Results {
		if i := strings.Index(res.Where, "/Patient/"); i >= 0 {
			if n := v.total("Observation?subject=" + res.Where[i+1:]); n == 0 {
				t.Errorf("%s (%s): no observation refers to %s", res.Path, byPath[res.Path].Origin, res.Where[i+1:])
			}
			if n := v.history(res.Where[i+1:]); n != 1 {
				t.Errorf("%s has %d versions after one run, want 1", res.Where, n)
			}
		}
	}
	if n := v.total("Location?_id=mixed-loc"); n != 1 {
		t.Errorf("the NDJSON file's location is found %d times", n)
	}
}

// images: what was landed is what QIDO-RS finds and what the image sets hold, and a phantom's pixels come back by GetImageFrame and by WADO-RS.
func images(t *testing.T, v *view, r *ingest.Report, byPath map[string]mixed.File) {
	landed := map[string]string{} // SOP Instance UID → file
	for _, res := range r.Results {
		if res.Kind == sniff.DICOM && res.Where != "" {
			landed[path.Base(res.Where)] = res.Path
		}
	}
	found := v.instances()
	if len(found) != len(landed) {
		t.Errorf("QIDO-RS finds %d instances, %d were landed", len(found), len(landed))
	}
	for _, uid := range found {
		if landed[uid] == "" {
			t.Errorf("QIDO-RS finds %s, which no file holds", uid)
		}
	}
	frames, sets := map[string][2]string{}, v.imageSets()
	for _, s := range sets {
		for _, series := range v.metadata(s.ImageSetId).Study.Series {
			for uid, i := range series.Instances {
				if landed[uid] == "" {
					t.Errorf("image set %s holds %s, which no file holds", s.ImageSetId, uid)
				}
				frames[uid] = [2]string{s.ImageSetId, ""}
				if len(i.ImageFrames) > 0 {
					frames[uid] = [2]string{s.ImageSetId, i.ImageFrames[0].ID}
				}
			}
		}
	}
	if len(frames) != len(landed) {
		t.Errorf("%d image sets hold %d instances, %d were landed", len(sets), len(frames), len(landed))
	}
	compared := 0
	for uid, name := range landed {
		f := byPath[name]
		if !strings.Contains(f.Origin, "cohort/") {
			continue
		}
		size := 192 * 192 * 2 // the phantoms' rows and columns, see app/cohort
		if strings.Contains(f.Origin, "cr-") {
			size = 256 * 256 * 2
		}
		want := f.Body[len(f.Body)-size:]
		out := must[*medicalimaging.GetImageFrameOutput](t)(medicalimaging.NewClient(v.g.Client()).GetImageFrame(context.Background(), &medicalimaging.GetImageFrameInput{DatastoreId: v.stores["imagestore"],
			ImageSetId: frames[uid][0], ImageFrameInformation: &medicalimaging.ImageFrameInformation{ImageFrameId: frames[uid][1]}}))
		stream := must[[]byte](t)(io.ReadAll(out.ImageFrameBlob))
		out.ImageFrameBlob.Close()
		head, pixels, err := htj2k.Decode(context.Background(), htj2k.HTJ2K, stream)
		if err != nil {
			t.Fatalf("the frame of %s does not decode: %v", f.Origin, err)
		}
		if !bytes.Equal(pixels, want) {
			t.Errorf("%s: GetImageFrame's %d × %d pixels are not the file's", f.Origin, head.Width, head.Height)
		}
		whole := v.get("medical-imaging", wado(t, v, uid)+"/frames/1", "multipart/related; type=application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1")
		if !bytes.Contains(whole, want) {
			t.Errorf("%s: WADO-RS does not give the file's pixels", f.Origin)
		}
		compared++
	}
	if compared == 0 {
		t.Error("no phantom was compared")
	}
	t.Logf("%d instances in %d image sets, the pixels of %d compared", len(landed), len(sets), compared)
}

// wado is the path of an instance.
func wado(t *testing.T, v *view, uid string) string {
	t.Helper()
	b := v.get("medical-imaging", "/datastore/"+v.stores["imagestore"]+"/instances?SOPInstanceUID="+uid, "application/dicom+json")
	study, series := jsonValue(b, "0020000D"), jsonValue(b, "0020000E")
	if study == "" || series == "" {
		t.Fatalf("QIDO-RS does not say the study of %s: %s", uid, b)
	}
	return "/datastore/" + v.stores["imagestore"] + "/studies/" + study + "/series/" + series + "/instances/" + uid
}

// jsonValue finds the first value of a DICOM JSON attribute.
func jsonValue(b []byte, tag string) string {
	_, rest, _ := strings.Cut(string(b), `"`+tag+`"`)
	_, rest, _ = strings.Cut(rest, `"Value":["`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// reads: one read set a pair or aligned file, bytes as given.
func reads(t *testing.T, v *view, r *ingest.Report, byPath map[string]mixed.File) {
	files := map[string][]string{} // ARN → files in path order
	for _, res := range r.Results {
		if res.Kind == sniff.FASTQ || res.Kind == sniff.BAM || res.Kind == sniff.CRAM {
			files[res.Where] = append(files[res.Where], res.Path)
		}
	}
	sets := v.readSets()
	if len(sets) != len(files) {
		t.Errorf("%d read sets are listed, %d were landed", len(sets), len(files))
	}
	c := omics.NewClient(v.g.Client())
	worm := ""
	for _, s := range must[*omics.ListReferenceStoresOutput](t)(c.ListReferenceStores(context.Background(), &omics.ListReferenceStoresInput{})).ReferenceStores {
		for _, ref := range must[*omics.ListReferencesOutput](t)(c.ListReferences(context.Background(), &omics.ListReferencesInput{ReferenceStoreId: s.Id})).References {
			if !strings.HasPrefix(ref.Name, "reference-") { // the cohort's is called reference.fa
				worm = ref.Arn
			}
		}
	}
	for _, s := range sets {
		names := files[s.Arn]
		if len(names) == 0 {
			t.Errorf("read set %s (%s) is of no file", s.Arn, s.Name)
			continue
		}
		if want := map[omics.FileType]int{omics.FileTypeFastq: 2}[s.FileType]; want != 0 && len(names) != want {
			t.Errorf("read set %s is of %v, want a pair", s.Name, names)
		}
		for i, name := range names {
			source := []omics.ReadSetFile{omics.ReadSetFileSource1, omics.ReadSetFileSource2}[i]
			out := must[*omics.GetReadSetOutput](t)(c.GetReadSet(context.Background(), &omics.GetReadSetInput{SequenceStoreId: s.SequenceStoreId, Id: s.Id, File: source, PartNumber: 1}))
			got := must[[]byte](t)(io.ReadAll(out.Payload))
			out.Payload.Close()
			if s.FileType != omics.FileTypeFastq { // the store adds an @CO line to the header: the records are the same
				want := samText(t, byPath, byPath[name].Body)
				if text := samText(t, byPath, got); !bytes.Equal(text, want) {
					t.Errorf("%s of %s has other records than %s: %d bytes of text, want %d", source, s.Name, byPath[name].Origin, len(text), len(want))
				}
				if m := must[*omics.GetReadSetMetadataOutput](t)(c.GetReadSetMetadata(context.Background(), &omics.GetReadSetMetadataInput{SequenceStoreId: s.SequenceStoreId, Id: s.Id})); m.Etag == nil ||
					m.Etag.Source1 != fmt.Sprintf("%x", md5.Sum(want)) {
					t.Errorf("%s has the ETag %+v, want the MD5 of what samtools view prints, %x", s.Name, m.Etag, md5.Sum(want))
				}
				continue
			}
			if !bytes.Equal(got, byPath[name].Body) {
				t.Errorf("%s of %s is %d bytes, and not the %d of %s", source, s.Name, len(got), len(byPath[name].Body), byPath[name].Origin)
			}
		}
		if f := byPath[names[0]]; f.Kind != sniff.FASTQ && s.ReferenceArn != worm {
			t.Errorf("%s stands on %q, want the reference whose contigs its header names, %q", f.Origin, s.ReferenceArn, worm)
		}
	}
}

// samText is what samtools, which is not ours, reads in an alignment file of the folder.
func samText(t *testing.T, byPath map[string]mixed.File, b []byte) []byte {
	t.Helper()
	dir := t.TempDir()
	name, fasta := filepath.Join(dir, "reads"), filepath.Join(dir, "ce.fa")
	for _, f := range byPath {
		if path.Base(f.Origin) == "ce.fa" {
			if err := os.WriteFile(fasta, f.Body, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(galen.Tool(t, "samtools"), "view", "--no-PG", "--input-fmt-option", "decode_md=0", "-T", fasta, name).Output()
	if err != nil {
		t.Fatalf("samtools view: %v", err)
	}
	return out
}

// references: every FASTA file is one, and its bases come back.
func references(t *testing.T, v *view, byPath map[string]mixed.File) {
	ctx, c := context.Background(), omics.NewClient(v.g.Client())
	var fasta []mixed.File
	for _, f := range byPath {
		if f.Kind == sniff.FASTA {
			fasta = append(fasta, f)
		}
	}
	stores := must[*omics.ListReferenceStoresOutput](t)(c.ListReferenceStores(ctx, &omics.ListReferenceStoresInput{})).ReferenceStores
	if len(stores) != 1 {
		t.Fatalf("%d reference stores, want the account's one", len(stores))
	}
	refs := must[*omics.ListReferencesOutput](t)(c.ListReferences(ctx, &omics.ListReferencesInput{ReferenceStoreId: stores[0].Id})).References
	if len(refs) != len(fasta) {
		t.Errorf("%d references, want %d", len(refs), len(fasta))
	}
	for _, ref := range refs {
		out := must[*omics.GetReferenceOutput](t)(c.GetReference(ctx, &omics.GetReferenceInput{ReferenceStoreId: stores[0].Id, Id: ref.Id, PartNumber: 1, File: omics.ReferenceFileSource}))
		got := must[[]byte](t)(io.ReadAll(out.Payload))
		out.Payload.Close()
		found := false
		for _, f := range fasta {
			found = found || bytes.Equal(got, f.Body)
		}
		if !found {
			t.Errorf("reference %s gives %d bytes that no file held", ref.Name, len(got))
		}
	}
}

// variants: SQL counts what the VCF files hold.
func variants(t *testing.T, v *view, byPath map[string]mixed.File) {
	want := map[string]int{}
	for _, f := range byPath {
		if f.Kind != sniff.VCF {
			continue
		}
		sample := ""
		for _, l := range strings.Split(string(gunzip(t, f.Body)), "\n") {
			if strings.HasPrefix(l, "#CHROM") {
				sample = l[strings.LastIndexByte(l, '\t')+1:]
			} else if l != "" && !strings.HasPrefix(l, "#") {
				want[sample]++
			}
		}
	}
	got := v.variants()
	if len(got) != len(want) || len(want) == 0 {
		t.Errorf("variants of %d samples, want %d", len(got), len(want))
	}
	for _, row := range got {
		if row[1] != fmt.Sprint(want[row[0]]) {
			t.Errorf("%s has %s variants, want %d", row[0], row[1], want[row[0]])
		}
	}
}

// visits: every conversation, spoken or written, has a finished job, with its transcript and note in the bucket.
func visits(t *testing.T, v *view, byPath map[string]mixed.File) {
	want, spoken := 0, 0
	for _, f := range byPath {
		if f.Kind == sniff.Transcript || f.Kind == sniff.Audio {
			want++
		}
		if f.Kind == sniff.Audio {
			spoken++
			if binary.LittleEndian.Uint16(f.Body[22:]) != 2 {
				t.Errorf("%s has not two channels", f.Origin)
			}
		}
	}
	ctx := context.Background()
	jobs := must[*transcribe.ListMedicalScribeJobsOutput](t)(transcribe.NewClient(v.g.Client()).ListMedicalScribeJobs(ctx, &transcribe.ListMedicalScribeJobsInput{})).MedicalScribeJobSummaries
	if len(jobs) > want { // fewer: a page
		t.Errorf("%d jobs, want %d", len(jobs), want)
	}
	for _, j := range jobs {
		got := must[*transcribe.GetMedicalScribeJobOutput](t)(transcribe.NewClient(v.g.Client()).GetMedicalScribeJob(ctx, &transcribe.GetMedicalScribeJobInput{MedicalScribeJobName: j.MedicalScribeJobName})).MedicalScribeJob
		if got.MedicalScribeJobStatus != transcribe.MedicalScribeJobStatusCompleted {
			t.Errorf("job %s is %s: %s", j.MedicalScribeJobName, got.MedicalScribeJobStatus, got.FailureReason)
			continue
		}
		for _, uri := range []string{got.MedicalScribeOutput.TranscriptFileUri, got.MedicalScribeOutput.ClinicalDocumentUri} {
			_, key, ok := strings.Cut(uri, "galen-ingest-"+galen.Account+"/")
			if !ok {
				t.Errorf("%s is not in the bucket that was asked for", uri)
				continue
			}
			out := must[*s3.GetObjectOutput](t)(s3.NewClient(v.g.Client()).GetObject(ctx, &s3.GetObjectInput{Bucket: "galen-ingest-" + galen.Account, Key: key}))
			b := must[[]byte](t)(io.ReadAll(out.Body))
			out.Body.Close()
			if len(b) < 100 || b[0] != '{' {
				t.Errorf("%s is no document: %.80s", uri, b)
			}
		}
	}
	if spoken == 0 {
		t.Log("flite is not installed: no visit was spoken")
	}
}

// again: a second run lands nothing, and no version of anything is new.
func again(t *testing.T, g *galen.Server, dir string, byPath map[string]mixed.File, first *ingest.Report) {
	v := look(t, g, first)
	before, sets := v.state(), map[string]int32{}
	for _, s := range v.imageSets() {
		sets[s.ImageSetId] = *s.Version
	}
	second := take(t, g, dir)
	check(t, second, byPath, ingest.Already)
	if n := second.Counts[ingest.Landed]; n != 0 {
		t.Errorf("%d files were landed twice", n)
	}
	same(t, "after a second run", v.state(), before)
	for _, res := range first.Results {
		if i := strings.Index(res.Where, "/Patient/"); i >= 0 {
			if n := v.history(res.Where[i+1:]); n != 1 {
				t.Errorf("%s has %d versions after a second run, want 1", res.Where, n)
			}
		}
	}
	for _, s := range v.imageSets() {
		if old, ok := sets[s.ImageSetId]; !ok || old != *s.Version {
			t.Errorf("image set %s is at version %d, was at %d", s.ImageSetId, *s.Version, old)
		}
	}
}
