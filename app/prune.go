package app

import (
	"context"
	"errors"
	"time"

	"github.com/galen-health/galen/platform/backup"
	"github.com/galen-health/galen/platform/key/keyring"
)

// PruneBackup removes points of a backup that no rule keeps, and what only they name. dry = it only tells.
func PruneBackup(ctx context.Context, cfg Config, at string, keep backup.Keep, dry bool, progress func(backup.Progress)) (done backup.Pruned, err error) {
	place, kept, err := openBackup(ctx, &cfg, at, !dry)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, kept.Close(), place.Close()) }()
	return backup.Prune(ctx, place, kept, keep, dry, progress)
}

// openBackup opens a backup with the key ring of its newest point, and the root key that cfg says where it is.
func openBackup(ctx context.Context, cfg *Config, at string, write bool) (place backup.Place, kept *keyring.Ring, err error) {
	reading, err := openPlace(at, false) // a folder that is none is not made
	if err != nil {
		return nil, nil, err
	}
	kept, err = newestRing(ctx, cfg, reading)
	if err != nil {
		return nil, nil, errors.Join(err, reading.Close())
	}
	if !write {
		return reading, kept, nil
	}
	if place, err = openPlace(at, true); err != nil {
		return nil, nil, errors.Join(err, kept.Close(), reading.Close())
	}
	return place, kept, reading.Close()
}

// newestRing opens the key ring of a backup's newest point.
func newestRing(ctx context.Context, cfg *Config, place backup.Place) (*keyring.Ring, error) {
	_, _, ring, err := backup.Choose(ctx, place, time.Time{})
	if err != nil {
		return nil, err
	}
	root, _, err := backupRoot(ctx, place, cfg, ring)
	if err != nil {
		return nil, err
	}
	defer clear(root)
	return keyring.OpenSealed(ring, root, keyring.Config{Account: cfg.Account, Region: cfg.Region})
}
