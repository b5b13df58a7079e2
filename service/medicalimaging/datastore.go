package medicalimaging

import (
	"context"
	"strings"
	"time"

	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/page"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/standard/dicom"
)

// datastore is a store of image sets. Contract: HealthImaging 2023-07-19, the …Datastore operations.
// It is CREATING until its space and key exist, then ACTIVE; DELETING until both are destroyed, then DELETED and listed on.
type datastore struct {
	ID, Name   string
	Status     api.DatastoreStatus
	Created    time.Time
	Updated    time.Time
	KeyARN     string // what the store is encrypted under
	Owned      bool   // the key was made for this store
	Format     api.LosslessStorageFormat
	Authorizer string // Lambda authorizer, kept and said, never called
	Tags       map[string]string
}

var datastores = record.Kind[datastore]{
	Name: "imaging.datastore",
	Indexes: record.Indexes[datastore]{
		record.ByToken("status", func(d *datastore) string { return string(d.Status) }),
	},
}

const maxDatastores = 100

// space is where a store's image sets live.
func space(datastoreID string) record.Space { return record.Space("medical-imaging/" + datastoreID) }

// keyRef is what the store's records and blobs are encrypted under.
func (s *Service) keyRef(d *datastore) key.Ref {
	return key.Ref{Key: d.KeyARN, Context: map[string]string{"aws:medical-imaging:datastore": s.arn(d.ID)}}
}

// storageSyntax is what frames are compressed into.
func (d *datastore) storageSyntax() string {
	if d.Format == api.LosslessStorageFormatJpeg2000Lossless {
		return dicom.JPEG2000Lossless
	}
	return dicom.HTJ2KLosslessRPCL
}

// CreateDatastore answers CREATING; the store is ACTIVE within moments.
func (s *Service) CreateDatastore(ctx context.Context, in *api.CreateDatastoreInput) (*api.CreateDatastoreOutput, error) {
	if err := validTags(in.Tags); err != nil {
		return nil, err
	}
	d := &datastore{ID: newID(), Name: in.DatastoreName, Status: api.DatastoreStatusCreating, Format: in.LosslessStorageFormat, Tags: in.Tags}
	if d.Format == "" {
		d.Format = api.LosslessStorageFormatHtj2k
	}
	if in.LambdaAuthorizerArn != "" {
		return nil, errs.New(errs.Invalid, "lambdaAuthorizerArn: Lambda authorizers are not offered here; bearer tokens are checked by the built-in OpenID provider")
	}
	if in.KmsKeyArn != "" {
		arn, err := s.cfg.Guard.MayUse(ctx, key.Use{Action: "kms:GenerateDataKey", Key: in.KmsKeyArn, Via: "medical-imaging"})
		if err != nil {
			return nil, err
		}
		d.KeyARN = arn
	}
	return record.Once(ctx, s.records, control, onceToken("create", in.ClientToken), in, func(tx record.Tx) (*api.CreateDatastoreOutput, error) {
		p, err := tx.Query(record.Query{Kind: datastores.Name, Limit: maxDatastores, IDsOnly: true,
			Where: record.Not{Expr: record.Match{Index: "status", Value: record.Token("", string(api.DatastoreStatusDeleted))}}})
		if err != nil {
			return nil, err
		}
		if len(p.Hits) >= maxDatastores {
			return nil, errs.New(errs.Exhausted, "the account has %d data stores already: delete one first", maxDatastores)
		}
		d.Created, d.Updated = tx.Time(), tx.Time()
		if err := datastores.Create(tx, d.ID, d); err != nil {
			return nil, err
		}
		if err := s.storeEvent(tx, "Data Store Creating", d); err != nil {
			return nil, err
		}
		return &api.CreateDatastoreOutput{DatastoreId: d.ID, DatastoreStatus: d.Status}, s.cfg.Jobs.Start(tx, "imaging.create", d.ID, nil)
	})
}

func (s *Service) storeEvent(tx record.Tx, detailType string, d *datastore) error {
	return s.emit(tx, detailType, s.arn(d.ID), struct {
		Version string `json:"imagingVersion"`
		ID      string `json:"datastoreId"`
		Name    string `json:"datastoreName"`
		Status  string `json:"datastoreStatus"`
	}{"1.0", d.ID, d.Name, string(d.Status)})
}

