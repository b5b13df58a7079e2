package keys

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/test/galen"
	"github.com/galen-health/galen/test/sample"
)

// ways are all the roads to what is under the site's key, by name; each reports whether it gave the right data.
func (s *site) ways() map[string]func() bool {
	images := medicalimaging.NewClient(s.h)
	link := s.presign("/sealed/a")
	executed, ok := s.query()
	if !ok {
		s.t.Fatal("the query failed")
	}
	instance := "/series/" + sample.Series + "/instances/" + sample.Series + ".1"
	return map[string]func() bool{
		"an object": func() bool {
			out, err := s.s3().GetObject(ctx, &s3.GetObjectInput{Bucket: "sealed", Key: "a"})
			return err == nil && string(all(out.Body, nil)) == "a text"
		},
		"a range of an object": func() bool {
			out, err := s.s3().GetObject(ctx, &s3.GetObjectInput{Bucket: "sealed", Key: "a", Range: "bytes=0-0"})
			return err == nil && string(all(out.Body, nil)) == "a"
		},
		"a copy of an object": func() bool {
			_, err := s.s3().CopyObject(ctx, &s3.CopyObjectInput{Bucket: "plain", Key: "copy", CopySource: "sealed/a"})
			return err == nil
		},
		"a presigned URL": func() bool {
			r, err := http.Get(link) //nolint:gosec,noctx // of the server under test
			return err == nil && string(all(r.Body, nil)) == "a text" && r.StatusCode == 200
		},
		"a resource": func() bool {
			status, b := s.fhir("GET", "Patient/p", "")
			return status == 200 && strings.Contains(b, "female")
		},
		"a resource's history": func() bool {
			status, b := s.fhir("GET", "Patient/p/_history", "")
			return status == 200 && strings.Contains(b, "female")
		},
		"a search": func() bool {
			status, b := s.fhir("GET", "Patient?gender=female", "")
			return status == 200 && strings.Contains(b, `"p"`)
		},
		"a search of image sets": func() bool {
			out, err := images.SearchImageSets(ctx, &medicalimaging.SearchImageSetsInput{DatastoreId: s.images})
			return err == nil && len(out.ImageSetsMetadataSummaries) == 1
		},
		"an image set": func() bool {
			_, err := images.GetImageSet(ctx, &medicalimaging.GetImageSetInput{DatastoreId: s.images, ImageSetId: s.imageSet})
			return err == nil
		},
		"an image set's metadata": func() bool { return s.metadata() == s.frame },
		"an image frame": func() bool {
			out, err := images.GetImageFrame(ctx, &medicalimaging.GetImageFrameInput{DatastoreId: s.images, ImageSetId: s.imageSet, ImageFrameInformation: &medicalimaging.ImageFrameInformation{ImageFrameId: s.frame}})
			return err == nil && bytes.HasPrefix(all(out.ImageFrameBlob, nil), []byte{0xff, 0x4f, 0xff, 0x51}) // ITU-T T.814: SOC, SIZ
		},
		"a DICOMweb frame": func() bool {
			status, b := s.dicomweb(instance+"/frames/1", `multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.1`)
			return status == 200 && len(b) > 2*sample.Side*sample.Side
		},
		"a DICOM instance": func() bool {
			status, b := s.dicomweb(instance, `multipart/related; type="application/dicom"; transfer-syntax=*`)
			return status == 200 && strings.Contains(b, "DICM")
		},
		"DICOM metadata": func() bool {
			status, b := s.dicomweb("/metadata", "application/dicom+json")
			return status == 200 && strings.Contains(b, sample.Series)
		},
		"QIDO": func() bool {
			status, b := s.dicomweb("/instances", "application/dicom+json")
			return status == 200 && strings.Contains(b, sample.Series)
		},
		"a reference": func() bool {
			out, err := s.genomes().GetReference(ctx, &omics.GetReferenceInput{ReferenceStoreId: s.refs, Id: s.reference, PartNumber: 1})
			return err == nil && bytes.Equal(all(out.Payload, nil), sample.FASTA())
		},
		"a read set": func() bool {
			out, err := s.genomes().GetReadSet(ctx, &omics.GetReadSetInput{SequenceStoreId: s.reads, Id: s.readSet, PartNumber: 1})
			if err != nil {
				return false
			}
			z, err := gzip.NewReader(bytes.NewReader(all(out.Payload, nil)))
			if err != nil {
				return false
			}
			b, err := io.ReadAll(z)
			return err == nil && bytes.Equal(b, sample.FASTQ(100))
		},
		"variants by SQL":               func() bool { _, ok := s.query(); return ok },
		"the result of SQL from before": func() bool { return s.result(executed) },
	}
}

