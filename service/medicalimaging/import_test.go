package medicalimaging

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/standard/dicom"
	"github.com/galen-health/galen/test/testbed"
)

// The manifest and the lists of an import have the documented shape, and importing again changes nothing.
func TestImportJob(t *testing.T) {
	l := newLab(t)
	l.create(&api.CreateDatastoreInput{})
	put := func(name string, b []byte) { l.s3.Put("in/"+name, b) }
	for i := range 6 {
		put(fmt.Sprintf("scan/%d.dcm", i), slice(study1, series1, i+1, nil))
	}
	put("scan/readme.txt", []byte("this is not DICOM at all, only text that stands among the files"))
	put("scan/cut.dcm", slice(study1, series1, 9, nil)[:2000])
	put("scan/odd.dcm", slice(study1, series1, 10, func(d *dicom.Dataset) { d.SetStrings(dicom.TagNumberOfFrames, "99") }))
	put("other/1.dcm", slice(study1, series2, 1, nil))
	run := func() (map[string]any, *api.DICOMImportJobProperties) {
		t.Helper()
		out, err := l.s.StartDICOMImportJob(l.Ctx, &api.StartDICOMImportJobInput{DatastoreId: l.store, DataAccessRoleArn: "arn:aws:iam::000000000000:role/r", InputS3Uri: "s3://in/scan/", OutputS3Uri: "s3://out/results"})
		if err != nil || out.JobStatus != api.JobStatusSubmitted {
			t.Fatalf("%+v, %v", out, err)
		}
		var p *api.DICOMImportJobProperties
		l.Await("the job ends", func() bool {
			got, err := l.s.GetDICOMImportJob(l.Ctx, &api.GetDICOMImportJobInput{DatastoreId: l.store, JobId: out.JobId})
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
		if err := json.Unmarshal(l.s3.Get(strings.TrimPrefix(prefix, "s3://")+"job-output-manifest.json"), &doc); err != nil {
			t.Fatal(err)
		}
		return doc.JobSummary, p
	}
	sum, p := run()
	if got := fmt.Sprint(sum["numberOfScannedFiles"], sum["numberOfImportedFiles"], sum["numberOfFilesWithCustomerError"], sum["numberOfFilesWithServerError"], sum["numberOfGeneratedImageSets"]); got != "9 7 2 0 1" {
		t.Errorf("counts %s in %v", got, sum)
	}
	file := func(name string) string {
		return string(l.s3.Get(strings.TrimPrefix(p.OutputS3Uri, "s3://") + name))
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
	if got, _ := l.s.GetImageSet(l.Ctx, &api.GetImageSetInput{DatastoreId: l.store, ImageSetId: set}); got.VersionId != "1" || fmt.Sprint(again["numberOfImportedFiles"]) != "7" {
		t.Errorf("a second import made version %s, %v", got.VersionId, again)
	}
	list, err := l.s.ListDICOMImportJobs(l.Ctx, &api.ListDICOMImportJobsInput{DatastoreId: l.store, JobStatus: api.JobStatusCompleted})
	if err != nil || len(list.JobSummaries) != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	want := []string{"Import Job Submitted", "Import Job In Progress", "Image Set Created", "Import Job Completed", "Import Job Submitted", "Import Job In Progress", "Import Job Completed"}
	l.Await("all events are out", func() bool { return len(l.EventTypes()) >= 2+len(want) })
	if got := l.EventTypes()[2:]; !slices.Equal(got, want) {
		t.Errorf("events %v", got)
	}
	if _, err := l.s.StartDICOMImportJob(l.Ctx, &api.StartDICOMImportJobInput{DatastoreId: l.store, DataAccessRoleArn: "arn:aws:iam::000000000000:role/forbidden", InputS3Uri: "s3://in/scan/", OutputS3Uri: "s3://out/"}); !errs.Is(err, errs.Denied) {
		t.Errorf("a role that may not be passed: %v", err)
	}
}

// An import that was stopped in the middle goes on after a restart and ends as if nothing had been.
func TestImportGoesOnAfterARestart(t *testing.T) {
	dir := t.TempDir()
	obj := testbed.NewObjects()
	for i := range 150 {
		obj.Put(fmt.Sprintf("in/%03d.dcm", i), slice(study1, series1, i+1, nil))
	}
	l := labIn(t, dir, obj)
	store := l.create(&api.CreateDatastoreInput{})
	out, err := l.s.StartDICOMImportJob(l.Ctx, &api.StartDICOMImportJobInput{DatastoreId: store, DataAccessRoleArn: "arn:aws:iam::000000000000:role/r", InputS3Uri: "s3://in/", OutputS3Uri: "s3://out/"})
	if err != nil {
		t.Fatal(err)
	}
	l.Await("a part is there", func() bool { return len(l.sets()) > 0 })
	l.Stop()
	l = labIn(t, dir, obj)
	l.store = store
	l.Await("the job ends", func() bool {
		got, err := l.s.GetDICOMImportJob(l.Ctx, &api.GetDICOMImportJobInput{DatastoreId: store, JobId: out.JobId})
		if err != nil {
			t.Fatal(err)
		}
		return got.JobProperties.JobStatus == api.JobStatusCompleted
	})
	sets := l.sets()
	if len(sets) != 1 || len(at(l.metadata(sets[0].ImageSetId, ""), "Study", "Series", "*", "Instances").(map[string]any)) != 150 {
		t.Fatalf("%d sets", len(sets))
	}
	manifest := obj.Get("out/" + store + "-DicomImport-" + out.JobId + "/job-output-manifest.json")
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
	l := labIn(t, dir, testbed.ObjectsIn(t, filepath.Join(dir, "s3")))
	store := l.create(&api.CreateDatastoreInput{})
	out, err := l.s.StartDICOMImportJob(l.Ctx, &api.StartDICOMImportJobInput{DatastoreId: store, DataAccessRoleArn: "arn:aws:iam::000000000000:role/r", InputS3Uri: "s3://in/", OutputS3Uri: "s3://out/"})
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
	obj := testbed.ObjectsIn(t, filepath.Join(dir, "s3"))
	for i := range importFiles {
		obj.Put(fmt.Sprintf("in/%03d.dcm", i), slice(study1, series1, i+1, nil))
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
	l := labIn(t, dir, testbed.ObjectsIn(t, filepath.Join(dir, "s3")))
	l.store = store
	before := 0
	if sets := l.sets(); len(sets) == 1 {
		before = len(at(l.metadata(sets[0].ImageSetId, ""), "Study", "Series", "*", "Instances").(map[string]any))
	}
	l.Await("the job ends", func() bool {
		got, err := l.s.GetDICOMImportJob(l.Ctx, &api.GetDICOMImportJobInput{DatastoreId: store, JobId: jobID})
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
	manifest := l.s3.Get("out/" + store + "-DicomImport-" + jobID + "/job-output-manifest.json")
	if after != importFiles || !bytes.Contains(manifest, fmt.Appendf(nil, `"numberOfImportedFiles": %d`, importFiles)) {
		t.Errorf("%d of %d instances, manifest %s", after, importFiles, manifest)
	}
	t.Logf("killed with %d of %d instances, ended with %d", before, importFiles, after)
}
