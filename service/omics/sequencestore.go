package omics

import (
	"context"
	"time"

	api "github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/page"
	"github.com/galen-health/galen/platform/record"
)

// sequenceStore holds read sets. Contract: Omics 2022-11-28, the …SequenceStore operations.
type sequenceStore struct {
	ID, Name, Description string
	SSE                   sse
	ETags                 api.ETagAlgorithmFamily
	Fallback              string
	Propagated            []string
	AccessLog             string
	Created, Updated      time.Time
	Tags                  map[string]string
}

var sequenceStores = record.Kind[sequenceStore]{
	Name: "omics.sequencestore",
	Indexes: record.Indexes[sequenceStore]{
		record.ByToken("name", func(q *sequenceStore) string { return q.Name }),
		record.ByTime("created", func(q *sequenceStore) time.Time { return q.Created }),
		record.ByTime("updated", func(q *sequenceStore) time.Time { return q.Updated }),
	},
}

const maxSequenceStores = 20

func (s *Service) sequenceStoreARN(id string) string { return s.arn("sequenceStore/" + id) }

// CreateSequenceStore makes an ACTIVE store.
func (s *Service) CreateSequenceStore(ctx context.Context, in *api.CreateSequenceStoreInput) (*api.CreateSequenceStoreOutput, error) {
	if err := validTags(in.Tags); err != nil {
		return nil, err
	}
	k, err := s.newKey(ctx, in.SseConfig)
	if err != nil {
		return nil, err
	}
	st := &sequenceStore{Name: in.Name, Description: in.Description, SSE: k, Tags: in.Tags, ETags: in.ETagAlgorithmFamily, Fallback: in.FallbackLocation, Propagated: in.PropagatedSetLevelTags}
	if st.ETags == "" {
		st.ETags = api.ETagAlgorithmFamilyMD5up
	}
	if in.S3AccessConfig != nil {
		st.AccessLog = in.S3AccessConfig.AccessLogLocation
	}
	out, err := record.Once(ctx, s.records, control, token("CreateSequenceStore", in.ClientToken), in, func(tx record.Tx) (*api.CreateSequenceStoreOutput, error) {
		if n, err := count(tx, sequenceStores.Name, maxSequenceStores); err != nil {
			return nil, err
		} else if n == maxSequenceStores {
			return nil, errs.New(errs.Exhausted, "an account has at most %d sequence stores in a region", maxSequenceStores)
		}
		var err error
		if st.ID, err = fresh(tx, sequenceStores.Name, ""); err != nil {
			return nil, err
		}
		st.Created = tx.Time()
		if err := sequenceStores.Create(tx, st.ID, st); err != nil {
			return nil, err
		}
		if err := s.sequenceStoreEvent(tx, st.ID, "ACTIVE"); err != nil {
			return nil, err
		}
		return &api.CreateSequenceStoreOutput{Id: st.ID, Arn: s.sequenceStoreARN(st.ID), Name: st.Name, Description: st.Description, SseConfig: k.config(), CreationTime: st.Created,
			FallbackLocation: st.Fallback, ETagAlgorithmFamily: st.ETags, Status: api.SequenceStoreStatusActive, PropagatedSetLevelTags: st.Propagated, S3Access: st.access()}, nil
	})
	if err != nil || out.Id != st.ID { // refused, or made before
		_ = s.dropKey(ctx, k) // a key that nothing uses harms nobody
	}
	return out, err
}

func (q *sequenceStore) access() *api.SequenceStoreS3Access {
	if q.AccessLog == "" {
		return nil
	}
	return &api.SequenceStoreS3Access{AccessLogLocation: q.AccessLog}
}

func (s *Service) sequenceStoreEvent(tx record.Tx, id, status string) error {
	return s.emit(tx, "Sequence Store Status Change", s.sequenceStoreARN(id), status, map[string]string{"id": id})
}

// GetSequenceStore tells what is known of a store.
func (s *Service) GetSequenceStore(ctx context.Context, in *api.GetSequenceStoreInput) (*api.GetSequenceStoreOutput, error) {
	st, err := get(ctx, s, sequenceStores, in.Id, "sequence store")
	if err != nil {
		return nil, err
	}
	return &api.GetSequenceStoreOutput{Id: st.ID, Arn: s.sequenceStoreARN(st.ID), Name: st.Name, Description: st.Description, SseConfig: st.SSE.config(), CreationTime: st.Created,
		FallbackLocation: st.Fallback, S3Access: st.access(), ETagAlgorithmFamily: st.ETags, Status: api.SequenceStoreStatusActive, PropagatedSetLevelTags: st.Propagated, UpdateTime: st.Updated}, nil
}

