package healthlake

import (
	"context"
	"time"

	api "github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/page"
	"github.com/galen-health/galen/platform/record"
)

// datastore is a FHIR data store. Contract: HealthLake 2017-07-01, the …FHIRDatastore operations.
// It is CREATING until its space and key exist, then ACTIVE; DELETING until both are destroyed, then DELETED and listed on.
type datastore struct {
	ID, Name string
	Status   api.DatastoreStatus
	Created  time.Time
	CmkType  api.CmkType
	KeyID    string // as the caller named it
	KeyARN   string // what the space is encrypted under; ours when CmkType is AWS_OWNED_KMS_KEY
	Tags     []api.Tag
	Error    string
}

var datastores = record.Kind[datastore]{
	Name: "healthlake.datastore",
	Indexes: record.Indexes[datastore]{
		record.ByToken("name", func(d *datastore) string { return d.Name }),
		record.ByToken("status", func(d *datastore) string { return string(d.Status) }),
		record.ByTime("created", func(d *datastore) time.Time { return d.Created }),
	},
}

const maxDatastores = 100

// space is where a store's resources live.
func space(datastoreID string) record.Space { return record.Space("healthlake/" + datastoreID) }

func (s *Service) endpoint(id string) string { return s.cfg.BaseURL + "/datastore/" + id + "/r4/" }

// CreateFHIRDatastore answers CREATING; the store is ACTIVE within moments.
func (s *Service) CreateFHIRDatastore(ctx context.Context, in *api.CreateFHIRDatastoreInput) (*api.CreateFHIRDatastoreOutput, error) {
	d := &datastore{ID: newID(), Name: in.DatastoreName, Status: api.DatastoreStatusCreating, CmkType: api.CmkTypeAwsOwnedKmsKey, Tags: in.Tags}
	if err := offered(in); err != nil {
		return nil, err
	}
	if err := validTags(in.Tags); err != nil {
		return nil, err
	}
	if c := in.SseConfiguration; c != nil && c.KmsEncryptionConfig != nil {
		d.CmkType, d.KeyID = c.KmsEncryptionConfig.CmkType, c.KmsEncryptionConfig.KmsKeyId
	}
	switch {
	case d.CmkType == api.CmkTypeCustomerManagedKmsKey && d.KeyID == "":
		return nil, errs.New(errs.Invalid, "KmsKeyId is required with CUSTOMER_MANAGED_KMS_KEY")
	case d.CmkType == api.CmkTypeAwsOwnedKmsKey && d.KeyID != "":
		return nil, errs.New(errs.Invalid, "KmsKeyId must be absent with AWS_OWNED_KMS_KEY")
	case d.KeyID != "":
		arn, err := s.cfg.Guard.MayUse(ctx, key.Use{Action: "kms:GenerateDataKey", Key: d.KeyID, Via: "healthlake"})
		if err != nil {
			return nil, err
		}
		d.KeyARN = arn
	}
	return record.Once(ctx, s.records, control, onceToken("create", in.ClientToken), in, func(tx record.Tx) (*api.CreateFHIRDatastoreOutput, error) {
		if err := quota(tx); err != nil {
			return nil, err
		}
		d.Created = tx.Time()
		if err := datastores.Create(tx, d.ID, d); err != nil {
			return nil, err
		}
		if err := s.storeEvent(tx, "Data Store Creating", d); err != nil {
			return nil, err
		}
		out := &api.CreateFHIRDatastoreOutput{DatastoreId: d.ID, DatastoreArn: s.arn(d.ID), DatastoreStatus: d.Status, DatastoreEndpoint: s.endpoint(d.ID)}
		return out, s.cfg.Jobs.Start(tx, "healthlake.create", d.ID, nil)
	})
}

// offered refuses what this service does not do yet, instead of accepting it and doing nothing.
func offered(in *api.CreateFHIRDatastoreInput) error {
	switch {
	case in.PreloadDataConfig != nil:
		return errs.New(errs.Invalid, "PreloadDataConfig: no Synthea data comes with this installation; create an empty data store and import Synthea's NDJSON or Bundles")
	case in.IdentityProviderConfiguration != nil && in.IdentityProviderConfiguration.AuthorizationStrategy != api.AuthorizationStrategyAwsAuth:
		return errs.New(errs.Invalid, "IdentityProviderConfiguration: only AWS_AUTH is offered here")
	case in.AnalyticsConfiguration != nil && in.AnalyticsConfiguration.Status != api.AnalyticsStatusDisabled:
		return errs.New(errs.Invalid, "AnalyticsConfiguration: only DISABLED is offered here")
	case in.NlpConfiguration != nil && in.NlpConfiguration.Status != api.NlpStatusDisabled:
		return errs.New(errs.Invalid, "NlpConfiguration: only DISABLED is offered here")
	case in.ProfileConfiguration != nil && len(in.ProfileConfiguration.DefaultProfiles) > 0:
		return errs.New(errs.Invalid, "ProfileConfiguration: resources are validated against FHIR R4 itself; no profiles are offered here")
	case in.BackupConfiguration != nil && in.BackupConfiguration.Status != api.BackupStatusDisabled:
		return errs.New(errs.Invalid, "BackupConfiguration: only DISABLED is offered here")
	}
	return nil
}

