package disktest

import (
	"os"
	"strconv"
	"testing"
)

// The environment variables that lengthen the crash and fault tests of all packages; docs/reliability.md says what the long forms found.
const (
	Kills = "GALEN_CRASH_KILLS" // processes killed with SIGKILL, a store
	Cuts  = "GALEN_CRASH_CUTS"  // simulated power cuts, a store
	Flips = "GALEN_CRASH_FLIPS" // flipped bits, a store
)

// Rounds is how often a test repeats: as the environment says, else a tenth of usual with -short, else usual.
func Rounds(t testing.TB, env string, usual int) int {
	t.Helper()
	if n, err := strconv.Atoi(os.Getenv(env)); err == nil && n > 0 {
		return n
	}
	if testing.Short() {
		return max(1, usual/10)
	}
	return usual
}
