package healthlake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/test/testbed"
)

func (l *lab) startImport(uri string) string {
	l.t.Helper()
	out, err := l.s.StartFHIRImportJob(l.Ctx, &api.StartFHIRImportJobInput{DatastoreId: l.store, JobName: "load", DataAccessRoleArn: "arn:aws:iam::000000000000:role/r",
		InputDataConfig:     &api.InputDataConfig{S3Uri: uri},
		JobOutputDataConfig: &api.OutputDataConfig{S3Configuration: &api.S3Configuration{S3Uri: "s3://out/reports", KmsKeyId: "alias/k"}}})
	if err != nil {
		l.t.Fatal(err)
	}
	if out.JobStatus != api.JobStatusSubmitted {
		l.t.Errorf("status = %s", out.JobStatus)
	}
	return out.JobId
}

func (l *lab) importState(id string) *api.ImportJobProperties {
	l.t.Helper()
	out, err := l.s.DescribeFHIRImportJob(l.Ctx, &api.DescribeFHIRImportJobInput{DatastoreId: l.store, JobId: id})
	if err != nil {
		l.t.Fatal(err)
	}
	return out.ImportJobProperties
}

func (l *lab) importEnd(id string) *api.ImportJobProperties {
	l.t.Helper()
	var p *api.ImportJobProperties
	l.Await("the import ends", func() bool { p = l.importState(id); return !p.EndTime.IsZero() })
	return p
}

