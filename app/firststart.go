package app

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key/keyring"
)

// firstStartFile is in a data folder from before its first start makes anything until that start serves. A folder with it has been of no use to anybody yet: what is missing in
// it was not lost, and its credentials may never have been shown.
const firstStartFile = "FIRST-START"

// startedBefore reports whether a data folder has anything of Galen.
func startedBefore(cfg *Config) bool {
	for _, name := range []string{"keys", "records", recordsAt, "blobs", blobsAt, "audit"} {
		if _, err := os.Stat(filepath.Join(cfg.DataDir, name)); err == nil {
			return true
		}
	}
	for _, name := range keyring.Files() { // they may be kept elsewhere; several servers share those of a database
		if _, err := os.Stat(filepath.Join(cfg.keys(), name)); err == nil && cfg.Records == "" {
			return true
		}
	}
	return false
}

// firstStart reports whether no start of this data folder has come to serve, and notes in the folder when one begins.
func firstStart(cfg *Config) (first bool, err error) {
	name := filepath.Join(cfg.DataDir, firstStartFile)
	switch _, err := os.Stat(name); {
	case err == nil:
		return true, nil
	case !errors.Is(err, fs.ErrNotExist):
		return false, errs.Wrap(errs.Unavailable, err, "the data folder %s cannot be looked at: give this user its permissions", cfg.DataDir)
	}
	if startedBefore(cfg) {
		return false, nil
	}
	err = os.MkdirAll(cfg.DataDir, 0o700)
	if err == nil {
		err = writeSynced(name, []byte("The first start of this folder has not come to serve. This file goes when it does.\n"))
	}
	if err != nil {
		return false, errs.Wrap(errs.Unavailable, err, "the data folder %s cannot be written", cfg.DataDir)
	}
	return true, nil
}

// served notes that the folder is in use from now on.
func served(cfg *Config) error {
	err := os.Remove(filepath.Join(cfg.DataDir, firstStartFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncPath(cfg.DataDir)
	}
	if err != nil {
		return errs.Wrap(errs.Unavailable, err, "the data folder %s cannot be written", cfg.DataDir)
	}
	return nil
}
