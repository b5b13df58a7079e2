package kms

import (
	"context"
	"fmt"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key/keyring"
)

// mostOnDemand is how often a key may be rotated on demand in its life.
const mostOnDemand = 25

// EnableKeyRotation rotates a key by itself, each year unless told otherwise.
func (s *Service) EnableKeyRotation(ctx context.Context, in *api.EnableKeyRotationInput) (*api.EnableKeyRotationOutput, error) {
	days := 365
	if in.RotationPeriodInDays != nil {
		days = int(*in.RotationPeriodInDays)
	}
	return &api.EnableKeyRotationOutput{}, s.setRotation(ctx, in.KeyId, days)
}

// DisableKeyRotation ends automatic rotation.
func (s *Service) DisableKeyRotation(ctx context.Context, in *api.DisableKeyRotationInput) (*api.DisableKeyRotationOutput, error) {
	return &api.DisableKeyRotationOutput{}, s.setRotation(ctx, in.KeyId, 0)
}

func (s *Service) setRotation(ctx context.Context, name string, days int) error {
	k, err := s.findKey(ctx, name)
	if err != nil {
		return err
	}
	return s.ring.SetRotation(k.ARN, days)
}

// GetKeyRotationStatus tells whether and when a key rotates.
func (s *Service) GetKeyRotationStatus(ctx context.Context, in *api.GetKeyRotationStatusInput) (*api.GetKeyRotationStatusOutput, error) {
	k, err := s.findKey(ctx, in.KeyId)
	if err != nil {
		return nil, err
	}
	on := k.RotationDays > 0 && k.State != keyring.PendingDeletion // comes back with the key
	out := &api.GetKeyRotationStatusOutput{KeyId: k.ARN, KeyRotationEnabled: &on}
	if on {
		out.RotationPeriodInDays, out.NextRotationDate = aws.Ptr(int32(k.RotationDays)), k.NextRotation()
	}
	return out, nil
}

// RotateKeyOnDemand gives a key new material now.
func (s *Service) RotateKeyOnDemand(ctx context.Context, in *api.RotateKeyOnDemandInput) (*api.RotateKeyOnDemandOutput, error) {
	k, err := s.findKey(ctx, in.KeyId)
	if err != nil {
		return nil, err
	}
	done := 0
	for _, v := range k.Versions {
		if v.OnDemand {
			done++
		}
	}
	if done >= mostOnDemand {
		return nil, errs.Named(errs.Invalid, "LimitExceededException", "%s was rotated on demand %d times, the most that a key may be.", k.ARN, done)
	}
	if err := s.ring.Rotate(k.ARN); err != nil {
		return nil, err
	}
	return &api.RotateKeyOnDemandOutput{KeyId: k.ARN}, s.announce(ctx, k.Key, "KMS CMK Rotation")
}

// ListKeyRotations lists a key's completed rotations, oldest first; with ALL_KEY_MATERIAL also the first material.
func (s *Service) ListKeyRotations(ctx context.Context, in *api.ListKeyRotationsInput) (*api.ListKeyRotationsOutput, error) {
	k, err := s.findKey(ctx, in.KeyId)
	if err != nil {
		return nil, err
	}
	versions := k.Versions
	if in.IncludeKeyMaterial != api.IncludeKeyMaterialAllKeyMaterial {
		versions = versions[1:]
	}
	name := func(v keyring.Version) string { return fmt.Sprintf("%010d", v.Number) }
	list, next, more, err := page(versions, name, in.Limit, in.Marker, 1000)
	if err != nil {
		return nil, err
	}
	out := &api.ListKeyRotationsOutput{Rotations: []api.RotationsListEntry{}, NextMarker: next, Truncated: more}
	for _, v := range list {
		e := api.RotationsListEntry{KeyId: k.ID, KeyMaterialId: materialID(k.Key, v), KeyMaterialState: api.KeyMaterialStateNonCurrent}
		if int(v.Number) == len(k.Versions) {
			e.KeyMaterialState = api.KeyMaterialStateCurrent
		}
		if v.Number > 1 {
			e.RotationDate, e.RotationType = v.Created, api.RotationTypeAutomatic
			if v.OnDemand {
				e.RotationType = api.RotationTypeOnDemand
			}
		}
		out.Rotations = append(out.Rotations, e)
	}
	return out, nil
}
