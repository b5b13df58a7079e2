package omics

import (
	"context"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/event"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/page"
	"github.com/galen-health/galen/platform/record"
)

// variantImport takes VCF files from S3 into a variant store; its task's Store is the store's name. Contract: the …VariantImportJob operations.
type variantImport struct {
	task
	StoreID string
	Items   []variantItem
}

type variantItem struct{ Source, Status, Message string }

var variantImports = record.Kind[variantImport]{Name: "omics.variantimport", Volatile: true, Indexes: taskIndexes(func(j *variantImport) *task { return &j.task })}

func (s *Service) registerVariantImport() {
	s.cfg.Jobs.Register(job.Kind{Name: variantImports.Name, Concurrency: 2, Run: s.runVariantImport, Failed: s.variantImportFailed, Cancelled: s.variantImportCancelled})
}

func (s *Service) variantImportEvent(tx record.Tx, j *variantImport) error {
	return s.emit(tx, "Variant Import Job Status Change", s.arn("variantImportJob/"+j.ID), j.Status, map[string]string{"jobId": j.ID, "storeId": j.StoreID, "storeName": j.Store})
}

// StartVariantImportJob puts an import in line.
func (s *Service) StartVariantImportJob(ctx context.Context, in *api.StartVariantImportJobInput) (*api.StartVariantImportJobOutput, error) {
	v, err := get(ctx, s, variantStores, in.DestinationName, "variant store")
	if err != nil {
		return nil, err
	}
	switch {
	case aws.Val(in.RunLeftNormalization):
		return nil, errs.New(errs.Invalid, "runLeftNormalization is not offered here yet: normalise with `bcftools norm -f` before the import")
	case len(in.AnnotationFields) > 0:
		return nil, errs.New(errs.Invalid, "annotationFields is not offered here yet: annotations are kept as they are in the column attributes")
	}
	j := &variantImport{task: task{ID: event.NewID(), Store: v.Name, Role: in.RoleArn}, StoreID: v.ID}
	for _, item := range in.Items {
		if _, err := s.object(item.Source); err != nil {
			return nil, err
		}
		j.Items = append(j.Items, variantItem{Source: item.Source, Status: submitted})
	}
	if err := s.cfg.Roles.Pass(ctx, in.RoleArn, servicePrincipal); err != nil {
		return nil, err
	}
	_, err = s.records.Update(ctx, control, nil, func(tx record.Tx) error {
		j.begin(tx)
		if err := variantImports.Create(tx, j.ID, j); err != nil {
			return err
		}
		if err := s.variantImportEvent(tx, j); err != nil {
			return err
		}
		return s.cfg.Jobs.Start(tx, variantImports.Name, j.ID, nil)
	})
	return &api.StartVariantImportJobOutput{JobId: j.ID}, err
}

func (s *Service) runVariantImport(ctx context.Context, r job.Run) error {
	j, err := change(ctx, s, variantImports, r.ID(), "import job", func(tx record.Tx, j *variantImport) error {
		if j.Status == inProgress {
			return nil
		}
		j.Status, j.Updated = inProgress, tx.Time()
		return s.variantImportEvent(tx, j)
	})
	if err != nil {
		return err
	}
	v, err := get(ctx, s, variantStores, j.Store, "variant store")
	if err != nil {
		return err
	}
	asRole, err := s.cfg.Roles.As(authz.WithSource(ctx, s.variantStoreARN(j.Store)), j.Role, servicePrincipal, "omics-"+j.ID)
	if err != nil {
		return err
	}
	for i := range j.Items {
		if st := j.Items[i].Status; st == completed || st == failed {
			continue
		}
		r.Progress(int64(i), int64(len(j.Items)), "files")
		got, failure := s.takeVariants(asRole, v, j.ID, j.Items[i].Source)
		if failure != nil && (!lasting(failure) || ctx.Err() != nil) {
			return failure
		}
		if err := s.settleVariants(ctx, j, i, got, failure); err != nil {
			return err
		}
	}
	_, err = change(ctx, s, variantImports, r.ID(), "import job", func(tx record.Tx, j *variantImport) error {
		statuses := make([]string, len(j.Items))
		for i := range j.Items {
			statuses[i] = j.Items[i].Status
		}
		good, bad := tally(statuses)
		j.end(tx, good, bad)
		if err := s.variantImportEvent(tx, j); err != nil {
			return err
		}
		return r.Finish(tx)
	})
	return err
}

// settleVariants puts the files of one source in place of those that the source gave before, in one batch. When the store has the same content from
// anywhere, nothing changes.
func (s *Service) settleVariants(ctx context.Context, j *variantImport, i int, got *taken, failure error) error {
	locks := []string{variantImports.Name + "/" + j.ID, variantStores.Name + "/" + j.Store}
	_, err := s.records.Update(ctx, control, locks, func(tx record.Tx) error {
		_, err := variantImports.Change(tx, j.ID, func(j *variantImport) error {
			it := &j.Items[i]
			j.Updated = tx.Time()
			if failure != nil {
				it.Status, it.Message = failed, errs.As(failure).Message
				return nil
			}
			it.Status = completed
			return s.replaceVariants(tx, j.Store, got)
		})
		return err
	})
	return err
}

