package tagger

import (
	"math"

	"github.com/galen-health/galen/standard/clinical/weights"
)

// Tagger labels tokens. It is read-only and safe for use by many at once.
type Tagger struct {
	labels []string
	table  *weights.Table
	trans  []float32 // [previous+1][label]; row 0 = sentence start
}

// Labels are the label names in order; O is the first.
func (t *Tagger) Labels() []string { return t.labels }

// Entity is a labelled span of tokens, [Begin, End).
type Entity struct {
	Begin, End int
	Label      string
	// Margin is how much score per token the best labelling loses without this entity: the larger, the surer.
	Margin float32
}

// Tag finds the entities of one sentence.
func (t *Tagger) Tag(tokens []string) []Entity {
	if len(tokens) == 0 {
		return nil
	}
	emit := t.emissions(tokens)
	path := t.viterbi(emit, len(tokens))
	var out []Entity
	for i := 0; i < len(path); i++ {
		l := path[i]
		if l == 0 {
			continue
		}
		j := i + 1
		for j < len(path) && path[j] == inside(l) {
			j++
		}
		out = append(out, Entity{i, j, t.labels[l][2:], t.margin(emit, i, j, l)})
		i = j - 1
	}
	return out
}

// inside is the I label of a B label (odd) or of itself (even).
func inside(l int) int {
	if l%2 == 1 {
		return l + 1
	}
	return l
}

// allowed reports whether label l may follow p (-1 = sentence start).
func allowed(p, l int) bool {
	return l == 0 || l%2 == 1 || p > 0 && inside(p) == l
}

func (t *Tagger) margin(emit []float32, i, j, l int) float32 {
	n := len(t.labels)
	sum := float32(0)
	for k := i; k < j; k++ {
		lab := l
		if k > i {
			lab = inside(l)
		}
		sum += emit[k*n+lab] - emit[k*n]
	}
	return sum / float32(j-i)
}

func (t *Tagger) emissions(tokens []string) []float32 {
	n := len(t.labels)
	ws := make([]word, len(tokens))
	for i, s := range tokens {
		ws[i] = see(s)
	}
	emit := make([]float32, len(tokens)*n)
	var buf [48]uint32
	for i := range tokens {
		row := emit[i*n : i*n+n]
		for _, f := range features(buf[:0], ws, i) {
			t.table.Add(row, f)
		}
	}
	return emit
}

func (t *Tagger) viterbi(emit []float32, length int) []int {
	return viterbi(emit, t.trans, len(t.labels), length)
}

// viterbi returns the best labelling under the IOB constraints.
func viterbi(emit, trans []float32, n, length int) []int {
	back := make([]int8, length*n)
	score, next := make([]float32, n), make([]float32, n)
	for l := 0; l < n; l++ {
		score[l] = float32(math.Inf(-1))
		if allowed(-1, l) {
			score[l] = emit[l] + trans[l]
		}
	}
	for i := 1; i < length; i++ {
		for l := 0; l < n; l++ {
			best, from := float32(math.Inf(-1)), 0
			for p := 0; p < n; p++ {
				if s := score[p] + trans[(p+1)*n+l]; s > best && allowed(p, l) {
					best, from = s, p
				}
			}
			next[l], back[i*n+l] = best+emit[i*n+l], int8(from)
		}
		score, next = next, score
	}
	path := make([]int, length)
	for l := 1; l < n; l++ {
		if score[l] > score[path[length-1]] {
			path[length-1] = l
		}
	}
	for i := length - 1; i > 0; i-- {
		path[i-1] = int(back[i*n+path[i]])
	}
	return path
}
