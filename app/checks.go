package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
)

// usualFree is how much of the data folder's disk must be free, unless the operator says otherwise: above what the record store keeps in reserve, so that the server
// is taken out before writes are refused.
const usualFree = 256 << 20

// probeSpace holds the one record that readiness writes.
const probeSpace record.Space = "galen/readiness"

type probe struct {
	Time time.Time `json:"time"`
}

var probes = record.Kind[probe]{Name: "galen.probe", Volatile: true}

// openProbe makes the probe's place.
func (e *engines) openProbe(ctx context.Context) error {
	if err := e.records.Declare(probes.Def()); err != nil {
		return err
	}
	return e.records.CreateSpace(ctx, probeSpace, key.Ref{})
}

// checks are the questions that readiness asks: each does what the engine is there for, and costs no more than one small write.
func (e *engines) checks(cfg *Config) []check {
	free := uint64(cfg.MinFree)
	if free == 0 {
		free = usualFree
	}
	return []check{
		{"disk", func(context.Context) error { return diskHasRoom(cfg.DataDir, free) }},
		{"records", e.askRecords},
		{"blobs", e.askBlobs},
		{"keys", e.askKeys},
		{"audit", func(context.Context) error { return e.askAudit(filepath.Join(cfg.DataDir, "audit")) }},
		{"background", func(context.Context) error {
			if err := e.ended.Load(); err != nil {
				return *err
			}
			return nil
		}},
	}
}

// askRecords commits a record and reads it back.
func (e *engines) askRecords(ctx context.Context) error {
	now := time.Now().UTC()
	if _, err := e.records.Update(ctx, probeSpace, nil, func(tx record.Tx) error { return probes.Put(tx, "probe", &probe{now}) }); err != nil {
		return err
	}
	v, err := e.records.View(ctx, probeSpace)
	if err != nil {
		return err
	}
	defer v.Close()
	got, _, err := probes.Get(v, "probe")
	if err == nil && got.Time.Before(now) {
		err = errs.New(errs.Internal, "a record that was just written reads as it was before")
	}
	return err
}

// askBlobs looks for a blob that nobody has: only a back end that is reached knows that.
func (e *engines) askBlobs(ctx context.Context) error {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails on supported systems
	if _, err := e.blobs.Stat(ctx, blob.ID(hex.EncodeToString(id[:]))); !errs.Is(err, errs.NotFound) {
		if err == nil {
			err = errs.New(errs.Internal, "a blob that nobody wrote is there")
		}
		return err
	}
	return nil
}

// askKeys makes a data key and opens it.
func (e *engines) askKeys(ctx context.Context) error {
	made, err := e.keys.DataKey(ctx, key.Ref{})
	if err != nil {
		return err
	}
	defer clear(made.Plain)
	opened, err := e.keys.Open(ctx, made.Wrapped, nil)
	if err != nil {
		return err
	}
	clear(opened.Plain)
	return nil
}

// askAudit asks the log, which tells of its first failure for good, and looks for its folder. It adds no entry: nobody did anything.
func (e *engines) askAudit(dir string) error {
	if err := e.audit.Err(); err != nil {
		return err
	}
	for _, name := range []string{"journal", "log/.state/treeState"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return errs.Wrap(errs.Unavailable, err, "the folder of the audit log cannot be looked at")
		}
	}
	return nil
}

// diskHasRoom looks at the disk of the data folder.
func diskHasRoom(dir string, need uint64) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return errs.Wrap(errs.Unavailable, err, "the disk of %s cannot be looked at", dir)
	}
	if free := st.Bavail * uint64(st.Bsize); free < need {
		return errs.New(errs.Exhausted, "%d MiB are free on the disk of %s, less than the %d MiB that serving needs: make room", free>>20, dir, need>>20)
	}
	return nil
}

// loopback reports whether an address can be reached from this machine alone.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
