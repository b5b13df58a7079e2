package kms

import (
	"context"
	"crypto/rand"

	"github.com/galen-health/galen/aws"
	api "github.com/galen-health/galen/aws/kms"
	"github.com/galen-health/galen/platform/errs"
)

const symmetric = api.EncryptionAlgorithmSpecSymmetricDefault

func checkAlgorithm(a api.EncryptionAlgorithmSpec) error {
	if a != "" && a != symmetric {
		return errs.Named(errs.Invalid, "InvalidKeyUsageException", "Encryption algorithm %s does not fit a symmetric key; use %s.", a, symmetric)
	}
	return nil
}

// recipient refuses enclaves: there is no attestation here that could be checked.
func recipient(r *api.RecipientInfo) error {
	if r != nil {
		return errs.Named(errs.Invalid, "UnsupportedOperationException", "Recipient is for AWS Nitro enclaves, which are not supported.")
	}
	return nil
}

// dry ends a dry run that would have succeeded.
func dry(on *bool) error {
	if aws.Val(on) {
		return errs.Named(errs.Precondition, "DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
	}
	return nil
}

// Encrypt seals at most 4,096 bytes under a key.
func (s *Service) Encrypt(ctx context.Context, in *api.EncryptInput) (*api.EncryptOutput, error) {
	k, err := s.find(ctx, in.KeyId)
	if err != nil {
		return nil, err
	}
	if err := checkAlgorithm(in.EncryptionAlgorithm); err != nil {
		return nil, err
	}
	c, _, err := s.ring.Encrypt(ctx, k.ARN, in.Plaintext, in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	if err := dry(in.DryRun); err != nil {
		return nil, err
	}
	return &api.EncryptOutput{CiphertextBlob: c, KeyId: k.ARN, EncryptionAlgorithm: symmetric}, nil
}

// sealedBy returns the customer's key that a ciphertext says it is sealed under, which is name when that is given.
func (s *Service) sealedBy(ctx context.Context, ciphertext []byte, name string) (*described, error) {
	w, _, err := s.ring.Wrapper(ciphertext)
	if err != nil {
		return nil, err
	}
	k, err := s.find(ctx, w.ID)
	if err != nil { // a key that Galen owns is none to the caller
		return nil, err
	}
	if name != "" {
		given, err := s.find(ctx, name)
		if err != nil {
			return nil, err
		}
		if given.ID != k.ID {
			return nil, errs.Named(errs.Invalid, "IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.")
		}
	}
	return k, nil
}

// Decrypt opens a ciphertext; the key is found in it.
func (s *Service) Decrypt(ctx context.Context, in *api.DecryptInput) (*api.DecryptOutput, error) {
	if err := recipient(in.Recipient); err != nil {
		return nil, err
	}
	if err := checkAlgorithm(in.EncryptionAlgorithm); err != nil {
		return nil, err
	}
	k, err := s.sealedBy(ctx, in.CiphertextBlob, in.KeyId)
	if err != nil {
		return nil, err
	}
	plain, _, err := s.ring.Decrypt(ctx, in.CiphertextBlob, in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	if err := dry(in.DryRun); err != nil {
		clear(plain)
		return nil, err
	}
	return &api.DecryptOutput{KeyId: k.ARN, Plaintext: plain, EncryptionAlgorithm: symmetric, KeyMaterialId: s.material(k, in.CiphertextBlob)}, nil
}

// material names the version of a key that sealed a ciphertext.
func (s *Service) material(k *described, ciphertext []byte) string {
	_, n, err := s.ring.Wrapper(ciphertext)
	if err != nil || n == 0 || int(n) > len(k.Versions) {
		return ""
	}
	return materialID(k.Key, k.Versions[n-1])
}

// ReEncrypt opens a ciphertext and seals it under another key or context; the plaintext does not leave.
func (s *Service) ReEncrypt(ctx context.Context, in *api.ReEncryptInput) (*api.ReEncryptOutput, error) {
	for _, a := range []api.EncryptionAlgorithmSpec{in.SourceEncryptionAlgorithm, in.DestinationEncryptionAlgorithm} {
		if err := checkAlgorithm(a); err != nil {
			return nil, err
		}
	}
	from, err := s.sealedBy(ctx, in.CiphertextBlob, in.SourceKeyId)
	if err != nil {
		return nil, err
	}
	to, err := s.find(ctx, in.DestinationKeyId)
	if err != nil {
		return nil, err
	}
	plain, _, err := s.ring.Decrypt(ctx, in.CiphertextBlob, in.SourceEncryptionContext)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	c, _, err := s.ring.Encrypt(ctx, to.ARN, plain, in.DestinationEncryptionContext)
	if err != nil {
		return nil, err
	}
	if err := dry(in.DryRun); err != nil {
		return nil, err
	}
	return &api.ReEncryptOutput{CiphertextBlob: c, SourceKeyId: from.ARN, KeyId: to.ARN, SourceEncryptionAlgorithm: symmetric, DestinationEncryptionAlgorithm: symmetric,
		SourceKeyMaterialId: s.material(from, in.CiphertextBlob), DestinationKeyMaterialId: s.material(to, c)}, nil
}

// GenerateDataKey makes a data key of 16, 32 or 1 to 1,024 bytes.
func (s *Service) GenerateDataKey(ctx context.Context, in *api.GenerateDataKeyInput) (*api.GenerateDataKeyOutput, error) {
	if err := recipient(in.Recipient); err != nil {
		return nil, err
	}
	plain, out, err := s.dataKey(ctx, in.KeyId, in.KeySpec, in.NumberOfBytes, in.EncryptionContext, in.DryRun)
	if err != nil {
		return nil, err
	}
	return &api.GenerateDataKeyOutput{CiphertextBlob: out.CiphertextBlob, Plaintext: plain, KeyId: out.KeyId, KeyMaterialId: out.KeyMaterialId}, nil
}

// GenerateDataKeyWithoutPlaintext is GenerateDataKey for later use.
func (s *Service) GenerateDataKeyWithoutPlaintext(ctx context.Context, in *api.GenerateDataKeyWithoutPlaintextInput) (*api.GenerateDataKeyWithoutPlaintextOutput, error) {
	plain, out, err := s.dataKey(ctx, in.KeyId, in.KeySpec, in.NumberOfBytes, in.EncryptionContext, in.DryRun)
	clear(plain)
	return out, err
}

func (s *Service) dataKey(ctx context.Context, name string, spec api.DataKeySpec, bytes *int32, ec map[string]string, dryRun *bool) ([]byte, *api.GenerateDataKeyWithoutPlaintextOutput, error) {
	n := 0
	switch {
	case (spec == "") == (bytes == nil):
		return nil, nil, errs.Named(errs.Invalid, "ValidationException", "Please specify either number of bytes or key spec.")
	case spec == api.DataKeySpecAes128:
		n = 16
	case spec == api.DataKeySpecAes256:
		n = 32
	case bytes != nil:
		n = int(*bytes)
	}
	if n < 1 || n > 1024 {
		return nil, nil, errs.Named(errs.Invalid, "ValidationException", "NumberOfBytes is %d; it must be between 1 and 1024.", n)
	}
	k, err := s.find(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	plain := make([]byte, n)
	_, _ = rand.Read(plain) // never fails
	c, _, err := s.ring.Encrypt(ctx, k.ARN, plain, ec)
	if err == nil {
		err = dry(dryRun)
	}
	if err != nil {
		clear(plain)
		return nil, nil, err
	}
	return plain, &api.GenerateDataKeyWithoutPlaintextOutput{CiphertextBlob: c, KeyId: k.ARN, KeyMaterialId: s.material(k, c)}, nil
}

// GenerateRandom returns 1 to 1,024 random bytes.
func (s *Service) GenerateRandom(_ context.Context, in *api.GenerateRandomInput) (*api.GenerateRandomOutput, error) {
	if err := recipient(in.Recipient); err != nil {
		return nil, err
	}
	if in.CustomKeyStoreId != "" {
		return nil, errs.Named(errs.Invalid, "UnsupportedOperationException", "Custom key stores are not supported.")
	}
	n := aws.Val(in.NumberOfBytes)
	if n < 1 || n > 1024 {
		return nil, errs.Named(errs.Invalid, "ValidationException", "NumberOfBytes is %d; it must be between 1 and 1024.", n)
	}
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return &api.GenerateRandomOutput{Plaintext: b}, nil
}
