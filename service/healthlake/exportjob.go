package healthlake

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	api "github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/page"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/s3files"
	"github.com/galen-health/galen/standard/fhir"
)

// exportJob writes a data store's current resources to S3 as NDJSON, as they were when it was submitted.
// Contract: HealthLake 2017-07-01, the …FHIRExportJob operations.
type exportJob struct {
	ID, Name, Store   string
	Status            api.JobStatus
	Submitted, Ended  time.Time
	Output, OutputKey string
	Role              string
	Message           string
}

func (j *exportJob) report() report {
	return report{j.Output, j.OutputKey, j.Store + "-FHIR_EXPORT-" + j.ID + "/"}
}

var exportJobs = record.Kind[exportJob]{
	Name:     "healthlake.exportjob",
	Volatile: true,
	Indexes: record.Indexes[exportJob]{
		record.ByToken("store", func(j *exportJob) string { return j.Store }),
		record.ByToken("name", func(j *exportJob) string { return j.Name }),
		record.ByToken("status", func(j *exportJob) string { return string(j.Status) }),
		record.ByTime("submitted", func(j *exportJob) time.Time { return j.Submitted }),
	},
}

func (s *Service) registerExport() {
	s.cfg.Jobs.Register(job.Kind{Name: "healthlake.export", Concurrency: 1, MaxAttempts: maxAttempts, Run: s.runExport, Failed: s.exportFailed})
}

// StartFHIRExportJob puts an export in line.
func (s *Service) StartFHIRExportJob(ctx context.Context, in *api.StartFHIRExportJobInput) (*api.StartFHIRExportJobOutput, error) {
	if _, err := s.active(ctx, in.DatastoreId); err != nil {
		return nil, err
	}
	out := in.OutputDataConfig.S3Configuration
	if out == nil {
		return nil, errs.New(errs.Invalid, "OutputDataConfig.S3Configuration is required")
	}
	if _, _, err := s3files.Parse(out.S3Uri); err != nil {
		return nil, err
	}
	if err := s.cfg.Roles.Pass(ctx, in.DataAccessRoleArn, servicePrincipal); err != nil {
		return nil, err
	}
	j := &exportJob{ID: newID(), Name: in.JobName, Store: in.DatastoreId, Status: api.JobStatusSubmitted, Output: out.S3Uri, OutputKey: out.KmsKeyId, Role: in.DataAccessRoleArn}
	return record.Once(ctx, s.records, control, onceToken("export", in.ClientToken), in, func(tx record.Tx) (*api.StartFHIRExportJobOutput, error) {
		j.Submitted = tx.Time()
		if err := exportJobs.Create(tx, j.ID, j); err != nil {
			return nil, err
		}
		if err := s.exportEvent(tx, "Export Job Submitted", j); err != nil {
			return nil, err
		}
		return &api.StartFHIRExportJobOutput{JobId: j.ID, JobStatus: j.Status, DatastoreId: j.Store}, s.cfg.Jobs.Start(tx, "healthlake.export", j.ID, nil)
	})
}

func (s *Service) exportEvent(tx record.Tx, detailType string, j *exportJob) error {
	type output struct {
		URI string `json:"s3Uri"`
	}
	return s.emit(tx, detailType, j.Store, struct {
		ID        string `json:"jobId"`
		Submitted string `json:"submitTime"`
		Store     string `json:"datastoreId"`
		Output    output `json:"outputDataConfig"`
	}{j.ID, j.Submitted.UTC().Format(isoMillis), j.Store, output{j.Output}})
}

// DescribeFHIRExportJob tells how an export is.
func (s *Service) DescribeFHIRExportJob(ctx context.Context, in *api.DescribeFHIRExportJobInput) (*api.DescribeFHIRExportJobOutput, error) {
	if _, err := s.store(ctx, in.DatastoreId); err != nil {
		return nil, err
	}
	v, err := s.records.View(ctx, control)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	j, _, err := exportJobs.Get(v, in.JobId)
	if errs.Is(err, errs.NotFound) || err == nil && j.Store != in.DatastoreId {
		return nil, errs.New(errs.NotFound, "there is no export job with this id in the data store")
	}
	if err != nil {
		return nil, err
	}
	p := exportProperties(j)
	return &api.DescribeFHIRExportJobOutput{ExportJobProperties: &p}, nil
}

// ListFHIRExportJobs lists a store's exports in the order of their submission.
func (s *Service) ListFHIRExportJobs(ctx context.Context, in *api.ListFHIRExportJobsInput) (*api.ListFHIRExportJobsOutput, error) {
	if _, err := s.store(ctx, in.DatastoreId); err != nil {
		return nil, err
	}
	where := page.Filter{}.Is("store", in.DatastoreId).Is("name", in.JobName).Is("status", string(in.JobStatus)).Between("submitted", in.SubmittedAfter, in.SubmittedBefore)
	out := &api.ListFHIRExportJobsOutput{ExportJobPropertiesList: []api.ExportJobProperties{}}
	filter := []any{in.DatastoreId, in.JobName, in.JobStatus, in.SubmittedAfter, in.SubmittedBefore}
	next, err := page.List(ctx, s.pages, exportJobs, page.Request{Operation: "ListFHIRExportJobs", Asked: filter, Where: where, Token: in.NextToken, Limit: in.MaxResults}, func(j *exportJob) {
		out.ExportJobPropertiesList = append(out.ExportJobPropertiesList, exportProperties(j))
	})
	out.NextToken = next
	return out, err
}

