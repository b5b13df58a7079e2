package app

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/platform/audit/ship"
)

// openShipping makes what copies the audit log to the operator's receivers.
func openShipping(cfg *Config, e *engines) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	dir := filepath.Join(cfg.DataDir, "audit")
	id, err := audit.Verifier(dir)
	if err != nil {
		return err
	}
	var receivers []*ship.Shipper
	for _, to := range cfg.AuditTo {
		s, err := ship.New(e.audit, filepath.Join(dir, "shipped"), to, host, id, e.log)
		if err != nil {
			return err
		}
		e.runs = append(e.runs, s.Run)
		receivers = append(receivers, s)
	}
	keep, err := parseRetention(cfg.AuditRetention)
	if keep > 0 && err == nil {
		r := retention{keep: keep, log: e.audit, receivers: receivers, now: time.Now, out: e.log}
		e.ticks = append(e.ticks, r.tick)
	}
	return err
}

// retention drops old audit entries, now and then.
type retention struct {
	keep      time.Duration
	log       *audit.Merkle
	receivers []*ship.Shipper
	now       func() time.Time
	next      time.Time
	out       *slog.Logger
}

const retainEvery = time.Hour

func (r *retention) tick(ctx context.Context) error {
	now := r.now()
	if now.Before(r.next) {
		return nil
	}
	r.next = now.Add(retainEvery)
	most := uint64(math.MaxUint64)
	for _, s := range r.receivers { // what one has not had stays
		most = min(most, s.Next())
	}
	n, err := r.log.Retain(ctx, now.Add(-r.keep), most)
	if n > 0 {
		r.out.Info("audit entries were dropped by retention", "entries", n, "firstKept", r.log.First())
	}
	return err
}

// parseRetention reads a time to keep: 7y, 400d, or 0 for ever. It is never below what LookupEvents answers for.
func parseRetention(s string) (time.Duration, error) {
	if s == "" || s == "0" {
		return 0, nil
	}
	unit := map[byte]time.Duration{'d': 24 * time.Hour, 'y': 366 * 24 * time.Hour}[s[len(s)-1]]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 16)
	if err != nil || unit == 0 || n == 0 || n > uint64(100*366*24*time.Hour/unit) {
		return 0, fmt.Errorf("--audit-retention %q is neither years (7y) nor days (400d), up to 100 years; 0 keeps the audit log for ever", s)
	}
	keep := time.Duration(n) * unit
	if keep < audit.MinRetention {
		return 0, fmt.Errorf("--audit-retention %q is below %d days, for which LookupEvents answers", s, int(audit.MinRetention.Hours()/24))
	}
	return keep, nil
}