func TestImportReportsEveryLine(t *testing.T) {
	l := newLab(t)
	l.create()
	l.s3.Put("in/data/a/Patient.ndjson", []byte(`{"resourceType":"Patient","id":"p1","name":[{"family":"One"}]}

{"resourceType":"Patient","id":"p2","name":[{"family":"Two"}]}
{"resourceType":"Patient","name":[{"family":"NoID"}]}
{"resourceType":"Patient","id":"p3","birthDate":"x"}
not json
{"resourceType":"Patient","id":"p1","name":[{"family":"OneAgain"}]}
`))
	l.s3.Put("in/data/b/Observation.ndjson", []byte(`{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p1"}}`))
	l.s3.Put("in/data/c/Empty.ndjson", nil)
	l.s3.Put("in/data/folder/", nil)
	l.s3.Put("in/other.ndjson", []byte("x"))
	id := l.startImport("s3://in/data/")
	p := l.importEnd(id)
	if p.JobStatus != api.JobStatusCompletedWithErrors {
		t.Fatalf("%s: %s", p.JobStatus, p.Message)
	}
	r := p.JobProgressReport
	counts := fmt.Sprint(aws.Val(r.TotalNumberOfScannedFiles), aws.Val(r.TotalNumberOfImportedFiles), aws.Val(r.TotalNumberOfFilesReadWithCustomerError),
		aws.Val(r.TotalNumberOfResourcesScanned), aws.Val(r.TotalNumberOfResourcesImported), aws.Val(r.TotalNumberOfResourcesWithCustomerError))
	if counts != "3 2 1 7 4 3" {
		t.Errorf("files scanned, imported, with errors; resources scanned, imported, wrong = %s", counts)
	}
	folder := "out/reports/" + l.store + "-FHIR_IMPORT-" + id + "/"
	var m struct {
		NumberOfScannedFiles, NumberOfResourcesScanned, NumberOfResourcesImportedSuccessfully, NumberOfResourcesWithCustomerError int
		SuccessOutput                                                                                                             struct{ SuccessOutputS3Uri string }
		InputDataConfig                                                                                                           struct{ S3Uri string }
		OutputDataConfig                                                                                                          struct{ EncryptionKeyID string }
	}
	if err := json.Unmarshal(l.s3.Get(folder+"manifest.json"), &m); err != nil {
		t.Fatalf("%v: %s", err, l.s3.Get(folder+"manifest.json"))
	}
	if m.NumberOfScannedFiles != 3 || m.NumberOfResourcesScanned != 7 || m.NumberOfResourcesImportedSuccessfully != 4 || m.NumberOfResourcesWithCustomerError != 3 ||
		m.SuccessOutput.SuccessOutputS3Uri != "s3://"+folder+"SUCCESS/" || m.InputDataConfig.S3Uri != "s3://in/data/" || m.OutputDataConfig.EncryptionKeyID != "alias/k" {
		t.Errorf("manifest = %s", l.s3.Get(folder+"manifest.json"))
	}
	type reported struct {
		LineID                 int
		UpdateResourceResponse struct {
			JSONBlob   map[string]any
			StatusCode int
		}
	}
	lines := func(name string) string {
		var out []string
		for k, b := range l.s3.All() {
			if strings.HasPrefix(k, folder+name) {
				for _, s := range strings.Split(strings.TrimSpace(string(b)), "\n") {
					var x reported
					if err := json.Unmarshal([]byte(s), &x); err != nil {
						t.Fatalf("%v: %s", err, s)
					}
					out = append(out, fmt.Sprint(x.LineID, ":", x.UpdateResourceResponse.StatusCode, ":", x.UpdateResourceResponse.JSONBlob["resourceType"]))
				}
			}
		}
		return strings.Join(out, " ")
	}
	if got, want := lines("SUCCESS/a/"), "1:201:Patient 3:201:Patient 7:200:Patient"; got != want {
		t.Errorf("SUCCESS = %s, want %s", got, want)
	}
	if got, want := lines("FAILURE/a/"), "4:400:OperationOutcome 5:400:OperationOutcome 6:400:OperationOutcome"; got != want {
		t.Errorf("FAILURE = %s, want %s", got, want)
	}
	if got := lines("FAILURE/b/"); got != "" {
		t.Errorf("FAILURE of a good file = %s", got)
	}
	if got := l.want(200, "GET", "/Observation?subject:Patient.family=OneAgain", "").ids(t, ""); !reflect.DeepEqual(got, []string{"Observation/o1"}) {
		t.Errorf("found %v", got)
	}
	if got, want := l.EventTypes()[2:], []string{"Import Job Submitted", "Import Job In Progress", "Import Job Completed With Errors"}; !reflect.DeepEqual(got, want) {
		t.Errorf("events = %v", got)
	}

	// The same again: nothing is there twice, and what is unchanged gets no new version.
	p = l.importEnd(l.startImport("s3://in/data/b/Observation.ndjson"))
	if p.JobStatus != api.JobStatusCompleted || aws.Val(p.JobProgressReport.TotalNumberOfResourcesImported) != 1 {
		t.Errorf("again: %s %+v", p.JobStatus, p.JobProgressReport)
	}
	if got := l.want(200, "GET", "/Observation/o1", "").header.Get("ETag"); got != `W/"1"` {
		t.Errorf("unchanged, but version %s", got)
	}
	list, err := l.s.ListFHIRImportJobs(l.Ctx, &api.ListFHIRImportJobsInput{DatastoreId: l.store, JobStatus: api.JobStatusCompleted})
	if err != nil || len(list.ImportJobPropertiesList) != 1 {
		t.Errorf("completed jobs: %+v, %v", list, err)
	}
}

// A file that goes, or changes, while the job works is the file's own error: it is reported, and the others are imported.
func TestImportGoesOnWithoutALostFile(t *testing.T) {
	l := newLab(t)
	l.create()
	for _, n := range []string{"a", "b", "c"} {
		l.s3.Put("in/data/"+n+".ndjson", []byte(`{"resourceType":"Patient","id":"`+n+`"}`))
	}
	l.s3.OnGet = func(in *s3.GetObjectInput) error { // listed, and not there when it is read
		if in.Key == "data/b.ndjson" {
			return errs.Named(errs.NotFound, "NoSuchKey", "no such key")
		}
		return nil
	}
	id := l.startImport("s3://in/data/")
	p := l.importEnd(id)
	r := p.JobProgressReport
	counts := fmt.Sprint(aws.Val(r.TotalNumberOfScannedFiles), aws.Val(r.TotalNumberOfImportedFiles), aws.Val(r.TotalNumberOfFilesReadWithCustomerError), aws.Val(r.TotalNumberOfResourcesImported))
	if p.JobStatus != api.JobStatusCompletedWithErrors || counts != "3 2 1 2" {
		t.Errorf("%s: %s; files scanned, imported, with errors; resources imported = %s", p.JobStatus, p.Message, counts)
	}
	reports := 0
	for k, b := range l.s3.All() {
		if strings.Contains(k, "/FAILURE/b") {
			reports++
			if !strings.Contains(string(b), "gone or was changed") {
				t.Errorf("reported is %s", b)
			}
		}
	}
	if reports != 1 {
		t.Errorf("%d reports of the lost file, want 1", reports)
	}
}