func (s *Service) replaceVariants(tx record.Tx, store string, got *taken) error {
	v, version, err := variantStores.Get(tx, store)
	if err != nil {
		return missing(err, "variant store")
	}
	all, err := filesOf(tx.Query, store, "")
	if err != nil {
		return err
	}
	var old erasure
	for _, f := range all {
		if f.ETag == got.digest {
			old.add(got.stored()...)
			return s.erase(tx, old)
		}
	}
	for _, f := range all {
		if f.Source == got.source {
			old.add(f.File)
			v.Size -= f.File.Size
			if err := tx.Purge(variantFiles.Name, string(f.File.Blob)); err != nil {
				return err
			}
		}
	}
	for _, f := range got.files {
		f.Store = store
		v.Size += f.File.Size
		if err := variantFiles.Create(tx, string(f.File.Blob), f); err != nil {
			return err
		}
	}
	v.Updated = tx.Time()
	if err := variantStores.Replace(tx, store, v, version); err != nil {
		return err
	}
	return s.erase(tx, old)
}

func (s *Service) variantImportFailed(ctx context.Context, r job.Run, cause error) error {
	return s.variantImportOver(ctx, r, failed, errs.As(cause).Message)
}

func (s *Service) variantImportCancelled(ctx context.Context, r job.Run) error {
	return s.variantImportOver(ctx, r, cancelled, "the import was cancelled")
}

func (s *Service) variantImportOver(ctx context.Context, r job.Run, status, message string) error {
	_, err := change(ctx, s, variantImports, r.ID(), "import job", func(tx record.Tx, j *variantImport) error {
		for i := range j.Items {
			if it := &j.Items[i]; it.Status != completed && it.Status != failed {
				it.Status, it.Message = status, message
			}
		}
		j.fail(tx, status, message)
		return s.variantImportEvent(tx, j)
	})
	return err
}

// CancelVariantImportJob stops an import; files that are imported stay.
func (s *Service) CancelVariantImportJob(ctx context.Context, in *api.CancelVariantImportJobInput) (*api.CancelVariantImportJobOutput, error) {
	_, err := change(ctx, s, variantImports, in.JobId, "variant import job", func(tx record.Tx, j *variantImport) error {
		if j.over() {
			return errs.New(errs.Invalid, "the import has ended as %s", j.Status)
		}
		return s.cfg.Jobs.Cancel(tx, variantImports.Name, j.ID)
	})
	return &api.CancelVariantImportJobOutput{}, err
}

// GetVariantImportJob tells how an import is.
func (s *Service) GetVariantImportJob(ctx context.Context, in *api.GetVariantImportJobInput) (*api.GetVariantImportJobOutput, error) {
	j, err := get(ctx, s, variantImports, in.JobId, "variant import job")
	if err != nil {
		return nil, err
	}
	out := &api.GetVariantImportJobOutput{Id: j.ID, DestinationName: j.Store, RoleArn: j.Role, Status: api.JobStatus(j.Status), StatusMessage: j.Message, CreationTime: j.Created,
		UpdateTime: j.Updated, CompletionTime: ended(j.Ended), Items: []api.VariantImportItemDetail{}}
	for _, it := range j.Items {
		out.Items = append(out.Items, api.VariantImportItemDetail{Source: it.Source, JobStatus: api.JobStatus(it.Status), StatusMessage: it.Message})
	}
	return out, nil
}

// ListVariantImportJobs lists imports in the order of their creation.
func (s *Service) ListVariantImportJobs(ctx context.Context, in *api.ListVariantImportJobsInput) (*api.ListVariantImportJobsOutput, error) {
	f := page.Filter{}.OneOf("id", in.Ids)
	if x := in.Filter; x != nil {
		f = f.Is("status", string(x.Status)).Is("store", x.StoreName)
	}
	out := &api.ListVariantImportJobsOutput{VariantImportJobs: []api.VariantImportJobItem{}}
	request := struct {
		IDs    []string
		Filter *api.ListVariantImportJobsFilter
	}{in.Ids, in.Filter}
	var err error
	out.NextToken, err = page.List(ctx, s.pages, variantImports, page.Request{Operation: "ListVariantImportJobs", Asked: request, Where: f, Token: in.NextToken, Limit: in.MaxResults}, func(j *variantImport) {
		out.VariantImportJobs = append(out.VariantImportJobs, api.VariantImportJobItem{Id: j.ID, DestinationName: j.Store, RoleArn: j.Role, Status: api.JobStatus(j.Status), CreationTime: j.Created,
			UpdateTime: j.Updated, CompletionTime: ended(j.Ended), RunLeftNormalization: aws.Ptr(false)})
	})
	return out, err
}
