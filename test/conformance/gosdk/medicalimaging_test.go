package gosdk

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/medicalimaging"
	"github.com/aws/aws-sdk-go-v2/service/medicalimaging/types"

	"github.com/galen-health/galen/test/galen"
	"github.com/galen-health/galen/test/sample"
)

func TestMedicalImaging(t *testing.T) {
	t.Parallel()
	g := galen.Start(t)
	seen := newCalls()
	c := medicalimaging.NewFromConfig(config(g, seen))
	store := imagingStore(t, c)
	set := imagingImport(t, g, c, store)
	t.Run("read", func(t *testing.T) { imagingRead(t, c, store, set) })
	t.Run("gzipped", func(t *testing.T) { imagingGzipped(t, g, store, set) })
	t.Run("host prefix", func(t *testing.T) { imagingPrefixed(t, g, store, set) })
	t.Run("change", func(t *testing.T) { imagingChange(t, c, store, set) })
	t.Run("refused", func(t *testing.T) { imagingRefused(t, c, store, set) })
	t.Run("delete", func(t *testing.T) { imagingDelete(t, c, store) })
	seen.all(t, "Medical Imaging", c)
}

func imagingStore(t *testing.T, c *medicalimaging.Client) *string {
	ctx := t.Context()
	id := must(c.CreateDatastore(ctx, &medicalimaging.CreateDatastoreInput{DatastoreName: aws.String("sdk"), Tags: map[string]string{"a": "b"}}))(t).DatastoreId
	get := func() *types.DatastoreProperties {
		return must(c.GetDatastore(ctx, &medicalimaging.GetDatastoreInput{DatastoreId: id}))(t).DatastoreProperties
	}
	poll(t, func() types.DatastoreStatus { return get().DatastoreStatus }, types.DatastoreStatusActive)
	must(c.CreateDatastore(ctx, &medicalimaging.CreateDatastoreInput{DatastoreName: aws.String("sdk-2")}))(t)
	found := map[string]bool{}
	for pages := medicalimaging.NewListDatastoresPaginator(c, &medicalimaging.ListDatastoresInput{MaxResults: aws.Int32(1)}); pages.HasMorePages(); {
		for _, d := range must(pages.NextPage(ctx))(t).DatastoreSummaries {
			found[*d.DatastoreName] = true
		}
	}
	if !found["sdk"] || !found["sdk-2"] {
		t.Errorf("listed are %v", found)
	}
	arn := get().DatastoreArn
	must(c.TagResource(ctx, &medicalimaging.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"c": "d"}}))(t)
	must(c.UntagResource(ctx, &medicalimaging.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a"}}))(t)
	if tags := must(c.ListTagsForResource(ctx, &medicalimaging.ListTagsForResourceInput{ResourceArn: arn}))(t).Tags; len(tags) != 1 || tags["c"] != "d" {
		t.Errorf("tags are %v", tags)
	}
	return id
}

func imagingImport(t *testing.T, g *galen.Server, c *medicalimaging.Client, store *string) *string {
	ctx := t.Context()
	for n := 1; n <= 3; n++ {
		put(t, g, "sdk-dicom", fmt.Sprintf("in/%d.dcm", n), sample.Slice(n, "SDK1"))
	}
	put(t, g, "sdk-dicom", "in/junk.dcm", []byte("this is no DICOM"))
	job := must(c.StartDICOMImportJob(ctx, &medicalimaging.StartDICOMImportJobInput{DatastoreId: store, DataAccessRoleArn: role(t, g, "medical-imaging"), JobName: aws.String("sdk"),
		InputS3Uri: aws.String("s3://sdk-dicom/in/"), OutputS3Uri: aws.String("s3://sdk-dicom/out/")}))(t).JobId
	props := func() *types.DICOMImportJobProperties {
		return must(c.GetDICOMImportJob(ctx, &medicalimaging.GetDICOMImportJobInput{DatastoreId: store, JobId: job}))(t).JobProperties
	}
	poll(t, func() types.JobStatus { return props().JobStatus }, types.JobStatusCompleted)
	n := 0
	for pages := medicalimaging.NewListDICOMImportJobsPaginator(c, &medicalimaging.ListDICOMImportJobsInput{DatastoreId: store, MaxResults: aws.Int32(1)}); pages.HasMorePages(); {
		n += len(must(pages.NextPage(ctx))(t).JobSummaries)
	}
	if n != 1 {
		t.Errorf("%d jobs are listed, want 1", n)
	}
	var manifest struct {
		JobSummary struct {
			NumberOfImportedFiles, NumberOfFilesWithCustomerError int
			ImageSetsSummary                                      []struct{ ImageSetId string }
		}
	}
	key := strings.TrimPrefix(*props().OutputS3Uri, "s3://sdk-dicom/") + "job-output-manifest.json"
	if err := json.Unmarshal([]byte(get(t, g, "sdk-dicom", key)), &manifest); err != nil {
		t.Fatal(err)
	}
	s := manifest.JobSummary
	if s.NumberOfImportedFiles != 3 || s.NumberOfFilesWithCustomerError != 1 || len(s.ImageSetsSummary) != 1 {
		t.Fatalf("the manifest says %+v", s)
	}
	return &s.ImageSetsSummary[0].ImageSetId
}

// metadata reads an image set's metadata document.
func metadata(t *testing.T, c *medicalimaging.Client, store, set, version *string) (doc struct {
	Patient struct{ DICOM map[string]any }
	Study   struct {
		Series map[string]struct {
			Instances map[string]struct{ ImageFrames []imageFrame }
		}
	}
}) {
	t.Helper()
	out := must(c.GetImageSetMetadata(t.Context(), &medicalimaging.GetImageSetMetadataInput{DatastoreId: store, ImageSetId: set, VersionId: version}))(t)
	defer out.ImageSetMetadataBlob.Close()
	// Go's HTTP client undoes gzip by itself, and says so by leaving the encoding out.
	if aws.ToString(out.ContentEncoding) != "" || aws.ToString(out.ContentType) != "application/json" {
		t.Errorf("metadata is %s, %s", aws.ToString(out.ContentType), aws.ToString(out.ContentEncoding))
	}
	if err := json.NewDecoder(out.ImageSetMetadataBlob).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

type imageFrame struct {
	ID                                        string
	PixelDataChecksumFromBaseToFullResolution []struct {
		Width, Height int
		Checksum      uint32
	}
}

func imagingRead(t *testing.T, c *medicalimaging.Client, store, set *string) {
	ctx := t.Context()
	if s := must(c.GetImageSet(ctx, &medicalimaging.GetImageSetInput{DatastoreId: store, ImageSetId: set}))(t); s.ImageSetState != types.ImageSetStateActive || *s.VersionId != "1" {
		t.Errorf("the image set is %s, version %s", s.ImageSetState, *s.VersionId)
	}
	in := &medicalimaging.SearchImageSetsInput{DatastoreId: store, MaxResults: aws.Int32(1), SearchCriteria: &types.SearchCriteria{
		Filters: []types.SearchFilter{{Operator: types.OperatorEqual, Values: []types.SearchByAttributeValue{&types.SearchByAttributeValueMemberDICOMPatientId{Value: "SDK1"}}}},
		Sort:    &types.Sort{SortField: types.SortFieldUpdatedAt, SortOrder: types.SortOrderAsc}}}
	var found []string
	for pages := medicalimaging.NewSearchImageSetsPaginator(c, in); pages.HasMorePages(); {
		for _, s := range must(pages.NextPage(ctx))(t).ImageSetsMetadataSummaries {
			found = append(found, *s.ImageSetId+" "+*s.DICOMTags.DICOMStudyInstanceUID)
		}
	}
	if len(found) != 1 || found[0] != *set+" "+sample.Study {
		t.Errorf("the search finds %v", found)
	}
	doc := metadata(t, c, store, set, nil)
	if doc.Patient.DICOM["PatientID"] != "SDK1" {
		t.Errorf("the patient is %v", doc.Patient.DICOM)
	}
	instances := doc.Study.Series[sample.Series].Instances
	if len(instances) != 3 {
		t.Fatalf("%d instances, want 3", len(instances))
	}
	for n := 1; n <= 3; n++ {
		frames := instances[fmt.Sprintf("%s.%d", sample.Series, n)].ImageFrames
		out := must(c.GetImageFrame(ctx, &medicalimaging.GetImageFrameInput{DatastoreId: store, ImageSetId: set, ImageFrameInformation: &types.ImageFrameInformation{ImageFrameId: &frames[0].ID}}))(t)
		code, err := io.ReadAll(out.ImageFrameBlob)
		if err != nil || !bytes.HasPrefix(code, []byte{0xff, 0x4f, 0xff, 0x51}) {
			t.Errorf("frame %d is no codestream: % x…, %v", n, code[:min(8, len(code))], err)
		}
		raw := make([]byte, 0, 2*sample.Side*sample.Side)
		for _, v := range sample.Pixels(n) {
			raw = binary.LittleEndian.AppendUint16(raw, uint16(v))
		}
		levels := frames[0].PixelDataChecksumFromBaseToFullResolution
		if full := levels[len(levels)-1]; full.Checksum != crc32.ChecksumIEEE(raw) || full.Width != sample.Side {
			t.Errorf("frame %d at full resolution is %+v, want CRC %d", n, full, crc32.ChecksumIEEE(raw))
		}
	}
}

// On the wire the document is gzipped as the contract says.
func imagingGzipped(t *testing.T, g *galen.Server, store, set *string) {
	cfg := config(g, newCalls())
	cfg.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) { tr.DisableCompression = true })
	out := must(medicalimaging.NewFromConfig(cfg).GetImageSetMetadata(t.Context(), &medicalimaging.GetImageSetMetadataInput{DatastoreId: store, ImageSetId: set}))(t)
	defer out.ImageSetMetadataBlob.Close()
	zr, err := gzip.NewReader(out.ImageSetMetadataBlob)
	if err != nil || aws.ToString(out.ContentEncoding) != "gzip" {
		t.Fatalf("the encoding is %q: %v", aws.ToString(out.ContentEncoding), err)
	}
	if b, err := io.ReadAll(zr); err != nil || !json.Valid(b) {
		t.Errorf("%d bytes: %v", len(b), err)
	}
}

