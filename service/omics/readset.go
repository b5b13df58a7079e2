package omics

import (
	"context"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/page"
	"github.com/galen-health/galen/platform/record"
)

// readSet is the reads of one sample. Contract: Omics 2022-11-28, the …ReadSet operations.
type readSet struct {
	ID, Store, Name, Description string
	Subject, Sample, Generated   string
	Type                         api.FileType
	Reference                    string // ARN
	Status                       api.ReadSetStatus
	Message                      string
	Creation                     api.CreationType
	Job                          string // that imported it
	Created                      time.Time
	Reads, Bases                 int64
	Alignment                    string
	Algorithm                    api.ETagAlgorithm
	ETag1, ETag2                 string
	Source1, Source2, Index      *file
	Tags                         map[string]string
}

var readSets = record.Kind[readSet]{
	Name: "omics.readset",
	Indexes: record.Indexes[readSet]{
		record.ByToken("store", func(r *readSet) string { return r.Store }),
		record.ByToken("name", func(r *readSet) string { return r.Name }),
		record.ByToken("status", func(r *readSet) string { return string(r.Status) }),
		record.ByToken("reference", func(r *readSet) string { return r.Reference }),
		record.ByToken("sample", func(r *readSet) string { return r.Sample }),
		record.ByToken("subject", func(r *readSet) string { return r.Subject }),
		record.ByToken("generated", func(r *readSet) string { return r.Generated }),
		record.ByToken("creation", func(r *readSet) string { return string(r.Creation) }),
		record.ByTime("created", func(r *readSet) time.Time { return r.Created }),
		blobIndex(func(r *readSet) []*file { return []*file{r.Source1, r.Source2, r.Index} }),
	},
}

func (s *Service) readSetARN(store, id string) string {
	return s.arn("sequenceStore/" + store + "/readSet/" + id)
}

func (s *Service) readSetEvent(tx record.Tx, r *readSet, status string) error {
	return s.emit(tx, "Read Set Status Change", s.readSetARN(r.Store, r.ID), status, map[string]string{"sequenceStoreId": r.Store, "id": r.ID})
}

func (r *readSet) information() *api.SequenceInformation {
	if r.Status == api.ReadSetStatusProcessingUpload || r.Status == api.ReadSetStatusUploadFailed {
		return &api.SequenceInformation{GeneratedFrom: r.Generated}
	}
	return &api.SequenceInformation{TotalReadCount: aws.Ptr(r.Reads), TotalBaseCount: aws.Ptr(r.Bases), GeneratedFrom: r.Generated, Alignment: r.Alignment}
}

func (r *readSet) etag() *api.ETag {
	if r.ETag1 == "" {
		return nil
	}
	return &api.ETag{Algorithm: r.Algorithm, Source1: r.ETag1, Source2: r.ETag2}
}

// GetReadSetMetadata tells what is known of a read set.
func (s *Service) GetReadSetMetadata(ctx context.Context, in *api.GetReadSetMetadataInput) (*api.GetReadSetMetadataOutput, error) {
	r, err := get(ctx, s, readSets, within(in.SequenceStoreId, in.Id), "read set")
	if err != nil {
		return nil, err
	}
	out := &api.GetReadSetMetadataOutput{Id: r.ID, Arn: s.readSetARN(r.Store, r.ID), SequenceStoreId: r.Store, SubjectId: r.Subject, SampleId: r.Sample, Status: r.Status, Name: r.Name,
		Description: r.Description, FileType: r.Type, CreationTime: r.Created, SequenceInformation: r.information(), ReferenceArn: r.Reference, StatusMessage: r.Message,
		CreationType: r.Creation, Etag: r.etag(), CreationJobId: r.Job}
	if r.Source1 != nil {
		out.Files = &api.ReadSetFiles{Source1: r.Source1.info(), Source2: r.Source2.info(), Index: r.Index.info()}
	}
	return out, nil
}

