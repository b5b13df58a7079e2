package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sort"

	"github.com/galen-health/galen/platform/errs"
)

// A ciphertext is self-describing (docs/formats/keys.md):
//
//	format 01 | key id 16 | key version 4 | salt 16 | nonce 12 | AES-256-GCM ciphertext and tag
//
// A fresh salt derives a fresh AES key from the key material each time, so random nonces never wear a KMS key out. Everything before the
// ciphertext, and the encryption context, is authenticated.
const (
	wrapFormat = 1
	saltLen    = 16
	nonceLen   = 12
	prefixLen  = 1 + 16 + 4 + saltLen + nonceLen
	tagLen     = 16
)

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func wrapCipher(material, salt []byte) (cipher.AEAD, error) {
	k, err := hkdf.Key(sha256.New, material, salt, "galen kms wrap 1", 32)
	if err != nil {
		return nil, err
	}
	defer clear(k)
	return gcm(k)
}

// canonical writes an encryption context so that two contexts are equal exactly when their bytes are: pairs sorted by key, each string with
// its length before it.
func canonical(dst []byte, context map[string]string) []byte {
	keys := make([]string, 0, len(context))
	for k := range context {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(k)))
		dst = append(dst, k...)
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(context[k])))
		dst = append(dst, context[k]...)
	}
	return dst
}

func seal(k *Key, plain []byte, context map[string]string) ([]byte, error) {
	v := &k.Versions[len(k.Versions)-1]
	id, ok := parseID(k.ID)
	if !ok {
		return nil, errs.New(errs.Internal, "key id %q is no UUID", k.ID)
	}
	out := make([]byte, 0, prefixLen+len(plain)+tagLen)
	out = append(out, wrapFormat)
	out = append(out, id[:]...)
	out = binary.BigEndian.AppendUint32(out, v.Number)
	out = out[:prefixLen]
	_, _ = rand.Read(out[prefixLen-saltLen-nonceLen:]) // never fails
	aead, err := wrapCipher(v.material, out[prefixLen-saltLen-nonceLen:prefixLen-nonceLen])
	if err != nil {
		return nil, err
	}
	aad := canonical(append([]byte(nil), out...), context)
	return aead.Seal(out, out[prefixLen-nonceLen:prefixLen], plain, aad), nil
}

// keyOf names the key and the version that a ciphertext was made with.
func keyOf(ciphertext []byte) (id string, version uint32, err error) {
	if len(ciphertext) < prefixLen+tagLen || ciphertext[0] != wrapFormat {
		return "", 0, invalidCiphertext()
	}
	return formatID([16]byte(ciphertext[1:17])), binary.BigEndian.Uint32(ciphertext[17:21]), nil
}

func unseal(v *Version, ciphertext []byte, context map[string]string) ([]byte, error) {
	aead, err := wrapCipher(v.material, ciphertext[prefixLen-saltLen-nonceLen:prefixLen-nonceLen])
	if err != nil {
		return nil, err
	}
	aad := canonical(append([]byte(nil), ciphertext[:prefixLen]...), context)
	plain, err := aead.Open(nil, ciphertext[prefixLen-nonceLen:prefixLen], ciphertext[prefixLen:], aad)
	if err != nil {
		return nil, invalidCiphertext()
	}
	return plain, nil
}

func invalidCiphertext() error {
	return errs.Named(errs.Invalid, "InvalidCiphertextException", "The ciphertext is not one of this key ring, is damaged, or belongs to another encryption context.")
}
