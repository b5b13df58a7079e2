package omics

import (
	"context"
	"crypto/rand"
	"math/big"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/omics"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/event"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/page"
	"github.com/galen-health/galen/platform/record"
)

// Config is what the service stands on. All fields are needed.
type Config struct {
	Records record.Store
	Blobs   blob.Store
	Jobs    *job.Engine
	Keys    key.Ring
	Guard   key.Guard   // may the caller use a customer's key
	Roles   authz.Roles // jobs run under the caller's role
	S3      s3.Service  // where sources come from and exports go
	Account string
	Region  string
}

// Service implements the HealthOmics API.
type Service struct {
	api.Unimplemented
	cfg     Config
	records record.Store
	pages   page.Tokens
}

// servicePrincipal is who the service is to roles and keys.
const servicePrincipal = "omics.amazonaws.com"

// control is the space of all records of the service.
const control record.Space = "omics"

// secrets hold the key that authenticates page tokens over restarts.
var secrets = page.Kind("omics.secret")

// Kinds are the kinds of records that are kept here; who moves records asks for them.
func Kinds() []record.KindDef {
	return []record.KindDef{referenceStores.Def(), references.Def(), referenceImports.Def(), sequenceStores.Def(), readSets.Def(), readSetImports.Def(), activations.Def(), exports.Def(), uploads.Def(), parts.Def(), variantStores.Def(), variantImports.Def(), variantFiles.Def(), secrets.Def()}
}

// New declares the record kinds, registers the jobs and opens the service's space. Call it before the job engine runs.
func New(ctx context.Context, cfg Config) (*Service, error) {
	s := &Service{cfg: cfg, records: cfg.Records}
	if err := s.records.Declare(Kinds()...); err != nil {
		return nil, err
	}
	if err := s.records.CreateSpace(ctx, control, key.Ref{Context: map[string]string{"service": "omics"}}); err != nil {
		return nil, err
	}
	var err error
	if s.pages, err = page.Open(ctx, s.records, control, secrets); err != nil {
		return nil, err
	}
	s.registerErase()
	s.registerReferenceImport()
	s.registerReadSetImport()
	s.registerUpload()
	s.registerActivation()
	s.registerExport()
	s.registerVariantImport()
	return s, nil
}

// arn of a resource of this service: "sequenceStore/1234567890".
func (s *Service) arn(resource string) string {
	return "arn:aws:omics:" + s.cfg.Region + ":" + s.cfg.Account + ":" + resource
}

// number is a random id of ten digits, the first not zero.
func number() string {
	n, err := rand.Int(rand.Reader, big.NewInt(9_000_000_000))
	if err != nil {
		panic(err) // crypto/rand never fails on a supported system
	}
	return n.Add(n, big.NewInt(1_000_000_000)).String()
}

// fresh is an id of ten digits that no record of the kind has below the prefix.
func fresh(tx record.Tx, kind, prefix string) (string, error) {
	for {
		id := number()
		_, err := tx.Get(kind, prefix+id)
		switch {
		case errs.Is(err, errs.NotFound):
			return id, nil
		case err != nil && !errs.Is(err, errs.Gone):
			return "", err
		}
	}
}

func (s *Service) view(ctx context.Context, fn func(record.View) error) error {
	v, err := s.records.View(ctx, control)
	if err != nil {
		return err
	}
	defer v.Close()
	return fn(v)
}

// get reads one record; what says what is missing.
func get[T any](ctx context.Context, s *Service, kind record.Kind[T], id, what string) (v *T, err error) {
	err = s.view(ctx, func(view record.View) error {
		v, _, err = kind.Get(view, id)
		return missing(err, what)
	})
	return v, err
}

// change changes one record in a batch.
func change[T any](ctx context.Context, s *Service, kind record.Kind[T], id, what string, fn func(record.Tx, *T) error) (v *T, err error) {
	_, err = s.records.Update(ctx, control, []string{kind.Name + "/" + id}, func(tx record.Tx) error {
		v, err = kind.Change(tx, id, func(v *T) error { return fn(tx, v) })
		return missing(err, what)
	})
	return v, err
}

func missing(err error, what string) error {
	if e := errs.As(err); e != nil && e.Name == "" && (e.Code == errs.NotFound || e.Code == errs.Gone) {
		return errs.Named(errs.NotFound, "ResourceNotFoundException", "there is no %s with this id", what)
	}
	return err
}

// emit announces a change of a resource in the caller's batch; detail gains what all details have.
func (s *Service) emit(tx record.Tx, detailType, arn, status string, detail map[string]string) error {
	d := map[string]string{"omicsVersion": "1.0.0", "arn": arn, "status": status}
	for k, v := range detail {
		if v != "" {
			d[k] = v
		}
	}
	return event.Emit(tx, event.Event{Source: "aws.omics", DetailType: detailType, Resources: []string{arn}, Detail: event.Detail(d)})
}

