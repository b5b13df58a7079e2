package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/blob/files"
	"github.com/galen-health/galen/platform/blob/s3"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
)

// blobs is a back end of package blob as the wiring needs it.
type blobs interface {
	blob.Store
	Verify(ctx context.Context, fault func(error)) (blobs, unreadable int, err error)
	Close() error
}

// blobsAt is the file of the data folder that names the S3 where its blobs are. A start that would look for them elsewhere is refused.
const blobsAt = "blobs.at"

// openBlobs opens the blobs of a data folder where the configuration says that they are.
func openBlobs(ctx context.Context, cfg *Config, keys key.Ring) (blobs, error) {
	at, err := os.ReadFile(filepath.Join(cfg.DataDir, blobsAt))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errs.Wrap(errs.Unavailable, err, "%s in the data folder cannot be read", blobsAt)
	}
	was := strings.TrimSpace(string(at))
	if cfg.Blobs == "" {
		if was != "" {
			return nil, errs.New(errs.Conflict, "the blobs of %s are at %s: start with --blobs %s, or copy them to %s and remove the file %s", cfg.DataDir, was, was, filepath.Join(cfg.DataDir, "blobs"), blobsAt)
		}
		s, err := files.Open(filepath.Join(cfg.DataDir, "blobs"), keys)
		if err != nil {
			return nil, err // not a nil *Store in the interface
		}
		return s, nil
	}
	t, err := s3.Parse(cfg.Blobs, os.Getenv)
	if err != nil {
		return nil, err
	}
	here := "s3://" + t.Bucket + "/" + t.Prefix
	switch {
	case was == here:
	case was != "":
		return nil, errs.New(errs.Conflict, "the blobs of %s are at %s, not at %s: correct --blobs, or copy them and change the file %s", cfg.DataDir, was, here, blobsAt)
	default:
		if n, err := filepath.Glob(filepath.Join(cfg.DataDir, "blobs", "??", strings.Repeat("?", 32))); err != nil || len(n) > 0 {
			return nil, errs.New(errs.Conflict, "%s holds %d blobs: copy its folders 00 to ff to %s, move it away, and start again", filepath.Join(cfg.DataDir, "blobs"), len(n), here)
		}
	}
	s, err := s3.Open(ctx, t, keys)
	if err != nil {
		return nil, err
	}
	if was == "" {
		if err := writeSynced(filepath.Join(cfg.DataDir, blobsAt), []byte(here+"\n")); err != nil {
			return nil, errors.Join(errs.Wrap(errs.Unavailable, err, "%s cannot be written", blobsAt), s.Close())
		}
	}
	return s, nil
}

// checkBlobs refuses a target that cannot be one, before anything is opened.
func (c *Config) checkBlobs() error {
	if c.Blobs == "" {
		return nil
	}
	if _, err := s3.Parse(c.Blobs, os.Getenv); err != nil {
		return fmt.Errorf("--blobs %s: %w", c.Blobs, err)
	}
	return nil
}
