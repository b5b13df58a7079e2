package healthlake

import (
	"context"
	"strings"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/page"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/s3files"
)

// importJob is an import of NDJSON files from S3 into a data store. Contract: HealthLake 2017-07-01, the …FHIRImportJob operations.
type importJob struct {
	ID, Name, Store   string
	Status            api.JobStatus
	Submitted, Ended  time.Time
	Input             string // S3 URI of a file or prefix
	Output, OutputKey string // S3 URI and KMS key of what is reported
	Role              string
	Level             api.ValidationLevel
	Message           string
	Progress          progress
}

func (j *importJob) report() report {
	return report{j.Output, j.OutputKey, j.Store + "-FHIR_IMPORT-" + j.ID + "/"}
}

// progress counts what an import has done; it is saved with every checkpoint.
type progress struct {
	Files, FilesDone, FilesFailed int64
	ScannedBytes, ImportedBytes   int64
	Scanned, Imported             int64
	CustomerErrors, ServerErrors  int64
	Started                       time.Time
	Updated                       time.Time
}

var importJobs = record.Kind[importJob]{
	Name:     "healthlake.importjob",
	Volatile: true,
	Indexes: record.Indexes[importJob]{
		record.ByToken("store", func(j *importJob) string { return j.Store }),
		record.ByToken("name", func(j *importJob) string { return j.Name }),
		record.ByToken("status", func(j *importJob) string { return string(j.Status) }),
		record.ByTime("submitted", func(j *importJob) time.Time { return j.Submitted }),
	},
}

// maxAttempts is how often an import or export may be stopped in a row before its next checkpoint: restarts are no fault of the data.
const maxAttempts = 20

// registerImport tells the job engine how imports run: one at a time, the others wait in line.
func (s *Service) registerImport() {
	s.cfg.Jobs.Register(job.Kind{Name: "healthlake.import", Concurrency: 1, MaxAttempts: maxAttempts, Run: s.runImport, Failed: s.importFailed})
}

// StartFHIRImportJob puts an import in line.
func (s *Service) StartFHIRImportJob(ctx context.Context, in *api.StartFHIRImportJobInput) (*api.StartFHIRImportJobOutput, error) {
	if _, err := s.active(ctx, in.DatastoreId); err != nil {
		return nil, err
	}
	out := in.JobOutputDataConfig.S3Configuration
	switch {
	case in.InputDataConfig.S3Uri == "" || out == nil:
		return nil, errs.New(errs.Invalid, "InputDataConfig.S3Uri and JobOutputDataConfig.S3Configuration are required")
	case in.ProfileId != "":
		return nil, errs.New(errs.Invalid, "ProfileId: imports with a data transformation profile are not offered here")
	case in.InputFormat != "" && !strings.EqualFold(in.InputFormat, "FHIR"):
		return nil, errs.New(errs.Invalid, "InputFormat: only FHIR (NDJSON, a resource a line) is offered here")
	}
	for _, uri := range []string{in.InputDataConfig.S3Uri, out.S3Uri} {
		if _, _, err := s3files.Parse(uri); err != nil {
			return nil, err
		}
	}
	if err := s.cfg.Roles.Pass(ctx, in.DataAccessRoleArn, servicePrincipal); err != nil {
		return nil, err
	}
	j := &importJob{ID: newID(), Name: in.JobName, Store: in.DatastoreId, Status: api.JobStatusSubmitted, Input: in.InputDataConfig.S3Uri,
		Output: out.S3Uri, OutputKey: out.KmsKeyId, Role: in.DataAccessRoleArn, Level: in.ValidationLevel}
	if j.Level == "" {
		j.Level = api.ValidationLevelStrict
	}
	return record.Once(ctx, s.records, control, onceToken("import", in.ClientToken), in, func(tx record.Tx) (*api.StartFHIRImportJobOutput, error) {
		j.Submitted = tx.Time()
		if err := importJobs.Create(tx, j.ID, j); err != nil {
			return nil, err
		}
		if err := s.importEvent(tx, "Import Job Submitted", j); err != nil {
			return nil, err
		}
		return &api.StartFHIRImportJobOutput{JobId: j.ID, JobStatus: j.Status, DatastoreId: j.Store}, s.cfg.Jobs.Start(tx, "healthlake.import", j.ID, nil)
	})
}

// isoMillis is how HealthLake's events write times.
const isoMillis = "2006-01-02T15:04:05.000Z"

func (s *Service) importEvent(tx record.Tx, detailType string, j *importJob) error {
	type input struct {
		URI string `json:"s3Uri"`
	}
	return s.emit(tx, detailType, j.Store, struct {
		ID        string `json:"jobId"`
		Submitted string `json:"submitTime"`
		Store     string `json:"datastoreId"`
		Input     input  `json:"inputDataConfig"`
	}{j.ID, j.Submitted.UTC().Format(isoMillis), j.Store, input{j.Input}})
}