// registerStoreJobs tells the job engine how a store comes to be and how it goes.
func (s *Service) registerStoreJobs() {
	s.cfg.Jobs.Register(job.Kind{Name: "imaging.create", Concurrency: 2, Run: s.create, Failed: s.createFailed})
	s.cfg.Jobs.Register(job.Kind{Name: "imaging.delete", Concurrency: 2, Run: s.destroy})
	s.cfg.Jobs.Register(job.Kind{Name: "imaging.purge", Concurrency: 2, Run: s.purge})
}

func (s *Service) create(ctx context.Context, r job.Run) error {
	d, err := s.store(ctx, r.ID())
	if err != nil {
		return err
	}
	if d.KeyARN == "" {
		arn, err := s.cfg.Keys.CreateOwned(ctx, "medical-imaging/"+d.ID)
		if err != nil {
			return err
		}
		// Kept before it is used: a crash after this line finds the same key again.
		if d, err = s.change(ctx, d.ID, func(_ record.Tx, d *datastore) error {
			if d.KeyARN == "" {
				d.KeyARN, d.Owned = arn, true
			}
			return nil
		}); err != nil {
			return err
		}
		if d.KeyARN != arn {
			if err := s.cfg.Keys.DestroyOwned(ctx, arn); err != nil {
				return err
			}
		}
	}
	if err := s.records.CreateSpace(ctx, space(d.ID), s.keyRef(d)); err != nil {
		return err
	}
	_, err = s.change(ctx, d.ID, func(tx record.Tx, d *datastore) error {
		if d.Status != api.DatastoreStatusCreating {
			return nil
		}
		d.Status = api.DatastoreStatusActive
		if err := s.storeEvent(tx, "Data Store Created", d); err != nil {
			return err
		}
		return r.Finish(tx)
	})
	return err
}

func (s *Service) createFailed(ctx context.Context, r job.Run, _ error) error {
	_, err := s.change(ctx, r.ID(), func(tx record.Tx, d *datastore) error {
		d.Status = api.DatastoreStatusCreateFailed
		return s.storeEvent(tx, "Data Store Creation Failed", d)
	})
	return err
}