// The operations on image sets go to runtime-HOST unless the switch is set: with a name that leads to the server they work as they are.
func imagingPrefixed(t *testing.T, g *galen.Server, store, set *string) {
	cfg := config(g, newCalls())
	cfg.APIOptions = nil
	cfg.BaseEndpoint = aws.String(strings.Replace(g.URL, "127.0.0.1", "galen.test", 1))
	hosts := map[string]bool{}
	cfg.HTTPClient = noteHosts{toLoopback(), hosts}
	c := medicalimaging.NewFromConfig(cfg)
	if s := must(c.GetImageSet(t.Context(), &medicalimaging.GetImageSetInput{DatastoreId: store, ImageSetId: set}))(t); *s.ImageSetId != *set {
		t.Errorf("image set %s, want %s", *s.ImageSetId, *set)
	}
	for h := range hosts {
		if !strings.HasPrefix(h, "runtime-galen.test:") {
			t.Errorf("the SDK called %s: this test is about its prefix", h)
		}
	}
}

func imagingChange(t *testing.T, c *medicalimaging.Client, store, set *string) {
	ctx := t.Context()
	change := func(version string) error {
		_, err := c.UpdateImageSetMetadata(ctx, &medicalimaging.UpdateImageSetMetadataInput{DatastoreId: store, ImageSetId: set, LatestVersionId: &version,
			UpdateImageSetMetadataUpdates: &types.MetadataUpdatesMemberDICOMUpdates{Value: types.DICOMUpdates{UpdatableAttributes: []byte(`{"SchemaVersion":1.1,"Patient":{"DICOM":{"PatientName":"Changed^Name"}}}`)}}})
		return err
	}
	if err := change("1"); err != nil {
		t.Fatal(err)
	}
	poll(t, func() types.ImageSetWorkflowStatus {
		return must(c.GetImageSet(ctx, &medicalimaging.GetImageSetInput{DatastoreId: store, ImageSetId: set}))(t).ImageSetWorkflowStatus
	}, types.ImageSetWorkflowStatusUpdated)
	for version, want := range map[string]string{"1": "Sample^SDK1", "2": "Changed^Name"} {
		if got := metadata(t, c, store, set, &version).Patient.DICOM["PatientName"]; got != want {
			t.Errorf("version %s has the name %v, want %s", version, got, want)
		}
	}
	refused[*types.ConflictException](t, "an update of an old version", change("1"), 409)
	n := 0
	for pages := medicalimaging.NewListImageSetVersionsPaginator(c, &medicalimaging.ListImageSetVersionsInput{DatastoreId: store, ImageSetId: set, MaxResults: aws.Int32(1)}); pages.HasMorePages(); {
		n += len(must(pages.NextPage(ctx))(t).ImageSetPropertiesList)
	}
	if n != 2 {
		t.Errorf("%d versions are listed, want 2", n)
	}
	out := must(c.CopyImageSet(ctx, &medicalimaging.CopyImageSetInput{DatastoreId: store, SourceImageSetId: set, CopyImageSetInformation: &types.CopyImageSetInformation{SourceImageSet: &types.CopySourceImageSetInformation{LatestVersionId: aws.String("2")}}}))(t)
	copied := out.DestinationImageSetProperties.ImageSetId
	poll(t, func() types.ImageSetWorkflowStatus {
		return must(c.GetImageSet(ctx, &medicalimaging.GetImageSetInput{DatastoreId: store, ImageSetId: copied}))(t).ImageSetWorkflowStatus
	}, types.ImageSetWorkflowStatusCopied)
	if got := metadata(t, c, store, copied, nil).Patient.DICOM["PatientName"]; got != "Changed^Name" {
		t.Errorf("the copy has the name %v", got)
	}
}

