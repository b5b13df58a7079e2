package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"

	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
)

const space = record.Space("s3")

// Config says where the service lives.
type Config struct {
	Account, Region string
	Keys            key.Ring // makes and destroys buckets' own keys
	// Grace is how long a replaced or deleted body stays for reads in progress; 0 = 15 minutes.
	Grace time.Duration
}

// Service implements the contract.
type Service struct {
	api.Unimplemented
	cfg     Config
	records record.Store
	blobs   blob.Store
	guard   key.Guard // nil: no customer's keys can be used
	authz   authz.Authorizer

	// gates hold a bucket open while an object is committed, so that a deletion or a change of versioning falls between commits.
	gates [64]sync.RWMutex
	// uploadGates do the same for a multipart upload while a part of it is committed.
	uploadGates [64]sync.RWMutex
}

var (
	_ api.Service = (*Service)(nil)
	_ blob.Keeper = (*Service)(nil)
)

// Kinds are the kinds of records that are kept here; who moves records asks for them.
func Kinds() []record.KindDef {
	return []record.KindDef{buckets.Def(), objects.Def(), versions.Def(), uploads.Def(), parts.Def(), manifests.Def(), garbages.Def(), accountBlocks.Def()}
}

// New opens the service.
func New(ctx context.Context, cfg Config, records record.Store, blobs blob.Store, guard key.Guard, az authz.Authorizer) (*Service, error) {
	if cfg.Grace == 0 {
		cfg.Grace = 15 * time.Minute
	}
	err := records.Declare(Kinds()...)
	if err != nil {
		return nil, err
	}
	if err := records.CreateSpace(ctx, space, key.Ref{Context: map[string]string{"galen:space": string(space)}}); err != nil {
		return nil, err
	}
	return &Service{cfg: cfg, records: records, blobs: blobs, guard: guard, authz: az}, nil
}

func (s *Service) gate(bucket string) *sync.RWMutex { return &s.gates[slot(bucket)%len(s.gates)] }

func (s *Service) uploadGate(id string) *sync.RWMutex {
	return &s.uploadGates[slot(id)%len(s.uploadGates)]
}

func slot(name string) int {
	h := sha256.Sum256([]byte(name))
	return int(h[0])
}

// owner is the canonical user of the account.
func (s *Service) owner() *api.Owner {
	h := sha256.Sum256([]byte("canonical user of " + s.cfg.Account))
	return &api.Owner{ID: hex.EncodeToString(h[:])}
}

// update makes one batch.
func (s *Service) update(ctx context.Context, lock string, fn func(record.Tx) error) error {
	_, err := s.records.Update(ctx, space, []string{lock}, fn)
	return err
}

// view runs fn on the newest state.
func (s *Service) view(ctx context.Context, fn func(record.View) error) error {
	v, err := s.records.View(ctx, space)
	if err != nil {
		return err
	}
	defer v.Close()
	return fn(v)
}