// demand tries every way twice: what the first leaves behind must not serve the second.
func demand(t *testing.T, ways map[string]func() bool, when string, want bool) {
	t.Helper()
	for what, read := range ways {
		for range 2 {
			if got := read(); got != want {
				t.Errorf("%s: %s: readable is %v, want %v", when, what, got, want)
			}
		}
	}
}

// Data under a customer's key is read, so that whatever is cached is cached; then the key is disabled, enabled, scheduled for deletion and brought back. Every way to
// read follows at once.
func TestKeyStateHoldsAtOnce(t *testing.T) {
	g := galen.Start(t)
	keys := kms.NewClient(g.Client())
	k := must[*kms.CreateKeyOutput](t)(keys.CreateKey(ctx, &kms.CreateKeyInput{})).KeyMetadata
	s := build(t, g, k.Arn)
	ways := s.ways()
	demand(t, ways, "enabled", true)
	must[*kms.DisableKeyOutput](t)(keys.DisableKey(ctx, &kms.DisableKeyInput{KeyId: k.KeyId}))
	demand(t, ways, "disabled", false)
	must[*kms.EnableKeyOutput](t)(keys.EnableKey(ctx, &kms.EnableKeyInput{KeyId: k.KeyId}))
	demand(t, ways, "enabled again", true)
	must[*kms.RotateKeyOnDemandOutput](t)(keys.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: k.KeyId}))
	demand(t, ways, "rotated", true)
	must[*kms.ScheduleKeyDeletionOutput](t)(keys.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: k.KeyId}))
	demand(t, ways, "pending deletion", false)
	must[*kms.CancelKeyDeletionOutput](t)(keys.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: k.KeyId}))
	demand(t, ways, "its deletion cancelled, and disabled", false)
	must[*kms.EnableKeyOutput](t)(keys.EnableKey(ctx, &kms.EnableKeyInput{KeyId: k.KeyId}))
	demand(t, ways, "brought back", true)
}

