package medicalimaging

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/standard/dicom"
)

func (l *lab) update(set, version, change, remove string, force, whole bool) (*api.UpdateImageSetMetadataOutput, error) {
	up := &api.DICOMUpdates{}
	if change != "" {
		up.UpdatableAttributes = []byte(change)
	}
	if remove != "" {
		up.RemovableAttributes = []byte(remove)
	}
	return l.s.UpdateImageSetMetadata(l.Ctx, &api.UpdateImageSetMetadataInput{DatastoreId: l.store, ImageSetId: set, LatestVersionId: version, Force: &force, IncludeStudyImageSets: &whole,
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
	back, err := l.s.UpdateImageSetMetadata(l.Ctx, &api.UpdateImageSetMetadataInput{DatastoreId: l.store, ImageSetId: set, LatestVersionId: "5", UpdateImageSetMetadataUpdates: &api.MetadataUpdates{RevertToVersionId: "3"}})
	if err != nil || back.LatestVersionId != "6" {
		t.Fatalf("%+v, %v", back, err)
	}
	if got := look(""); got != "Doe^Jane <nil> 101500 2 <nil> 3" {
		t.Errorf("reverted: %s", got)
	}
	l.want(200, "GET", "/studies/"+study1+"/series/"+series1+"/instances/"+sop+"/metadata", nil)
	vs, err := l.s.ListImageSetVersions(l.Ctx, &api.ListImageSetVersionsInput{DatastoreId: l.store, ImageSetId: set, MaxResults: aws.Ptr(int32(4))})
	if err != nil || len(vs.ImageSetPropertiesList) != 4 || vs.ImageSetPropertiesList[0].VersionId != "6" {
		t.Fatalf("%+v, %v", vs, err)
	}
	vs, err = l.s.ListImageSetVersions(l.Ctx, &api.ListImageSetVersionsInput{DatastoreId: l.store, ImageSetId: set, NextToken: vs.NextToken})
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
	if out, _ := l.s.GetImageSet(l.Ctx, &api.GetImageSetInput{DatastoreId: l.store, ImageSetId: set}); out.VersionId != "1" {
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
	if out, _ := l.s.GetImageSet(l.Ctx, &api.GetImageSetInput{DatastoreId: l.store, ImageSetId: set}); out.Overrides == nil || !*out.Overrides.Forced {
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
		return l.s.CopyImageSet(l.Ctx, in)
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
		if _, err := l.s.DeleteImageSet(l.Ctx, &api.DeleteImageSetInput{DatastoreId: l.store, ImageSetId: id}); err != nil {
			t.Fatal(err)
		}
		l.Await("the set is purged", func() bool {
			_, err := l.s.GetImageSet(l.Ctx, &api.GetImageSetInput{DatastoreId: l.store, ImageSetId: id})
			return errs.Is(err, errs.NotFound)
		})
	}
	l.want(200, "GET", path+"/frames/1", nil, "Accept: application/octet-stream")
	if _, err := l.s.DeleteImageSet(l.Ctx, &api.DeleteImageSetInput{DatastoreId: l.store, ImageSetId: sets[true].ImageSetId}); err != nil {
		t.Fatal(err)
	}
	l.want(404, "GET", path, nil)
	left := func() error {
		return l.s.view(l.Ctx, space(l.store), func(v record.View) error {
			for _, kind := range []string{imageSets.Name, instances.Name, studies.Name, bodies.Name} {
				for r, err := range v.Scan(kind, 0) {
					return fmt.Errorf("%s %s is left (%v)", kind, r.ID, err)
				}
			}
			return nil
		})
	}
	l.Await("no record is left", func() bool { return left() == nil })
	blobs := 0
	if _, err := l.Blobs.Sweep(l.Ctx, time.Now().Add(time.Hour), func(blob.ID) (bool, error) { blobs++; return true, nil }); err != nil || blobs > 0 {
		t.Errorf("%d blobs are left, %v", blobs, err)
	}
}