func quota(tx record.Tx) error {
	p, err := tx.Query(record.Query{Kind: datastores.Name, Limit: maxDatastores, IDsOnly: true,
		Where: record.Not{Expr: record.Match{Index: "status", Value: record.Token("", string(api.DatastoreStatusDeleted))}}})
	if err == nil && len(p.Hits) >= maxDatastores {
		return errs.New(errs.Invalid, "the account has %d data stores already: delete one first", maxDatastores)
	}
	return err
}

func (s *Service) storeEvent(tx record.Tx, detailType string, d *datastore) error {
	return s.emit(tx, detailType, d.ID, struct {
		ID       string `json:"datastoreId"`
		Name     string `json:"datastoreName,omitempty"`
		Version  string `json:"datastoreTypeVersion"`
		Endpoint string `json:"datastoreEndpoint"`
	}{d.ID, d.Name, string(api.FHIRVersionR4), s.endpoint(d.ID)})
}

// registerStoreJobs tells the job engine how a store comes to be and how it goes.
func (s *Service) registerStoreJobs() {
	s.cfg.Jobs.Register(job.Kind{Name: "healthlake.create", Concurrency: 2, Run: s.create, Failed: s.createFailed})
	s.cfg.Jobs.Register(job.Kind{Name: "healthlake.delete", Concurrency: 2, MaxAttempts: 1000, Run: s.destroy})
}