func imagingRefused(t *testing.T, c *medicalimaging.Client, store, set *string) {
	ctx := t.Context()
	_, err := c.GetDatastore(ctx, &medicalimaging.GetDatastoreInput{DatastoreId: aws.String(strings.Repeat("0", 32))})
	refused[*types.ResourceNotFoundException](t, "an absent data store", err, 404)
	_, err = c.GetImageSet(ctx, &medicalimaging.GetImageSetInput{DatastoreId: store, ImageSetId: aws.String(strings.Repeat("0", 32))})
	refused[*types.ResourceNotFoundException](t, "an absent image set", err, 404)
	_, err = c.GetImageFrame(ctx, &medicalimaging.GetImageFrameInput{DatastoreId: store, ImageSetId: set, ImageFrameInformation: &types.ImageFrameInformation{ImageFrameId: aws.String(strings.Repeat("f", 32))}})
	refused[*types.ResourceNotFoundException](t, "an absent frame", err, 404)
	_, err = c.CreateDatastore(ctx, &medicalimaging.CreateDatastoreInput{DatastoreName: aws.String(strings.Repeat("x", 257))})
	refused[*types.ValidationException](t, "a name too long", err, 400)
	_, err = c.StartDICOMImportJob(ctx, &medicalimaging.StartDICOMImportJobInput{DatastoreId: store, DataAccessRoleArn: aws.String("arn:aws:iam::000000000000:role/none"), InputS3Uri: aws.String("s3://sdk-dicom/in/"), OutputS3Uri: aws.String("s3://sdk-dicom/out/")})
	if err == nil {
		t.Error("an import with an absent role was accepted")
	}
	_, err = c.DeleteDatastore(ctx, &medicalimaging.DeleteDatastoreInput{DatastoreId: store})
	refused[*types.ConflictException](t, "deleting a data store with image sets", err, 409)
}

func imagingDelete(t *testing.T, c *medicalimaging.Client, store *string) {
	ctx := t.Context()
	search := func() []types.ImageSetsMetadataSummary {
		return must(c.SearchImageSets(ctx, &medicalimaging.SearchImageSetsInput{DatastoreId: store}))(t).ImageSetsMetadataSummaries
	}
	for _, s := range search() {
		must(c.DeleteImageSet(ctx, &medicalimaging.DeleteImageSetInput{DatastoreId: store, ImageSetId: s.ImageSetId}))(t)
	}
	poll(t, func() string { return fmt.Sprint(len(search())) }, "0")
	must(c.DeleteDatastore(ctx, &medicalimaging.DeleteDatastoreInput{DatastoreId: store}))(t)
	poll(t, func() types.DatastoreStatus {
		return must(c.GetDatastore(ctx, &medicalimaging.GetDatastoreInput{DatastoreId: store}))(t).DatastoreProperties.DatastoreStatus
	}, types.DatastoreStatusDeleted)
}
