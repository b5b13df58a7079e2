package omics

import (
	"context"

	api "github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/page"
	"github.com/galen-health/galen/platform/record"
)

// readSetImport takes files from S3 into a sequence store. Contract: the …ReadSetImportJob operations.
type readSetImport struct {
	task
	Sources []readSetSource
}

type readSetSource struct {
	api.StartReadSetImportJobSourceItem
	Status, Message string
	ReadSet         string
}

var readSetImports = record.Kind[readSetImport]{Name: "omics.readsetimport", Volatile: true, Indexes: taskIndexes(func(j *readSetImport) *task { return &j.task })}

func (s *Service) registerReadSetImport() {
	s.cfg.Jobs.Register(job.Kind{Name: readSetImports.Name, Concurrency: 2, Run: s.runReadSetImport, Failed: s.readSetImportFailed})
}

// StartReadSetImportJob puts an import in line.
func (s *Service) StartReadSetImportJob(ctx context.Context, in *api.StartReadSetImportJobInput) (*api.StartReadSetImportJobOutput, error) {
	if _, err := get(ctx, s, sequenceStores, in.SequenceStoreId, "sequence store"); err != nil {
		return nil, err
	}
	j := &readSetImport{task: task{Store: in.SequenceStoreId, Role: in.RoleArn}}
	for _, src := range in.Sources {
		if _, err := s.intakeOf(&src); err != nil {
			return nil, err
		}
		if err := validTags(src.Tags); err != nil {
			return nil, err
		}
		if src.ReferenceArn != "" {
			if _, err := s.reference(ctx, src.ReferenceArn); err != nil {
				return nil, err
			}
		}
		j.Sources = append(j.Sources, readSetSource{StartReadSetImportJobSourceItem: src, Status: notStarted})
	}
	if err := s.cfg.Roles.Pass(ctx, in.RoleArn, servicePrincipal); err != nil {
		return nil, err
	}
	return record.Once(ctx, s.records, control, token("StartReadSetImportJob", in.ClientToken), in, func(tx record.Tx) (*api.StartReadSetImportJobOutput, error) {
		var err error
		if j.ID, err = fresh(tx, readSetImports.Name, j.Store+"/"); err != nil {
			return nil, err
		}
		j.begin(tx)
		if err := readSetImports.Create(tx, within(j.Store, j.ID), j); err != nil {
			return nil, err
		}
		if err := s.readSetImportEvent(tx, j); err != nil {
			return nil, err
		}
		return &api.StartReadSetImportJobOutput{Id: j.ID, SequenceStoreId: j.Store, RoleArn: j.Role, Status: api.ReadSetImportJobStatus(j.Status), CreationTime: j.Created},
			s.cfg.Jobs.Start(tx, readSetImports.Name, within(j.Store, j.ID), nil)
	})
}

// intakeOf checks a source and makes it an intake.
func (s *Service) intakeOf(src *api.StartReadSetImportJobSourceItem) (*intake, error) {
	if src.SourceFiles == nil {
		return nil, errs.New(errs.Invalid, "sourceFiles is required")
	}
	in := &intake{Type: src.SourceFileType, Reference: src.ReferenceArn}
	if src.SourceFiles.Source2 != "" && src.SourceFileType != api.FileTypeFastq {
		return nil, errs.New(errs.Invalid, "source2 is only for FASTQ: a %s read set is one file", src.SourceFileType)
	}
	for _, uri := range []string{src.SourceFiles.Source1, src.SourceFiles.Source2} {
		if uri == "" {
			continue
		}
		o, err := s.object(uri)
		if err != nil {
			return nil, err
		}
		in.Sources = append(in.Sources, o)
	}
	return in, nil
}

func (s *Service) readSetImportEvent(tx record.Tx, j *readSetImport) error {
	return s.emit(tx, "Read Set Import Job Status Change", s.arn("sequenceStore/"+j.Store+"/importJob/"+j.ID), j.Status, map[string]string{"sequenceStoreId": j.Store, "id": j.ID})
}

func (s *Service) runReadSetImport(ctx context.Context, r job.Run) error {
	j, err := change(ctx, s, readSetImports, r.ID(), "import job", func(tx record.Tx, j *readSetImport) error {
		if j.Status == inProgress {
			return nil
		}
		j.Status, j.Updated = inProgress, tx.Time()
		return s.readSetImportEvent(tx, j)
	})
	if err != nil {
		return err
	}
	st, err := get(ctx, s, sequenceStores, j.Store, "sequence store")
	if err != nil {
		return err
	}
	asRole, err := s.cfg.Roles.As(authz.WithSource(ctx, s.sequenceStoreARN(j.Store)), j.Role, servicePrincipal, "omics-"+j.ID)
	if err != nil {
		return err
	}
	for i := range j.Sources {
		src := &j.Sources[i]
		if src.Status == finished || src.Status == failed {
			continue
		}
		r.Progress(int64(i), int64(len(j.Sources)), "read sets")
		if err := s.importSource(ctx, asRole, st, j, i); err != nil {
			return err
		}
	}
	_, err = change(ctx, s, readSetImports, r.ID(), "import job", func(tx record.Tx, j *readSetImport) error {
		statuses := make([]string, len(j.Sources))
		for i := range j.Sources {
			statuses[i] = j.Sources[i].Status
		}
		good, bad := tally(statuses)
		j.end(tx, good, bad)
		if err := s.readSetImportEvent(tx, j); err != nil {
			return err
		}
		return r.Finish(tx)
	})
	return err
}