func exportProperties(j *exportJob) api.ExportJobProperties {
	return api.ExportJobProperties{
		JobId: j.ID, JobName: j.Name, JobStatus: j.Status, SubmitTime: j.Submitted, EndTime: j.Ended, DatastoreId: j.Store, DataAccessRoleArn: j.Role, Message: j.Message,
		OutputDataConfig: &api.OutputDataConfig{S3Configuration: &api.S3Configuration{S3Uri: j.Output, KmsKeyId: j.OutputKey}},
	}
}

func (s *Service) changeExport(ctx context.Context, id string, fn func(record.Tx, *exportJob) error) (*exportJob, error) {
	var j *exportJob
	_, err := s.records.Update(ctx, control, []string{"export/" + id}, func(tx record.Tx) (err error) {
		j, err = exportJobs.Change(tx, id, func(j *exportJob) error { return fn(tx, j) })
		return err
	})
	return j, err
}

func (s *Service) exportFailed(ctx context.Context, r job.Run, cause error) error {
	_, err := s.changeExport(ctx, r.ID(), func(tx record.Tx, j *exportJob) error {
		j.Status, j.Ended, j.Message = api.JobStatusFailed, tx.Time(), message(cause)
		return s.exportEvent(tx, "Export Job Failed", j)
	})
	return err
}

// exportState is the checkpoint: the files that are written, and where the next begins.
type exportState struct {
	Type  int // index into fhir.ResourceTypes
	After uint64
	Files []exportedFile
}

type exportedFile struct {
	Type  string `json:"type"`
	URL   string `json:"url"`
	Count int    `json:"count"`
}

// exportBytes is the size at which a file ends.
const exportBytes = 64 << 20

// runExport writes <Type>/<Type>-<n>.ndjson files of the store as it was at submission, a checkpoint after each, and the manifest last.
func (s *Service) runExport(ctx context.Context, r job.Run) error {
	j, err := s.changeExport(ctx, r.ID(), func(tx record.Tx, j *exportJob) error {
		if j.Status == api.JobStatusInProgress {
			return nil
		}
		j.Status = api.JobStatusInProgress
		return s.exportEvent(tx, "Export Job In Progress", j)
	})
	if err != nil {
		return err
	}
	if _, err := s.active(ctx, j.Store); err != nil {
		return err
	}
	asRole, err := s.cfg.Roles.As(ctx, j.Role, servicePrincipal, "healthlake-"+j.ID)
	if err != nil {
		return err
	}
	var st exportState
	if _, err := r.Checkpoint(&st); err != nil {
		return err
	}
	v, err := s.records.ViewAt(ctx, space(j.Store), j.Submitted)
	if err != nil {
		return err
	}
	defer v.Close()
	bucket, prefix, err := s3files.Parse(j.Output)
	if err != nil {
		return err
	}
	folder := "s3://" + bucket + "/" + s3files.Join(prefix, j.report().folder)
	types := fhir.ResourceTypes()
	for st.Type < len(types) {
		typ := types[st.Type]
		var b bytes.Buffer
		count, after, full := 0, st.After, false
		for ver, err := range v.Scan(kindOf(typ), st.After) {
			if err != nil {
				return err
			}
			b.Write(fhir.Present(b.AvailableBuffer(), ver.Body, ver.Version, ver.Time))
			b.WriteByte('\n')
			count++
			if after = ver.PID; b.Len() >= exportBytes {
				full = true
				break
			}
		}
		if st.After = after; !full {
			st.Type, st.After = st.Type+1, 0
		}
		if count == 0 {
			continue
		}
		name := fmt.Sprintf("%s/%s-%d.ndjson", typ, typ, len(st.Files))
		if err := s.write(asRole, j.report(), name, "application/fhir+ndjson", b.Bytes()); err != nil {
			return err
		}
		st.Files = append(st.Files, exportedFile{typ, folder + name, count})
		if err := r.Save(ctx, &st); err != nil {
			return err
		}
		r.Progress(int64(st.Type), int64(len(types)), "resource types")
	}
	manifest, err := json.MarshalIndent(map[string]any{"transactionTime": fhir.FormatInstant(j.Submitted), "requiresAccessToken": false, "output": st.Files, "error": []string{}}, "", "  ")
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the manifest cannot be written")
	}
	if err := s.write(asRole, j.report(), "manifest.json", "application/json", manifest); err != nil {
		return err
	}
	_, err = s.changeExport(ctx, j.ID, func(tx record.Tx, j *exportJob) error {
		j.Status, j.Ended = api.JobStatusCompleted, tx.Time()
		if err := s.exportEvent(tx, "Export Job Completed", j); err != nil {
			return err
		}
		return r.Finish(tx)
	})
	return err
}