// ListReadSets lists a store's read sets in the order of their creation.
func (s *Service) ListReadSets(ctx context.Context, in *api.ListReadSetsInput) (*api.ListReadSetsOutput, error) {
	if _, err := get(ctx, s, sequenceStores, in.SequenceStoreId, "sequence store"); err != nil {
		return nil, err
	}
	f := page.Filter{}.Is("store", in.SequenceStoreId)
	if x := in.Filter; x != nil {
		f = f.Is("name", x.Name).Is("status", string(x.Status)).Is("reference", x.ReferenceArn).Is("sample", x.SampleId).Is("subject", x.SubjectId).Is("generated", x.GeneratedFrom)
		f = f.Is("creation", string(x.CreationType)).Between("created", x.CreatedAfter, x.CreatedBefore)
	}
	out := &api.ListReadSetsOutput{ReadSets: []api.ReadSetListItem{}}
	var err error
	out.NextToken, err = page.List(ctx, s.pages, readSets, page.Request{Operation: "ListReadSets/" + in.SequenceStoreId, Asked: in.Filter, Where: f, Token: in.NextToken, Limit: in.MaxResults}, func(r *readSet) {
		out.ReadSets = append(out.ReadSets, api.ReadSetListItem{Id: r.ID, Arn: s.readSetARN(r.Store, r.ID), SequenceStoreId: r.Store, SubjectId: r.Subject, SampleId: r.Sample,
			Status: r.Status, Name: r.Name, Description: r.Description, ReferenceArn: r.Reference, FileType: r.Type, SequenceInformation: r.information(), CreationTime: r.Created,
			StatusMessage: r.Message, CreationType: r.Creation, Etag: r.etag()})
	})
	return out, err
}

// GetReadSet streams a part of a source file or of the index.
func (s *Service) GetReadSet(ctx context.Context, in *api.GetReadSetInput) (*api.GetReadSetOutput, error) {
	r, err := get(ctx, s, readSets, within(in.SequenceStoreId, in.Id), "read set")
	if err != nil {
		return nil, err
	}
	st, err := get(ctx, s, sequenceStores, in.SequenceStoreId, "sequence store")
	if err != nil {
		return nil, err
	}
	if r.Status != api.ReadSetStatusActive {
		return nil, errs.New(errs.Conflict, "the read set is %s: only an ACTIVE one can be read; activate an archived one first", r.Status)
	}
	if err := s.mayRead(ctx, st.SSE); err != nil {
		return nil, err
	}
	f := r.Source1
	switch in.File {
	case api.ReadSetFileSource2:
		f = r.Source2
	case api.ReadSetFileIndex:
		f = r.Index
	}
	if f == nil {
		return nil, errs.Named(errs.NotFound, "ResourceNotFoundException", "the read set has no file %s", in.File)
	}
	part, err := f.part(in.PartNumber)
	if err != nil {
		return nil, err
	}
	body, err := s.cfg.Blobs.Open(ctx, f.Blob, part)
	if err != nil {
		return nil, err
	}
	return &api.GetReadSetOutput{Payload: body}, nil
}

// BatchDeleteReadSet removes read sets with their bytes; what cannot be removed is told one by one.
func (s *Service) BatchDeleteReadSet(ctx context.Context, in *api.BatchDeleteReadSetInput) (*api.BatchDeleteReadSetOutput, error) {
	if _, err := get(ctx, s, sequenceStores, in.SequenceStoreId, "sequence store"); err != nil {
		return nil, err
	}
	out := &api.BatchDeleteReadSetOutput{Errors: []api.ReadSetBatchError{}}
	for _, id := range in.Ids {
		err := s.deleteReadSet(ctx, in.SequenceStoreId, id)
		switch {
		case errs.Is(err, errs.NotFound):
			out.Errors = append(out.Errors, api.ReadSetBatchError{Id: id, Code: "ResourceNotFoundException", Message: errs.As(err).Message})
		case errs.Is(err, errs.Conflict):
			out.Errors = append(out.Errors, api.ReadSetBatchError{Id: id, Code: "ConflictException", Message: errs.As(err).Message})
		case err != nil:
			return nil, err
		}
	}
	return out, nil
}

func (s *Service) deleteReadSet(ctx context.Context, store, id string) error {
	_, err := s.records.Update(ctx, control, []string{readSets.Name + "/" + within(store, id)}, func(tx record.Tx) error {
		r, version, err := readSets.Get(tx, within(store, id))
		if err != nil {
			return missing(err, "read set")
		}
		if r.Status == api.ReadSetStatusProcessingUpload || r.Status == api.ReadSetStatusActivating {
			return errs.New(errs.Conflict, "the read set is %s: wait until it is not", r.Status)
		}
		if _, err := tx.Delete(readSets.Name, within(store, id), record.Expect(version)); err != nil {
			return err
		}
		var e erasure
		e.add(r.Source1, r.Source2, r.Index)
		if err := s.erase(tx, e); err != nil {
			return err
		}
		return s.readSetEvent(tx, r, "DELETED")
	})
	return err
}
