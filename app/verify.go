package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/galen-health/galen/app/edge"
	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/platform/disk"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record/pebble"
)

// Verified is how much a verification looked at.
type Verified struct {
	Records, Blobs, Keys int64
	AuditEntries         uint64
	Unreadable           int64 // records and blobs under keys that are disabled or deleted: they are there, and nobody can open them
	Faults               int
}

// What to do about a fault, by where it is.
const (
	mendKeys    = "restore keys/ from a backup, with the root key that belongs to it"
	mendCopy    = "made good from the other copy, which is whole; if it comes again, look after the disk"
	mendRecords = "restore records/ from a backup, together with the blobs/ and keys/ of the same time"
	mendBlob    = "restore this file of blobs/ (or object of the S3) from a backup"
	mendNamed   = "restore the file in blobs/ from a backup; without one, delete what names it and store it again"
	mendAudit   = "keep this folder as evidence, and restore audit/ from a backup"
	mendService = "mend the other faults first; if there are none, report this one"
)

// Verify reads all data at rest in cfg.DataDir and calls fault with one line for each thing that is not whole: what, where, what to do. The server
// must be stopped. It serves nothing; like a start it finishes what a crash left half done. An error means that it could not verify.
func Verify(ctx context.Context, cfg Config, version string, log *slog.Logger, fault func(string)) (v Verified, err error) {
	if _, err := os.Stat(cfg.keys()); errors.Is(err, fs.ErrNotExist) {
		return v, fmt.Errorf("%s holds no data of Galen: give the folder that galen serve --data-dir had", cfg.DataDir)
	}
	if cfg.RootAccessKeyID == "" { // nobody signs anything here; a first start must still make and show its own
		cfg.RootAccessKeyID, cfg.RootSecretAccessKey = "verify", "verify"
	}
	if err := cfg.check(ServiceIDs()); err != nil {
		return v, err
	}
	say := func(where, what, mend string) {
		v.Faults++
		what = strings.ReplaceAll(strings.ReplaceAll(what, "; run galen verify", ""), "\n", "; ")
		fault(where + ": " + what + " → " + mend)
	}
	usable, err := verifyKeys(ctx, &cfg, &v, say)
	if err != nil {
		return v, err
	}
	report, err := audit.Verify(ctx, filepath.Join(cfg.DataDir, "audit"), "", nil)
	switch {
	case errs.Is(err, errs.Corrupt):
		say("audit", err.Error(), mendAudit)
	case err != nil:
		return v, err
	}
	v.AuditEntries = report.Size
	if err := verifyFiles(&cfg, say); err != nil {
		return v, err
	}
	if !usable {
		return v, nil // nothing else can be opened
	}
	return v, verifyStores(ctx, &cfg, version, log, &v, say)
}

// verifyKeys checks the key ring by its files alone, before anything mends them. usable is false when no copy opens.
func verifyKeys(ctx context.Context, cfg *Config, v *Verified, say func(where, what, mend string)) (usable bool, err error) {
	root, err := rootKey(ctx, cfg)
	if err != nil {
		return false, err
	}
	n, faults := keyring.Verify(cfg.keys(), root)
	v.Keys = int64(n)
	mend := mendKeys
	if n > 0 {
		mend = mendCopy
	}
	for _, f := range faults {
		if errors.Is(f, disk.ErrHeld) {
			return false, fmt.Errorf("%s is in use: stop galen serve first, then verify", cfg.DataDir)
		}
		say("keys", f.Error(), mend)
	}
	return n > 0, nil
}

// verifyStores opens everything as a start does, so that every kind of record is declared and its index can be computed again. When that fails, each
// store is still checked by itself.
func verifyStores(ctx context.Context, cfg *Config, version string, log *slog.Logger, v *Verified, say func(where, what, mend string)) (err error) {
	e, services, opened := openAll(ctx, cfg, version, log)
	if opened != nil {
		say("services", "they cannot start: "+opened.Error(), mendService)
		if e, err = openBare(ctx, cfg, say); err != nil {
			return err
		}
	}
	defer func() { err = errors.Join(err, e.close()) }()
	if e.records != nil {
		n, unreadable, err := e.records.Verify(ctx, func(f string) { say("records", f, mendRecords) })
		if err != nil {
			return err
		}
		v.Records, v.Unreadable = n, v.Unreadable+unreadable
	}
	if e.blobs != nil {
		n, unreadable, err := e.blobs.Verify(ctx, func(f error) { say("blobs", f.Error(), mendBlob) })
		if err != nil {
			return err
		}
		v.Blobs, v.Unreadable = int64(n), v.Unreadable+int64(unreadable)
	}
	if services == nil {
		return nil
	}
	for _, r := range services.registrations {
		s, ok := r.Service.(interface {
			Verify(ctx context.Context, fault func(error)) (named int, err error)
		})
		if !ok {
			continue
		}
		if _, err := s.Verify(ctx, func(f error) { say(r.Contract.Signing, f.Error(), mendNamed) }); err != nil {
			return err
		}
	}
	return nil
}

// verifyFiles checks the database's files byte by byte, before an opening tidies them up.
func verifyFiles(cfg *Config, say func(where, what, mend string)) error {
	dir := filepath.Join(cfg.DataDir, "records")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	_, err := pebble.VerifyFiles(nil, dir, func(f string) { say("records", f, mendRecords) })
	return err
}

// openAll opens the engines and makes the services. On an error nothing stays open.
func openAll(ctx context.Context, cfg *Config, version string, log *slog.Logger) (*engines, *services, error) {
	local := &edge.Local{}
	e, err := openEngines(ctx, cfg, log, local, prometheus.NewRegistry())
	if err != nil {
		return nil, nil, err
	}
	s, err := openServices(ctx, cfg, e, local, version)
	if err != nil {
		return nil, nil, errors.Join(err, e.close())
	}
	return e, s, nil
}

// openBare opens what can be opened of the stores.
func openBare(ctx context.Context, cfg *Config, say func(where, what, mend string)) (e *engines, err error) {
	e = &engines{}
	root, err := rootKey(ctx, cfg)
	if err != nil {
		return e, err
	}
	if e.keys, err = openKeys(cfg, root); err != nil {
		return e, err
	}
	e.closers = append(e.closers, e.keys.Close)
	if e.records, err = openRecords(ctx, cfg, e.keys); err != nil {
		say("records", err.Error(), mendRecords)
		e.records = nil
	} else {
		e.closers = append(e.closers, e.records.Close)
	}
	if e.blobs, err = openBlobs(ctx, cfg, e.keys); err != nil {
		say("blobs", err.Error(), "restore the blobs from a backup")
		e.blobs = nil
	} else {
		e.closers = append(e.closers, e.blobs.Close)
	}
	return e, nil
}
