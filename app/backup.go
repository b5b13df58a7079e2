package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/galen-health/galen/platform/backup"
	"github.com/galen-health/galen/platform/blob/s3"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key/rootkey"
	"github.com/galen-health/galen/platform/record"
)

// openPlace opens where a backup is, or shall be: a folder, or s3://BUCKET/PREFIX?endpoint=URL&region=REGION. write = it shall be changed.
func openPlace(at string, write bool) (backup.Place, error) {
	if strings.HasPrefix(at, "s3:") {
		t, err := s3.Parse(at, os.Getenv)
		if err != nil {
			return nil, errs.New(errs.Invalid, "%v", err)
		}
		return s3.OpenObjects(t), nil
	}
	if !filepath.IsAbs(at) {
		return nil, errs.New(errs.Invalid, "%q is neither s3://… nor an absolute path", at)
	}
	if write {
		return backup.OpenFolder(at)
	}
	if _, err := os.Stat(at); err != nil {
		return nil, errs.Wrap(errs.NotFound, err, "%s cannot be read", at)
	}
	return backup.ReadFolder(at), nil
}

// Backup makes a backup of a data folder whose server is stopped.
func Backup(ctx context.Context, cfg Config, version string, log *slog.Logger, dest string, progress func(backup.Progress)) (rep backup.Report, err error) {
	if err := existing(&cfg); err != nil {
		return rep, err
	}
	e, _, err := openAll(ctx, &cfg, version, log)
	if err != nil {
		return rep, err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	return e.backup(ctx, &cfg, dest, progress)
}

// existing checks a configuration for a tool that must not make a data folder.
func existing(cfg *Config) error {
	if err := CheckFolder(*cfg); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(cfg.DataDir, firstStartFile)); err == nil {
		return errs.New(errs.Conflict, "the first start of %s has not come to serve, so there is nothing in it yet: start it", cfg.DataDir)
	}
	if _, err := os.Stat(cfg.keys()); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s holds no data of Galen: give the folder that galen serve --data-dir had", cfg.DataDir)
	}
	if cfg.RootAccessKeyID == "" { // nobody signs anything here; a first start must still make and show its own
		cfg.RootAccessKeyID, cfg.RootSecretAccessKey = "tool", "tool"
	}
	return cfg.check(ServiceIDs())
}

// backup makes one of what is open, whatever is written meanwhile.
func (e *engines) backup(ctx context.Context, cfg *Config, dest string, progress func(backup.Progress)) (rep backup.Report, err error) {
	portable, ok := e.records.(record.Portable)
	if !ok {
		return rep, errs.New(errs.Unsupported, "the record back end cannot be exported")
	}
	if within(dest, cfg.DataDir) || within(cfg.DataDir, dest) {
		return rep, errs.New(errs.Invalid, "%s and the data folder are within one another: give a folder elsewhere, on another disk", dest)
	}
	to, err := openPlace(dest, true)
	if err != nil {
		return rep, err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	from := backup.Place(backup.ReadFolder(filepath.Join(cfg.DataDir, "blobs")))
	if cfg.Blobs != "" {
		if from, err = openPlace(cfg.Blobs, false); err != nil {
			return rep, err
		}
		defer func() { err = errors.Join(err, from.Close()) }()
	}
	roots, err := rootkey.SealedFiles(cfg.keys())
	if err != nil {
		return rep, err
	}
	release := e.held.hold()
	defer func() { err = errors.Join(err, release(context.WithoutCancel(ctx))) }()
	return backup.Take(ctx, backup.Source{Ring: e.keys, Records: portable, Blobs: from, Roots: roots, Files: func(ctx context.Context, fn func(string, []byte) error) error {
		if err := e.audit.Publish(ctx); err != nil {
			return err
		}
		return carriedFiles(ctx, cfg.DataDir, fn)
	}, Progress: progress}, to)
}

// within reports whether a folder is another or lies in it.
func within(dir, of string) bool {
	rel, err := filepath.Rel(of, dir)
	return err == nil && filepath.IsAbs(dir) && rel != ".." && !strings.HasPrefix(rel, "../")
}

// The files of the data folder that are carried whole: the audit log's tree, without its journal, which Publish has emptied into it; and the logs that rules write;
// and the name under which records know the log.
var (
	carried = []string{"audit", "events", serverIDFile}
	// auditHeads say how long the log is. They are read before the tiles that they speak of: those of a longer log hold a shorter one's.
	auditHeads = []string{"audit/log/checkpoint", "audit/log/.state"}
)

// pieceSize is how much of a file goes at a time; the pieces of one file follow one another under its name.
const pieceSize = 8 << 20

func carriedFiles(ctx context.Context, dir string, fn func(name string, body []byte) error) error {
	heads := map[string][]byte{}
	for _, h := range auditHeads {
		if err := walkFiles(ctx, dir, h, func(name string) error {
			b, err := os.ReadFile(filepath.Join(dir, name))
			heads[name] = b
			return err
		}); err != nil {
			return err
		}
	}
	for _, top := range carried {
		if err := walkFiles(ctx, dir, top, func(name string) error {
			if b, ok := heads[name]; ok {
				return fn(name, b)
			}
			if strings.HasPrefix(name, "audit/journal/") || filepath.Base(name) == "LOCK" || strings.HasPrefix(name, "audit/log/.state/") && strings.HasSuffix(name, ".lock") {
				return nil
			}
			return pieces(dir, name, fn)
		}); err != nil {
			return err
		}
	}
	return nil
}

// walkFiles calls fn for the files of a folder, or the one file, in the order of their names; one that goes meanwhile is left out.
func walkFiles(ctx context.Context, dir, top string, fn func(name string) error) error {
	var names []string
	err := filepath.WalkDir(filepath.Join(dir, top), func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		names = append(names, filepath.ToSlash(rel))
		return err
	})
	slices.Sort(names)
	for _, n := range names {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			if err = fn(n); errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
		}
	}
	return err
}

func pieces(dir, name string, fn func(string, []byte) error) error {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	buf := make([]byte, pieceSize)
	for first := true; ; first = false {
		n, err := io.ReadFull(f, buf)
		if n > 0 || first {
			if err := fn(name, buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
