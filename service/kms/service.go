package kms

import (
	"context"
	"encoding/base64"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/platform/authz"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/event"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
)

// space holds the records of this service.
const space = record.Space("kms")

// Config says where the service lives.
type Config struct {
	Account, Region string
}

// Service implements the contract.
type Service struct {
	api.Unimplemented
	cfg     Config
	ring    *keyring.Ring
	records record.Store
	authz   authz.Authorizer
}

var (
	_ api.Service = (*Service)(nil)
	_ key.Guard   = (*Service)(nil)
)

// Kinds are the kinds of records that are kept here; who moves records asks for them.
func Kinds() []record.KindDef {
	return []record.KindDef{details.Def(), grants.Def()}
}

// New opens the service on a key ring and a record store.
func New(ctx context.Context, cfg Config, ring *keyring.Ring, records record.Store, az authz.Authorizer) (*Service, error) {
	if err := records.Declare(Kinds()...); err != nil {
		return nil, err
	}
	if err := records.CreateSpace(ctx, space, key.Ref{Context: map[string]string{"galen:space": string(space)}}); err != nil {
		return nil, err
	}
	return &Service{cfg: cfg, ring: ring, records: records, authz: az}, nil
}

// Tick deletes the keys whose time has come and rotates those that are due. Keys are unusable from the moment they are due, whether it is called or not.
func (s *Service) Tick(ctx context.Context) error {
	deleted, rotated, err := s.ring.Tick()
	for _, k := range deleted {
		if e := s.forget(ctx, k); err == nil {
			err = e
		}
	}
	for _, k := range rotated {
		if e := s.announce(ctx, k, "KMS CMK Rotation"); err == nil {
			err = e
		}
	}
	return err
}

// forget removes what was kept of a deleted key.
func (s *Service) forget(ctx context.Context, k *keyring.Key) error {
	_, err := s.records.Update(ctx, space, []string{k.ID}, func(tx record.Tx) error {
		if err := tx.Purge(details.Name, k.ID); err != nil && !absent(err) {
			return err
		}
		given, err := grantsOf(txQuery(tx), k.ID)
		if err != nil {
			return err
		}
		for _, g := range given {
			if err := tx.Purge(grants.Name, g.ID); err != nil {
				return err
			}
		}
		return emit(tx, k, "KMS CMK Deletion")
	})
	return err
}

func (s *Service) announce(ctx context.Context, k *keyring.Key, what string) error {
	_, err := s.records.Update(ctx, space, nil, func(tx record.Tx) error { return emit(tx, k, what) })
	return err
}

func emit(tx record.Tx, k *keyring.Key, what string) error {
	return event.Emit(tx, event.Event{Source: "aws.kms", DetailType: what, Resources: []string{k.ARN},
		Detail: event.Detail(map[string]string{"key-id": k.ID})})
}

func absent(err error) bool { return errs.Is(err, errs.NotFound) || errs.Is(err, errs.Gone) }

// page cuts one page out of items. Markers are the name of the last item sent.
func page[T any](items []T, name func(T) string, limit *int32, marker string, most int) (out []T, next string, more *bool, err error) {
	n := 50
	if limit != nil {
		n = min(int(*limit), most)
	}
	if marker != "" {
		after, err := base64.RawURLEncoding.DecodeString(marker)
		if err != nil {
			return nil, "", nil, errs.Named(errs.Invalid, "InvalidMarkerException", "The marker is not one that this operation returned.")
		}
		for len(items) > 0 && name(items[0]) <= string(after) {
			items = items[1:]
		}
	}
	if len(items) <= n {
		return items, "", aws.Ptr(false), nil
	}
	return items[:n], base64.RawURLEncoding.EncodeToString([]byte(name(items[n-1]))), aws.Ptr(true), nil
}
