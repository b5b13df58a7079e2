package app

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/galen-health/galen/platform/disk"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key/keyring"
)

// CheckFolder says why a data folder cannot be served, by its files alone: it opens, locks and changes nothing, so that a start that cannot succeed leaves all as it was.
// A folder that is absent or empty is fine: a start makes it.
func CheckFolder(cfg Config) error {
	dir := cfg.DataDir
	has := func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return mayMake(dir)
	case err != nil:
		return errs.Wrap(errs.Unavailable, err, "the data folder %s cannot be looked at: give this user its permissions", dir)
	case !info.IsDir():
		return errs.New(errs.Invalid, "the data folder %s is a file", dir)
	}
	if err := CheckWritable(dir); err != nil {
		return err
	}
	if err := notRestoring(dir); err != nil {
		return err
	}
	ring := false
	for _, name := range keyring.Files() {
		b, err := os.ReadFile(filepath.Join(cfg.keys(), name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if errors.Is(err, fs.ErrPermission) {
			return errs.Wrap(errs.Unavailable, err, "this user may not read the keys in %s: run as the user who owns the data folder", dir)
		}
		if err != nil {
			return errs.Wrap(errs.Unavailable, err, "the keys in %s cannot be read: mend the disk", dir)
		}
		ring = true
		if err := keyring.CheckFormat(b); err != nil {
			return errs.Wrap(errs.Unsupported, err, "the keys of %s are of a newer version of Galen: use that version, or a newer one", dir)
		}
	}
	if has(firstStartFile) { // nothing was ever served of it: what is missing was not made yet, and the start goes on making it
		return nil
	}
	data := has("records/KEY") || has(recordsAt) || has("audit/signer.json")
	switch {
	case data && !ring:
		return errs.New(errs.Corrupt, "%s has data but not its keys (%s): the folder was copied by half. Copy all of it, or restore it from a backup", dir, cfg.keys())
	case has("records/KEY") && !has("records/db"):
		return errs.New(errs.Corrupt, "%s has the key of the records but not records/db: the folder was copied by half. Copy all of it, or restore it from a backup", dir)
	case has("records/db") && !has("records/KEY"):
		return errs.New(errs.Corrupt, "%s has records/db but not its key records/KEY: the folder was copied by half. Copy all of it, or restore it from a backup", dir)
	case has("audit/signer.json") && !has("records/KEY") && !has(recordsAt):
		return errs.New(errs.Corrupt, "%s has an audit log but no records: the folder was copied by half. Copy all of it, or restore it from a backup", dir)
	case (has("records/KEY") || has(recordsAt)) && !has("audit"):
		return errs.New(errs.Corrupt, "%s has records but no audit log: the folder was copied by half. Copy all of it, or restore it from a backup", dir)
	case has("audit/signer.json") && !has("blobs") && !has(blobsAt):
		return errs.New(errs.Corrupt, "%s has an audit log but no blobs: the folder was copied by half. Copy all of it, or restore it from a backup", dir)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "records", "KEY")); err == nil && len(b) >= 10 && string(b[:8]) == "GALENREC" {
		if f := binary.BigEndian.Uint16(b[8:]); f > recordsFormat {
			return errs.New(errs.Unsupported, "the records of %s have format %d, this version of Galen reads %d: use the version that wrote them, or a newer one", dir, f, recordsFormat)
		}
	}
	var log struct{ Format int }
	if b, err := os.ReadFile(filepath.Join(dir, "audit", "signer.json")); err == nil && json.Unmarshal(b, &log) == nil && log.Format > auditFormat {
		return errs.New(errs.Unsupported, "the audit log of %s has format %d, this version of Galen reads %d: use the version that wrote it, or a newer one", dir, log.Format, auditFormat)
	}
	return nil
}

// InUse reports whether a server has a data folder open. The folder of its keys may be another, or others' too; its audit log is its own.
func InUse(dir string) bool {
	for _, part := range []string{"keys", filepath.Join("audit", "journal")} {
		if held, err := disk.Held(filepath.Join(dir, part)); err == nil && held {
			return true
		}
	}
	return false
}

// startRoom is what must be free on the disk: a start that runs out of room half-way tells of what it could not write, not of why.
const startRoom = 8 << 20

// parts are our folders in a data folder. Others may lie beside them, as lost+found does on a disk of its own.
var parts = []string{"keys", "records", "blobs", "audit", "events", "sql"}

// CheckWritable says why nothing can be written in a data folder and its parts.
func CheckWritable(dir string) error {
	if err := mayWrite(dir); err != nil {
		return err
	}
	for _, name := range parts {
		if err := mayWrite(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return room(dir)
}

// mayMake says why a folder that is not there cannot be made.
func mayMake(dir string) error {
	for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
		if _, err := os.Stat(parent); err == nil || parent == filepath.Dir(parent) {
			return errors.Join(mayWrite(parent), room(parent))
		}
	}
}

// mayWrite has nothing to say of a folder that is not there.
func mayWrite(dir string) error {
	const read, write, search = 4, 2, 1
	switch err := syscall.Access(dir, read|write|search); {
	case errors.Is(err, syscall.EROFS):
		return errs.New(errs.Unavailable, "the disk of %s is mounted read-only: mount it for writing (the kernel mounts a disk so after an error: look at its log)", dir)
	case errors.Is(err, fs.ErrPermission):
		return errs.New(errs.Denied, "this user may not read and write %s: run as the user who owns it, or chown it", dir)
	}
	return nil
}

func room(dir string) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err == nil && st.Bavail*uint64(st.Bsize) < startRoom {
		return errs.New(errs.Exhausted, "the disk of %s is full: make room. Nothing that was stored is lost", dir)
	}
	return nil
}

// The formats that this version reads; see docs/formats/record.md and audit.md.
const (
	recordsFormat = 1
	auditFormat   = 1
)