// sse is how a store is encrypted.
type sse struct {
	Key   string // KMS key ARN that blobs are encrypted under
	Owned bool   // made for this store
}

func (e sse) config() *api.SseConfig {
	c := &api.SseConfig{Type: api.EncryptionTypeKms}
	if !e.Owned {
		c.KeyArn = e.Key
	}
	return c
}

// newKey takes the caller's key when it may be used, else makes one for the store.
func (s *Service) newKey(ctx context.Context, c *api.SseConfig) (sse, error) {
	if c != nil && c.KeyArn != "" {
		arn, err := s.cfg.Guard.MayUse(ctx, key.Use{Action: "kms:GenerateDataKey", Key: c.KeyArn, Via: "omics"})
		return sse{Key: arn}, err
	}
	arn, err := s.cfg.Keys.CreateOwned(ctx, "omics store")
	return sse{arn, true}, err
}

// dropKey undoes newKey when no store came to use it.
func (s *Service) dropKey(ctx context.Context, e sse) error {
	if !e.Owned {
		return nil
	}
	return s.cfg.Keys.DestroyOwned(ctx, e.Key)
}

// mayRead checks that the caller may use the key that a store's bytes are under.
func (s *Service) mayRead(ctx context.Context, e sse) error {
	if e.Owned {
		return nil
	}
	_, err := s.cfg.Guard.MayUse(ctx, key.Use{Action: "kms:Decrypt", Key: e.Key, Via: "omics"})
	return err
}

func (e sse) ref(arn string) key.Ref {
	return key.Ref{Key: e.Key, Context: map[string]string{"aws:omics:store": arn}}
}

// file is a stored file.
type file struct {
	Blob blob.ID
	Size int64
	Name string
}

// partSize is how files are served: parts of 100 MiB.
const partSize = 100 << 20

func (f *file) info() *api.FileInformation {
	if f == nil {
		return nil
	}
	return &api.FileInformation{TotalParts: aws.Ptr(f.parts()), PartSize: aws.Ptr(int64(partSize)), ContentLength: aws.Ptr(f.Size)}
}

func (f *file) parts() int32 { return int32(max(1, (f.Size+partSize-1)/partSize)) }

// erasure is what is removed for good after the records that named it.
type erasure struct {
	Blobs []blob.ID
	Keys  []string
}

func (e *erasure) add(files ...*file) {
	for _, f := range files {
		if f != nil {
			e.Blobs = append(e.Blobs, f.Blob)
		}
	}
}

// erase starts the removal in the caller's batch.
func (s *Service) erase(tx record.Tx, e erasure) error {
	if len(e.Blobs)+len(e.Keys) == 0 {
		return nil
	}
	return s.cfg.Jobs.Start(tx, "omics.erase", event.NewID(), e)
}

func (s *Service) registerErase() {
	s.cfg.Jobs.Register(job.Kind{Name: "omics.erase", Concurrency: 2, MaxAttempts: 100, Run: func(ctx context.Context, r job.Run) error {
		var e erasure
		if err := r.Args(&e); err != nil {
			return err
		}
		for _, id := range e.Blobs {
			if err := s.cfg.Blobs.Delete(ctx, id); err != nil {
				return err
			}
		}
		for _, k := range e.Keys {
			if err := s.cfg.Keys.DestroyOwned(ctx, k); err != nil && !errs.Is(err, errs.NotFound) {
				return err
			}
		}
		return nil
	}})
}

// blobIndex indexes the blobs that a record names, so that the sweep can ask.
func blobIndex[T any](files func(*T) []*file) record.Index[T] {
	return record.Index[T]{Name: "blob", Values: func(v *T) []record.Value {
		var out []record.Value
		for _, f := range files(v) {
			if f != nil {
				out = append(out, record.Token("", string(f.Blob)))
			}
		}
		return out
	}}
}

// Keeps reports whether a record of this service names a blob. The sweep of the blob store asks every service.
func (s *Service) Keeps(ctx context.Context, id blob.ID) (kept bool, err error) {
	err = s.view(ctx, func(v record.View) error {
		for _, kind := range []string{readSets.Name, references.Name, parts.Name, variantFiles.Name} {
			n, err := v.Count(ctx, kind, record.Match{Index: "blob", Value: record.Token("", string(id))})
			if err != nil || n > 0 {
				kept = n > 0
				return err
			}
		}
		return nil
	})
	return kept, err
}

// ended is when a job ended, for outputs: zero while it runs.
func ended(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
