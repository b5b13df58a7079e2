package rootkey

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/galen-health/galen/platform/errs"
)

// sealed is a root key that something else has sealed. What is in it is no secret.
type sealed struct {
	Sealed []byte `json:"sealed"`
	// of a passphrase
	Salt    []byte `json:"salt,omitempty"`
	Time    uint32 `json:"time,omitempty"`
	Memory  uint32 `json:"memory,omitempty"` // KiB
	Threads uint8  `json:"threads,omitempty"`
	// of a token
	Nonce []byte `json:"nonce,omitempty"`
}

// keptSeals is the file: one root key, or two while the ring moves from the first to the second.
type keptSeals struct {
	Format int      `json:"format"` // 1
	Roots  []sealed `json:"roots"`
}

func readSeals(dir, name string) (*keptSeals, error) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	var k keptSeals
	if err := json.Unmarshal(b, &k); err != nil || k.Format != 1 || len(k.Roots) == 0 || len(k.Roots) > 2 {
		return nil, errs.New(errs.Corrupt, "the sealed root key %s is damaged: restore it from a backup of the key folder", filepath.Join(dir, name))
	}
	return &k, nil
}

func writeSeals(dir, name string, k *keptSeals) error {
	b, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return errs.Wrap(errs.Unavailable, err, "the sealed root key cannot be written")
	}
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return errs.Wrap(errs.Unavailable, err, "the sealed root key cannot be written")
	}
	return nil
}

// openSealed opens the root key that the ring is sealed by; for a fresh folder it makes one.
func openSealed(ctx context.Context, by seal, f Folder) ([]byte, error) {
	kept, err := readSeals(f.Dir, by.name())
	switch {
	case errors.Is(err, fs.ErrNotExist) && f.Fresh:
		root := fresh()
		s, err := by.seal(ctx, root)
		if err != nil {
			clear(root)
			return nil, err
		}
		return root, writeSeals(f.Dir, by.name(), &keptSeals{1, []sealed{*s}})
	case errors.Is(err, fs.ErrNotExist):
		return nil, errs.New(errs.Invalid, "the key ring in %s has no %s, so its root key was kept elsewhere: start with that, or move it here with galen admin root-key move", f.Dir, by.name())
	case err != nil:
		return nil, err
	}
	var first error
	opened := false
	for i := range kept.Roots {
		root, err := by.open(ctx, &kept.Roots[i])
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		opened = true
		if len(root) == Size && (f.Fresh || f.Opens(root)) {
			return root, nil
		}
		clear(root)
	}
	if !opened {
		return nil, first
	}
	return nil, errs.New(errs.Invalid, "%s does not belong to the key ring in %s: restore both from the same backup", by.name(), f.Dir)
}

// SealedFiles reads what is beside a ring of root keys that something else has sealed. A backup takes them with it.
func SealedFiles(dir string) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, s := range []seal{passphrase{}, &vault{}, &token{}} {
		b, err := os.ReadFile(filepath.Join(dir, s.name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, errs.Wrap(errs.Unavailable, err, "the sealed root key %s cannot be read", filepath.Join(dir, s.name()))
		}
		out[s.name()] = b
	}
	return out, nil
}
