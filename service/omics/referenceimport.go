package omics

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"io"

	api "github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/page"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/standard/bgzf"
	"github.com/galen-health/galen/standard/fasta"
)

// referenceImport takes FASTA files from S3 into a reference store. Contract: the …ReferenceImportJob operations.
type referenceImport struct {
	task
	Sources []referenceSource
}

type referenceSource struct {
	File, Name, Description string
	Tags                    map[string]string
	Status, Message         string
	Reference               string
}

var referenceImports = record.Kind[referenceImport]{Name: "omics.referenceimport", Volatile: true, Indexes: taskIndexes(func(j *referenceImport) *task { return &j.task })}

func (s *Service) registerReferenceImport() {
	s.cfg.Jobs.Register(job.Kind{Name: referenceImports.Name, Run: s.runReferenceImport, Failed: s.referenceImportFailed})
}

// StartReferenceImportJob puts an import in line.
func (s *Service) StartReferenceImportJob(ctx context.Context, in *api.StartReferenceImportJobInput) (*api.StartReferenceImportJobOutput, error) {
	if _, err := get(ctx, s, referenceStores, in.ReferenceStoreId, "reference store"); err != nil {
		return nil, err
	}
	j := &referenceImport{task: task{Store: in.ReferenceStoreId, Role: in.RoleArn}}
	for _, src := range in.Sources {
		if _, err := s.object(src.SourceFile); err != nil {
			return nil, err
		}
		if err := validTags(src.Tags); err != nil {
			return nil, err
		}
		j.Sources = append(j.Sources, referenceSource{File: src.SourceFile, Name: src.Name, Description: src.Description, Tags: src.Tags, Status: notStarted})
	}
	if err := s.cfg.Roles.Pass(ctx, in.RoleArn, servicePrincipal); err != nil {
		return nil, err
	}
	return record.Once(ctx, s.records, control, token("StartReferenceImportJob", in.ClientToken), in, func(tx record.Tx) (*api.StartReferenceImportJobOutput, error) {
		var err error
		if j.ID, err = fresh(tx, referenceImports.Name, j.Store+"/"); err != nil {
			return nil, err
		}
		j.begin(tx)
		if err := referenceImports.Create(tx, within(j.Store, j.ID), j); err != nil {
			return nil, err
		}
		if err := s.referenceImportEvent(tx, j); err != nil {
			return nil, err
		}
		return &api.StartReferenceImportJobOutput{Id: j.ID, ReferenceStoreId: j.Store, RoleArn: j.Role, Status: api.ReferenceImportJobStatus(j.Status), CreationTime: j.Created},
			s.cfg.Jobs.Start(tx, referenceImports.Name, within(j.Store, j.ID), nil)
	})
}

func (s *Service) referenceImportEvent(tx record.Tx, j *referenceImport) error {
	return s.emit(tx, "Reference Import Job Status Change", s.arn("referenceStore/"+j.Store+"/importJob/"+j.ID), j.Status, map[string]string{"referenceStoreId": j.Store, "id": j.ID})
}

func (s *Service) runReferenceImport(ctx context.Context, r job.Run) error {
	j, err := change(ctx, s, referenceImports, r.ID(), "import job", func(tx record.Tx, j *referenceImport) error {
		if j.Status == inProgress {
			return nil
		}
		j.Status, j.Updated = inProgress, tx.Time()
		return s.referenceImportEvent(tx, j)
	})
	if err != nil {
		return err
	}
	st, err := get(ctx, s, referenceStores, j.Store, "reference store")
	if err != nil {
		return err
	}
	asRole, err := s.cfg.Roles.As(authz.WithSource(ctx, s.referenceStoreARN(j.Store)), j.Role, servicePrincipal, "omics-"+j.ID)
	if err != nil {
		return err
	}
	for i := range j.Sources {
		if src := &j.Sources[i]; src.Status == finished || src.Status == failed {
			continue
		}
		r.Progress(int64(i), int64(len(j.Sources)), "references")
		ref, err := s.takeReference(asRole, st, &j.Sources[i])
		if err != nil && !lasting(err) {
			return err
		}
		if err := s.settleReference(ctx, j, i, ref, err); err != nil {
			return err
		}
	}
	_, err = change(ctx, s, referenceImports, r.ID(), "import job", func(tx record.Tx, j *referenceImport) error {
		good, bad := tally(j.statuses())
		j.end(tx, good, bad)
		if err := s.referenceImportEvent(tx, j); err != nil {
			return err
		}
		return r.Finish(tx)
	})
	return err
}

func (j *referenceImport) statuses() []string {
	out := make([]string, len(j.Sources))
	for i := range j.Sources {
		out[i] = j.Sources[i].Status
	}
	return out
}

// settleReference records the outcome of one source, and the reference when there is one, in one batch.
func (s *Service) settleReference(ctx context.Context, j *referenceImport, i int, ref *reference, failure error) error {
	locks := []string{referenceImports.Name + "/" + within(j.Store, j.ID), referenceStores.Name + "/" + j.Store}
	_, err := s.records.Update(ctx, control, locks, func(tx record.Tx) error {
		_, err := referenceImports.Change(tx, within(j.Store, j.ID), func(j *referenceImport) error {
			src := &j.Sources[i]
			j.Updated = tx.Time()
			if failure != nil {
				src.Status, src.Message = failed, errs.As(failure).Message
				return nil
			}
			if _, _, err := referenceStores.Get(tx, j.Store); err != nil {
				return missing(err, "reference store")
			}
			p, err := tx.Query(record.Query{Kind: references.Name, Where: record.Match{Index: "store", Value: record.Token("", j.Store)}, Limit: maxReferences, IDsOnly: true})
			if err != nil {
				return err
			}
			if len(p.Hits) >= maxReferences {
				src.Status, src.Message = failed, "the reference store has its most references: delete one first"
				var e erasure
				e.add(ref.Source, ref.Index, ref.Sequences)
				return s.erase(tx, e)
			}
			if ref.ID, err = fresh(tx, references.Name, j.Store+"/"); err != nil {
				return err
			}
			ref.Job, ref.Created, ref.Updated = j.ID, tx.Time(), tx.Time()
			src.Status, src.Reference = finished, ref.ID
			if err := references.Create(tx, within(ref.Store, ref.ID), ref); err != nil {
				return err
			}
			return s.emit(tx, "Reference Status Change", s.referenceARN(ref.Store, ref.ID), "ACTIVE", map[string]string{"referenceStoreId": ref.Store, "id": ref.ID})
		})
		return err
	})
	return err
}

