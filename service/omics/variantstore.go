package omics

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/page"
	"github.com/galen-health/galen/platform/record"
)

// variantStore is a table of variants. Contract: Omics 2022-11-28, the …VariantStore operations. AWS closed them to new customers on 2025-11-07;
// here they go on, and their table is open Parquet.
type variantStore struct {
	ID, Name, Description string
	Reference             string // ARN
	SSE                   sse
	Created, Updated      time.Time
	Tags                  map[string]string
	Size                  int64 // of its Parquet files
}

var variantStores = record.Kind[variantStore]{
	Name: "omics.variantstore",
	Indexes: record.Indexes[variantStore]{
		record.ByToken("id", func(v *variantStore) string { return v.ID }),
		record.ByToken("reference", func(v *variantStore) string { return v.Reference }),
		record.ByTime("created", func(v *variantStore) time.Time { return v.Created }),
	},
}

// variantFile is one Parquet file of a store: a sorted run of the rows of one source file.
type variantFile struct {
	Store  string // name
	Source string // the S3 URI, and below it the ETag of what was read
	ETag   string
	File   *file
	Rows   int64
}

var variantFiles = record.Kind[variantFile]{
	Name: "omics.variantfile", Volatile: true,
	Indexes: record.Indexes[variantFile]{
		record.ByToken("store", func(v *variantFile) string { return v.Store }),
		record.ByToken("source", func(v *variantFile) string { return v.Store + "/" + v.Source }),
		blobIndex(func(v *variantFile) []*file { return []*file{v.File} }),
	},
}

const maxVariantStores = 10

func (s *Service) variantStoreARN(name string) string { return s.arn("variantStore/" + name) }

func (s *Service) variantStoreEvent(tx record.Tx, v *variantStore, status string) error {
	return s.emit(tx, "Variant Store Status Change", s.variantStoreARN(v.Name), status, map[string]string{"storeId": v.ID, "storeName": v.Name})
}

// CreateVariantStore makes an ACTIVE, empty store.
func (s *Service) CreateVariantStore(ctx context.Context, in *api.CreateVariantStoreInput) (*api.CreateVariantStoreOutput, error) {
	if in.Reference == nil || in.Reference.ReferenceArn == "" {
		return nil, errs.New(errs.Invalid, "reference.referenceArn is required")
	}
	if _, err := s.reference(ctx, in.Reference.ReferenceArn); err != nil {
		return nil, err
	}
	if err := validTags(in.Tags); err != nil {
		return nil, err
	}
	k, err := s.newKey(ctx, in.SseConfig)
	if err != nil {
		return nil, err
	}
	var id [6]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	v := &variantStore{ID: hex.EncodeToString(id[:]), Name: in.Name, Description: in.Description, Reference: in.Reference.ReferenceArn, SSE: k, Tags: in.Tags}
	if v.Name == "" {
		v.Name = "variant_store_" + v.ID
	}
	_, err = s.records.Update(ctx, control, []string{variantStores.Name}, func(tx record.Tx) error {
		if n, err := count(tx, variantStores.Name, maxVariantStores); err != nil {
			return err
		} else if n == maxVariantStores {
			return errs.New(errs.Exhausted, "an account has at most %d variant stores in a region", maxVariantStores)
		}
		v.Created, v.Updated = tx.Time(), tx.Time()
		err := variantStores.Create(tx, v.Name, v)
		if errs.Is(err, errs.Conflict) {
			return errs.New(errs.Conflict, "there is a variant store with this name")
		}
		if err != nil {
			return err
		}
		return s.variantStoreEvent(tx, v, "CREATED")
	})
	if err != nil {
		_ = s.dropKey(ctx, k) // a key that nothing uses harms nobody
		return nil, err
	}
	return &api.CreateVariantStoreOutput{Id: v.ID, Reference: in.Reference, Status: api.StoreStatusActive, Name: v.Name, CreationTime: v.Created}, nil
}

// GetVariantStore tells what is known of a store.
func (s *Service) GetVariantStore(ctx context.Context, in *api.GetVariantStoreInput) (*api.GetVariantStoreOutput, error) {
	v, err := get(ctx, s, variantStores, in.Name, "variant store")
	if err != nil {
		return nil, err
	}
	tags := v.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	return &api.GetVariantStoreOutput{Id: v.ID, Reference: &api.ReferenceItem{ReferenceArn: v.Reference}, Status: api.StoreStatusActive, StoreArn: s.variantStoreARN(v.Name), Name: v.Name,
		Description: v.Description, SseConfig: v.SSE.config(), CreationTime: v.Created, UpdateTime: v.Updated, Tags: tags, StoreSizeBytes: v.Size}, nil
}

