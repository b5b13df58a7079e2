package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/galen-health/galen/platform/backup"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/postgres"
)

// restoringFile is in a data folder whose restore has not ended, and says of what. Nothing serves or verifies such a folder.
const restoringFile = "RESTORING"

// notRestoring refuses a folder whose restore has not ended.
func notRestoring(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, restoringFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return errs.Wrap(errs.Unavailable, err, "%s cannot be read", restoringFile)
	}
	return errs.New(errs.Conflict, "the restore of %s was cut off: run it again (%s), it goes on from there; or empty the folder", dir, strings.TrimSpace(string(b)))
}

// Restored is what a restore brought back.
type Restored struct {
	At    time.Time    `json:"at"`    // the state
	Point string       `json:"point"` // of the backup
	Count backup.Count `json:"count"`
	Lost  []string     `json:"lost,omitempty"` // spaces whose key was deleted: nobody can open them
}

// Restore fills an empty data folder from a backup, with the state of a time; zero = of the newest backup. One that is cut off is gone on with by another.
func Restore(ctx context.Context, cfg Config, from string, at time.Time, progress func(backup.Progress)) (r Restored, err error) {
	place, err := openPlace(from, false)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, place.Close()) }()
	point, older, ring, err := backup.Choose(ctx, place, at)
	if err != nil {
		return r, err
	}
	root, seal, err := backupRoot(ctx, place, &cfg, ring)
	if err != nil {
		return r, err
	}
	defer clear(root)
	kept, err := keyring.OpenSealed(ring, root, keyring.Config{Account: cfg.Account, Region: cfg.Region})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, kept.Close()) }()
	b, err := backup.Open(ctx, place, kept, point, older, at)
	if err != nil {
		return r, err
	}
	r.At, r.Point = b.At(), point
	if err := roomInDatabase(ctx, &cfg, b); err != nil {
		return r, err
	}
	if err := roomForKeys(&cfg, ring); err != nil {
		return r, err
	}
	what := fmt.Sprintf("galen admin restore %s --at %s", from, r.At.Format(time.RFC3339Nano))
	if err := beginRestore(cfg.DataDir, what); err != nil {
		return r, err
	}
	t := &restorer{ctx: ctx, cfg: cfg, b: b, r: &r, root: root, ring: ring, seal: seal, progress: progress}
	if cfg.Blobs != "" { // before anything is written there: it may be another's
		s, err := openBlobs(ctx, &cfg, kept)
		if err != nil {
			return r, err
		}
		if err := s.Close(); err != nil {
			return r, err
		}
	}
	for _, step := range []func() error{t.keys, t.records, t.blobs, t.files} {
		if err := step(); err != nil {
			return r, err
		}
	}
	return r, endRestore(cfg.DataDir)
}

// beginRestore takes a folder that is empty, or that the same restore began with.
func beginRestore(dir, what string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return errs.Wrap(errs.Unavailable, err, "%s cannot be made", dir)
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return errs.Wrap(errs.Unavailable, err, "%s cannot be read", dir)
	}
	name := filepath.Join(dir, restoringFile)
	if len(list) > 0 {
		was, err := os.ReadFile(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return errs.New(errs.Conflict, "%s is not empty: a restore never overwrites, give an empty folder", dir)
		case err != nil:
			return errs.Wrap(errs.Unavailable, err, "%s cannot be read", name)
		case strings.TrimSpace(string(was)) != what && len(was) > 0:
			return errs.New(errs.Conflict, "%s holds the beginning of another restore (%s): go on with that one, or empty the folder", dir, strings.TrimSpace(string(was)))
		}
	}
	return writeSynced(name, []byte(what+"\n"))
}

func endRestore(dir string) error {
	if err := syncTree(dir); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, restoringFile)); err != nil {
		return err
	}
	return syncPath(dir)
}

// syncTree makes the names of all folders sure to stay; what is in files was synced as they were written.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return syncPath(p)
	})
}

