package app

import (
	"os"
	"path/filepath"

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
	for _, to := range cfg.AuditTo {
		s, err := ship.New(e.audit, filepath.Join(dir, "shipped"), to, host, id, e.log)
		if err != nil {
			return err
		}
		e.runs = append(e.runs, s.Run)
	}
	return nil
}
