package crash_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/disk/disktest"
	"github.com/galen-health/galen/test/galen"
)

// The very first start, over a folder that is not there, is killed at a system call that changes the folder, or at any moment, up to three times over; the next one
// needs no hand. 3 folders, or $GALEN_CRASH_STARTS.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	calls := []struct {
		names string
		most  int // of each thread in a first start, about
	}{{"mkdir,mkdirat", 12}, {"openat", 60}, {"write,pwrite64", 40}, {"fsync,fdatasync,sync_file_range", 15}, {"rename,renameat,renameat2,link,linkat", 8}, {"unlink,unlinkat,ftruncate,fallocate", 6}}
	killed, rounds := 0, disktest.Rounds(t, "GALEN_CRASH_STARTS", 3)
	for n := range rounds {
		g := galen.New(t, filepath.Join(t.TempDir(), "data"), "--log-level", "error")
		for range 1 + rand.IntN(3) {
			if c := n % (len(calls) + 1); c < len(calls) {
				g.Under = injecting(t, calls[c].names, "signal=KILL", fmt.Sprint(1+rand.IntN(calls[c].most)))
				g.Launch()
				if !up(g) {
					killed++
				}
			} else {
				g.Under = nil
				g.Launch()
				if !g.Ended(rand.N(700 * time.Millisecond)) {
					killed++
				}
			}
			g.Kill()
		}
		g.Under = nil
		g.Run()
		l := newLoad(t, g)
		for i := range l.writers {
			if err := l.writers[i].write(t.Context(), 1); err != nil {
				t.Errorf("%s: %v", l.writers[i].name, err)
			}
		}
		g.Stop()
		verified(t, g)
		if t.Failed() {
			t.Fatalf("folder %d", n)
		}
	}
	t.Logf("%d folders whose first starts were killed, %d times in all: each serves and is whole", rounds, killed)
}
