package medicalimaging

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
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
	again, err := l.s.CreateDatastore(l.ctx, in)
	if err != nil || again.DatastoreId != id {
		t.Errorf("the same token: %v, %v", again, err)
	}
	if _, err := l.s.CreateDatastore(l.ctx, &api.CreateDatastoreInput{DatastoreName: "other", ClientToken: "one"}); !errs.Is(err, errs.Conflict) {
		t.Errorf("the token with another request: %v", err)
	}
	got, err := l.s.GetDatastore(l.ctx, &api.GetDatastoreInput{DatastoreId: id})
	if err != nil {
		t.Fatal(err)
	}
	p := got.DatastoreProperties
	if p.DatastoreName != "ward" || p.LosslessStorageFormat != api.LosslessStorageFormatHtj2k || p.KmsKeyArn != "" || p.DatastoreArn != "arn:aws:medical-imaging:us-east-1:000000000000:datastore/"+id {
		t.Errorf("properties %+v", p)
	}
	l.create(&api.CreateDatastoreInput{DatastoreName: "second"})
	page, err := l.s.ListDatastores(l.ctx, &api.ListDatastoresInput{MaxResults: aws.Ptr(int32(1)), DatastoreStatus: api.DatastoreStatusActive})
	if err != nil || len(page.DatastoreSummaries) != 1 || page.NextToken == "" {
		t.Fatalf("first page %+v, %v", page, err)
	}
	rest, err := l.s.ListDatastores(l.ctx, &api.ListDatastoresInput{MaxResults: aws.Ptr(int32(5)), DatastoreStatus: api.DatastoreStatusActive, NextToken: page.NextToken})
	if err != nil || len(rest.DatastoreSummaries) != 1 || rest.NextToken != "" || rest.DatastoreSummaries[0].DatastoreName != "second" {
		t.Errorf("second page %+v, %v", rest, err)
	}
	if _, err := l.s.ListDatastores(l.ctx, &api.ListDatastoresInput{NextToken: page.NextToken}); !errs.Is(err, errs.Invalid) {
		t.Errorf("a page token for another request: %v", err)
	}
	l.mustPut(slice(study1, series1, 1, nil))
	if _, err := l.s.DeleteDatastore(l.ctx, &api.DeleteDatastoreInput{DatastoreId: l.store}); !errs.Is(err, errs.Conflict) {
		t.Errorf("deleting a store with image sets: %v", err)
	}
	if _, err := l.s.DeleteDatastore(l.ctx, &api.DeleteDatastoreInput{DatastoreId: id}); err != nil {
		t.Fatal(err)
	}
	l.await("the store is deleted", func() bool { return l.status(id) == api.DatastoreStatusDeleted })
	l.store = id
	if a := l.do("GET", "/studies", nil); a.status != 404 {
		t.Errorf("DICOMweb of a deleted store: %d", a.status)
	}
	want := []string{"Data Store Creating", "Data Store Created", "Data Store Creating", "Data Store Created", "Image Set Created", "Data Store Deleting", "Data Store Deleted"}
	l.await("all events are out", func() bool { return len(l.events()) >= len(want) }) // they follow the state within moments
	if got := l.events(); !slices.Equal(got, want) {
		t.Errorf("events %v", got)
	}
}

