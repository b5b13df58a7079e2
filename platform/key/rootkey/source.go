package rootkey

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/galen-health/galen/platform/errs"
)

// Size of a root key in bytes.
const Size = 32

// Source is where a root key is kept, as its owner names it:
//
//	""                                   GALEN_ROOT_KEY, or without it the file root.key in the key folder
//	env:NAME                             a variable of the environment, base64
//	file:PATH                            a file, base64
//	passphrase:NAME                      the root key sealed under a passphrase, which a variable holds; NAME is GALEN_ROOT_PASSPHRASE unless given
//	passphrase-file:PATH                 the same, the passphrase in a file
//	vault:URL/transit/keys/KEY           the root key sealed by Vault or OpenBao; VAULT_TOKEN, VAULT_NAMESPACE and VAULT_CACERT as their own tools take them
//	pkcs11:MODULE?token=LABEL&key=LABEL  the root key sealed by an AES key of a token; its PIN in GALEN_PKCS11_PIN
type Source string

// Folder is the ring's, as far as root keys go.
type Folder struct {
	Dir string
	// Opens reports whether a root key is the one of the ring; it changes nothing.
	Opens func(root []byte) bool
	// Fresh says that there is no ring yet.
	Fresh bool
}

// seal is what does not hold a root key but seals it.
type seal interface {
	name() string // of the file beside the ring
	seal(ctx context.Context, root []byte) (*sealed, error)
	open(ctx context.Context, s *sealed) ([]byte, error)
}

const ownFile = "root.key"

// Open returns the root key of a folder; for a fresh one it makes what the source keeps. nil for Source "" without GALEN_ROOT_KEY: the ring then looks after root.key
// itself.
func (s Source) Open(ctx context.Context, f Folder) ([]byte, error) {
	sealer, path, err := s.parse()
	if err != nil {
		return nil, err
	}
	if sealer != nil {
		return openSealed(ctx, sealer, f)
	}
	var text string
	switch {
	case s == "":
		if text = os.Getenv("GALEN_ROOT_KEY"); text == "" {
			return nil, nil
		}
	case path == "":
		name := strings.TrimPrefix(string(s), "env:")
		if text = os.Getenv(name); text == "" {
			return nil, errs.New(errs.Invalid, "the variable %s, which should hold the root key, is not set: set it to the 32 bytes in base64 that it had at the first start", name)
		}
	default:
		return openFile(path, f)
	}
	root, err := Parse(text)
	if err != nil {
		return nil, err
	}
	if s == "" {
		return root, nil // the ring tells whether it is its own
	}
	return fits(s, root, f)
}

// Sealed reports whether the root key of this source is sealed in a file beside the ring.
func (s Source) Sealed() bool {
	sealer, _, err := s.parse()
	return err == nil && sealer != nil
}

// ErrOther says that a file's root key is sealed by something else than the source.
var ErrOther = errors.New("sealed by something else")

// OpenFile is Open for a sealed root key that is not in a key folder: a backup's. opens reports whether it is the one that is looked for.
func (s Source) OpenFile(ctx context.Context, name string, body []byte, opens func(root []byte) bool) ([]byte, error) {
	sealer, _, err := s.parse()
	if err != nil {
		return nil, err
	}
	if sealer == nil || sealer.name() != name {
		return nil, ErrOther
	}
	dir, err := os.MkdirTemp("", "galen-root")
	if err != nil {
		return nil, errs.Wrap(errs.Unavailable, err, "a temporary folder is needed")
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it holds no secret
	if err := os.WriteFile(filepath.Join(dir, name), body, 0o600); err != nil {
		return nil, errs.Wrap(errs.Unavailable, err, "a temporary file is needed")
	}
	return openSealed(ctx, sealer, Folder{Dir: dir, Opens: opens})
}

// parse splits a source into a sealer, or the path of a file, or neither for the environment.
func (s Source) parse() (sealer seal, path string, err error) {
	kind, rest, found := strings.Cut(string(s), ":")
	switch {
	case s == "":
	case kind == "env" && rest != "":
	case kind == "file" && rest != "":
		return nil, rest, nil
	case kind == "passphrase":
		if !found || rest == "" {
			rest = "GALEN_ROOT_PASSPHRASE"
		}
		return passphrase{variable: rest}, "", nil
	case kind == "passphrase-file" && rest != "":
		return passphrase{file: rest}, "", nil
	case kind == "vault":
		v, err := newVault(rest)
		return v, "", err
	case kind == "pkcs11":
		t, err := newToken(rest)
		return t, "", err
	default:
		return nil, "", errs.New(errs.Invalid, "%q names no place of a root key: give env:NAME, file:PATH, passphrase, passphrase-file:PATH, vault:URL/transit/keys/KEY or pkcs11:MODULE?token=LABEL&key=LABEL", string(s))
	}
	return nil, "", nil
}

// Parse reads a root key as it stands in a file or a variable: 32 bytes in base64.
func Parse(text string) ([]byte, error) {
	return parse([]byte(text))
}

// parse leaves no copy but what it returns.
func parse(text []byte) ([]byte, error) {
	b, err := base64.StdEncoding.AppendDecode(nil, bytes.TrimSpace(text))
	if err != nil || len(b) != Size {
		clear(b)
		return nil, errs.New(errs.Invalid, "the root key is not 32 bytes in base64: make one with `head -c 32 /dev/urandom | base64`")
	}
	return b, nil
}

// fits holds a root key against the ring.
func fits(s Source, root []byte, f Folder) ([]byte, error) {
	if !f.Fresh && !f.Opens(root) {
		clear(root)
		return nil, errs.New(errs.Invalid, "the root key from %q does not open the key ring in %s: the folder was sealed by another root key; give that one, or restore the folder that belongs to this one", s.public(), f.Dir)
	}
	return root, nil
}

// public is the source without anything that need not be seen.
func (s Source) public() string {
	kind, _, _ := strings.Cut(string(s), "?")
	return kind
}

func openFile(path string, f Folder) ([]byte, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && f.Fresh {
		root := fresh()
		return root, writeNew(path, root)
	}
	if err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "the root key file %s cannot be read: put it back as it was; without it the data cannot be opened", path)
	}
	defer clear(b)
	root, err := parse(b)
	if err != nil {
		return nil, err
	}
	return fits(Source("file:"+path), root, f)
}

func fresh() []byte {
	root := make([]byte, Size)
	_, _ = rand.Read(root) // never fails
	return root
}

// writeNew writes a root key to a file that must not exist.
func writeNew(path string, root []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return errs.Wrap(errs.Conflict, err, "the root key cannot be written to %s: name a file that does not exist yet, in a folder that can be written", path)
	}
	text := append(base64.StdEncoding.AppendEncode(make([]byte, 0, 64), root), '\n')
	defer clear(text)
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close(), syncDir(filepath.Dir(path))); err != nil {
		return errs.Wrap(errs.Unavailable, err, "the root key cannot be written to %s", path)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
