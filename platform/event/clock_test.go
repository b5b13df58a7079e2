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

// A process that comes back takes what its server held; another's lease binds it.
func TestServerComesBack(t *testing.T) {
	named, nameless := &Bus{cfg: Config{Server: "one"}}, &Bus{}
	for owner, want := range map[string]bool{"one/1": true, "one more/1": false, "two/1": false, "/1": false, "": false} {
		if got := named.before(owner); got != want {
			t.Errorf("what %q holds was an earlier process's: %v", owner, got)
		}
		if nameless.before(owner) {
			t.Errorf("a server without a name takes what %q holds", owner)
		}
	}
}