// DescribeFHIRImportJob tells how an import is.
func (s *Service) DescribeFHIRImportJob(ctx context.Context, in *api.DescribeFHIRImportJobInput) (*api.DescribeFHIRImportJobOutput, error) {
	if _, err := s.store(ctx, in.DatastoreId); err != nil {
		return nil, err
	}
	j, err := s.importJob(ctx, in.JobId)
	if err == nil && j.Store != in.DatastoreId {
		err = noImport(errs.New(errs.NotFound, ""))
	}
	if err != nil {
		return nil, err
	}
	p := importProperties(j)
	return &api.DescribeFHIRImportJobOutput{ImportJobProperties: &p}, nil
}

func (s *Service) importJob(ctx context.Context, id string) (*importJob, error) {
	v, err := s.records.View(ctx, control)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	j, _, err := importJobs.Get(v, id)
	return j, noImport(err)
}

func noImport(err error) error {
	if errs.Is(err, errs.NotFound) {
		return errs.New(errs.NotFound, "there is no import job with this id in the data store")
	}
	return err
}

// ListFHIRImportJobs lists a store's imports in the order of their submission.
func (s *Service) ListFHIRImportJobs(ctx context.Context, in *api.ListFHIRImportJobsInput) (*api.ListFHIRImportJobsOutput, error) {
	if _, err := s.store(ctx, in.DatastoreId); err != nil {
		return nil, err
	}
	where := page.Filter{}.Is("store", in.DatastoreId).Is("name", in.JobName).Is("status", string(in.JobStatus)).Between("submitted", in.SubmittedAfter, in.SubmittedBefore)
	out := &api.ListFHIRImportJobsOutput{ImportJobPropertiesList: []api.ImportJobProperties{}}
	filter := []any{in.DatastoreId, in.JobName, in.JobStatus, in.SubmittedAfter, in.SubmittedBefore}
	next, err := page.List(ctx, s.pages, importJobs, page.Request{Operation: "ListFHIRImportJobs", Asked: filter, Where: where, Token: in.NextToken, Limit: in.MaxResults}, func(j *importJob) {
		out.ImportJobPropertiesList = append(out.ImportJobPropertiesList, importProperties(j))
	})
	out.NextToken = next
	return out, err
}

func importProperties(j *importJob) api.ImportJobProperties {
	p := &j.Progress
	report := &api.JobProgressReport{
		TotalNumberOfScannedFiles: aws.Ptr(p.Files), TotalSizeOfScannedFilesInMB: aws.Ptr(megabytes(p.ScannedBytes)), TotalNumberOfImportedFiles: aws.Ptr(p.FilesDone),
		TotalNumberOfResourcesScanned: aws.Ptr(p.Scanned), TotalNumberOfResourcesImported: aws.Ptr(p.Imported),
		TotalNumberOfResourcesWithCustomerError: aws.Ptr(p.CustomerErrors), TotalNumberOfFilesReadWithCustomerError: aws.Ptr(p.FilesFailed),
	}
	if d := p.Updated.Sub(p.Started).Seconds(); d > 0 {
		report.Throughput = aws.Ptr(float64(p.Imported) / d)
	}
	return api.ImportJobProperties{
		JobId: j.ID, JobName: j.Name, JobStatus: j.Status, SubmitTime: j.Submitted, EndTime: j.Ended, DatastoreId: j.Store,
		InputDataConfig:     &api.InputDataConfig{S3Uri: j.Input},
		JobOutputDataConfig: &api.OutputDataConfig{S3Configuration: &api.S3Configuration{S3Uri: j.Output, KmsKeyId: j.OutputKey}},
		JobProgressReport:   report, DataAccessRoleArn: j.Role, Message: j.Message, ValidationLevel: j.Level,
	}
}

func megabytes(n int64) float64 { return float64(n) / 1e6 }

// changeImport changes a job's record; then, when set, runs in the same batch.
func (s *Service) changeImport(ctx context.Context, id string, fn func(record.Tx, *importJob) error) (*importJob, error) {
	var j *importJob
	_, err := s.records.Update(ctx, control, []string{"import/" + id}, func(tx record.Tx) (err error) {
		j, err = importJobs.Change(tx, id, func(j *importJob) error { return fn(tx, j) })
		return err
	})
	return j, err
}

func (s *Service) importFailed(ctx context.Context, r job.Run, cause error) error {
	_, err := s.changeImport(ctx, r.ID(), func(tx record.Tx, j *importJob) error {
		j.Status, j.Ended, j.Message = api.JobStatusFailed, tx.Time(), message(cause)
		return s.importEvent(tx, "Import Job Failed", j)
	})
	return err
}

// message is an error as a job's Message, whose characters the contract bounds.
func message(err error) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("_.:/=+-%@ ", r) || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return ' '
	}, errs.As(err).Message)
}