// What is under way when its key is disabled ends there: a download, an upload of parts, imports and an export. Nothing of it is finished while the key is disabled, and
// a job says why it failed.
func TestWhatIsUnderWayEnds(t *testing.T) {
	g := galen.Start(t)
	keys := kms.NewClient(g.Client())
	k := must[*kms.CreateKeyOutput](t)(keys.CreateKey(ctx, &kms.CreateKeyInput{})).KeyMetadata
	s := build(t, g, k.Arn)
	lake := healthlake.NewClient(s.h)
	var lines bytes.Buffer
	for i := range 60_000 {
		fmt.Fprintf(&lines, `{"resourceType":"Patient","id":"n%d","gender":"male","name":[{"family":"Long%d"}]}`+"\n", i, i)
	}
	s.put("in/patients.ndjson", lines.Bytes())
	s.put("long.fastq.gz", sample.Gzip(sample.FASTQ(600_000)))
	const size = 96 << 20
	s.seal("large", bytes.Repeat([]byte("large"), size/5))
	download := must[*s3.GetObjectOutput](t)(s.s3().GetObject(ctx, &s3.GetObjectInput{Bucket: "sealed", Key: "large"}))
	defer download.Body.Close() //nolint:errcheck // only read
	if _, err := io.ReadFull(download.Body, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	upload := must[*s3.CreateMultipartUploadOutput](t)(s.s3().CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: "sealed", Key: "parts", ServerSideEncryption: "aws:kms", SSEKMSKeyId: k.Arn}))
	part := func() error {
		_, err := s.s3().UploadPart(ctx, &s3.UploadPartInput{Bucket: "sealed", Key: "parts", UploadId: upload.UploadId, PartNumber: 1, Body: strings.NewReader("part")})
		return err
	}
	if err := part(); err != nil {
		t.Fatal(err)
	}
	imported := must[*healthlake.StartFHIRImportJobOutput](t)(lake.StartFHIRImportJob(ctx, &healthlake.StartFHIRImportJobInput{DatastoreId: s.lake, DataAccessRoleArn: s.role, ClientToken: "i",
		InputDataConfig: &healthlake.InputDataConfig{S3Uri: "s3://plain/in/"}, JobOutputDataConfig: &healthlake.OutputDataConfig{S3Configuration: &healthlake.S3Configuration{S3Uri: "s3://plain/report/", KmsKeyId: s.other()}}})).JobId
	progress := func() *healthlake.ImportJobProperties {
		return must[*healthlake.DescribeFHIRImportJobOutput](t)(lake.DescribeFHIRImportJob(ctx, &healthlake.DescribeFHIRImportJobInput{DatastoreId: s.lake, JobId: imported})).ImportJobProperties
	}
	await(t, "the import runs", func() bool { _, b := s.fhir("GET", "Patient/n5", ""); return strings.Contains(b, "Long5") })
	reads := s.importReads("long.fastq.gz")
	job := func() *omics.GetReadSetImportJobOutput {
		return must[*omics.GetReadSetImportJobOutput](t)(s.genomes().GetReadSetImportJob(ctx, &omics.GetReadSetImportJobInput{SequenceStoreId: s.reads, Id: reads}))
	}
	await(t, "the import of reads runs", func() bool { return job().Status != omics.ReadSetImportJobStatusSubmitted })

	must[*kms.DisableKeyOutput](t)(keys.DisableKey(ctx, &kms.DisableKeyInput{KeyId: k.KeyId}))
	if n, err := io.Copy(io.Discard, download.Body); err == nil {
		t.Errorf("the download went on to its end, %d bytes", n)
	}
	if err := part(); err == nil {
		t.Error("a part was stored under the disabled key")
	}
	await(t, "the import ends", func() bool {
		return progress().JobStatus != healthlake.JobStatusInProgress && progress().JobStatus != healthlake.JobStatusSubmitted
	})
	if p := progress(); p.JobStatus != healthlake.JobStatusFailed || !strings.Contains(p.Message, "disabled") {
		t.Errorf("the import is %s: %q", p.JobStatus, p.Message)
	}
	over := func() bool {
		state := job().Status
		return state != omics.ReadSetImportJobStatusInProgress && state != omics.ReadSetImportJobStatusSubmitted
	}
	await(t, "the import of reads ends", over)
	// What it had its data key for may have been written to its end. It says so or why not; nobody reads it either way.
	switch j := job(); {
	case j.Status == omics.ReadSetImportJobStatusCompleted:
		if out, err := s.genomes().GetReadSet(ctx, &omics.GetReadSetInput{SequenceStoreId: s.reads, Id: j.Sources[0].ReadSetId, PartNumber: 1}); err == nil {
			t.Errorf("%d bytes of the imported reads are given", len(all(out.Payload, nil)))
		}
	case j.Status != omics.ReadSetImportJobStatusFailed || !strings.Contains(j.StatusMessage+j.Sources[0].StatusMessage, "disabled"):
		t.Errorf("the import of reads is %s: %q %+v", j.Status, j.StatusMessage, j.Sources)
	}
	reads = s.importReads("reads.fastq.gz")
	await(t, "the late import ends", over)
	if j := job(); j.Status != omics.ReadSetImportJobStatusFailed || !strings.Contains(j.StatusMessage+j.Sources[0].StatusMessage, "disabled") {
		t.Errorf("an import under a disabled key is %s: %q %+v", j.Status, j.StatusMessage, j.Sources)
	}
	must[*kms.EnableKeyOutput](t)(keys.EnableKey(ctx, &kms.EnableKeyInput{KeyId: k.KeyId}))
	if status, b := s.fhir("GET", "Patient/n59999", ""); status != 404 {
		t.Errorf("the last resource of the failed import: %d %s", status, b)
	}
	if err := part(); err != nil {
		t.Errorf("a part under the enabled key: %v", err)
	}
}

// other is another key than the site's.
func (s *site) other() string {
	s.t.Helper()
	return must[*kms.CreateKeyOutput](s.t)(kms.NewClient(s.h).CreateKey(ctx, &kms.CreateKeyInput{})).KeyMetadata.Arn
}
