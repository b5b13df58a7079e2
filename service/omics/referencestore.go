package omics

import (
	"context"
	"time"

	api "github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/page"
	"github.com/galen-health/galen/platform/record"
)

// referenceStore holds references; an account has one in a region. Contract: Omics 2022-11-28, the …ReferenceStore operations.
type referenceStore struct {
	ID, Name, Description string
	SSE                   sse
	Created               time.Time
	Tags                  map[string]string
}

var referenceStores = record.Kind[referenceStore]{
	Name: "omics.referencestore",
	Indexes: record.Indexes[referenceStore]{
		record.ByToken("name", func(r *referenceStore) string { return r.Name }),
		record.ByTime("created", func(r *referenceStore) time.Time { return r.Created }),
	},
}

const maxReferenceStores = 1

func (s *Service) referenceStoreARN(id string) string { return s.arn("referenceStore/" + id) }

// CreateReferenceStore makes the account's reference store.
func (s *Service) CreateReferenceStore(ctx context.Context, in *api.CreateReferenceStoreInput) (*api.CreateReferenceStoreOutput, error) {
	if err := validTags(in.Tags); err != nil {
		return nil, err
	}
	k, err := s.newKey(ctx, in.SseConfig)
	if err != nil {
		return nil, err
	}
	st := &referenceStore{Name: in.Name, Description: in.Description, SSE: k, Tags: in.Tags}
	out, err := record.Once(ctx, s.records, control, token("CreateReferenceStore", in.ClientToken), in, func(tx record.Tx) (*api.CreateReferenceStoreOutput, error) {
		if n, err := count(tx, referenceStores.Name, maxReferenceStores); err != nil {
			return nil, err
		} else if n == maxReferenceStores {
			return nil, errs.New(errs.Exhausted, "an account has at most %d reference store in a region: use the one that is there", maxReferenceStores)
		}
		var err error
		if st.ID, err = fresh(tx, referenceStores.Name, ""); err != nil {
			return nil, err
		}
		st.Created = tx.Time()
		if err := referenceStores.Create(tx, st.ID, st); err != nil {
			return nil, err
		}
		if err := s.emit(tx, "Reference Store Status Change", s.referenceStoreARN(st.ID), "CREATED", map[string]string{"id": st.ID}); err != nil {
			return nil, err
		}
		return &api.CreateReferenceStoreOutput{Id: st.ID, Arn: s.referenceStoreARN(st.ID), Name: st.Name, Description: st.Description, SseConfig: k.config(), CreationTime: st.Created}, nil
	})
	if err != nil || out.Id != st.ID { // refused, or made before
		_ = s.dropKey(ctx, k) // a key that nothing uses harms nobody
	}
	return out, err
}

// token is a client token in its operation's name space; "" stays "".
func token(op, t string) string {
	if t == "" {
		return ""
	}
	return op + "/" + t
}

// GetReferenceStore tells what is known of a store.
func (s *Service) GetReferenceStore(ctx context.Context, in *api.GetReferenceStoreInput) (*api.GetReferenceStoreOutput, error) {
	st, err := get(ctx, s, referenceStores, in.Id, "reference store")
	if err != nil {
		return nil, err
	}
	return &api.GetReferenceStoreOutput{Id: st.ID, Arn: s.referenceStoreARN(st.ID), Name: st.Name, Description: st.Description, SseConfig: st.SSE.config(), CreationTime: st.Created}, nil
}

// ListReferenceStores lists stores in the order of their creation.
func (s *Service) ListReferenceStores(ctx context.Context, in *api.ListReferenceStoresInput) (*api.ListReferenceStoresOutput, error) {
	var f page.Filter
	if x := in.Filter; x != nil {
		f = f.Is("name", x.Name).Between("created", x.CreatedAfter, x.CreatedBefore)
	}
	out := &api.ListReferenceStoresOutput{ReferenceStores: []api.ReferenceStoreDetail{}}
	var err error
	out.NextToken, err = page.List(ctx, s.pages, referenceStores, page.Request{Operation: "ListReferenceStores", Asked: in.Filter, Where: f, Token: in.NextToken, Limit: in.MaxResults}, func(st *referenceStore) {
		out.ReferenceStores = append(out.ReferenceStores, api.ReferenceStoreDetail{Arn: s.referenceStoreARN(st.ID), Id: st.ID, Name: st.Name, Description: st.Description,
			SseConfig: st.SSE.config(), CreationTime: st.Created})
	})
	return out, err
}

// DeleteReferenceStore removes an empty store and destroys its key.
func (s *Service) DeleteReferenceStore(ctx context.Context, in *api.DeleteReferenceStoreInput) (*api.DeleteReferenceStoreOutput, error) {
	_, err := s.records.Update(ctx, control, []string{referenceStores.Name + "/" + in.Id}, func(tx record.Tx) error {
		st, version, err := referenceStores.Get(tx, in.Id)
		if err != nil {
			return missing(err, "reference store")
		}
		if none, err := empty(tx, references.Name, "store", st.ID); err != nil {
			return err
		} else if !none {
			return errs.New(errs.Conflict, "the reference store still has references: delete them first")
		}
		if none, err := empty(tx, referenceImports.Name, "store", st.ID, openJobs); err != nil {
			return err
		} else if !none {
			return errs.New(errs.Conflict, "an import into the reference store has not ended")
		}
		if _, err := tx.Delete(referenceStores.Name, st.ID, record.Expect(version)); err != nil {
			return err
		}
		if err := s.eraseKey(tx, st.SSE); err != nil {
			return err
		}
		return s.emit(tx, "Reference Store Status Change", s.referenceStoreARN(st.ID), "DELETED", map[string]string{"id": st.ID})
	})
	return &api.DeleteReferenceStoreOutput{}, err
}

func (s *Service) eraseKey(tx record.Tx, e sse) error {
	if !e.Owned {
		return nil
	}
	return s.erase(tx, erasure{Keys: []string{e.Key}})
}

// openJobs matches jobs that have not ended.
var openJobs = record.Or{record.Match{Index: "status", Value: record.Token("", "SUBMITTED")}, record.Match{Index: "status", Value: record.Token("", "IN_PROGRESS")}}