// destroy deletes the store's blobs and space, then the key that was made for it.
func (s *Service) destroy(ctx context.Context, r job.Run) error {
	d, err := s.store(ctx, r.ID())
	if err != nil {
		return err
	}
	err = s.view(ctx, space(d.ID), func(v record.View) error {
		for b, err := range v.Scan(bodies.Name, 0) {
			if err != nil {
				return err
			}
			if err := s.blobs.Delete(ctx, blob.ID(b.ID)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	if err := s.records.DropSpace(ctx, space(d.ID)); err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	if d.Owned {
		if err := s.cfg.Keys.DestroyOwned(ctx, d.KeyARN); err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
	}
	_, err = s.change(ctx, d.ID, func(tx record.Tx, d *datastore) error {
		d.Status = api.DatastoreStatusDeleted
		if err := s.storeEvent(tx, "Data Store Deleted", d); err != nil {
			return err
		}
		return r.Finish(tx)
	})
	return err
}

// DeleteDatastore answers DELETING. As HealthImaging asks, the store must hold no image sets.
func (s *Service) DeleteDatastore(ctx context.Context, in *api.DeleteDatastoreInput) (*api.DeleteDatastoreOutput, error) {
	d, err := s.store(ctx, in.DatastoreId)
	if err != nil {
		return nil, err
	}
	if d.Status == api.DatastoreStatusActive {
		if err := s.view(ctx, space(d.ID), func(v record.View) error {
			n, err := v.Count(ctx, imageSets.Name, liveSets)
			if err == nil && n > 0 {
				err = errs.New(errs.Conflict, "the data store holds %d image sets: delete them first", n)
			}
			return err
		}); err != nil && !errs.Is(err, errs.NotFound) { // its key was deleted, and with it all that it held
			return nil, err
		}
	}
	d, err = s.change(ctx, in.DatastoreId, func(tx record.Tx, d *datastore) error {
		if d.Status != api.DatastoreStatusActive && d.Status != api.DatastoreStatusCreateFailed {
			return errs.New(errs.Conflict, "the data store is %s: only an ACTIVE or CREATE_FAILED one can be deleted", d.Status)
		}
		d.Status = api.DatastoreStatusDeleting
		if err := s.storeEvent(tx, "Data Store Deleting", d); err != nil {
			return err
		}
		return s.cfg.Jobs.Start(tx, "imaging.delete", d.ID, nil)
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteDatastoreOutput{DatastoreId: d.ID, DatastoreStatus: d.Status}, nil
}

// GetDatastore tells how a store is.
func (s *Service) GetDatastore(ctx context.Context, in *api.GetDatastoreInput) (*api.GetDatastoreOutput, error) {
	d, err := s.store(ctx, in.DatastoreId)
	if err != nil {
		return nil, err
	}
	p := &api.DatastoreProperties{DatastoreId: d.ID, DatastoreName: d.Name, DatastoreStatus: d.Status, DatastoreArn: s.arn(d.ID), CreatedAt: d.Created,
		UpdatedAt: d.Updated, LambdaAuthorizerArn: d.Authorizer, LosslessStorageFormat: d.Format}
	if !d.Owned {
		p.KmsKeyArn = d.KeyARN
	}
	return &api.GetDatastoreOutput{DatastoreProperties: p}, nil
}

// ListDatastores lists the account's stores in the order of their creation, deleted ones too.
func (s *Service) ListDatastores(ctx context.Context, in *api.ListDatastoresInput) (*api.ListDatastoresOutput, error) {
	out := &api.ListDatastoresOutput{DatastoreSummaries: []api.DatastoreSummary{}}
	next, err := page.List(ctx, s.pages, datastores, page.Request{Operation: "ListDatastores", Asked: in.DatastoreStatus, Where: page.Filter{}.Is("status", string(in.DatastoreStatus)), Token: in.NextToken, Limit: in.MaxResults, Usual: 50}, func(d *datastore) {
		out.DatastoreSummaries = append(out.DatastoreSummaries, api.DatastoreSummary{DatastoreId: d.ID, DatastoreName: d.Name, DatastoreStatus: d.Status,
			DatastoreArn: s.arn(d.ID), CreatedAt: d.Created, UpdatedAt: d.Updated})
	})
	out.NextToken = next
	return out, err
}

// store reads a data store's record.
func (s *Service) store(ctx context.Context, id string) (d *datastore, err error) {
	err = s.view(ctx, control, func(v record.View) error {
		d, _, err = datastores.Get(v, id)
		return noStore(err)
	})
	return d, err
}

func noStore(err error) error {
	if absent(err) {
		return errs.New(errs.NotFound, "there is no data store with this id")
	}
	return err
}

// active is store, refusing one that cannot be used now.
func (s *Service) active(ctx context.Context, id string) (*datastore, error) {
	d, err := s.store(ctx, id)
	if err == nil && d.Status == api.DatastoreStatusDeleted {
		err = noStore(errs.New(errs.NotFound, ""))
	} else if err == nil && d.Status != api.DatastoreStatusActive {
		err = errs.New(errs.Conflict, "the data store is %s, not ACTIVE", d.Status)
	}
	return d, err
}

func (s *Service) change(ctx context.Context, id string, fn func(record.Tx, *datastore) error) (*datastore, error) {
	var d *datastore
	_, err := s.records.Update(ctx, control, []string{"datastore/" + id}, func(tx record.Tx) (err error) {
		d, err = datastores.Change(tx, id, func(d *datastore) error {
			d.Updated = tx.Time()
			return fn(tx, d)
		})
		return noStore(err)
	})
	return d, err
}

const maxTags = 50

func validTags(tags map[string]string) error {
	for k := range tags {
		if strings.HasPrefix(strings.ToLower(k), "aws:") {
			return errs.New(errs.Invalid, "a tag key must not begin with aws:")
		}
	}
	if len(tags) > maxTags {
		return errs.New(errs.Invalid, "a resource has at most %d tags", maxTags)
	}
	return nil
}