func syncPath(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func writeSynced(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

type restorer struct {
	ctx      context.Context
	cfg      Config
	b        *backup.Backup
	r        *Restored
	root     []byte
	ring     []byte
	seal     *backup.Root // the sealed root key that opened it; nil = it was given as it is
	progress func(backup.Progress)
}

func (t *restorer) path(name ...string) string {
	return filepath.Join(append([]string{t.cfg.DataDir}, name...)...)
}

// keys puts the ring in its place, and the sealed root key if it was one. Another root key stays with whoever gave it.
func (t *restorer) keys() error {
	dir := t.cfg.keys()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, name := range keyring.Files() {
		if err := writeSynced(filepath.Join(dir, name), t.ring); err != nil {
			return err
		}
	}
	if t.seal != nil {
		if err := writeSynced(filepath.Join(dir, t.seal.Name), t.seal.Body); err != nil {
			return err
		}
	}
	return syncTree(dir)
}

// roomForKeys refuses a folder of keys elsewhere that has a key ring: those are of another server, or of this one when its restore was cut off.
func roomForKeys(cfg *Config, ring []byte) error {
	if cfg.KeysDir == "" {
		return nil
	}
	for _, name := range keyring.Files() {
		b, err := os.ReadFile(filepath.Join(cfg.KeysDir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return errs.Wrap(errs.Unavailable, err, "%s cannot be read", cfg.KeysDir)
		case !bytes.HasPrefix(ring, b): // a part is what a cut leaves
			return errs.New(errs.Conflict, "%s has a key ring: a restore never overwrites, give an empty folder with --keys-dir", cfg.KeysDir)
		}
	}
	return nil
}

// records imports into a new store; what an earlier try left of one goes.
func (t *restorer) records() (err error) {
	if err := os.RemoveAll(t.path("records")); err != nil {
		return err
	}
	ring, err := keyring.Open(t.cfg.keys(), t.root, keyring.Config{Account: t.cfg.Account, Region: t.cfg.Region})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ring.Close()) }()
	s, err := openRecords(t.ctx, &t.cfg, ring)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	to, ok := s.(record.Portable)
	if !ok {
		return errs.New(errs.Unsupported, "the record back end cannot be filled from a backup")
	}
	if err := s.Declare(kinds()...); err != nil {
		return err
	}
	next, count := t.b.Items(t.ctx), &t.r.Count
	counted := func() (any, error) {
		it, err := next()
		switch x := it.(type) {
		case record.ExportSpace:
			count.Spaces++
			if x.Lost {
				count.Lost++
				t.r.Lost = append(t.r.Lost, string(x.Name))
			}
		case record.ExportRecord:
			if count.Records++; count.Records%1000 == 0 {
				t.progress(backup.Progress{Doing: "records", Done: count.Records, Of: t.b.Point().Count.Records})
			}
			count.Versions += int64(len(x.Versions))
		case record.Message:
			count.Messages++
		}
		return it, err
	}
	there, err := t.imported()
	if err != nil {
		return err
	}
	for there { // only counted again
		if _, err := counted(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return to.Import(t.ctx, ring.Regardless(), counted)
}

// imported reports whether an earlier try has filled the database. An import is all there or not at all.
func (t *restorer) imported() (bool, error) {
	if t.cfg.Records == "" {
		return false, nil
	}
	f, err := postgres.Look(t.ctx, t.cfg.Records)
	return err == nil && !f.Empty, err
}

// roomInDatabase refuses a database that has records, before anything is begun: a restore overwrites nothing. One that this restore has filled, which was then cut
// off, is its own.
func roomInDatabase(ctx context.Context, cfg *Config, b *backup.Backup) error {
	if cfg.Records == "" {
		return nil
	}
	f, err := postgres.Look(ctx, cfg.Records)
	if err != nil || f.Empty {
		return err
	}
	id, _, err := recordsOf(cfg.DataDir)
	if err != nil {
		return err
	}
	_, begun := os.Stat(filepath.Join(cfg.DataDir, restoringFile))
	if p := b.Point(); begun == nil && id == f.ID && p.Seq == f.Seq && p.Time.Equal(f.Time) {
		return nil
	}
	return errs.New(errs.Conflict, "the database of --records (%s) has records: a restore never overwrites, make an empty database and name it", f.Where)
}

func (t *restorer) blobs() (err error) {
	to := backup.Place(nil)
	if t.cfg.Blobs == "" {
		to, err = backup.OpenFolder(t.path("blobs"))
	} else {
		to, err = openPlace(t.cfg.Blobs, true)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	t.r.Count.Blobs, err = t.b.Blobs(t.ctx, to, t.progress)
	return err
}

// files puts back what is carried whole; what an earlier try left of it goes.
func (t *restorer) files() error {
	for _, top := range carried {
		if err := os.RemoveAll(t.path(top)); err != nil {
			return err
		}
	}
	var out *os.File
	last := ""
	end := func() error {
		if out == nil {
			return nil
		}
		err := errors.Join(out.Sync(), out.Close())
		out = nil
		return err
	}
	if err := t.b.Files(t.ctx, func(name string, body []byte) error {
		if name != last {
			if err := end(); err != nil {
				return err
			}
			if err := os.MkdirAll(t.path(path.Dir(name)), 0o700); err != nil {
				return err
			}
			var err error
			if out, err = os.OpenFile(t.path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
				return err
			}
			last = name
			t.r.Count.Files++
		}
		_, err := out.Write(body)
		return err
	}); err != nil {
		return errors.Join(err, end())
	}
	return end()
}

// CheckBackup reads a whole backup and calls fault with a line for each thing that is not whole.
func CheckBackup(ctx context.Context, cfg Config, from string, fault func(string), progress func(backup.Progress)) (points, files int64, err error) {
	place, kept, err := openBackup(ctx, &cfg, from, false)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, kept.Close(), place.Close()) }()
	return backup.Check(ctx, place, kept, func(f string) {
		fault("backup: " + f + " → remove this file and back up again while the server still has what it holds; restore from another point or copy otherwise")
	}, progress)
}