func (s *Service) create(ctx context.Context, r job.Run) error {
	d, err := s.store(ctx, r.ID())
	if err != nil {
		return err
	}
	if d.KeyARN == "" {
		arn, err := s.cfg.Keys.CreateOwned(ctx, "healthlake/"+d.ID)
		if err != nil {
			return err
		}
		// Kept before it is used: a crash after this line finds the same key again.
		if d, err = s.change(ctx, d.ID, func(_ record.Tx, d *datastore) error {
			if d.KeyARN == "" {
				d.KeyARN = arn
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
	if err := s.records.CreateSpace(ctx, space(d.ID), key.Ref{Key: d.KeyARN, Context: map[string]string{"aws:healthlake:datastore": s.arn(d.ID)}}); err != nil {
		return err
	}
	_, err = s.change(ctx, d.ID, func(tx record.Tx, d *datastore) error {
		if d.Status != api.DatastoreStatusCreating {
			return nil
		}
		d.Status = api.DatastoreStatusActive
		if err := s.storeEvent(tx, "Data Store Active", d); err != nil {
			return err
		}
		return r.Finish(tx)
	})
	return err
}

func (s *Service) createFailed(ctx context.Context, r job.Run, cause error) error {
	_, err := s.change(ctx, r.ID(), func(tx record.Tx, d *datastore) error {
		d.Status, d.Error = api.DatastoreStatusCreateFailed, errs.As(cause).Message
		return s.storeEvent(tx, "Data Store Creation Failed", d)
	})
	return err
}

// destroy removes the store's space, and with it its data key, then the key that was made for it.
func (s *Service) destroy(ctx context.Context, r job.Run) error {
	d, err := s.store(ctx, r.ID())
	if err != nil {
		return err
	}
	if err := s.records.DropSpace(ctx, space(d.ID)); err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	if d.CmkType == api.CmkTypeAwsOwnedKmsKey && d.KeyARN != "" {
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

// DeleteFHIRDatastore answers DELETING; resources and key are destroyed within moments.
func (s *Service) DeleteFHIRDatastore(ctx context.Context, in *api.DeleteFHIRDatastoreInput) (*api.DeleteFHIRDatastoreOutput, error) {
	d, err := s.change(ctx, in.DatastoreId, func(tx record.Tx, d *datastore) error {
		if d.Status != api.DatastoreStatusActive && d.Status != api.DatastoreStatusCreateFailed {
			return errs.New(errs.Conflict, "the data store is %s: only an ACTIVE or CREATE_FAILED one can be deleted", d.Status)
		}
		d.Status = api.DatastoreStatusDeleting
		if err := s.storeEvent(tx, "Data Store Deleting", d); err != nil {
			return err
		}
		return s.cfg.Jobs.Start(tx, "healthlake.delete", d.ID, nil)
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteFHIRDatastoreOutput{DatastoreId: d.ID, DatastoreArn: s.arn(d.ID), DatastoreStatus: d.Status, DatastoreEndpoint: s.endpoint(d.ID)}, nil
}

// UpdateFHIRDatastore renames a store. What else the operation can change is fixed here, and may only be named as it is.
func (s *Service) UpdateFHIRDatastore(ctx context.Context, in *api.UpdateFHIRDatastoreInput) (*api.UpdateFHIRDatastoreOutput, error) {
	if err := offered(&api.CreateFHIRDatastoreInput{AnalyticsConfiguration: in.AnalyticsConfiguration, NlpConfiguration: in.NlpConfiguration,
		ProfileConfiguration: in.ProfileConfiguration, IdentityProviderConfiguration: in.IdentityProviderConfiguration, BackupConfiguration: in.BackupConfiguration}); err != nil {
		return nil, err
	}
	d, err := s.change(ctx, in.DatastoreId, func(_ record.Tx, d *datastore) error {
		if d.Status != api.DatastoreStatusActive {
			return errs.New(errs.Conflict, "the data store is %s, not ACTIVE", d.Status)
		}
		if in.DatastoreName != "" {
			d.Name = in.DatastoreName
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	p := s.properties(d)
	return &api.UpdateFHIRDatastoreOutput{DatastoreProperties: &p}, nil
}

// DescribeFHIRDatastore tells what is known of a store, deleted ones included.
func (s *Service) DescribeFHIRDatastore(ctx context.Context, in *api.DescribeFHIRDatastoreInput) (*api.DescribeFHIRDatastoreOutput, error) {
	d, err := s.store(ctx, in.DatastoreId)
	if err != nil {
		return nil, err
	}
	p := s.properties(d)
	return &api.DescribeFHIRDatastoreOutput{DatastoreProperties: &p}, nil
}

// ListFHIRDatastores lists stores in the order of their creation.
func (s *Service) ListFHIRDatastores(ctx context.Context, in *api.ListFHIRDatastoresInput) (*api.ListFHIRDatastoresOutput, error) {
	var where page.Filter
	if f := in.Filter; f != nil {
		where = where.Is("name", f.DatastoreName).Is("status", string(f.DatastoreStatus)).Between("created", f.CreatedAfter, f.CreatedBefore)
	}
	out := &api.ListFHIRDatastoresOutput{DatastorePropertiesList: []api.DatastoreProperties{}}
	next, err := page.List(ctx, s.pages, datastores, page.Request{Operation: "ListFHIRDatastores", Asked: in.Filter, Where: where, Token: in.NextToken, Limit: in.MaxResults}, func(d *datastore) {
		out.DatastorePropertiesList = append(out.DatastorePropertiesList, s.properties(d))
	})
	out.NextToken = next
	return out, err
}

func (s *Service) properties(d *datastore) api.DatastoreProperties {
	p := api.DatastoreProperties{
		DatastoreId: d.ID, DatastoreArn: s.arn(d.ID), DatastoreName: d.Name, DatastoreStatus: d.Status, CreatedAt: d.Created,
		DatastoreTypeVersion: api.FHIRVersionR4, DatastoreEndpoint: s.endpoint(d.ID),
		SseConfiguration:              &api.SseConfiguration{KmsEncryptionConfig: &api.KmsEncryptionConfig{CmkType: d.CmkType, KmsKeyId: d.KeyID}},
		IdentityProviderConfiguration: &api.IdentityProviderConfiguration{AuthorizationStrategy: api.AuthorizationStrategyAwsAuth},
	}
	if d.Error != "" {
		p.ErrorCause = &api.ErrorCause{ErrorMessage: d.Error, ErrorCategory: api.ErrorCategoryRetryableError}
	}
	return p
}

// store reads a data store's record.
func (s *Service) store(ctx context.Context, id string) (*datastore, error) {
	v, err := s.records.View(ctx, control)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	d, _, err := datastores.Get(v, id)
	return d, noStore(err)
}

func noStore(err error) error {
	if errs.Is(err, errs.NotFound) || errs.Is(err, errs.Gone) {
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
		d, err = datastores.Change(tx, id, func(d *datastore) error { return fn(tx, d) })
		return noStore(err)
	})
	return d, err
}
