package medicalimaging

import (
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/standard/dicom"
	"github.com/galen-health/galen/standard/htj2k"
)

const (
	study1  = "1.2.826.0.1.3680043.10.54321.1"
	series1 = study1 + ".1"
	series2 = study1 + ".2"
)

func TestDatastores(t *testing.T) {
	l := newLab(t)
	in := &api.CreateDatastoreInput{DatastoreName: "ward", ClientToken: "one", Tags: map[string]string{"team": "ct"}}
	id := l.create(in)
	again, err := l.s.CreateDatastore(l.Ctx, in)
	if err != nil || again.DatastoreId != id {
		t.Errorf("the same token: %v, %v", again, err)
	}
	if _, err := l.s.CreateDatastore(l.Ctx, &api.CreateDatastoreInput{DatastoreName: "other", ClientToken: "one"}); !errs.Is(err, errs.Conflict) {
		t.Errorf("the token with another request: %v", err)
	}
	got, err := l.s.GetDatastore(l.Ctx, &api.GetDatastoreInput{DatastoreId: id})
	if err != nil {
		t.Fatal(err)
	}
	p := got.DatastoreProperties
	if p.DatastoreName != "ward" || p.LosslessStorageFormat != api.LosslessStorageFormatHtj2k || p.KmsKeyArn != "" || p.DatastoreArn != "arn:aws:medical-imaging:us-east-1:000000000000:datastore/"+id {
		t.Errorf("properties %+v", p)
	}
	l.create(&api.CreateDatastoreInput{DatastoreName: "second"})
	page, err := l.s.ListDatastores(l.Ctx, &api.ListDatastoresInput{MaxResults: aws.Ptr(int32(1)), DatastoreStatus: api.DatastoreStatusActive})
	if err != nil || len(page.DatastoreSummaries) != 1 || page.NextToken == "" {
		t.Fatalf("first page %+v, %v", page, err)
	}
	rest, err := l.s.ListDatastores(l.Ctx, &api.ListDatastoresInput{MaxResults: aws.Ptr(int32(5)), DatastoreStatus: api.DatastoreStatusActive, NextToken: page.NextToken})
	if err != nil || len(rest.DatastoreSummaries) != 1 || rest.NextToken != "" || rest.DatastoreSummaries[0].DatastoreName != "second" {
		t.Errorf("second page %+v, %v", rest, err)
	}
	if _, err := l.s.ListDatastores(l.Ctx, &api.ListDatastoresInput{NextToken: page.NextToken}); !errs.Is(err, errs.Invalid) {
		t.Errorf("a page token for another request: %v", err)
	}
	l.mustPut(slice(study1, series1, 1, nil))
	if _, err := l.s.DeleteDatastore(l.Ctx, &api.DeleteDatastoreInput{DatastoreId: l.store}); !errs.Is(err, errs.Conflict) {
		t.Errorf("deleting a store with image sets: %v", err)
	}
	if _, err := l.s.DeleteDatastore(l.Ctx, &api.DeleteDatastoreInput{DatastoreId: id}); err != nil {
		t.Fatal(err)
	}
	l.Await("the store is deleted", func() bool { return l.status(id) == api.DatastoreStatusDeleted })
	l.store = id
	if a := l.do("GET", "/studies", nil); a.status != 404 {
		t.Errorf("DICOMweb of a deleted store: %d", a.status)
	}
	want := []string{"Data Store Creating", "Data Store Created", "Data Store Creating", "Data Store Created", "Image Set Created", "Data Store Deleting", "Data Store Deleted"}
	l.Await("all events are out", func() bool { return len(l.EventTypes()) >= len(want) }) // they follow the state within moments
	if got := l.EventTypes(); !slices.Equal(got, want) {
		t.Errorf("events %v", got)
	}
}

