package omics

import (
	"context"

	api "github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/page"
	"github.com/galen-health/galen/platform/record"
)

// activation makes archived read sets ACTIVE again. Contract: the …ReadSetActivationJob operations. Read sets are not archived here yet, so that
// every one that is ACTIVE is done at once.
type activation struct {
	task
	Items []item
}

// item is one read set of a job.
type item struct{ ReadSet, Status, Message string }

var activations = record.Kind[activation]{Name: "omics.activation", Volatile: true, Indexes: taskIndexes(func(j *activation) *task { return &j.task })}

func (s *Service) registerActivation() {
	s.cfg.Jobs.Register(job.Kind{Name: activations.Name, Run: s.runActivation})
}

func (s *Service) activationEvent(tx record.Tx, j *activation) error {
	return s.emit(tx, "Read Set Activation Job Status Change", s.arn("sequenceStore/"+j.Store+"/activationJob/"+j.ID), j.Status, map[string]string{"sequenceStoreId": j.Store, "id": j.ID})
}

// StartReadSetActivationJob puts an activation in line.
func (s *Service) StartReadSetActivationJob(ctx context.Context, in *api.StartReadSetActivationJobInput) (*api.StartReadSetActivationJobOutput, error) {
	if _, err := get(ctx, s, sequenceStores, in.SequenceStoreId, "sequence store"); err != nil {
		return nil, err
	}
	j := &activation{task: task{Store: in.SequenceStoreId}}
	for _, src := range in.Sources {
		if _, err := get(ctx, s, readSets, within(in.SequenceStoreId, src.ReadSetId), "read set"); err != nil {
			return nil, err
		}
		j.Items = append(j.Items, item{ReadSet: src.ReadSetId, Status: notStarted})
	}
	return record.Once(ctx, s.records, control, token("StartReadSetActivationJob", in.ClientToken), in, func(tx record.Tx) (*api.StartReadSetActivationJobOutput, error) {
		var err error
		if j.ID, err = fresh(tx, activations.Name, j.Store+"/"); err != nil {
			return nil, err
		}
		j.begin(tx)
		if err := activations.Create(tx, within(j.Store, j.ID), j); err != nil {
			return nil, err
		}
		if err := s.activationEvent(tx, j); err != nil {
			return nil, err
		}
		return &api.StartReadSetActivationJobOutput{Id: j.ID, SequenceStoreId: j.Store, Status: api.ReadSetActivationJobStatus(j.Status), CreationTime: j.Created},
			s.cfg.Jobs.Start(tx, activations.Name, within(j.Store, j.ID), nil)
	})
}

func (s *Service) runActivation(ctx context.Context, r job.Run) error {
	_, err := change(ctx, s, activations, r.ID(), "activation job", func(tx record.Tx, j *activation) error {
		statuses := make([]string, len(j.Items))
		for i := range j.Items {
			it := &j.Items[i]
			rs, _, err := readSets.Get(tx, within(j.Store, it.ReadSet))
			switch {
			case errs.Is(err, errs.NotFound), errs.Is(err, errs.Gone):
				it.Status, it.Message = failed, "the read set was deleted"
			case err != nil:
				return err
			case rs.Status == api.ReadSetStatusActive:
				it.Status = finished
			default:
				it.Status, it.Message = failed, "the read set is "+string(rs.Status)
			}
			statuses[i] = it.Status
		}
		good, bad := tally(statuses)
		j.end(tx, good, bad)
		if err := s.activationEvent(tx, j); err != nil {
			return err
		}
		return r.Finish(tx)
	})
	return err
}

// GetReadSetActivationJob tells how an activation is.
func (s *Service) GetReadSetActivationJob(ctx context.Context, in *api.GetReadSetActivationJobInput) (*api.GetReadSetActivationJobOutput, error) {
	j, err := get(ctx, s, activations, within(in.SequenceStoreId, in.Id), "read set activation job")
	if err != nil {
		return nil, err
	}
	out := &api.GetReadSetActivationJobOutput{Id: j.ID, SequenceStoreId: j.Store, Status: api.ReadSetActivationJobStatus(j.Status), StatusMessage: j.Message, CreationTime: j.Created, CompletionTime: ended(j.Ended)}
	for _, it := range j.Items {
		out.Sources = append(out.Sources, api.ActivateReadSetSourceItem{ReadSetId: it.ReadSet, Status: api.ReadSetActivationJobItemStatus(it.Status), StatusMessage: it.Message})
	}
	return out, nil
}

// ListReadSetActivationJobs lists a store's activations in the order of their creation.
func (s *Service) ListReadSetActivationJobs(ctx context.Context, in *api.ListReadSetActivationJobsInput) (*api.ListReadSetActivationJobsOutput, error) {
	f := page.Filter{}.Is("store", in.SequenceStoreId)
	if x := in.Filter; x != nil {
		f = f.Is("status", string(x.Status)).Between("created", x.CreatedAfter, x.CreatedBefore)
	}
	out := &api.ListReadSetActivationJobsOutput{ActivationJobs: []api.ActivateReadSetJobItem{}}
	var err error
	out.NextToken, err = page.List(ctx, s.pages, activations, page.Request{Operation: "ListReadSetActivationJobs/" + in.SequenceStoreId, Asked: in.Filter, Where: f, Token: in.NextToken, Limit: in.MaxResults}, func(j *activation) {
		out.ActivationJobs = append(out.ActivationJobs, api.ActivateReadSetJobItem{Id: j.ID, SequenceStoreId: j.Store, Status: api.ReadSetActivationJobStatus(j.Status), CreationTime: j.Created,
			CompletionTime: ended(j.Ended)})
	})
	return out, err
}
