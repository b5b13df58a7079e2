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
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/galen-health/galen/app/edge"
	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/platform/backup"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/disk"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record/pebble"
)

// Verified is how much a verification looked at.
type Verified struct {
	Records      int64  `json:"records"`
	Blobs        int64  `json:"blobs"`
	Keys         int64  `json:"keys"`
	AuditEntries uint64 `json:"auditEntries"`
	AuditDropped uint64 `json:"auditDropped,omitempty"` // of them, by retention: their hashes are whole
	Unreadable   int64  `json:"unreadable,omitempty"`   // records and blobs under keys that are disabled or deleted: they are there, and nobody can open them
	Unnamed      int64  `json:"unnamed,omitempty"`      // blobs that no record names: of writes that were cut off, or just begun; the sweep takes them
	Faults       int    `json:"faults"`
	Repaired     int    `json:"repaired,omitempty"`
}

// Fault is one thing that is not whole.
type Fault struct {
	Where string `json:"where"`
	What  string `json:"what"`
	Do    string `json:"do"`
}

func (f Fault) String() string { return f.Where + ": " + f.What + " → " + f.Do }

// VerifyOptions say how a verification goes on.
type VerifyOptions struct {
	Repair   bool // make what is derived anew from what it is derived of
	DryRun   bool // with Repair: only tell what would be made anew
	Fault    func(Fault)
	Repaired func(string) // one thing that was made anew, or would be
	Progress func(backup.Progress)
}

// What to do about a fault, by where it is.
const (
	mendKeys    = "restore keys/ from a backup, with the root key that belongs to it"
	mendCopy    = "made good from the other copy, which is whole; if it comes again, look after the disk"
	mendRecords = "galen verify --repair makes good what is derived (indexes, histories); what stays: restore the records (records/, or the database of --records) from a backup, together with the blobs/ and keys/ of the same time"
	mendBlob    = "restore this file of blobs/ (or object of the S3) from a backup"
	mendNamed   = "restore the file in blobs/ from a backup; without one, delete what names it and store it again"
	mendAudit   = "keep this folder as evidence, and restore audit/ from a backup"
	mendRestart = "restart the server, which makes it good from the other copy; if it comes again, look after the disk"
	mendService = "mend the other faults first; if there are none, report this one"
)

// Verify reads all data at rest in cfg.DataDir and calls o.Fault for each thing that is not whole. The server must be stopped. It serves nothing; like a start it
// finishes what a crash left half done. An error means that it could not verify.
func Verify(ctx context.Context, cfg Config, version string, log *slog.Logger, o VerifyOptions) (v Verified, err error) {
	if err := existing(&cfg); err != nil {
		return v, err
	}
	if InUse(cfg.DataDir) {
		return v, errInUse(cfg.DataDir)
	}
	say := v.sayer(o.Fault)
	usable, err := verifyKeys(ctx, &cfg, &v, say)
	if err != nil {
		return v, err
	}
	told := false // of a fault of the audit log
	report, err := audit.Verify(ctx, filepath.Join(cfg.DataDir, "audit"), "", nil)
	switch {
	case errs.Is(err, errs.Corrupt):
		say("audit", err.Error(), mendAudit)
		told = true
	case err != nil:
		return v, err
	}
	v.AuditEntries, v.AuditDropped = report.Size, report.Dropped
	if err := verifyFiles(&cfg, say); err != nil {
		return v, err
	}
	if !usable {
		return v, nil // nothing else can be opened
	}
	return v, verifyStores(ctx, &cfg, version, log, &v, say, &o, told)
}

// sayer counts faults and passes them on.
func (v *Verified) sayer(fault func(Fault)) sayer {
	return func(where, what, mend string) {
		v.Faults++
		fault(Fault{where, strings.ReplaceAll(strings.ReplaceAll(what, "; run galen verify", ""), "\n", "; "), mend})
	}
}

func errInUse(dir string) error {
	return fmt.Errorf("%s is in use: stop galen serve first, then verify", dir)
}

type sayer func(where, what, mend string)

// verifyKeys checks the key ring by its files alone, before anything mends them. usable is false when no copy opens.
func verifyKeys(ctx context.Context, cfg *Config, v *Verified, say sayer) (usable bool, err error) {
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
			return false, errInUse(cfg.DataDir)
		}
		say("keys", f.Error(), mend)
	}
	return n > 0, nil
}

// verifyStores opens everything as a start does, so that every kind of record is declared and its index can be computed again. When that fails, each
// store is still checked by itself.
func verifyStores(ctx context.Context, cfg *Config, version string, log *slog.Logger, v *Verified, say sayer, o *VerifyOptions, told bool) (err error) {
	e, services, opened := openAll(ctx, cfg, version, log)
	if opened != nil && away(cfg, opened) {
		return opened
	}
	if opened != nil {
		say("services", "they cannot start: "+opened.Error(), mendService)
		if e, err = openBare(ctx, cfg, say); err != nil {
			return err
		}
	}
	defer func() { err = errors.Join(err, e.close()) }()
	if e.audit != nil && e.audit.Dropped() > 0 && !told { // what only the log's own key shows: its files alone looked whole
		say("audit", fmt.Sprintf("the journal of the audit log ended in %d bytes that are no entry: a crash while it was written, whose call was never answered, or damage; the start dropped them", e.audit.Dropped()), mendAudit)
	}
	if o.Repair && e.records != nil {
		if err := e.repair(ctx, v, o); err != nil {
			return err
		}
	}
	if e.records != nil {
		if err := v.records(ctx, e, say, o.Progress); err != nil {
			return err
		}
	}
	if e.blobs != nil {
		if err := v.blobs(ctx, e, say, o.Progress); err != nil {
			return err
		}
	}
	if services == nil {
		return nil
	}
	return v.services(ctx, e, services, say, o.Progress)
}

