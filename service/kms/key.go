package kms

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
)

// detail is what this service keeps of a key; the rest is the ring's.
type detail struct {
	KeyID       string            `json:"keyId"`
	Description string            `json:"description,omitempty"`
	Policy      string            `json:"policy"`
	Tags        map[string]string `json:"tags,omitempty"`
}

var details = record.Kind[detail]{Name: "kms.key"}

// described is a key with all that is known of it.
type described struct {
	*keyring.Key
	detail
}

// find returns a customer's key by key id, key ARN, alias name or alias ARN.
func (s *Service) find(ctx context.Context, name string) (*described, error) {
	if strings.HasPrefix(name, "arn:") {
		if p := strings.SplitN(name, ":", 6); len(p) != 6 || p[2] != "kms" || !strings.HasPrefix(p[5], "key/") && !strings.HasPrefix(p[5], "alias/") {
			return nil, errs.Named(errs.Invalid, "InvalidArnException", "%s is not a valid ARN of a key or an alias.", name)
		}
	}
	k, err := s.ring.Describe(name)
	if err != nil {
		return nil, err
	}
	v, err := s.records.View(ctx, space)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	d, _, err := details.Get(v, k.ID)
	if absent(err) { // a crash came between the ring and the record: it was never acknowledged
		return nil, errs.Named(errs.NotFound, "NotFoundException", "Key '%s' does not exist", name)
	} else if err != nil {
		return nil, err
	}
	return &described{k, *d}, nil
}

// findKey is find for the operations that take no alias.
func (s *Service) findKey(ctx context.Context, name string) (*described, error) {
	if isAlias(name) {
		return nil, errs.Named(errs.NotFound, "NotFoundException", "Invalid keyId '%s': this operation takes a key id or a key ARN.", name)
	}
	return s.find(ctx, name)
}

func isAlias(name string) bool {
	return strings.HasPrefix(name, "alias/") || strings.HasPrefix(name, "arn:") && strings.Contains(name, ":alias/")
}

// changeDetail changes what this service keeps of a key that is not pending deletion.
func (s *Service) changeDetail(ctx context.Context, name string, fn func(*detail) error) error {
	k, err := s.findKey(ctx, name)
	if err != nil {
		return err
	}
	if err := notPending(k); err != nil {
		return err
	}
	_, err = s.records.Update(ctx, space, []string{k.ID}, func(tx record.Tx) error {
		_, err := details.Change(tx, k.ID, fn)
		return err
	})
	return err
}

func notPending(k *described) error {
	if k.State == keyring.PendingDeletion {
		return errs.Named(errs.Conflict, "KMSInvalidStateException", "%s is pending deletion.", k.ARN)
	}
	return nil
}

// materialID names a version of a key: 64 hexadecimal digits that tell nothing of the material.
func materialID(k *keyring.Key, v keyring.Version) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", k.ID, v.Number, v.Created.UnixNano()))
	return hex.EncodeToString(h[:])
}

func currentMaterial(k *keyring.Key) string { return materialID(k, k.Versions[len(k.Versions)-1]) }

func (s *Service) metadata(k *described) *api.KeyMetadata {
	m := &api.KeyMetadata{
		AWSAccountId: s.cfg.Account, KeyId: k.ID, Arn: k.ARN, CreationDate: k.Created, Enabled: aws.Ptr(k.State == keyring.Enabled),
		Description: k.Description, KeyUsage: api.KeyUsageTypeEncryptDecrypt, KeyState: api.KeyState(k.State), Origin: api.OriginTypeAwsKms,
		KeyManager: api.KeyManagerTypeCustomer, CustomerMasterKeySpec: api.CustomerMasterKeySpecSymmetricDefault, KeySpec: api.KeySpecSymmetricDefault,
		EncryptionAlgorithms: []api.EncryptionAlgorithmSpec{api.EncryptionAlgorithmSpecSymmetricDefault}, MultiRegion: aws.Ptr(false),
		CurrentKeyMaterialId: currentMaterial(k.Key),
	}
	if k.State == keyring.PendingDeletion {
		m.DeletionDate = k.DeleteAt
	}
	return m
}