// UpdateVariantStore changes the description.
func (s *Service) UpdateVariantStore(ctx context.Context, in *api.UpdateVariantStoreInput) (*api.UpdateVariantStoreOutput, error) {
	v, err := change(ctx, s, variantStores, in.Name, "variant store", func(tx record.Tx, v *variantStore) error {
		v.Description, v.Updated = in.Description, tx.Time()
		return s.variantStoreEvent(tx, v, "UPDATED")
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateVariantStoreOutput{Id: v.ID, Reference: &api.ReferenceItem{ReferenceArn: v.Reference}, Status: api.StoreStatusActive, Name: v.Name, Description: v.Description,
		CreationTime: v.Created, UpdateTime: v.Updated}, nil
}

// ListVariantStores lists stores in the order of their creation.
func (s *Service) ListVariantStores(ctx context.Context, in *api.ListVariantStoresInput) (*api.ListVariantStoresOutput, error) {
	out := &api.ListVariantStoresOutput{VariantStores: []api.VariantStoreItem{}}
	if x := in.Filter; x != nil && x.Status != "" && x.Status != api.StoreStatusActive {
		return out, nil
	}
	f := page.Filter{}.OneOf("id", in.Ids)
	var err error
	out.NextToken, err = page.List(ctx, s.pages, variantStores, page.Request{Operation: "ListVariantStores", Asked: in.Ids, Where: f, Token: in.NextToken, Limit: in.MaxResults}, func(v *variantStore) {
		out.VariantStores = append(out.VariantStores, api.VariantStoreItem{Id: v.ID, Reference: &api.ReferenceItem{ReferenceArn: v.Reference}, Status: api.StoreStatusActive,
			StoreArn: s.variantStoreARN(v.Name), Name: v.Name, Description: v.Description, SseConfig: v.SSE.config(), CreationTime: v.Created, UpdateTime: v.Updated, StoreSizeBytes: v.Size})
	})
	return out, err
}

// DeleteVariantStore removes a store; one with rows only when force is set.
func (s *Service) DeleteVariantStore(ctx context.Context, in *api.DeleteVariantStoreInput) (*api.DeleteVariantStoreOutput, error) {
	_, err := s.records.Update(ctx, control, []string{variantStores.Name + "/" + in.Name}, func(tx record.Tx) error {
		v, version, err := variantStores.Get(tx, in.Name)
		if err != nil {
			return missing(err, "variant store")
		}
		if none, err := empty(tx, variantImports.Name, "store", v.Name, openJobs); err != nil {
			return err
		} else if !none {
			return errs.New(errs.Conflict, "an import into the variant store has not ended: cancel it first")
		}
		files, err := filesOf(tx.Query, v.Name, "")
		if err != nil {
			return err
		}
		if len(files) > 0 && !aws.Val(in.Force) {
			return errs.New(errs.Conflict, "the variant store has rows: delete it with force")
		}
		e := erasure{}
		for _, f := range files {
			e.add(f.File)
			if err := tx.Purge(variantFiles.Name, string(f.File.Blob)); err != nil {
				return err
			}
		}
		if v.SSE.Owned {
			e.Keys = append(e.Keys, v.SSE.Key)
		}
		if err := s.erase(tx, e); err != nil {
			return err
		}
		if _, err := tx.Delete(variantStores.Name, v.Name, record.Expect(version)); err != nil {
			return err
		}
		return s.variantStoreEvent(tx, v, "DELETED")
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteVariantStoreOutput{Status: api.StoreStatusDeleting}, nil
}

// filesOf are the Parquet files of a store, or of one source of it.
func filesOf(q func(record.Query) (*record.Page, error), store, source string) ([]*variantFile, error) {
	query := record.Query{Kind: variantFiles.Name, Where: record.Match{Index: "store", Value: record.Token("", store)}, Limit: 1000}
	if source != "" {
		query.Where = record.Match{Index: "source", Value: record.Token("", store+"/"+source)}
	}
	var out []*variantFile
	for {
		page, err := q(query)
		if err != nil {
			return nil, err
		}
		for i := range page.Hits {
			f, err := variantFiles.Decode(page.Hits[i].Body)
			if err != nil {
				return nil, err
			}
			out = append(out, f)
		}
		if query.After = page.Next; page.Next == "" {
			return out, nil
		}
	}
}