func TestTags(t *testing.T) {
	l := newLab(t)
	id := l.create(&api.CreateDatastoreInput{Tags: map[string]string{"a": "1"}})
	l.mustPut(slice(study1, series1, 1, nil))
	set := l.sets()[0].ImageSetId
	for _, arn := range []string{l.s.arn(id), l.s.setARN(id, set)} {
		if _, err := l.s.TagResource(l.ctx, &api.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"b": "2", "c": "3"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := l.s.UntagResource(l.ctx, &api.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a", "c", "z"}}); err != nil {
			t.Fatal(err)
		}
		out, err := l.s.ListTagsForResource(l.ctx, &api.ListTagsForResourceInput{ResourceArn: arn})
		if err != nil || fmt.Sprint(out.Tags) != "map[b:2]" {
			t.Errorf("%s: %v, %v", arn, out, err)
		}
	}
	if _, err := l.s.TagResource(l.ctx, &api.TagResourceInput{ResourceArn: l.s.arn(id), Tags: map[string]string{"aws:x": "1"}}); !errs.Is(err, errs.Invalid) {
		t.Errorf("a reserved key: %v", err)
	}
	if _, err := l.s.ListTagsForResource(l.ctx, &api.ListTagsForResourceInput{ResourceArn: "arn:aws:medical-imaging:us-east-1:1:datastore/x"}); !errs.Is(err, errs.Invalid) {
		t.Errorf("a foreign ARN: %v", err)
	}
	if got, err := l.s.GetImageSet(l.ctx, &api.GetImageSetInput{DatastoreId: id, ImageSetId: set}); err != nil || got.VersionId != "1" {
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
	before := len(l.events())
	for _, b := range files {
		l.mustPut(b)
	}
	if got := state(); got != want || len(l.events()) != before {
		t.Errorf("after the same again: %s, %d more events", got, len(l.events())-before)
	}
	blobs := 0
	l.blobs.Sweep(l.ctx, l.now(), func(id blobID) (bool, error) { blobs++; return true, nil })
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
	got, err := l.s.GetImageFrame(l.ctx, &api.GetImageFrameInput{DatastoreId: l.store, ImageSetId: set.ImageSetId, ImageFrameInformation: &api.ImageFrameInformation{ImageFrameId: frame["ID"].(string)}})
	if err != nil || got.ContentType != "image/jphc" {
		t.Fatalf("%v %v", got, err)
	}
	stream, err := io.ReadAll(got.ImageFrameBlob)
	if err != nil {
		t.Fatal(err)
	}
	_, px, err := htj2k.Decode(l.ctx, htj2k.HTJ2K, stream)
	if err != nil {
		t.Fatal(err)
	}
	if sum := float64(crc32.ChecksumIEEE(px)); sum != last["Checksum"] {
		t.Errorf("checksum of the decoded frame %v, metadata says %v", sum, last["Checksum"])
	}
	for _, id := range []string{strings.Repeat("0", 32), frame["ID"].(string)[:24] + "00000001", "x"} {
		if _, err := l.s.GetImageFrame(l.ctx, &api.GetImageFrameInput{DatastoreId: l.store, ImageSetId: set.ImageSetId, ImageFrameInformation: &api.ImageFrameInformation{ImageFrameId: id}}); !errs.Is(err, errs.NotFound) {
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
		if _, err := l.s.SearchImageSets(l.ctx, &api.SearchImageSetsInput{DatastoreId: l.store, SearchCriteria: &api.SearchCriteria{Filters: []api.SearchFilter{f}}}); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var got []string
	in := &api.SearchImageSetsInput{DatastoreId: l.store, MaxResults: aws.Ptr(int32(2)), SearchCriteria: &api.SearchCriteria{Sort: &api.Sort{SortField: api.SortFieldDICOMStudyDateAndTime, SortOrder: api.SortOrderAsc}}}
	for {
		out, err := l.s.SearchImageSets(l.ctx, in)
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

func (l *lab) update(set, version, change, remove string, force, whole bool) (*api.UpdateImageSetMetadataOutput, error) {
	up := &api.DICOMUpdates{}
	if change != "" {
		up.UpdatableAttributes = []byte(change)
	}
	if remove != "" {
		up.RemovableAttributes = []byte(remove)
	}
	return l.s.UpdateImageSetMetadata(l.ctx, &api.UpdateImageSetMetadataInput{DatastoreId: l.store, ImageSetId: set, LatestVersionId: version, Force: &force, IncludeStudyImageSets: &whole,
		UpdateImageSetMetadataUpdates: &api.MetadataUpdates{DICOMUpdates: up}})
}

// An update is a version: it shows in the metadata, in DICOMweb, in the retrieved file and in searches, the version before it stays, and a revert brings it back.
func TestUpdateAndRevert(t *testing.T) {
	l := newLab(t)
	l.create(&api.CreateDatastoreInput{})
	for i := range 3 {
		l.mustPut(slice(study1, series1, i+1, nil))
	}
	set := l.sets()[0].ImageSetId
	sop := series1 + ".2"
	change := `{"SchemaVersion":1.1,"Patient":{"DICOM":{"PatientName":"Müller^Jörg"}},"Study":{"DICOM":{"StudyDescription":"CHEST"},"Series":{"` + series1 + `":{"DICOM":{"SeriesNumber":"7"},"Instances":{"` + sop + `":{"DICOM":{"ImageComments":"seen"}}}}}}}`
	out, err := l.update(set, "3", change, `{"SchemaVersion":1.1,"Study":{"DICOM":{"StudyTime":"x"}}}`, false, false)
	if err != nil || out.LatestVersionId != "4" || out.ImageSetState != api.ImageSetStateLocked || out.ImageSetWorkflowStatus != api.ImageSetWorkflowStatusUpdating {
		t.Fatalf("%+v, %v", out, err)
	}
	look := func(version string) string {
		doc := l.metadata(set, version)
		s := at(doc, "Study", "Series", series1)
		return fmt.Sprint(at(doc, "Patient", "DICOM", "PatientName"), " ", at(doc, "Study", "DICOM", "StudyDescription"), " ", at(doc, "Study", "DICOM", "StudyTime"), " ",
			at(s, "DICOM", "SeriesNumber"), " ", at(s, "Instances", sop, "DICOM", "ImageComments"), " ", len(at(s, "Instances").(map[string]any)))
	}
	if got := look("4"); got != "Müller^Jörg CHEST <nil> 7 seen 3" {
		t.Errorf("version 4: %s", got)
	}
	for v, n := range map[string]string{"3": "3", "1": "1"} {
		if got := look(v); got != "Doe^Jane <nil> 101500 2 <nil> "+n {
			t.Errorf("version %s: %s", v, got)
		}
	}
	g, err := dicom.Parse(l.want(200, "GET", "/studies/"+study1+"/series/"+series1+"/instances/"+sop, nil, "Accept: application/dicom").body, dicom.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if d := g.Dataset; d.String(dicom.TagPatientName) != "Müller^Jörg" || d.String(0x00204000) != "seen" || d.Has(dicom.TagStudyTime) || d.String(dicom.TagSeriesNumber) != "7" || d.String(dicom.TagPatientID) != "P1" {
		t.Errorf("the file: %s", dicom.JSON{}.Append(nil, d))
	}
	if n := len(l.want(200, "GET", "/studies?PatientName=muller*", nil).list(t)); n != 1 {
		t.Errorf("%d studies found by the new name", n)
	}
	if n := len(l.want(200, "GET", "/studies?PatientName=Doe*", nil).list(t)); n != 0 {
		t.Errorf("%d studies found by the old name", n)
	}
	if _, err := l.update(set, "4", "", `{"SchemaVersion":1.1,"Study":{"Series":{"`+series1+`":{"Instances":{"`+sop+`":{}}}}}}`, true, false); err != nil {
		t.Fatal(err)
	}
	if got := look("5"); got != "Müller^Jörg CHEST <nil> 7 <nil> 2" {
		t.Errorf("version 5: %s", got)
	}
	if got := look("4"); got != "Müller^Jörg CHEST <nil> 7 seen 3" {
		t.Errorf("version 4 after a removal: %s", got)
	}
	l.want(404, "GET", "/studies/"+study1+"/series/"+series1+"/instances/"+sop+"/metadata", nil)
	back, err := l.s.UpdateImageSetMetadata(l.ctx, &api.UpdateImageSetMetadataInput{DatastoreId: l.store, ImageSetId: set, LatestVersionId: "5", UpdateImageSetMetadataUpdates: &api.MetadataUpdates{RevertToVersionId: "3"}})
	if err != nil || back.LatestVersionId != "6" {
		t.Fatalf("%+v, %v", back, err)
	}
	if got := look(""); got != "Doe^Jane <nil> 101500 2 <nil> 3" {
		t.Errorf("reverted: %s", got)
	}
	l.want(200, "GET", "/studies/"+study1+"/series/"+series1+"/instances/"+sop+"/metadata", nil)
	vs, err := l.s.ListImageSetVersions(l.ctx, &api.ListImageSetVersionsInput{DatastoreId: l.store, ImageSetId: set, MaxResults: aws.Ptr(int32(4))})
	if err != nil || len(vs.ImageSetPropertiesList) != 4 || vs.ImageSetPropertiesList[0].VersionId != "6" {
		t.Fatalf("%+v, %v", vs, err)
	}
	vs, err = l.s.ListImageSetVersions(l.ctx, &api.ListImageSetVersionsInput{DatastoreId: l.store, ImageSetId: set, NextToken: vs.NextToken})
	if err != nil || len(vs.ImageSetPropertiesList) != 2 || vs.ImageSetPropertiesList[1].VersionId != "1" || vs.NextToken != "" {
		t.Errorf("%+v, %v", vs, err)
	}
}

func TestUpdateConstraints(t *testing.T) {
	l := newLab(t)
	l.create(&api.CreateDatastoreInput{})
	l.mustPut(slice(study1, series1, 1, nil))
	l.mustPut(slice(study1, series2, 1, nil))
	var set string
	for _, s := range l.sets() {
		if s.DICOMTags.DICOMSeriesInstanceUID == series1 {
			set = s.ImageSetId
		}
	}
	doc := func(patient, study, series, instance string) string {
		return `{"SchemaVersion":1.1,"Patient":{"DICOM":{` + patient + `}},"Study":{"DICOM":{` + study + `},"Series":{"` + series1 + `":{"DICOM":{` + series + `},"Instances":{"` + series1 + `.1":{"DICOM":{` + instance + `}}}}}}}`
	}
	for name, c := range map[string]struct {
		change, remove string
		force          bool
		code           errs.Code
	}{
		"another level":              {change: doc(`"StudyDescription":"x"`, "", "", ""), code: errs.Invalid},
		"unknown attribute":          {change: doc(`"NoSuchThing":"x"`, "", "", ""), code: errs.Invalid},
		"not a date":                 {change: doc(`"PatientBirthDate":"yesterday"`, "", "", ""), code: errs.Invalid},
		"a number too large":         {change: doc("", "", "", `"Rows":70000`), code: errs.Invalid},
		"pixel data":                 {change: doc("", "", "", `"PixelData":"x"`), force: true, code: errs.Invalid},
		"study uid of a primary":     {change: doc("", `"StudyInstanceUID":"1.2"`, "", ""), force: true, code: errs.Invalid},
		"study id without force":     {change: doc("", `"StudyID":"x"`, "", ""), code: errs.Invalid},
		"sequence without force":     {change: doc("", `"ProcedureCodeSequence":[{"CodeValue":"1"}]`, "", ""), code: errs.Invalid},
		"values without force":       {change: doc("", "", "", `"ImageType":["A","B"]`), code: errs.Invalid},
		"private without force":      {change: doc("", "", "", `"00091001":"x"`), code: errs.Invalid},
		"removal without force":      {remove: `{"Study":{"Series":{"` + series1 + `":{"Instances":{"` + series1 + `.1":{}}}}}}`, code: errs.Invalid},
		"removal of the last":        {remove: `{"Study":{"Series":{"` + series1 + `":{"Instances":{"` + series1 + `.1":{}}}}}}`, force: true, code: errs.Invalid},
		"another series":             {change: `{"Study":{"Series":{"1.2":{"DICOM":{"Modality":"MR"}}}}}`, code: errs.Invalid},
		"another instance":           {change: `{"Study":{"Series":{"` + series1 + `":{"Instances":{"1.2":{"DICOM":{"ImageComments":"x"}}}}}}}`, code: errs.Invalid},
		"nothing":                    {change: `{"SchemaVersion":1.1}`, code: errs.Invalid},
		"not JSON":                   {change: `{`, code: errs.Invalid},
		"an unknown member":          {change: `{"Patients":{}}`, code: errs.Invalid},
		"a double key":               {change: `{"Patient":{},"Patient":{}}`, code: errs.Invalid},
		"too large":                  {change: doc("", `"StudyDescription":"`+strings.Repeat("x", 11_000)+`"`, "", ""), code: errs.TooLarge},
		"what the other set denies":  {change: doc(`"PatientID":"P9"`, "", "", ""), code: errs.Conflict},
		"a separator within a value": {change: doc(`"PatientName":"a\\b"`, "", "", ""), code: errs.Invalid},
	} {
		if _, err := l.update(set, "1", c.change, c.remove, c.force, false); !errs.Is(err, c.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := l.update(set, "2", doc(`"PatientName":"x"`, "", "", ""), "", false, false); !errs.Is(err, errs.Conflict) {
		t.Errorf("a version that is not the latest: %v", err)
	}
	if out, _ := l.s.GetImageSet(l.ctx, &api.GetImageSetInput{DatastoreId: l.store, ImageSetId: set}); out.VersionId != "1" {
		t.Errorf("refused updates made version %s", out.VersionId)
	}
	if _, err := l.update(set, "1", doc(`"PatientID":"P9"`, "", "", ""), "", false, true); err != nil {
		t.Fatal(err)
	}
	for _, s := range l.sets() {
		if s.DICOMTags.DICOMPatientId != "P9" || *s.Version != 2 {
			t.Errorf("%s: patient %s in version %d", s.DICOMTags.DICOMSeriesInstanceUID, s.DICOMTags.DICOMPatientId, *s.Version)
		}
	}
	if _, err := l.update(set, "2", doc("", `"ProcedureCodeSequence":[{"CodeValue":"1","CodingSchemeDesignator":"X"}]`, "", `"ImageType":["A","B"],"00091001":"x"`), "", true, false); err != nil {
		t.Fatal(err)
	}
	m := l.want(200, "GET", "/studies/"+study1+"/series/"+series1+"/instances/"+series1+".1/metadata", nil).list(t)[0]
	if got := fmt.Sprint(m["00080008"].Value, m["00091001"].Value, m["00081032"].Value); got != "[A B] [x] [map[00080100:map[Value:[1] vr:SH] 00080102:map[Value:[X] vr:SH]]]" {
		t.Errorf("forced: %s", got)
	}
	if out, _ := l.s.GetImageSet(l.ctx, &api.GetImageSetInput{DatastoreId: l.store, ImageSetId: set}); out.Overrides == nil || !*out.Overrides.Forced {
		t.Error("the set does not say that it was forced")
	}
}

// A set that contradicted is corrected and promoted: its instances join the primary set.
func TestCorrectAndPromote(t *testing.T) {
	l := newLab(t)
	l.create(&api.CreateDatastoreInput{})
	l.mustPut(slice(study1, series1, 1, nil))
	l.mustPut(slice(study1, series1, 2, func(d *dicom.Dataset) { d.SetStrings(dicom.TagPatientID, "P2") }))
	sets := map[bool]api.ImageSetsMetadataSummary{}
	for _, s := range l.sets() {
		sets[*s.IsPrimary] = s
	}
	apart := sets[false].ImageSetId
	cp := func(version string, to *api.CopyDestinationImageSet, pick string, force, promote bool) (*api.CopyImageSetOutput, error) {
		in := &api.CopyImageSetInput{DatastoreId: l.store, SourceImageSetId: apart, Force: &force, PromoteToPrimary: &promote,
			CopyImageSetInformation: &api.CopyImageSetInformation{SourceImageSet: &api.CopySourceImageSetInformation{LatestVersionId: version}, DestinationImageSet: to}}
		if pick != "" {
			in.CopyImageSetInformation.SourceImageSet.DICOMCopies = &api.MetadataCopies{CopiableAttributes: pick}
		}
		return l.s.CopyImageSet(l.ctx, in)
	}
	if _, err := cp("1", nil, "", false, true); !errs.Is(err, errs.Conflict) {
		t.Errorf("promoting what contradicts: %v", err)
	}
	primary := &api.CopyDestinationImageSet{ImageSetId: sets[true].ImageSetId, LatestVersionId: "1"}
	if _, err := cp("1", primary, "", false, false); !errs.Is(err, errs.Conflict) {
		t.Errorf("copying into what contradicts: %v", err)
	}
	if _, err := cp("1", nil, `{"Study":{"Series":{"`+series1+`":{"Instances":{"1.2.3":{}}}}}}`, false, false); !errs.Is(err, errs.Invalid) {
		t.Errorf("copying an instance that is not there: %v", err)
	}
	dup, err := cp("1", nil, `{"SchemaVersion":"1.1","Study":{"Series":{"`+series1+`":{"Instances":{"`+series1+`.2":{}}}}}}`, false, false)
	if err != nil || dup.DestinationImageSetProperties.LatestVersionId != "1" {
		t.Fatalf("%+v, %v", dup, err)
	}
	copied := dup.DestinationImageSetProperties.ImageSetId
	if _, err := l.update(apart, "1", `{"Patient":{"DICOM":{"PatientID":"P1"}}}`, "", false, false); err != nil {
		t.Fatal(err)
	}
	out, err := cp("2", nil, "", false, true)
	if err != nil || out.DestinationImageSetProperties.ImageSetId != sets[true].ImageSetId || out.DestinationImageSetProperties.LatestVersionId != "2" {
		t.Fatalf("%+v, %v", out, err)
	}
	path := "/studies/" + study1 + "/series/" + series1 + "/instances/" + series1 + ".2"
	g, err := dicom.Parse(l.want(200, "GET", path, nil, "Accept: application/dicom").body, dicom.Limits{})
	if err != nil || g.Dataset.String(dicom.TagPatientID) != "P1" {
		t.Fatalf("PatientID of the promoted instance: %v", err)
	}
	for _, id := range []string{apart, copied} { // the bodies are shared: the primary set keeps them
		if _, err := l.s.DeleteImageSet(l.ctx, &api.DeleteImageSetInput{DatastoreId: l.store, ImageSetId: id}); err != nil {
			t.Fatal(err)
		}
		l.await("the set is purged", func() bool {
			_, err := l.s.GetImageSet(l.ctx, &api.GetImageSetInput{DatastoreId: l.store, ImageSetId: id})
			return errs.Is(err, errs.NotFound)
		})
	}
	l.want(200, "GET", path+"/frames/1", nil, "Accept: application/octet-stream")
	if _, err := l.s.DeleteImageSet(l.ctx, &api.DeleteImageSetInput{DatastoreId: l.store, ImageSetId: sets[true].ImageSetId}); err != nil {
		t.Fatal(err)
	}
	l.want(404, "GET", path, nil)
	l.await("no blob is left", func() bool {
		n := 0
		l.blobs.Sweep(l.ctx, l.now(), func(blobID) (bool, error) { n++; return true, nil })
		return n == 0
	})
	if err := l.s.view(l.ctx, space(l.store), func(v record.View) error {
		for _, kind := range []string{imageSets.Name, instances.Name, studies.Name, bodies.Name} {
			for r, err := range v.Scan(kind, 0) {
				return fmt.Errorf("%s %s is left (%v)", kind, r.ID, err)
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// The manifest and the lists of an import have the documented shape, and importing again changes nothing.
func TestImportJob(t *testing.T) {
	l := newLab(t)
	l.create(&api.CreateDatastoreInput{})
	put := func(name string, b []byte) { l.s3.body["in/"+name] = b }
	for i := range 6 {
		put(fmt.Sprintf("scan/%d.dcm", i), slice(study1, series1, i+1, nil))
	}
	put("scan/readme.txt", []byte("this is not DICOM at all, only text that stands among the files"))
	put("scan/cut.dcm", slice(study1, series1, 9, nil)[:2000])
	put("scan/odd.dcm", slice(study1, series1, 10, func(d *dicom.Dataset) { d.SetStrings(dicom.TagNumberOfFrames, "99") }))
	put("other/1.dcm", slice(study1, series2, 1, nil))
	run := func() (map[string]any, *api.DICOMImportJobProperties) {
		t.Helper()
		out, err := l.s.StartDICOMImportJob(l.ctx, &api.StartDICOMImportJobInput{DatastoreId: l.store, DataAccessRoleArn: "arn:aws:iam::000000000000:role/r", InputS3Uri: "s3://in/scan/", OutputS3Uri: "s3://out/results"})
		if err != nil || out.JobStatus != api.JobStatusSubmitted {
			t.Fatalf("%+v, %v", out, err)
		}
		var p *api.DICOMImportJobProperties
		l.await("the job ends", func() bool {
			got, err := l.s.GetDICOMImportJob(l.ctx, &api.GetDICOMImportJobInput{DatastoreId: l.store, JobId: out.JobId})
			if err != nil {
				t.Fatal(err)
			}
			p = got.JobProperties
			return p.JobStatus == api.JobStatusCompleted || p.JobStatus == api.JobStatusFailed
		})
		prefix := "s3://out/results/" + l.store + "-DicomImport-" + out.JobId + "/"
		if p.JobStatus != api.JobStatusCompleted || p.OutputS3Uri != prefix {
			t.Fatalf("job %+v", p)
		}
		var doc struct{ JobSummary map[string]any }
		if err := json.Unmarshal(l.s3.body[strings.TrimPrefix(prefix, "s3://")+"job-output-manifest.json"], &doc); err != nil {
			t.Fatal(err)
		}
		return doc.JobSummary, p
	}
	sum, p := run()
	if got := fmt.Sprint(sum["numberOfScannedFiles"], sum["numberOfImportedFiles"], sum["numberOfFilesWithCustomerError"], sum["numberOfFilesWithServerError"], sum["numberOfGeneratedImageSets"]); got != "9 7 2 0 1" {
		t.Errorf("counts %s in %v", got, sum)
	}
	file := func(name string) string {
		return string(l.s3.body[strings.TrimPrefix(p.OutputS3Uri, "s3://")+name])
	}
	set := l.sets()[0].ImageSetId
	if s := file("SUCCESS/success.ndjson"); strings.Count(s, "\n") != 7 || !strings.HasPrefix(s, `{"inputFile":"scan/0.dcm","importResponse":{"imageSetId":"`+set+`","isPrimary":true}}`) {
		t.Errorf("success %s", s)
	}
	if s := file("FAILURE/failure.ndjson"); strings.Count(s, "\n") != 2 || !strings.Contains(s, `{"inputFile":"scan/readme.txt","exception":{"exceptionType":"ValidationException","message":"DICOM attributes does not exist`) {
		t.Errorf("failure %s", s)
	}
	if s := file("WARNING/warning.ndjson"); strings.Count(s, "\n") != 1 || !strings.Contains(s, `"imageSetVersion":1,"isPrimary":true,"warnings":[{"warning_reason_code":45328,"type":"FramesExtractionFailure"`) {
		t.Errorf("warning %s", s)
	}
	again, _ := run()
	if got, _ := l.s.GetImageSet(l.ctx, &api.GetImageSetInput{DatastoreId: l.store, ImageSetId: set}); got.VersionId != "1" || fmt.Sprint(again["numberOfImportedFiles"]) != "7" {
		t.Errorf("a second import made version %s, %v", got.VersionId, again)
	}
	list, err := l.s.ListDICOMImportJobs(l.ctx, &api.ListDICOMImportJobsInput{DatastoreId: l.store, JobStatus: api.JobStatusCompleted})
	if err != nil || len(list.JobSummaries) != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	want := []string{"Import Job Submitted", "Import Job In Progress", "Image Set Created", "Import Job Completed", "Import Job Submitted", "Import Job In Progress", "Import Job Completed"}
	l.await("all events are out", func() bool { return len(l.events()) >= 2+len(want) })
	if got := l.events()[2:]; !slices.Equal(got, want) {
		t.Errorf("events %v", got)
	}
	if _, err := l.s.StartDICOMImportJob(l.ctx, &api.StartDICOMImportJobInput{DatastoreId: l.store, DataAccessRoleArn: "arn:aws:iam::000000000000:role/forbidden", InputS3Uri: "s3://in/scan/", OutputS3Uri: "s3://out/"}); !errs.Is(err, errs.Denied) {
		t.Errorf("a role that may not be passed: %v", err)
	}
}

// An import that was stopped in the middle goes on after a restart and ends as if nothing had been.
func TestImportGoesOnAfterARestart(t *testing.T) {
	dir := t.TempDir()
	obj := &objects{body: map[string][]byte{}}
	for i := range 150 {
		obj.body[fmt.Sprintf("in/%03d.dcm", i)] = slice(study1, series1, i+1, nil)
	}
	l := openLab(t, dir, obj)
	store := l.create(&api.CreateDatastoreInput{})
	out, err := l.s.StartDICOMImportJob(l.ctx, &api.StartDICOMImportJobInput{DatastoreId: store, DataAccessRoleArn: "arn:aws:iam::000000000000:role/r", InputS3Uri: "s3://in/", OutputS3Uri: "s3://out/"})
	if err != nil {
		t.Fatal(err)
	}
	l.await("a part is there", func() bool { return len(l.sets()) > 0 })
	l.stop()
	l = openLab(t, dir, obj)
	l.store = store
	l.await("the job ends", func() bool {
		got, err := l.s.GetDICOMImportJob(l.ctx, &api.GetDICOMImportJobInput{DatastoreId: store, JobId: out.JobId})
		if err != nil {
			t.Fatal(err)
		}
		return got.JobProperties.JobStatus == api.JobStatusCompleted
	})
	sets := l.sets()
	if len(sets) != 1 || len(at(l.metadata(sets[0].ImageSetId, ""), "Study", "Series", "*", "Instances").(map[string]any)) != 150 {
		t.Fatalf("%d sets", len(sets))
	}
	manifest := obj.body["out/"+store+"-DicomImport-"+out.JobId+"/job-output-manifest.json"]
	if !bytes.Contains(manifest, []byte(`"numberOfImportedFiles": 150`)) {
		t.Errorf("manifest %s", manifest)
	}
}

const importFiles = 200

// TestKilledImport is the child of the test below: it imports until it is killed.
func TestKilledImport(t *testing.T) {
	dir := os.Getenv("GALEN_TEST_KILLED_IMPORT")
	if dir == "" {
		t.Skip("run by TestImportSurvivesKill")
	}
	l := openLab(t, dir, objectsIn(t, filepath.Join(dir, "s3")))
	store := l.create(&api.CreateDatastoreInput{})
	out, err := l.s.StartDICOMImportJob(l.ctx, &api.StartDICOMImportJobInput{DatastoreId: store, DataAccessRoleArn: "arn:aws:iam::000000000000:role/r", InputS3Uri: "s3://in/", OutputS3Uri: "s3://out/"})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("job %s %s\n", store, out.JobId)
	for n := 0; ; time.Sleep(time.Millisecond) {
		if sets := l.sets(); len(sets) > 0 && int(*sets[0].Version) > n {
			n = int(*sets[0].Version)
			fmt.Printf("round %d\n", n)
		}
	}
}

// An import whose process was killed in the middle goes on at the next start and ends whole: every instance once, the manifest right.
func TestImportSurvivesKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a process")
	}
	dir := t.TempDir()
	obj := objectsIn(t, filepath.Join(dir, "s3"))
	for i := range importFiles {
		if err := obj.keep(fmt.Sprintf("in/%03d.dcm", i), slice(study1, series1, i+1, nil)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledImport$")
	cmd.Env = append(os.Environ(), "GALEN_TEST_KILLED_IMPORT="+dir)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var store, jobID string
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		if f := strings.Fields(lines.Text()); len(f) == 3 && f[0] == "job" {
			store, jobID = f[1], f[2]
		} else if len(f) == 2 && f[0] == "round" {
			break
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // killed
	if jobID == "" {
		t.Skip("the codecs are not here, or the child did not start")
	}
	l := openLab(t, dir, objectsIn(t, filepath.Join(dir, "s3")))
	l.store = store
	before := 0
	if sets := l.sets(); len(sets) == 1 {
		before = len(at(l.metadata(sets[0].ImageSetId, ""), "Study", "Series", "*", "Instances").(map[string]any))
	}
	l.await("the job ends", func() bool {
		got, err := l.s.GetDICOMImportJob(l.ctx, &api.GetDICOMImportJobInput{DatastoreId: store, JobId: jobID})
		if err != nil {
			t.Fatal(err)
		}
		return got.JobProperties.JobStatus == api.JobStatusCompleted
	})
	sets := l.sets()
	if len(sets) != 1 {
		t.Fatalf("%d image sets", len(sets))
	}
	after := len(at(l.metadata(sets[0].ImageSetId, ""), "Study", "Series", "*", "Instances").(map[string]any))
	manifest := l.s3.body["out/"+store+"-DicomImport-"+jobID+"/job-output-manifest.json"]
	if after != importFiles || !bytes.Contains(manifest, fmt.Appendf(nil, `"numberOfImportedFiles": %d`, importFiles)) {
		t.Errorf("%d of %d instances, manifest %s", after, importFiles, manifest)
	}
	t.Logf("killed with %d of %d instances, ended with %d", before, importFiles, after)
}