// importSource takes in one source and records its outcome, with the read set, in one batch.
func (s *Service) importSource(ctx, asRole context.Context, st *sequenceStore, j *readSetImport, i int) error {
	id := within(j.Store, j.ID)
	if _, err := change(ctx, s, readSetImports, id, "import job", func(tx record.Tx, j *readSetImport) error {
		j.Sources[i].Status, j.Updated = inProgress, tx.Time()
		return nil
	}); err != nil {
		return err
	}
	src := &j.Sources[i].StartReadSetImportJobSourceItem
	in, err := s.intakeOf(src)
	if err != nil {
		return err
	}
	rs, failure := s.ingest(asRole, st, in)
	if failure != nil && (!lasting(failure) || ctx.Err() != nil) {
		return failure
	}
	_, err = s.records.Update(ctx, control, []string{readSetImports.Name + "/" + id, sequenceStores.Name + "/" + j.Store}, func(tx record.Tx) error {
		_, err := readSetImports.Change(tx, id, func(j *readSetImport) error {
			out := &j.Sources[i]
			j.Updated = tx.Time()
			if failure != nil {
				out.Status, out.Message = failed, errs.As(failure).Message
				return nil
			}
			if _, _, err := sequenceStores.Get(tx, j.Store); err != nil {
				return missing(err, "sequence store")
			}
			rs.Name, rs.Description, rs.Subject, rs.Sample, rs.Generated, rs.Tags = src.Name, src.Description, src.SubjectId, src.SampleId, src.GeneratedFrom, src.Tags
			rs.Job, rs.Creation = j.ID, api.CreationTypeImport
			if err := s.createReadSet(tx, rs); err != nil {
				return err
			}
			out.Status, out.ReadSet = finished, rs.ID
			return nil
		})
		return err
	})
	return err
}

// createReadSet makes an ACTIVE read set of what was taken in.
func (s *Service) createReadSet(tx record.Tx, r *readSet) error {
	if r.Reference != "" {
		if none, err := absent(tx, s, r.Reference); err != nil {
			return err
		} else if none {
			return errs.New(errs.Invalid, "the linked reference was deleted while the read set was imported")
		}
	}
	var err error
	if r.ID, err = fresh(tx, readSets.Name, r.Store+"/"); err != nil {
		return err
	}
	r.Status, r.Created = api.ReadSetStatusActive, tx.Time()
	if err := readSets.Create(tx, within(r.Store, r.ID), r); err != nil {
		return err
	}
	return s.readSetEvent(tx, r, string(r.Status))
}

func (s *Service) readSetImportFailed(ctx context.Context, r job.Run, cause error) error {
	_, err := change(ctx, s, readSetImports, r.ID(), "import job", func(tx record.Tx, j *readSetImport) error {
		for i := range j.Sources {
			if src := &j.Sources[i]; src.Status != finished && src.Status != failed {
				src.Status, src.Message = failed, errs.As(cause).Message
			}
		}
		j.fail(tx, failed, errs.As(cause).Message)
		return s.readSetImportEvent(tx, j)
	})
	return err
}

// GetReadSetImportJob tells how an import is.
func (s *Service) GetReadSetImportJob(ctx context.Context, in *api.GetReadSetImportJobInput) (*api.GetReadSetImportJobOutput, error) {
	j, err := get(ctx, s, readSetImports, within(in.SequenceStoreId, in.Id), "read set import job")
	if err != nil {
		return nil, err
	}
	out := &api.GetReadSetImportJobOutput{Id: j.ID, SequenceStoreId: j.Store, RoleArn: j.Role, Status: api.ReadSetImportJobStatus(j.Status), StatusMessage: j.Message,
		CreationTime: j.Created, CompletionTime: ended(j.Ended), Sources: []api.ImportReadSetSourceItem{}}
	for i := range j.Sources {
		src := &j.Sources[i]
		out.Sources = append(out.Sources, api.ImportReadSetSourceItem{SourceFiles: src.SourceFiles, SourceFileType: src.SourceFileType, Status: api.ReadSetImportJobItemStatus(src.Status),
			StatusMessage: src.Message, SubjectId: src.SubjectId, SampleId: src.SampleId, GeneratedFrom: src.GeneratedFrom, ReferenceArn: src.ReferenceArn, Name: src.Name,
			Description: src.Description, Tags: src.Tags, ReadSetId: src.ReadSet})
	}
	return out, nil
}

// ListReadSetImportJobs lists a store's imports in the order of their creation.
func (s *Service) ListReadSetImportJobs(ctx context.Context, in *api.ListReadSetImportJobsInput) (*api.ListReadSetImportJobsOutput, error) {
	if _, err := get(ctx, s, sequenceStores, in.SequenceStoreId, "sequence store"); err != nil {
		return nil, err
	}
	f := page.Filter{}.Is("store", in.SequenceStoreId)
	if x := in.Filter; x != nil {
		f = f.Is("status", string(x.Status)).Between("created", x.CreatedAfter, x.CreatedBefore)
	}
	out := &api.ListReadSetImportJobsOutput{ImportJobs: []api.ImportReadSetJobItem{}}
	var err error
	out.NextToken, err = page.List(ctx, s.pages, readSetImports, page.Request{Operation: "ListReadSetImportJobs/" + in.SequenceStoreId, Asked: in.Filter, Where: f, Token: in.NextToken, Limit: in.MaxResults}, func(j *readSetImport) {
		out.ImportJobs = append(out.ImportJobs, api.ImportReadSetJobItem{Id: j.ID, SequenceStoreId: j.Store, RoleArn: j.Role, Status: api.ReadSetImportJobStatus(j.Status),
			CreationTime: j.Created, CompletionTime: ended(j.Ended)})
	})
	return out, err
}
