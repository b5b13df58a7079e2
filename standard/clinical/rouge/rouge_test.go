package rouge_test

import (
	"math"
	"testing"

	"github.com/galen-health/galen/standard/clinical/rouge"
)

func TestF1(t *testing.T) {
	for _, c := range []struct {
		n    int
		a, b string
		want float64
	}{
		{1, "The cat sat.", "the cat sat", 1}, {2, "The cat sat.", "the cat sat", 1}, {1, "the the the", "the cat", 0.4}, {2, "a b c", "b c d", 0.5},
		{1, "", "x", 0}, {2, "one", "one", 0}, {1, "20mg daily", "20 mg daily", 0.4},
	} {
		if got := rouge.F1(c.n, c.a, c.b); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("ROUGE-%d of %q against %q = %v, want %v", c.n, c.a, c.b, got, c.want)
		}
	}
}
