package rootkey

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"os"

	"golang.org/x/crypto/argon2"

	"github.com/galen-health/galen/platform/errs"
)

// passphrase seals by AES-256-GCM under Argon2id (RFC 9106) of a passphrase, with the RFC's second recommended parameters: 64 MiB, three passes, four lanes. The key
// is used for one message, so its nonce is zero.
type passphrase struct{ variable, file string }

var argon = sealed{Time: 3, Memory: 64 << 10, Threads: 4}

const (
	// What a file may ask for: more would let a changed file exhaust the machine.
	maxArgonTime, maxArgonMemory = 64, 4 << 20
	minPassphrase                = 12
)

func (passphrase) name() string { return "root.passphrase" }

func (p passphrase) text() ([]byte, error) {
	var text []byte
	if p.file != "" {
		b, err := os.ReadFile(p.file)
		if err != nil {
			return nil, errs.Wrap(errs.Invalid, err, "the file with the passphrase of the root key cannot be read: %s", p.file)
		}
		defer clear(b)
		text = bytes.Clone(bytes.TrimRight(b, "\r\n"))
	} else {
		text = []byte(os.Getenv(p.variable))
	}
	if len(text) == 0 {
		if p.file != "" {
			return nil, errs.New(errs.Invalid, "the file with the passphrase of the root key is empty: %s", p.file)
		}
		return nil, errs.New(errs.Invalid, "no passphrase for the root key: set %s, or name a file with passphrase-file:PATH", p.variable)
	}
	return text, nil
}

func (p passphrase) aead(s *sealed) (cipher.AEAD, error) {
	text, err := p.text()
	if err != nil {
		return nil, err
	}
	defer clear(text)
	k := argon2.IDKey(text, s.Salt, s.Time, s.Memory, s.Threads, 32)
	defer clear(k)
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

const passphrasePurpose = "galen root key under a passphrase 1"

func (p passphrase) seal(_ context.Context, root []byte) (*sealed, error) {
	text, err := p.text()
	if err != nil {
		return nil, err
	}
	defer clear(text)
	if len(text) < minPassphrase {
		return nil, errs.New(errs.Invalid, "the passphrase of a root key needs at least %d characters", minPassphrase)
	}
	s := &sealed{Salt: make([]byte, 16), Time: argon.Time, Memory: argon.Memory, Threads: argon.Threads}
	_, _ = rand.Read(s.Salt) // never fails
	aead, err := p.aead(s)
	if err != nil {
		return nil, err
	}
	s.Sealed = aead.Seal(nil, make([]byte, aead.NonceSize()), root, []byte(passphrasePurpose))
	return s, nil
}

func (p passphrase) open(_ context.Context, s *sealed) ([]byte, error) {
	if s.Time == 0 || s.Time > maxArgonTime || s.Memory > maxArgonMemory || s.Threads == 0 || len(s.Salt) < 8 {
		return nil, errs.New(errs.Corrupt, "%s is damaged: restore it from a backup of the key folder", p.name())
	}
	aead, err := p.aead(s)
	if err != nil {
		return nil, err
	}
	root, err := aead.Open(nil, make([]byte, aead.NonceSize()), s.Sealed, []byte(passphrasePurpose))
	if err != nil {
		return nil, errs.New(errs.Invalid, "the passphrase does not open %s: give the one that it was sealed with; nothing was changed", p.name())
	}
	return root, nil
}
