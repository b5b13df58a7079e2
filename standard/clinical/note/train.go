package note

import (
	"math"
	"math/rand/v2"

	"github.com/galen-health/galen/standard/clinical/weights"
)

// Example is a labelled candidate. Worth is how much of it the reference note says, 0–1, NaN when unknown; Section is its index in Sections, -1
// when unknown.
type Example struct {
	Candidate
	Worth   float64
	Section int
	Weight  float64
}

// Train fits logistic regressions by AdaGrad and keeps the strongest features. It is deterministic.
func Train(examples []Example, epochs, keep int, decay float64) *weights.Table {
	w := make([]float32, outputs<<featureBits)
	g := make([]float32, outputs<<featureBits)
	feats := make([][]uint32, len(examples))
	order := make([]int, len(examples))
	for i := range examples {
		feats[i] = features(&examples[i].Candidate)
		order[i] = i
	}
	rng := rand.New(rand.NewPCG(3, 4))
	scores := make([]float32, outputs)
	for range epochs {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, k := range order {
			e := &examples[k]
			clear(scores)
			for _, f := range feats[k] {
				for l := range scores {
					scores[l] += w[int(f)*outputs+l]
				}
			}
			var d [outputs]float64
			if !math.IsNaN(e.Worth) {
				d[0] = e.Worth - 1/(1+math.Exp(-float64(scores[0])))
			}
			if e.Section >= 0 {
				for l, p := range softmax(scores[1:]) {
					d[l+1] = -p
				}
				d[e.Section+1]++
			}
			for _, f := range feats[k] {
				for l := range d {
					if d[l] == 0 {
						continue
					}
					i := int(f)*outputs + l
					grad := float32(d[l]*e.Weight) - float32(decay)*w[i]
					g[i] += grad * grad
					w[i] += 0.1 * grad / (float32(math.Sqrt(float64(g[i]))) + 0.1)
				}
			}
		}
	}
	return weights.Prune(w, outputs, keep)
}
