package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/pebble"
	"github.com/galen-health/galen/platform/record/postgres"
)

// records is a back end of package record as the wiring needs it.
type records interface {
	record.Store
	Verify(ctx context.Context, fault func(string)) (records, unreadable int64, err error)
}

// recordsAt is the file of the data folder that names the database where its records are: its id, then its address for people. A start that would look for them
// elsewhere is refused.
const recordsAt = "records.at"

// recordsOf reads which database a data folder names; "" = none.
func recordsOf(dir string) (id, address string, err error) {
	at, err := os.ReadFile(filepath.Join(dir, recordsAt))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", "", errs.Wrap(errs.Unavailable, err, "%s in the data folder cannot be read", recordsAt)
	}
	id, address, _ = strings.Cut(strings.TrimSpace(string(at)), " ")
	return id, address, nil
}

// openRecords opens the records of a data folder where the configuration says that they are.
func openRecords(ctx context.Context, cfg *Config, keys key.Ring) (records, error) {
	id, address, err := recordsOf(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cfg.DataDir, "records")
	if cfg.Records == "" {
		if id != "" {
			return nil, errs.New(errs.Conflict, "the records of %s are in PostgreSQL (%s): start with --records, or remove the file %s to begin without them", cfg.DataDir, address, recordsAt)
		}
		s, err := pebble.Open(dir, keys, pebble.Options{})
		if err != nil {
			return nil, err // not a nil *Store in the interface
		}
		return s, nil
	}
	if _, err := os.Stat(filepath.Join(dir, "KEY")); err == nil && id == "" {
		return nil, errs.New(errs.Conflict, "%s holds records: give --records an empty data folder, or leave --records out", dir)
	}
	s, err := postgres.Open(ctx, cfg.Records, keys, postgres.Options{})
	if err != nil {
		return nil, err
	}
	switch {
	case id == s.ID():
		return s, nil
	case id != "":
		return nil, errors.Join(errs.New(errs.Conflict, "the records of %s are in another database (%s): correct --records", cfg.DataDir, address), s.Close())
	}
	if err := writeSynced(filepath.Join(cfg.DataDir, recordsAt), []byte(s.ID()+" "+s.Where()+"\n")); err != nil {
		return nil, errors.Join(errs.Wrap(errs.Unavailable, err, "%s cannot be written", recordsAt), s.Close())
	}
	return s, nil
}

// serverIDFile has the data folder's own name.
const serverIDFile = "server.id"

// serverID is the data folder's own name among the servers that share a record database; "" when its records are its own.
func serverID(cfg *Config) (string, error) {
	if cfg.Records == "" {
		return "", nil
	}
	name := filepath.Join(cfg.DataDir, serverIDFile)
	b, err := os.ReadFile(name)
	if err == nil {
		if id := strings.TrimSpace(string(b)); len(id) == 32 && strings.Trim(id, "0123456789abcdef") == "" {
			return id, nil
		}
		return "", errs.New(errs.Corrupt, "%s does not hold 32 hexadecimal digits: restore it from a backup, or remove it to begin a new index of the audit log", name)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", errs.Wrap(errs.Unavailable, err, "%s cannot be read", name)
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails on supported systems
	err = writeSynced(name+".new", []byte(hex.EncodeToString(id[:])+"\n"))
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	if err == nil {
		err = syncPath(cfg.DataDir)
	}
	if err != nil {
		return "", errs.Wrap(errs.Unavailable, err, "%s cannot be written", name)
	}
	return hex.EncodeToString(id[:]), nil
}

// checkRecords refuses an address that cannot be one, before anything is opened.
func (c *Config) checkRecords() error {
	if c.Records == "" {
		return nil
	}
	if err := postgres.Check(c.Records); err != nil {
		return fmt.Errorf("--records: %w", err)
	}
	return nil
}
