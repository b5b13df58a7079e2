package tagger

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/galen-health/galen/standard/clinical/weights"
)

// Sentence is one labelled sentence; Labels are IOB: "O", "B-Disease", "I-Disease". Unknown[x] marks a type that the annotators of this
// sentence did not look for: nothing is learned about it here.
type Sentence struct {
	Tokens  []string
	Labels  []string
	Unknown map[string]bool
}

// Train learns from sentences in some epochs and keeps the strongest weights. types are the entity types in the order of their labels.
func Train(sentences []Sentence, types []string, epochs, keep int) (*Tagger, error) {
	labels := []string{"O"}
	for _, t := range types {
		labels = append(labels, "B-"+t, "I-"+t)
	}
	index := map[string]int{}
	for i, l := range labels {
		index[l] = i
	}
	n := len(labels)
	p := &perceptron{n: n, w: make([]float32, n<<bits), u: make([]float64, n<<bits), trans: make([]float32, (n+1)*n), tu: make([]float64, (n+1)*n)}
	type example struct {
		feats   [][]uint32
		gold    []int
		blocked []bool
	}
	data := make([]example, 0, len(sentences))
	for _, s := range sentences {
		e := example{gold: make([]int, len(s.Tokens)), feats: make([][]uint32, len(s.Tokens)), blocked: make([]bool, n)}
		ws := make([]word, len(s.Tokens))
		for i, tok := range s.Tokens {
			ws[i] = see(tok)
		}
		for i := range s.Tokens {
			l, ok := index[s.Labels[i]]
			if !ok {
				return nil, fmt.Errorf("tagger: label %q is of none of the types %v", s.Labels[i], types)
			}
			e.gold[i], e.feats[i] = l, features(nil, ws, i)
		}
		for i, l := range labels {
			_, t, _ := strings.Cut(l, "-")
			e.blocked[i] = s.Unknown[t]
		}
		if len(s.Tokens) > 0 {
			data = append(data, e)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	order := make([]int, len(data))
	for i := range order {
		order[i] = i
	}
	for range epochs {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, k := range order {
			p.learn(data[k].feats, data[k].gold, data[k].blocked)
		}
	}
	return p.tagger(labels, keep), nil
}

// perceptron holds weights and, for averaging, the sum of each update times the step it was made at.
type perceptron struct {
	n        int
	w, trans []float32
	u, tu    []float64
	step     float64
	emit     []float32
}

func (p *perceptron) learn(feats [][]uint32, gold []int, blocked []bool) {
	n := p.n
	p.step++
	if cap(p.emit) < len(gold)*n {
		p.emit = make([]float32, len(gold)*n)
	}
	emit := p.emit[:len(gold)*n]
	clear(emit)
	for i, fs := range feats {
		row := emit[i*n : i*n+n]
		for _, f := range fs {
			w := p.w[int(f)*n : int(f)*n+n]
			for l := range row {
				row[l] += w[l]
			}
		}
		for l := range row {
			if blocked[l] {
				row[l] = -1e6
			}
		}
	}
	guess := viterbi(emit, p.trans, n, len(gold))
	pg, pp := -1, -1
	for i, g := range gold {
		if y := guess[i]; y != g {
			for _, f := range feats[i] {
				p.add(int(f)*n+g, 1)
				p.add(int(f)*n+y, -1)
			}
		}
		if pg != pp || g != guess[i] {
			p.addTrans((pg+1)*n+g, 1)
			p.addTrans((pp+1)*n+guess[i], -1)
		}
		pg, pp = g, guess[i]
	}
}

func (p *perceptron) add(i int, d float32) {
	p.w[i] += d
	p.u[i] += p.step * float64(d)
}

func (p *perceptron) addTrans(i int, d float32) {
	p.trans[i] += d
	p.tu[i] += p.step * float64(d)
}

func (p *perceptron) tagger(labels []string, keep int) *Tagger {
	for i := range p.w {
		p.w[i] -= float32(p.u[i] / (p.step + 1))
	}
	t := &Tagger{labels: labels, trans: make([]float32, len(p.trans))}
	for i := range p.trans {
		t.trans[i] = p.trans[i] - float32(p.tu[i]/(p.step+1))
	}
	t.table = weights.Prune(p.w, len(labels), keep)
	return t
}