func TestImportFailsWithAReason(t *testing.T) {
	l := newLab(t)
	l.create()
	p := l.importEnd(l.startImport("s3://in/nothing/"))
	if p.JobStatus != api.JobStatusFailed || p.Message == "" {
		t.Errorf("%s %q", p.JobStatus, p.Message)
	}
	for name, change := range map[string]func(*api.StartFHIRImportJobInput){
		"no such store": func(in *api.StartFHIRImportJobInput) { in.DatastoreId = "none" },
		"forbidden": func(in *api.StartFHIRImportJobInput) {
			in.DataAccessRoleArn = "arn:aws:iam::000000000000:role/forbidden"
		},
		"profile": func(in *api.StartFHIRImportJobInput) { in.ProfileId = "x" },
		"no uri":  func(in *api.StartFHIRImportJobInput) { in.InputDataConfig.S3Uri = "" },
	} {
		in := &api.StartFHIRImportJobInput{DatastoreId: l.store, DataAccessRoleArn: "arn:aws:iam::000000000000:role/r", InputDataConfig: &api.InputDataConfig{S3Uri: "s3://in/x"},
			JobOutputDataConfig: &api.OutputDataConfig{S3Configuration: &api.S3Configuration{S3Uri: "s3://out", KmsKeyId: "k"}}}
		change(in)
		_, err := l.s.StartFHIRImportJob(l.Ctx, in)
		if code := errs.CodeOf(err); err == nil || code != errs.NotFound && code != errs.Denied && code != errs.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestImportGoesOnWhereItWasStopped kills the report of the second segment and lets the job try again.
func TestImportGoesOnWhereItWasStopped(t *testing.T) {
	l := newLab(t)
	l.create()
	var b bytes.Buffer
	pad := strings.Repeat("x", 20_000)
	n := 0
	for ; b.Len() < segmentBytes*2; n++ {
		fmt.Fprintf(&b, `{"resourceType":"Patient","id":"p%d","name":[{"text":"%s"}]}`+"\n", n, pad)
	}
	l.s3.Put("in/Patient.ndjson", b.Bytes())
	failed := false
	l.s3.OnPut = func(in *s3.PutObjectInput) error {
		if strings.HasSuffix(in.Key, "-1.ndjson") && !failed {
			failed = true
			return errs.New(errs.Unavailable, "no room")
		}
		return nil
	}
	id := l.startImport("s3://in/Patient.ndjson")
	p := l.importEnd(id)
	if p.JobStatus != api.JobStatusCompleted || !failed {
		t.Fatalf("%s %s, failed once: %v", p.JobStatus, p.Message, failed)
	}
	if got := aws.Val(p.JobProgressReport.TotalNumberOfResourcesImported); got != int64(n) {
		t.Errorf("%d imported, want %d", got, n)
	}
	if reads := l.s3.Reads("in/Patient.ndjson"); reads[len(reads)-1].Range == "" {
		t.Error("the second attempt read the file from its beginning")
	}
	folder := "out/reports/" + l.store + "-FHIR_IMPORT-" + id + "/SUCCESS/"
	lines := map[int]bool{}
	for k, body := range l.s3.All() {
		if !strings.HasPrefix(k, folder) {
			continue
		}
		for _, s := range strings.Split(strings.TrimSpace(string(body)), "\n") {
			var x struct{ LineID int }
			if err := json.Unmarshal([]byte(s), &x); err != nil {
				t.Fatal(err)
			}
			if lines[x.LineID] {
				t.Fatalf("line %d is reported twice", x.LineID)
			}
			lines[x.LineID] = true
		}
	}
	if len(lines) != n {
		t.Errorf("%d lines reported, want %d", len(lines), n)
	}
	if got := l.want(200, "GET", "/Patient?_summary=count", "").json(t)["total"]; got != float64(n) {
		t.Errorf("%v patients, want %d", got, n)
	}
	last := l.want(200, "GET", fmt.Sprintf("/Patient/p%d/_history", n-1), "").ids(t, "")
	if len(last) != 1 {
		t.Errorf("the repeated segment made %d versions", len(last))
	}
}

func TestExportWritesWhatIsThere(t *testing.T) {
	l := newLab(t)
	l.create()
	l.want(201, "PUT", "/Patient/a", `{"resourceType":"Patient","id":"a"}`)
	l.want(201, "PUT", "/Patient/b", `{"resourceType":"Patient","id":"b"}`)
	l.want(204, "DELETE", "/Patient/b", "")
	l.want(201, "PUT", "/Basic/c", `{"resourceType":"Basic","id":"c","code":{"text":"x"}}`)
	out, err := l.s.StartFHIRExportJob(l.Ctx, &api.StartFHIRExportJobInput{DatastoreId: l.store, DataAccessRoleArn: "arn:aws:iam::000000000000:role/r",
		OutputDataConfig: &api.OutputDataConfig{S3Configuration: &api.S3Configuration{S3Uri: "s3://out/x/", KmsKeyId: "k"}}})
	if err != nil {
		t.Fatal(err)
	}
	var p *api.ExportJobProperties
	l.Await("the export ends", func() bool {
		d, err := l.s.DescribeFHIRExportJob(l.Ctx, &api.DescribeFHIRExportJobInput{DatastoreId: l.store, JobId: out.JobId})
		if err != nil {
			t.Fatal(err)
		}
		p = d.ExportJobProperties
		return !p.EndTime.IsZero()
	})
	folder := "out/x/" + l.store + "-FHIR_EXPORT-" + out.JobId + "/"
	if got := strings.TrimSpace(string(l.s3.Get(folder + "Patient/Patient-1.ndjson"))); p.JobStatus != api.JobStatusCompleted || !strings.Contains(got, `"id":"a"`) || strings.Contains(got, "\n") {
		t.Errorf("%s %s: %s", p.JobStatus, p.Message, got)
	}
	if !bytes.Contains(l.s3.Get(folder+"manifest.json"), []byte(folder+"Basic/Basic-0.ndjson")) {
		t.Errorf("manifest = %s", l.s3.Get(folder+"manifest.json"))
	}
}

// TestImportSurvivesARestart stops the process's engines in the middle of an import and opens everything again from disk.
func TestImportSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	obj := testbed.NewObjects()
	l := labIn(t, dir, obj)
	store := l.create()
	var b bytes.Buffer
	pad := strings.Repeat("x", 20_000)
	n := 0
	for ; b.Len() < segmentBytes*2; n++ {
		fmt.Fprintf(&b, `{"resourceType":"Patient","id":"p%d","name":[{"text":"%s"}]}`+"\n", n, pad)
	}
	obj.Put("in/Patient.ndjson", b.Bytes())
	second := make(chan struct{})
	obj.OnPut = func(in *s3.PutObjectInput) error { // the first segment is done, the second is stored but not reported
		if strings.HasSuffix(in.Key, "-1.ndjson") {
			select {
			case <-second:
			default:
				close(second)
			}
			return errs.New(errs.Unavailable, "the process is going down")
		}
		return nil
	}
	id := l.startImport("s3://in/Patient.ndjson")
	<-second
	l.Stop()

	obj.OnPut = nil
	l = labIn(t, dir, obj)
	l.store = store
	p := l.importEnd(id)
	if p.JobStatus != api.JobStatusCompleted || aws.Val(p.JobProgressReport.TotalNumberOfResourcesImported) != int64(n) {
		t.Fatalf("%s %s: %d imported, want %d", p.JobStatus, p.Message, aws.Val(p.JobProgressReport.TotalNumberOfResourcesImported), n)
	}
	if got := l.want(200, "GET", "/Patient?_summary=count", "").json(t)["total"]; got != float64(n) {
		t.Errorf("%v patients, want %d", got, n)
	}
	if v := l.want(200, "GET", fmt.Sprintf("/Patient/p%d/_history", n-1), "").ids(t, ""); len(v) != 1 {
		t.Errorf("%d versions after the repeated segment", len(v))
	}
	started := 0
	for _, e := range l.EventTypes() {
		if e == "Import Job In Progress" {
			started++
		}
	}
	if started != 1 {
		t.Errorf("Import Job In Progress was announced %d times", started)
	}
}
