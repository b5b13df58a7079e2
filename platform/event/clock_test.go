package event

import (
	"testing"
	"time"
)

// A lease that a process wrote while its clock was years ahead keeps nobody from delivering once the clock is right.
func TestClockWasAhead(t *testing.T) {
	b, now := &Bus{cfg: Config{Lease: 10 * time.Second}}, time.Now()
	for ahead, want := range map[time.Duration]bool{-time.Hour: false, -1: false, time.Second: true, 10 * time.Second: true, 15 * time.Second: true, time.Minute: false, 10 * 365 * 24 * time.Hour: false} {
		if got := b.binds(now.Add(ahead), now); got != want {
			t.Errorf("a lease that ends %v from now binds: %v", ahead, got)
		}
	}
}
