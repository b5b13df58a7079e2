package app

import (
	"context"
	"fmt"
	"io/fs"
	"os"

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
