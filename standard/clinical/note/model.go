package note

import (
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"

	"github.com/galen-health/galen/standard/clinical/lexicon"
	"github.com/galen-health/galen/standard/clinical/rouge"
	"github.com/galen-health/galen/standard/clinical/text"
	"github.com/galen-health/galen/standard/clinical/weights"
)

const (
	magic       = "galen-note-1"
	featureBits = 18
	outputs     = 11 // how much a sentence belongs into a note; then one a section
)

// model.bin is made by: go run ./standard/clinical/note/train -data DIR -out standard/clinical/note/model.bin
//
//go:embed model.bin
var model []byte

var table = sync.OnceValue(func() *weights.Table {
	t, err := ReadModel(bytes.NewReader(model))
	if err != nil {
		panic(err) // the embedded bytes are part of the program
	}
	return t
})

// ReadModel loads a model that WriteModel stored.
func ReadModel(r io.Reader) (*weights.Table, error) {
	in, err := weights.Open(r, magic)
	if err != nil {
		return nil, err
	}
	if n := in.Number(); n != featureBits {
		return nil, fmt.Errorf("note: model has features of %d bits, want %d", n, featureBits)
	}
	t := in.Table(outputs)
	return t, in.Err()
}

// WriteModel stores a model.
func WriteModel(out io.Writer, t *weights.Table) error {
	w := &weights.Writer{}
	w.Number(featureBits)
	w.Table(t)
	return w.Close(out, magic)
}

// features are the hashed features of a candidate.
func features(x *Candidate) []uint32 {
	var out []uint32
	add := func(parts ...string) {
		h := uint64(14695981039346656037)
		for _, p := range parts {
			for i := 0; i < len(p); i++ {
				h = (h ^ uint64(p[i])) * 1099511628211
			}
			h = (h ^ 1) * 1099511628211
		}
		h ^= h >> 32
		out = append(out, uint32(h*0x9e3779b97f4a7c15>>(64-featureBits)))
	}
	who := "p"
	if x.Clinician {
		who = "c"
	}
	if x.Answered {
		who = "a"
	}
	add("bias", who)
	pos := string(rune('0' + int(x.Position*9.99)))
	add("position", pos)
	add("position", pos, who)
	add("position", string(rune('0'+int(x.Position*24.99))))
	words := rouge.Words(x.Text)
	size := "long"
	for _, n := range []int{4, 6, 9, 13, 18, 25} {
		if len(words) <= n {
			size = string(rune('a' + n))
			break
		}
	}
	add("size", size, who)
	last := ""
	for _, w := range words {
		if w[0] >= '0' && w[0] <= '9' {
			add("digit", who)
			w = "0"
		}
		add("w", w)
		add("x", w, who)
		add("b", last, w)
		last = w
	}
	last = ""
	for _, w := range rouge.Words(x.Source) {
		add("s", w, who)
		add("t", last, w)
		last = w
	}
	for _, w := range rouge.Words(x.Context) {
		add("q", w)
	}
	toks := text.Tokenize(x.Text)
	classes := map[lexicon.Class]int{}
	for _, m := range lexicon.Default().All(x.Text, toks) {
		classes[m.Term.Class]++
		add("term", m.Term.Preferred)
	}
	for c, n := range classes {
		add("class", string(c))
		add("class", string(c), who)
		if n > 1 {
			add("classes", string(c), who)
		}
	}
	if len(classes) == 0 {
		add("no class", who)
	}
	if strings.HasPrefix(x.Text, "I ") || strings.Contains(x.Text, " I ") {
		add("clinician's I", who)
	}
	return out
}

// judge scores a candidate: how much it belongs into a note (a log-odds), and the probability of each section.
func judge(t *weights.Table, x *Candidate) (worth float64, sections [outputs - 1]float64) {
	scores := make([]float32, outputs)
	for _, f := range features(x) {
		t.Add(scores, f)
	}
	return float64(scores[0]), softmax(scores[1:])
}

func softmax(scores []float32) (out [outputs - 1]float64) {
	top := scores[0]
	for _, s := range scores {
		top = max(top, s)
	}
	sum := 0.0
	for i, s := range scores {
		out[i] = math.Exp(float64(s - top))
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

func best(p [outputs - 1]float64) int {
	k := 0
	for i := range p {
		if p[i] > p[k] {
			k = i
		}
	}
	return k
}

// judgeAll judges candidates in the order of a conversation. Its parts come one after the other, so a candidate's section is told with its neighbours'.
func judgeAll(t *weights.Table, all []Candidate) (worth []float64, sections [][outputs - 1]float64) {
	own := make([][outputs - 1]float64, len(all))
	worth = make([]float64, len(all))
	for i := range all {
		worth[i], own[i] = judge(t, &all[i])
	}
	sections = make([][outputs - 1]float64, len(all))
	for i := range all {
		for d, share := range near {
			for _, j := range []int{i - d, i + d} {
				if j < 0 || j >= len(all) || d == 0 && j != i {
					continue
				}
				for k, p := range own[j] {
					sections[i][k] += share * p
				}
			}
		}
	}
	return worth, sections
}

// near are the shares of neighbours at a distance.
var near = []float64{1, 0.5, 0.25}
