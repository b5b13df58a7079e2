package oidc

import "time"

// SetClock replaces the clock of remote keys.
func SetClock(r *Remote, now func() time.Time) { r.now = now }