// takeReference reads a FASTA file, stores it uncompressed, and indexes it on the way.
func (s *Service) takeReference(ctx context.Context, st *referenceStore, src *referenceSource) (*reference, error) {
	from, err := s.object(src.File)
	if err != nil {
		return nil, err
	}
	body, err := from.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer body.Close() //nolint:errcheck // only read from
	text, _, err := bgzf.Open(body, 0)
	if err != nil {
		return nil, unfit(err)
	}
	defer text.Close() //nolint:errcheck // only read from
	ref := st.SSE.ref(s.referenceStoreARN(st.ID))
	w, err := s.cfg.Blobs.Create(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer w.Abort()
	sum, index := md5.New(), fasta.NewIndexer()
	n, err := io.Copy(io.MultiWriter(index, sum, w), io.LimitReader(text, maxSource))
	if err != nil {
		return nil, unfit(err)
	}
	sequences, err := index.Close()
	if err != nil {
		return nil, unfit(err)
	}
	info, err := w.Commit()
	if err != nil {
		return nil, err
	}
	r := &reference{Store: st.ID, Name: src.Name, Description: src.Description, Tags: src.Tags, Status: api.ReferenceStatusActive, MD5: hex.EncodeToString(sum.Sum(nil)),
		Source: &file{info.ID, n, from.Name}}
	var fai bytes.Buffer
	if err := fasta.WriteIndex(&fai, sequences); err != nil {
		return nil, err
	}
	if r.Index, err = s.keep(ctx, ref, from.Name+".fai", fai.Bytes()); err != nil {
		return nil, err
	}
	all, err := json.Marshal(sequences)
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "the sequences cannot be written")
	}
	r.Sequences, err = s.keep(ctx, ref, "", all)
	return r, err
}

// keep stores a small file.
func (s *Service) keep(ctx context.Context, ref key.Ref, name string, body []byte) (*file, error) {
	info, err := s.cfg.Blobs.Put(ctx, ref, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return &file{info.ID, info.Size, name}, nil
}

func (s *Service) referenceImportFailed(ctx context.Context, r job.Run, cause error) error {
	_, err := change(ctx, s, referenceImports, r.ID(), "import job", func(tx record.Tx, j *referenceImport) error {
		for i := range j.Sources {
			if src := &j.Sources[i]; src.Status != finished && src.Status != failed {
				src.Status, src.Message = failed, errs.As(cause).Message
			}
		}
		j.fail(tx, failed, errs.As(cause).Message)
		return s.referenceImportEvent(tx, j)
	})
	return err
}

// GetReferenceImportJob tells how an import is.
func (s *Service) GetReferenceImportJob(ctx context.Context, in *api.GetReferenceImportJobInput) (*api.GetReferenceImportJobOutput, error) {
	j, err := get(ctx, s, referenceImports, within(in.ReferenceStoreId, in.Id), "reference import job")
	if err != nil {
		return nil, err
	}
	out := &api.GetReferenceImportJobOutput{Id: j.ID, ReferenceStoreId: j.Store, RoleArn: j.Role, Status: api.ReferenceImportJobStatus(j.Status), StatusMessage: j.Message,
		CreationTime: j.Created, CompletionTime: ended(j.Ended), Sources: []api.ImportReferenceSourceItem{}}
	for _, src := range j.Sources {
		out.Sources = append(out.Sources, api.ImportReferenceSourceItem{SourceFile: src.File, Status: api.ReferenceImportJobItemStatus(src.Status), StatusMessage: src.Message, Name: src.Name,
			Description: src.Description, Tags: src.Tags, ReferenceId: src.Reference})
	}
	return out, nil
}

// ListReferenceImportJobs lists a store's imports in the order of their creation.
func (s *Service) ListReferenceImportJobs(ctx context.Context, in *api.ListReferenceImportJobsInput) (*api.ListReferenceImportJobsOutput, error) {
	if _, err := get(ctx, s, referenceStores, in.ReferenceStoreId, "reference store"); err != nil {
		return nil, err
	}
	f := page.Filter{}.Is("store", in.ReferenceStoreId)
	if x := in.Filter; x != nil {
		f = f.Is("status", string(x.Status)).Between("created", x.CreatedAfter, x.CreatedBefore)
	}
	out := &api.ListReferenceImportJobsOutput{ImportJobs: []api.ImportReferenceJobItem{}}
	var err error
	out.NextToken, err = page.List(ctx, s.pages, referenceImports, page.Request{Operation: "ListReferenceImportJobs/" + in.ReferenceStoreId, Asked: in.Filter, Where: f, Token: in.NextToken, Limit: in.MaxResults}, func(j *referenceImport) {
		out.ImportJobs = append(out.ImportJobs, api.ImportReferenceJobItem{Id: j.ID, ReferenceStoreId: j.Store, RoleArn: j.Role, Status: api.ReferenceImportJobStatus(j.Status),
			CreationTime: j.Created, CompletionTime: ended(j.Ended)})
	})
	return out, err
}
