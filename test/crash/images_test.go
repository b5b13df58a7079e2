package crash_test

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/standard/dicom"
	"github.com/galen-health/galen/test/sample"
)

const slices = 40

// images is the import of HealthImaging: a series a round.
func (s *site) images() []work {
	c := medicalimaging.NewClient(s.g.Client())
	made, err := c.CreateDatastore(s.t.Context(), &medicalimaging.CreateDatastoreInput{ClientToken: "jobs"})
	if err != nil {
		s.t.Fatal(err)
	}
	store := made.DatastoreId
	await(s.t, "the imaging data store", func() bool {
		d, err := c.GetDatastore(s.t.Context(), &medicalimaging.GetDatastoreInput{DatastoreId: store})
		if err != nil {
			s.t.Fatal(err)
		}
		return d.DatastoreProperties.DatastoreStatus == medicalimaging.DatastoreStatusActive
	})
	study := func(n int) string { return fmt.Sprintf("%s.7%d", sample.Study, n) }
	job := func(id string) *medicalimaging.DICOMImportJobProperties {
		d, err := c.GetDICOMImportJob(s.t.Context(), &medicalimaging.GetDICOMImportJobInput{DatastoreId: store, JobId: id})
		if err != nil {
			s.t.Fatal(err)
		}
		return d.JobProperties
	}
	return []work{{
		name: "medical-imaging import",
		prepare: func(n int) {
			for i := range slices {
				s.put(fmt.Sprintf("dicom-in/%d/%d.dcm", n, i), sample.Slice(i+1, "P", func(d *dicom.Dataset) {
					d.SetStrings(dicom.TagStudyInstanceUID, study(n))
					d.SetStrings(dicom.TagSeriesInstanceUID, study(n)+".1")
					d.SetStrings(dicom.TagSOPInstanceUID, fmt.Sprintf("%s.1.%d", study(n), i+1))
				}))
			}
		},
		start: func(n int) string {
			out, err := c.StartDICOMImportJob(s.t.Context(), &medicalimaging.StartDICOMImportJobInput{DatastoreId: store, DataAccessRoleArn: s.role, ClientToken: fmt.Sprint("import", n),
				InputS3Uri: fmt.Sprintf("s3://jobs/dicom-in/%d/", n), OutputS3Uri: fmt.Sprintf("s3://jobs/dicom-out/%d/", n)})
			if err != nil {
				s.t.Fatal(err)
			}
			return out.JobId
		},
		state: func(id string) string { return stateOf(job(id).JobStatus, job(id).Message, nil) },
		check: func(n int, id string) {
			var manifest struct {
				JobSummary struct {
					NumberOfImportedFiles, NumberOfFilesWithCustomerError, NumberOfFilesWithServerError int
					ImageSetsSummary                                                                    []struct{ NumberOfMatchedSOPInstances int }
				}
			}
			key := strings.TrimPrefix(job(id).OutputS3Uri, "s3://jobs/") + "job-output-manifest.json"
			if err := json.Unmarshal(s.objects(key)[key], &manifest); err != nil {
				s.t.Fatal(err)
			}
			m := manifest.JobSummary
			if m.NumberOfImportedFiles != slices || m.NumberOfFilesWithCustomerError+m.NumberOfFilesWithServerError != 0 || len(m.ImageSetsSummary) != 1 || m.ImageSetsSummary[0].NumberOfMatchedSOPInstances != slices {
				s.t.Errorf("import %d: the manifest says %+v", n, m)
			}
			found, err := c.SearchImageSets(s.t.Context(), &medicalimaging.SearchImageSetsInput{DatastoreId: store, SearchCriteria: &medicalimaging.SearchCriteria{Filters: []medicalimaging.SearchFilter{{
				Operator: medicalimaging.OperatorEqual, Values: []medicalimaging.SearchByAttributeValue{{DICOMStudyInstanceUID: study(n)}}}}}})
			if err != nil {
				s.t.Fatal(err)
			}
			if len(found.ImageSetsMetadataSummaries) != 1 {
				s.t.Fatalf("import %d: %d image sets, want 1", n, len(found.ImageSetsMetadataSummaries))
			}
			set := found.ImageSetsMetadataSummaries[0]
			if *set.Version != 1 || *set.DICOMTags.DICOMNumberOfStudyRelatedInstances != slices {
				s.t.Errorf("import %d: the image set has version %d and %d instances", n, *set.Version, *set.DICOMTags.DICOMNumberOfStudyRelatedInstances)
			}
			status, b, err := s.g.Client().Send(s.t.Context(), "medical-imaging", "GET", fmt.Sprintf("/datastore/%s/studies/%s/series/%s.1/instances?limit=1000", store, study(n), study(n)), nil, nil, 4<<20)
			if err != nil || status != 200 {
				s.t.Fatalf("instances: %d %v", status, err)
			}
			for i := range slices {
				if uid := fmt.Sprintf(`"%s.1.%d"`, study(n), i+1); strings.Count(string(b), uid) != 1 {
					s.t.Errorf("import %d: instance %d is found %d times", n, i+1, strings.Count(string(b), uid))
				}
			}
		},
	}}
}