func (v *Verified) records(ctx context.Context, e *engines, say sayer, progress func(backup.Progress)) error {
	progress(backup.Progress{Doing: "records"})
	n, unreadable, err := e.records.Verify(ctx, func(f string) { say("records", f, mendRecords) })
	v.Records, v.Unreadable = n, v.Unreadable+unreadable
	return err
}

func (v *Verified) blobs(ctx context.Context, e *engines, say sayer, progress func(backup.Progress)) error {
	progress(backup.Progress{Doing: "blobs"})
	n, unreadable, err := e.blobs.Verify(ctx, func(f error) { say("blobs", f.Error(), mendBlob) })
	v.Blobs, v.Unreadable = int64(n), v.Unreadable+int64(unreadable)
	return err
}

// services asks each service whether what its records name is there, and then for each blob whether anybody names it.
func (v *Verified) services(ctx context.Context, e *engines, set *services, say sayer, progress func(backup.Progress)) error {
	progress(backup.Progress{Doing: "jobs and events"})
	if _, err := e.jobs.Verify(ctx, func(f error) { say("jobs", f.Error(), mendRecords) }); err != nil {
		return err
	}
	if _, err := e.events.Verify(ctx, func(f error) { say("events", f.Error(), mendRecords) }); err != nil {
		return err
	}
	for _, r := range set.registrations {
		s, ok := r.Service.(interface {
			Verify(ctx context.Context, fault func(error)) (named int, err error)
		})
		if !ok {
			continue
		}
		progress(backup.Progress{Doing: r.Contract.Signing})
		if _, err := s.Verify(ctx, func(f error) { say(r.Contract.Signing, f.Error(), mendNamed) }); err != nil {
			return err
		}
	}
	keepers, looked := set.keepers(), int64(0)
	_, err := e.held.blobs.Sweep(ctx, time.Now().Add(time.Hour), func(id blob.ID) (bool, error) {
		if looked++; looked%1000 == 0 {
			progress(backup.Progress{Doing: "names of blobs", Done: looked, Of: v.Blobs})
		}
		for _, k := range keepers {
			kept, err := k.Keeps(ctx, id)
			if errs.Is(err, errs.Corrupt) { // told of already
				return true, nil
			}
			if err != nil || kept {
				return true, err
			}
		}
		v.Unnamed++
		return true, nil // it is only counted here
	})
	if errs.Is(err, errs.Corrupt) { // told of already
		err = nil
	}
	return err
}

// verifyOnline verifies within a server that serves: records and blobs by consistent views, while no blob is deleted. What it leaves to a stopped server is the
// comparison of the database's files byte by byte.
func (e *engines) verifyOnline(ctx context.Context, cfg *Config, set *services, fault func(Fault), progress func(backup.Progress)) (v Verified, err error) {
	say := v.sayer(fault)
	release := e.held.hold()
	defer func() { err = errors.Join(err, release(context.WithoutCancel(ctx))) }()
	n, faults := e.keys.VerifyFiles()
	v.Keys = int64(n)
	for _, f := range faults {
		say("keys", f.Error(), mendRestart)
	}
	if err := e.audit.Publish(ctx); err != nil {
		return v, err
	}
	progress(backup.Progress{Doing: "audit"})
	report, err := audit.VerifyTree(ctx, filepath.Join(cfg.DataDir, "audit"))
	switch {
	case errs.Is(err, errs.Corrupt):
		say("audit", err.Error(), mendAudit)
	case err != nil:
		return v, err
	}
	v.AuditEntries, v.AuditDropped = report.Size, report.Dropped
	for _, step := range []func() error{
		func() error { return v.records(ctx, e, say, progress) }, func() error { return v.blobs(ctx, e, say, progress) }, func() error { return v.services(ctx, e, set, say, progress) },
	} {
		if err := step(); err != nil {
			return v, err
		}
	}
	return v, nil
}

// repair makes what is derived of the records anew where it is not what it should be.
func (e *engines) repair(ctx context.Context, v *Verified, o *VerifyOptions) error {
	r, ok := e.records.(interface {
		Repair(ctx context.Context, dry bool, did func(string)) error
	})
	if !ok {
		return errs.New(errs.Unsupported, "--repair: this record back end has nothing that can be made anew")
	}
	o.Progress(backup.Progress{Doing: "repair"})
	return r.Repair(ctx, o.DryRun, func(what string) {
		v.Repaired++
		o.Repaired("records: " + what)
	})
}

// verifyFiles checks the database's files byte by byte, before an opening tidies them up.
func verifyFiles(cfg *Config, say sayer) error {
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

// away reports whether the stores did not open for something that is no damage: a database or an S3 that cannot be used, a disk without room. Then nothing can be said of
// the data.
func away(cfg *Config, err error) bool {
	elsewhere := cfg.Records != "" || cfg.Blobs != ""
	return errors.Is(err, syscall.ENOSPC) || elsewhere && !errs.Is(err, errs.Corrupt)
}

// openBare opens what can be opened of the stores.
func openBare(ctx context.Context, cfg *Config, say sayer) (e *engines, err error) {
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
	stored, err := openBlobs(ctx, cfg, e.keys)
	if err != nil {
		say("blobs", err.Error(), "restore the blobs from a backup")
		return e, nil
	}
	e.held = &heldBlobs{blobs: stored}
	e.blobs = e.held
	e.closers = append(e.closers, e.blobs.Close)
	return e, nil
}
