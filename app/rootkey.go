package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/galen-health/galen/platform/backup"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/key/rootkey"
)

// rootKey is the root key from where cfg says that it is; nil = the key folder's own file. For a new folder it is made there.
func rootKey(ctx context.Context, cfg *Config) ([]byte, error) {
	f, err := keyFolder(cfg)
	if err != nil {
		return nil, err
	}
	return rootkey.Source(cfg.RootKey).Open(ctx, f)
}

func keyFolder(cfg *Config) (rootkey.Folder, error) {
	fresh, opens, err := keyring.Sealing(cfg.keys())
	return rootkey.Folder{Dir: cfg.keys(), Fresh: fresh, Opens: opens}, err
}

// MoveRootKey seals the key ring of a stopped server under a root key that is kept elsewhere from then on.
func MoveRootKey(ctx context.Context, cfg Config, to string) error {
	if _, err := os.Stat(cfg.keys()); err != nil {
		return fmt.Errorf("%s holds no keys of Galen: give the folder that galen serve --data-dir had: %w", cfg.DataDir, fs.ErrNotExist)
	}
	f, err := keyFolder(&cfg)
	if err != nil {
		return err
	}
	return rootkey.Move(ctx, f, rootkey.Source(cfg.RootKey), rootkey.Source(to), func(old, next []byte) error { return keyring.Reseal(cfg.keys(), old, next) })
}

// backupRoot is the root key of a ring in a backup, from where cfg says that it is, and the sealed form of it that the backup carries, if it was taken from one.
func backupRoot(ctx context.Context, place backup.Place, cfg *Config, ring []byte) (root []byte, from *backup.Root, err error) {
	opens := func(root []byte) bool {
		r, err := keyring.OpenSealed(ring, root, keyring.Config{Account: cfg.Account, Region: cfg.Region})
		return err == nil && r.Close() == nil
	}
	source := rootkey.Source(cfg.RootKey)
	if !source.Sealed() {
		if root, err = source.Open(ctx, rootkey.Folder{Dir: place.String(), Opens: opens}); err == nil && root == nil {
			err = errs.New(errs.Invalid, "the root key of the server that made the backup is needed: give --root-key as galen serve had it, or set GALEN_ROOT_KEY (without either, the server had it in keys/root.key of its data folder, which is not in the backup)")
		}
		return root, nil, err
	}
	roots, err := backup.Roots(ctx, place)
	if err != nil {
		return nil, nil, err
	}
	err = errs.New(errs.Invalid, "%s carries no root key that is sealed so: give --root-key as galen serve had it when the backup was made", place)
	for i := range roots { // of older points too
		var one error
		if root, one = source.OpenFile(ctx, roots[i].Name, roots[i].Body, opens); one == nil {
			return root, &roots[i], nil
		}
		if !errors.Is(one, rootkey.ErrOther) {
			err = one
		}
	}
	return nil, nil, err
}