func TestTags(t *testing.T) {
	l := newLab(t)
	id := l.create(&api.CreateDatastoreInput{Tags: map[string]string{"a": "1"}})
	l.mustPut(slice(study1, series1, 1, nil))
	set := l.sets()[0].ImageSetId
	for _, arn := range []string{l.s.arn(id), l.s.setARN(id, set)} {
		if _, err := l.s.TagResource(l.Ctx, &api.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"b": "2", "c": "3"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := l.s.UntagResource(l.Ctx, &api.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a", "c", "z"}}); err != nil {
			t.Fatal(err)
		}
		out, err := l.s.ListTagsForResource(l.Ctx, &api.ListTagsForResourceInput{ResourceArn: arn})
		if err != nil || fmt.Sprint(out.Tags) != "map[b:2]" {
			t.Errorf("%s: %v, %v", arn, out, err)
		}
	}
	if _, err := l.s.TagResource(l.Ctx, &api.TagResourceInput{ResourceArn: l.s.arn(id), Tags: map[string]string{"aws:x": "1"}}); !errs.Is(err, errs.Invalid) {
		t.Errorf("a reserved key: %v", err)
	}
	if _, err := l.s.ListTagsForResource(l.Ctx, &api.ListTagsForResourceInput{ResourceArn: "arn:aws:medical-imaging:us-east-1:1:datastore/x"}); !errs.Is(err, errs.Invalid) {
		t.Errorf("a foreign ARN: %v", err)
	}
	if got, err := l.s.GetImageSet(l.Ctx, &api.GetImageSetInput{DatastoreId: id, ImageSetId: set}); err != nil || got.VersionId != "1" {
		t.Errorf("tags made a version: %v %v", got, err)
	}
}

// Instances that agree stand in one primary set, whatever their order and request; what contradicts stands apart; the same again changes nothing.
func TestGrouping(t *testing.T) {
	l := newLab(t)
	l.create(&api.CreateDatastoreInput{})
	other := func(d *dicom.Dataset) { d.SetStrings(dicom.TagPatientID, "P2") }
	files := [][]byte{slice(study1, series1, 1, nil), slice(study1, series1, 2, nil), slice(study1, series2, 1, nil), slice(study1, series1, 3, other), slice(study1, series1, 4, other)}
	for _, b := range files {
		l.mustPut(b)
	}
	state := func() string {
		var out []string
		for _, s := range l.sets() {
			n := len(at(l.metadata(s.ImageSetId, ""), "Study", "Series", "*", "Instances").(map[string]any))
			out = append(out, fmt.Sprintf("%s %s %v v%d n%d", strings.TrimPrefix(s.DICOMTags.DICOMSeriesInstanceUID, study1), s.DICOMTags.DICOMPatientId, *s.IsPrimary, *s.Version, n))
		}
		slices.Sort(out)
		return strings.Join(out, ", ")
	}
	want := ".1 P1 true v2 n2, .1 P2 false v2 n2, .2 P1 true v1 n1"
	if got := state(); got != want {
		t.Fatalf("sets %s, want %s", got, want)
	}
	before := len(l.EventTypes())
	for _, b := range files {
		l.mustPut(b)
	}
	if got := state(); got != want || len(l.EventTypes()) != before {
		t.Errorf("after the same again: %s, %d more events", got, len(l.EventTypes())-before)
	}
	blobs := 0
	l.Blobs.Sweep(l.Ctx, time.Now().Add(time.Hour), func(id blob.ID) (bool, error) { blobs++; return true, nil })
	if blobs != len(files) {
		t.Errorf("%d blobs for %d instances", blobs, len(files))
	}
	changed := slice(study1, series1, 2, func(d *dicom.Dataset) { d.SetStrings(0x00080008, "ORIGINAL") })
	l.mustPut(changed)
	if got := state(); got != ".1 P1 true v3 n2, .1 P2 false v2 n2, .2 P1 true v1 n1" {
		t.Errorf("after a replacement: %s", got)
	}
	a := l.want(200, "GET", "/studies/"+study1+"/series", nil).list(t)
	if len(a) != 2 {
		t.Errorf("%d series in DICOMweb, want the two primary ones", len(a))
	}
}

// The metadata has the shape that the checkers of HealthImaging read, and the checksums are those of the decoded frames.
func TestMetadataAndFrames(t *testing.T) {
	l := newLab(t)
	l.create(&api.CreateDatastoreInput{})
	l.mustPut(sample(t, "pixel-data-verification/test/fixtures/CT1_UNC"))
	set := l.sets()[0]
	doc := l.metadata(set.ImageSetId, "1")
	if doc["SchemaVersion"] != "1.1" || doc["DatastoreID"] != l.store || doc["ImageSetID"] != set.ImageSetId {
		t.Errorf("head %v %v %v", doc["SchemaVersion"], doc["DatastoreID"], doc["ImageSetID"])
	}
	in := at(doc, "Study", "Series", "*", "Instances", "*").(map[string]any)
	frame := in["ImageFrames"].([]any)[0].(map[string]any)
	sums := frame["PixelDataChecksumFromBaseToFullResolution"].([]any)
	last := sums[len(sums)-1].(map[string]any)
	if in["StoredTransferSyntaxUID"] != dicom.HTJ2KLosslessRPCL || last["Width"] != 512.0 || last["Height"] != 512.0 || frame["FrameSizeInBytes"] != 524288.0 || len(sums) != 6 {
		t.Errorf("frame %v, %v", in["StoredTransferSyntaxUID"], frame)
	}
	if vrs, ok := in["DICOMVRs"].(map[string]any); !ok || len(vrs) == 0 {
		t.Error("private elements have no VRs")
	}
	if _, ok := at(doc, "Patient", "DICOM", "PatientID").(string); !ok {
		t.Error("no PatientID at the Patient level")
	}
	got, err := l.s.GetImageFrame(l.Ctx, &api.GetImageFrameInput{DatastoreId: l.store, ImageSetId: set.ImageSetId, ImageFrameInformation: &api.ImageFrameInformation{ImageFrameId: frame["ID"].(string)}})
	if err != nil || got.ContentType != "image/jphc" {
		t.Fatalf("%v %v", got, err)
	}
	stream, err := io.ReadAll(got.ImageFrameBlob)
	if err != nil {
		t.Fatal(err)
	}
	_, px, err := htj2k.Decode(l.Ctx, htj2k.HTJ2K, stream)
	if err != nil {
		t.Fatal(err)
	}
	if sum := float64(crc32.ChecksumIEEE(px)); sum != last["Checksum"] {
		t.Errorf("checksum of the decoded frame %v, metadata says %v", sum, last["Checksum"])
	}
	for _, id := range []string{strings.Repeat("0", 32), frame["ID"].(string)[:24] + "00000001", "x"} {
		if _, err := l.s.GetImageFrame(l.Ctx, &api.GetImageFrameInput{DatastoreId: l.store, ImageSetId: set.ImageSetId, ImageFrameInformation: &api.ImageFrameInformation{ImageFrameId: id}}); !errs.Is(err, errs.NotFound) {
			t.Errorf("frame %s: %v", id, err)
		}
	}
}

func TestJPEG2000Store(t *testing.T) {
	l := newLab(t)
	l.create(&api.CreateDatastoreInput{LosslessStorageFormat: api.LosslessStorageFormatJpeg2000Lossless})
	b := slice(study1, series1, 1, nil)
	l.mustPut(b)
	in := at(l.metadata(l.sets()[0].ImageSetId, ""), "Study", "Series", "*", "Instances", "*").(map[string]any)
	if in["StoredTransferSyntaxUID"] != dicom.JPEG2000Lossless {
		t.Errorf("stored as %v", in["StoredTransferSyntaxUID"])
	}
	if n := l.compare("slice", b); n != 1 {
		t.Errorf("%d frames compared", n)
	}
}

func TestSearchImageSets(t *testing.T) {
	l := newLab(t)
	l.create(&api.CreateDatastoreInput{})
	for i := range 5 {
		study := study1 + "." + strconv.Itoa(i)
		l.mustPut(slice(study, study+".1", 1, func(d *dicom.Dataset) {
			d.SetStrings(dicom.TagPatientID, fmt.Sprintf("P%d", i/2))
			d.SetStrings(dicom.TagStudyDate, fmt.Sprintf("2020010%d", i+1))
			d.SetStrings(dicom.TagAccessionNumber, fmt.Sprintf("ACC%d", i))
		}))
	}
	eq := func(v ...api.SearchByAttributeValue) api.SearchFilter {
		return api.SearchFilter{Operator: api.OperatorEqual, Values: v}
	}
	day := func(d, tm string) api.SearchByAttributeValue {
		return api.SearchByAttributeValue{DICOMStudyDateAndTime: &api.DICOMStudyDateAndTime{DICOMStudyDate: d, DICOMStudyTime: tm}}
	}
	all := l.sets()
	if len(all) != 5 || all[0].DICOMTags.DICOMAccessionNumber != "ACC4" {
		t.Fatalf("%d sets, first %+v", len(all), all[0].DICOMTags)
	}
	for name, c := range map[string]struct {
		f    []api.SearchFilter
		want string
	}{
		"patient":          {[]api.SearchFilter{eq(api.SearchByAttributeValue{DICOMPatientId: "P0"})}, "ACC1 ACC0"},
		"two values":       {[]api.SearchFilter{eq(api.SearchByAttributeValue{DICOMPatientId: "P2"}, api.SearchByAttributeValue{DICOMPatientId: "P0"})}, "ACC4 ACC1 ACC0"},
		"and":              {[]api.SearchFilter{eq(api.SearchByAttributeValue{DICOMPatientId: "P0"}), eq(api.SearchByAttributeValue{DICOMAccessionNumber: "ACC1"})}, "ACC1"},
		"study uid":        {[]api.SearchFilter{eq(api.SearchByAttributeValue{DICOMStudyInstanceUID: study1 + ".3"})}, "ACC3"},
		"series uid":       {[]api.SearchFilter{eq(api.SearchByAttributeValue{DICOMSeriesInstanceUID: study1 + ".3.1"})}, "ACC3"},
		"study id":         {[]api.SearchFilter{eq(api.SearchByAttributeValue{DICOMStudyId: "S1"})}, "ACC4 ACC3 ACC2 ACC1 ACC0"},
		"primary":          {[]api.SearchFilter{eq(api.SearchByAttributeValue{IsPrimary: aws.Ptr(false)})}, ""},
		"dates":            {[]api.SearchFilter{{Operator: api.OperatorBetween, Values: []api.SearchByAttributeValue{day("20200102", ""), day("20200104", "")}}}, "ACC2 ACC1"},
		"dates with times": {[]api.SearchFilter{{Operator: api.OperatorBetween, Values: []api.SearchByAttributeValue{day("20200102", "101500"), day("20200104", "101500")}}}, "ACC3 ACC2 ACC1"},
		"created":          {[]api.SearchFilter{{Operator: api.OperatorBetween, Values: []api.SearchByAttributeValue{{CreatedAt: all[3].CreatedAt}, {CreatedAt: all[1].CreatedAt}}}}, "ACC3 ACC2 ACC1"},
	} {
		var got []string
		for _, s := range l.sets(c.f...) {
			got = append(got, s.DICOMTags.DICOMAccessionNumber)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %q, want %q", name, s, c.want)
		}
	}
	for name, f := range map[string]api.SearchFilter{
		"one bound":     {Operator: api.OperatorBetween, Values: []api.SearchByAttributeValue{day("20200101", "")}},
		"mixed bounds":  {Operator: api.OperatorBetween, Values: []api.SearchByAttributeValue{day("20200101", ""), {CreatedAt: all[0].CreatedAt}}},
		"between names": {Operator: api.OperatorBetween, Values: []api.SearchByAttributeValue{{DICOMPatientId: "a"}, {DICOMPatientId: "b"}}},
		"no date":       eq(day("yesterday", "")),
		"nothing":       eq(api.SearchByAttributeValue{}),
	} {
		if _, err := l.s.SearchImageSets(l.Ctx, &api.SearchImageSetsInput{DatastoreId: l.store, SearchCriteria: &api.SearchCriteria{Filters: []api.SearchFilter{f}}}); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var got []string
	in := &api.SearchImageSetsInput{DatastoreId: l.store, MaxResults: aws.Ptr(int32(2)), SearchCriteria: &api.SearchCriteria{Sort: &api.Sort{SortField: api.SortFieldDICOMStudyDateAndTime, SortOrder: api.SortOrderAsc}}}
	for {
		out, err := l.s.SearchImageSets(l.Ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range out.ImageSetsMetadataSummaries {
			got = append(got, s.DICOMTags.DICOMAccessionNumber)
		}
		if in.NextToken = out.NextToken; in.NextToken == "" {
			break
		}
	}
	if s := strings.Join(got, " "); s != "ACC0 ACC1 ACC2 ACC3 ACC4" {
		t.Errorf("pages by study date: %q", s)
	}
}