// UpdateSequenceStore changes what is given.
func (s *Service) UpdateSequenceStore(ctx context.Context, in *api.UpdateSequenceStoreInput) (*api.UpdateSequenceStoreOutput, error) {
	st, err := change(ctx, s, sequenceStores, in.Id, "sequence store", func(tx record.Tx, st *sequenceStore) error {
		if in.Name != "" {
			st.Name = in.Name
		}
		if in.Description != "" {
			st.Description = in.Description
		}
		if in.FallbackLocation != "" {
			st.Fallback = in.FallbackLocation
		}
		if in.PropagatedSetLevelTags != nil {
			st.Propagated = in.PropagatedSetLevelTags
		}
		if in.S3AccessConfig != nil {
			st.AccessLog = in.S3AccessConfig.AccessLogLocation
		}
		st.Updated = tx.Time()
		return s.sequenceStoreEvent(tx, st.ID, "UPDATED")
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateSequenceStoreOutput{Id: st.ID, Arn: s.sequenceStoreARN(st.ID), Name: st.Name, Description: st.Description, SseConfig: st.SSE.config(), CreationTime: st.Created,
		UpdateTime: st.Updated, PropagatedSetLevelTags: st.Propagated, Status: api.SequenceStoreStatusActive, FallbackLocation: st.Fallback, S3Access: st.access(), ETagAlgorithmFamily: st.ETags}, nil
}

// ListSequenceStores lists stores in the order of their creation.
func (s *Service) ListSequenceStores(ctx context.Context, in *api.ListSequenceStoresInput) (*api.ListSequenceStoresOutput, error) {
	var f page.Filter
	if x := in.Filter; x != nil {
		f = f.Is("name", x.Name).Between("created", x.CreatedAfter, x.CreatedBefore).Between("updated", x.UpdatedAfter, x.UpdatedBefore)
		if x.Status != "" && x.Status != api.SequenceStoreStatusActive {
			return &api.ListSequenceStoresOutput{SequenceStores: []api.SequenceStoreDetail{}}, nil
		}
	}
	out := &api.ListSequenceStoresOutput{SequenceStores: []api.SequenceStoreDetail{}}
	var err error
	out.NextToken, err = page.List(ctx, s.pages, sequenceStores, page.Request{Operation: "ListSequenceStores", Asked: in.Filter, Where: f, Token: in.NextToken, Limit: in.MaxResults}, func(st *sequenceStore) {
		out.SequenceStores = append(out.SequenceStores, api.SequenceStoreDetail{Arn: s.sequenceStoreARN(st.ID), Id: st.ID, Name: st.Name, Description: st.Description, SseConfig: st.SSE.config(),
			CreationTime: st.Created, FallbackLocation: st.Fallback, ETagAlgorithmFamily: st.ETags, Status: api.SequenceStoreStatusActive, UpdateTime: st.Updated})
	})
	return out, err
}

// DeleteSequenceStore removes an empty store and destroys its key.
func (s *Service) DeleteSequenceStore(ctx context.Context, in *api.DeleteSequenceStoreInput) (*api.DeleteSequenceStoreOutput, error) {
	_, err := s.records.Update(ctx, control, []string{sequenceStores.Name + "/" + in.Id}, func(tx record.Tx) error {
		st, version, err := sequenceStores.Get(tx, in.Id)
		if err != nil {
			return missing(err, "sequence store")
		}
		for _, c := range []struct {
			kind, what string
			where      []record.Expr
		}{{readSets.Name, "has read sets", nil}, {uploads.Name, "has uploads in progress", nil}, {readSetImports.Name, "has imports in progress", []record.Expr{openJobs}}} {
			if none, err := empty(tx, c.kind, "store", st.ID, c.where...); err != nil {
				return err
			} else if !none {
				return errs.New(errs.Conflict, "the sequence store still %s", c.what)
			}
		}
		if _, err := tx.Delete(sequenceStores.Name, st.ID, record.Expect(version)); err != nil {
			return err
		}
		if err := s.eraseKey(tx, st.SSE); err != nil {
			return err
		}
		return s.sequenceStoreEvent(tx, st.ID, "DELETED")
	})
	return &api.DeleteSequenceStoreOutput{}, err
}
