package bench

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"
)

// asked skips unless a measurement is wanted.
func asked(t *testing.T) context.Context {
	t.Helper()
	if os.Getenv("GALEN_BENCH") == "" {
		t.Skip("a measurement, run by make bench (GALEN_BENCH=1)")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// rounds is how often each measurement is repeated; the median counts.
const rounds = 5

func median(v []float64) float64 {
	s := slices.Clone(v)
	slices.Sort(s)
	return s[len(s)/2]
}

// row prints one line of RESULTS.md.
func row(t *testing.T, what, unit string, ours float64, peer string, theirs float64) {
	t.Helper()
	if peer == "" {
		t.Logf("| %s | %.4g %s | – | – |", what, ours, unit)
		return
	}
	t.Logf("| %s | %.4g %s | %s %.4g %s | %.2f |", what, ours, unit, peer, theirs, unit, ours/theirs)
}