// CreateKey makes a symmetric key.
func (s *Service) CreateKey(ctx context.Context, in *api.CreateKeyInput) (*api.CreateKeyOutput, error) {
	unsupported := func(what string) error {
		return errs.Named(errs.Invalid, "UnsupportedOperationException", "%s is not supported: Galen makes symmetric keys of its own (SYMMETRIC_DEFAULT, ENCRYPT_DECRYPT, AWS_KMS, single-region).", what)
	}
	switch {
	case in.KeySpec != "" && in.KeySpec != api.KeySpecSymmetricDefault:
		return nil, unsupported("Key spec " + string(in.KeySpec))
	case in.CustomerMasterKeySpec != "" && in.CustomerMasterKeySpec != api.CustomerMasterKeySpecSymmetricDefault:
		return nil, unsupported("Key spec " + string(in.CustomerMasterKeySpec))
	case in.KeyUsage != "" && in.KeyUsage != api.KeyUsageTypeEncryptDecrypt:
		return nil, unsupported("Key usage " + string(in.KeyUsage))
	case in.Origin != "" && in.Origin != api.OriginTypeAwsKms:
		return nil, unsupported("Origin " + string(in.Origin))
	case in.CustomKeyStoreId != "" || in.XksKeyId != "":
		return nil, unsupported("A custom key store")
	case aws.Val(in.MultiRegion):
		return nil, unsupported("A multi-region key")
	}
	tags := map[string]string{}
	if err := addTags(tags, in.Tags); err != nil {
		return nil, err
	}
	policy := in.Policy
	if policy == "" {
		policy = s.defaultPolicy()
	} else if err := s.checkPolicy(ctx, "arn:aws:kms:"+s.cfg.Region+":"+s.cfg.Account+":key/new", policy, aws.Val(in.BypassPolicyLockoutSafetyCheck)); err != nil {
		return nil, err
	}
	k, err := s.ring.Create()
	if err != nil {
		return nil, err
	}
	d := detail{KeyID: k.ID, Description: in.Description, Policy: policy, Tags: tags}
	if _, err := s.records.Update(ctx, space, nil, func(tx record.Tx) error { return details.Create(tx, k.ID, &d) }); err != nil {
		return nil, err
	}
	return &api.CreateKeyOutput{KeyMetadata: s.metadata(&described{k, d})}, nil
}

// DescribeKey tells what a key is.
func (s *Service) DescribeKey(ctx context.Context, in *api.DescribeKeyInput) (*api.DescribeKeyOutput, error) {
	k, err := s.find(ctx, in.KeyId)
	if err != nil {
		return nil, err
	}
	return &api.DescribeKeyOutput{KeyMetadata: s.metadata(k)}, nil
}

// ListKeys lists the account's keys by id.
func (s *Service) ListKeys(_ context.Context, in *api.ListKeysInput) (*api.ListKeysOutput, error) {
	n := in.Limit
	if n == nil {
		n = aws.Ptr(int32(100))
	}
	keys, next, more, err := page(s.ring.List(), func(k *keyring.Key) string { return k.ID }, n, in.Marker, 1000)
	if err != nil {
		return nil, err
	}
	out := &api.ListKeysOutput{Keys: []api.KeyListEntry{}, NextMarker: next, Truncated: more}
	for _, k := range keys {
		out.Keys = append(out.Keys, api.KeyListEntry{KeyId: k.ID, KeyArn: k.ARN})
	}
	return out, nil
}

// UpdateKeyDescription changes a description.
func (s *Service) UpdateKeyDescription(ctx context.Context, in *api.UpdateKeyDescriptionInput) (*api.UpdateKeyDescriptionOutput, error) {
	return &api.UpdateKeyDescriptionOutput{}, s.changeDetail(ctx, in.KeyId, func(d *detail) error {
		d.Description = in.Description
		return nil
	})
}

// EnableKey makes a disabled key usable.
func (s *Service) EnableKey(ctx context.Context, in *api.EnableKeyInput) (*api.EnableKeyOutput, error) {
	return &api.EnableKeyOutput{}, s.setEnabled(ctx, in.KeyId, true)
}

// DisableKey makes a key unusable until it is enabled.
func (s *Service) DisableKey(ctx context.Context, in *api.DisableKeyInput) (*api.DisableKeyOutput, error) {
	return &api.DisableKeyOutput{}, s.setEnabled(ctx, in.KeyId, false)
}

func (s *Service) setEnabled(ctx context.Context, name string, on bool) error {
	k, err := s.findKey(ctx, name)
	if err != nil {
		return err
	}
	return s.ring.SetEnabled(k.ARN, on)
}

// ScheduleKeyDeletion makes a key unusable now and deletes it after 7 to 30 days.
func (s *Service) ScheduleKeyDeletion(ctx context.Context, in *api.ScheduleKeyDeletionInput) (*api.ScheduleKeyDeletionOutput, error) {
	k, err := s.findKey(ctx, in.KeyId)
	if err != nil {
		return nil, err
	}
	days := int32(30)
	if in.PendingWindowInDays != nil {
		days = *in.PendingWindowInDays
	}
	if days < 7 || days > 30 {
		return nil, errs.Named(errs.Invalid, "ValidationException", "PendingWindowInDays is %d; it must be between 7 and 30.", days)
	}
	at, err := s.ring.ScheduleDeletion(k.ARN, int(days))
	if err != nil {
		return nil, err
	}
	return &api.ScheduleKeyDeletionOutput{KeyId: k.ARN, DeletionDate: at.Truncate(time.Millisecond), KeyState: api.KeyStatePendingDeletion, PendingWindowInDays: &days}, nil
}

// CancelKeyDeletion brings a key back, disabled.
func (s *Service) CancelKeyDeletion(ctx context.Context, in *api.CancelKeyDeletionInput) (*api.CancelKeyDeletionOutput, error) {
	k, err := s.findKey(ctx, in.KeyId)
	if err != nil {
		return nil, err
	}
	return &api.CancelKeyDeletionOutput{KeyId: k.ARN}, s.ring.CancelDeletion(k.ARN)
}
