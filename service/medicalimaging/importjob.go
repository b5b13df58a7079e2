package medicalimaging

import (
	"context"
	"strings"
	"time"

	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/page"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/s3files"
)

// importJob is an import of DICOM files from S3. Contract: HealthImaging 2023-07-19, the …DICOMImportJob operations.
type importJob struct {
	ID, Name, Store  string
	Status           api.JobStatus
	Submitted, Ended time.Time
	Input            string // S3 URI of a file or prefix
	Output           string // S3 URI of the job's own folder, with a slash at the end
	Role             string
	Message          string
}

var importJobs = record.Kind[importJob]{
	Name:     "imaging.importjob",
	Volatile: true,
	Indexes: record.Indexes[importJob]{
		record.ByToken("store", func(j *importJob) string { return j.Store }),
		record.ByToken("status", func(j *importJob) string { return string(j.Status) }),
	},
}

func (s *Service) registerImport() {
	s.cfg.Jobs.Register(job.Kind{Name: "imaging.import", Concurrency: 2, Run: s.runImport, Failed: s.importFailed})
}

// StartDICOMImportJob puts an import in line.
func (s *Service) StartDICOMImportJob(ctx context.Context, in *api.StartDICOMImportJobInput) (*api.StartDICOMImportJobOutput, error) {
	if _, err := s.active(ctx, in.DatastoreId); err != nil {
		return nil, err
	}
	switch {
	case in.InputOwnerAccountId != "" && in.InputOwnerAccountId != s.cfg.Account:
		return nil, errs.New(errs.Invalid, "inputOwnerAccountId: there is only account %s here", s.cfg.Account)
	case in.ImportConfiguration != nil:
		return nil, errs.New(errs.Invalid, "importConfiguration: metadata from separate JSON files is not offered here; put it into the DICOM files")
	}
	for _, uri := range []string{in.InputS3Uri, in.OutputS3Uri} {
		if _, _, err := s3files.Parse(uri); err != nil {
			return nil, err
		}
	}
	if err := s.cfg.Roles.Pass(ctx, in.DataAccessRoleArn, servicePrincipal); err != nil {
		return nil, err
	}
	j := &importJob{ID: newID(), Name: in.JobName, Store: in.DatastoreId, Status: api.JobStatusSubmitted, Input: in.InputS3Uri, Role: in.DataAccessRoleArn}
	if j.Name == "" {
		j.Name = j.ID
	}
	j.Output = in.OutputS3Uri
	if !strings.HasSuffix(j.Output, "/") {
		j.Output += "/"
	}
	j.Output += j.Store + "-DicomImport-" + j.ID + "/"
	return record.Once(ctx, s.records, control, onceToken("import", in.ClientToken), in, func(tx record.Tx) (*api.StartDICOMImportJobOutput, error) {
		j.Submitted = tx.Time()
		if err := importJobs.Create(tx, j.ID, j); err != nil {
			return nil, err
		}
		if err := s.importEvent(tx, "Import Job Submitted", j); err != nil {
			return nil, err
		}
		return &api.StartDICOMImportJobOutput{DatastoreId: j.Store, JobId: j.ID, JobStatus: j.Status, SubmittedAt: j.Submitted}, s.cfg.Jobs.Start(tx, "imaging.import", j.ID, nil)
	})
}

func (s *Service) importEvent(tx record.Tx, detailType string, j *importJob) error {
	return s.emit(tx, detailType, s.arn(j.Store), struct {
		Version string `json:"imagingVersion"`
		Store   string `json:"datastoreId"`
		ID      string `json:"jobId"`
		Name    string `json:"jobName"`
		Status  string `json:"jobStatus"`
		Input   string `json:"inputS3Uri"`
		Output  string `json:"outputS3Uri"`
	}{"1.0", j.Store, j.ID, j.Name, string(j.Status), j.Input, j.Output})
}

// GetDICOMImportJob tells how an import is.
func (s *Service) GetDICOMImportJob(ctx context.Context, in *api.GetDICOMImportJobInput) (*api.GetDICOMImportJobOutput, error) {
	if _, err := s.store(ctx, in.DatastoreId); err != nil {
		return nil, err
	}
	var j *importJob
	if err := s.view(ctx, control, func(v record.View) (err error) {
		if j, _, err = importJobs.Get(v, in.JobId); absent(err) || err == nil && j.Store != in.DatastoreId {
			err = errs.New(errs.NotFound, "there is no import job with this id in the data store")
		}
		return err
	}); err != nil {
		return nil, err
	}
	return &api.GetDICOMImportJobOutput{JobProperties: &api.DICOMImportJobProperties{JobId: j.ID, JobName: j.Name, JobStatus: j.Status, DatastoreId: j.Store,
		DataAccessRoleArn: j.Role, SubmittedAt: j.Submitted, EndedAt: j.Ended, InputS3Uri: j.Input, OutputS3Uri: j.Output, Message: j.Message}}, nil
}

// ListDICOMImportJobs lists a store's imports in the order of their submission.
func (s *Service) ListDICOMImportJobs(ctx context.Context, in *api.ListDICOMImportJobsInput) (*api.ListDICOMImportJobsOutput, error) {
	if _, err := s.store(ctx, in.DatastoreId); err != nil {
		return nil, err
	}
	where := page.Filter{}.Is("store", in.DatastoreId).Is("status", string(in.JobStatus))
	out := &api.ListDICOMImportJobsOutput{JobSummaries: []api.DICOMImportJobSummary{}}
	next, err := page.List(ctx, s.pages, importJobs, page.Request{Operation: "ListDICOMImportJobs", Asked: []any{in.DatastoreId, in.JobStatus}, Where: where, Token: in.NextToken, Limit: in.MaxResults, Usual: 50}, func(j *importJob) {
		out.JobSummaries = append(out.JobSummaries, api.DICOMImportJobSummary{JobId: j.ID, JobName: j.Name, JobStatus: j.Status, DatastoreId: j.Store,
			DataAccessRoleArn: j.Role, SubmittedAt: j.Submitted, EndedAt: j.Ended, Message: j.Message})
	})
	out.NextToken = next
	return out, err
}

// changeImport changes a job's record.
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

// message is an error as a job's message, whose characters the contract bounds.
func message(err error) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("_:-. ", r) || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return ' '
	}, errs.As(err).Message)
}
