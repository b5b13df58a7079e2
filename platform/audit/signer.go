package audit

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
)

// Files of a log's folder.
const (
	logFolder     = "log"
	journalFolder = "journal"
	signerFile    = "signer.json"
	verifierFile  = "verifier.txt"
)

// sealedSigner is the signing key at rest: AES-256-GCM under a data key that the key ring wraps.
type sealedSigner struct {
	Format  int    `json:"format"` // 1
	Wrapped []byte `json:"wrapped"`
	Nonce   []byte `json:"nonce"`
	Sealed  []byte `json:"sealed"`
}

func signerContext(origin string) map[string]string {
	return map[string]string{"galen:purpose": "audit-signer", "galen:origin": origin}
}

// openSigner reads the signing key, or makes one for a new log. A log without its key cannot go on: a new key would hide that the log
// was replaced.
func openSigner(ctx context.Context, cfg Config) (_ note.Signer, journalKey []byte, err error) {
	path := filepath.Join(cfg.Dir, signerFile)
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(cfg.Dir, logFolder)); err == nil {
			return nil, nil, errs.New(errs.Corrupt, "the audit log in %s has lost its signing key (%s)", cfg.Dir, signerFile)
		}
		return newSigner(ctx, cfg)
	}
	if err != nil {
		return nil, nil, err
	}
	s, err := parseSigner(body)
	if err != nil {
		return nil, nil, err
	}
	dk, err := cfg.Ring.Open(ctx, s.Wrapped, signerContext(cfg.Origin))
	if err != nil {
		return nil, nil, err
	}
	defer clear(dk.Plain)
	gcm, err := aead(dk.Plain)
	if err != nil {
		return nil, nil, err
	}
	if len(s.Nonce) != gcm.NonceSize() {
		return nil, nil, errs.New(errs.Corrupt, "the signing key of the audit log (%s) is damaged", path)
	}
	plain, err := gcm.Open(nil, s.Nonce, s.Sealed, []byte(cfg.Origin))
	if err != nil {
		return nil, nil, errs.Wrap(errs.Corrupt, err, "the signing key of the audit log (%s) is damaged", path)
	}
	defer clear(plain)
	return signerOf(string(plain))
}

// parseSigner reads the file. There is one way to write it: JSON forgives what a flipped bit makes of a name, and base64 of a last digit.
func parseSigner(body []byte) (s sealedSigner, err error) {
	err = json.Unmarshal(body, &s)
	again, merr := s.encode()
	if err != nil || merr != nil || s.Format != 1 || !bytes.Equal(again, body) {
		return s, errs.Wrap(errs.Corrupt, errors.Join(err, merr), "the signing key of the audit log (%s) is damaged", signerFile)
	}
	return s, nil
}

func (s sealedSigner) encode() ([]byte, error) {
	b, err := json.MarshalIndent(s, "", "  ")
	return append(b, '\n'), err
}

func aead(k []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// newSigner makes the key pair. The public half goes first: a crash between the files leaves no key, and the next start makes another pair.
func newSigner(ctx context.Context, cfg Config) (_ note.Signer, journalKey []byte, err error) {
	secret, public, err := note.GenerateKey(rand.Reader, cfg.Origin)
	if err != nil {
		return nil, nil, err
	}
	dk, err := cfg.Ring.DataKey(ctx, key.Ref{Context: signerContext(cfg.Origin)})
	if err != nil {
		return nil, nil, err
	}
	defer clear(dk.Plain)
	gcm, err := aead(dk.Plain)
	if err != nil {
		return nil, nil, err
	}
	s := sealedSigner{Format: 1, Wrapped: dk.Wrapped, Nonce: make([]byte, gcm.NonceSize())}
	_, _ = rand.Read(s.Nonce) // never fails (crypto/rand)
	s.Sealed = gcm.Seal(nil, s.Nonce, []byte(secret), []byte(cfg.Origin))
	body, err := s.encode()
	if err != nil {
		return nil, nil, err
	}
	if err := replace(cfg.Dir, verifierFile, []byte(public+"\n")); err != nil {
		return nil, nil, err
	}
	if err := replace(cfg.Dir, signerFile, body); err != nil {
		return nil, nil, err
	}
	return signerOf(secret)
}

// signerOf also derives the key of the journal's MACs, so that whoever may not sign checkpoints cannot write entries either.
func signerOf(secret string) (note.Signer, []byte, error) {
	s, err := note.NewSigner(secret)
	if err != nil {
		return nil, nil, err
	}
	k, err := hkdf.Key(sha256.New, []byte(secret), nil, "galen audit 1 journal", sha256.Size)
	return s, k, err
}

// replace writes a small file so that a crash leaves the old one or the new one.
func replace(dir, name string, body []byte) error {
	tmp := filepath.Join(dir, name+".tmp")
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(dir, name)); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Verifier returns the public key of the log in dir, in the form of signed notes.
func Verifier(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, verifierFile))
	return strings.TrimSpace(string(b)), err
}
