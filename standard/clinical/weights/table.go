package weights

import (
	"math"
	"sort"
)

// Table maps a feature to its weights, one an output, in open addressing over at most half-full slots.
type Table struct {
	n     int
	scale float32
	value [256]float32 // of a byte
	mask  uint32
	keys  []uint32 // feature+1; 0 = empty
	rows  []int8   // n a slot
}

func newTable(n, size int, scale float32) *Table {
	slots := 16
	for slots < 2*size {
		slots *= 2
	}
	t := &Table{n: n, scale: scale, mask: uint32(slots - 1), keys: make([]uint32, slots), rows: make([]int8, slots*n)}
	for q := -127; q <= 127; q++ {
		v := float32(q) / 127
		t.value[uint8(int8(q))] = v * abs(v) * scale
	}
	return t
}

func abs(v float32) float32 { return max(v, -v) }

func (t *Table) slot(f uint32) uint32 {
	i := f * 2654435761 >> 7 & t.mask
	for t.keys[i] != 0 && t.keys[i] != f+1 {
		i = (i + 1) & t.mask
	}
	return i
}

// Add adds the weights of feature f to the scores.
func (t *Table) Add(scores []float32, f uint32) {
	if i := t.slot(f); t.keys[i] != 0 {
		for l, q := range t.rows[int(i)*t.n : int(i)*t.n+t.n] {
			scores[l] += t.value[uint8(q)]
		}
	}
}

func (t *Table) row(f uint32) []int8 {
	if i := t.slot(f); t.keys[i] != 0 {
		return t.rows[int(i)*t.n : int(i)*t.n+t.n]
	}
	return nil
}

func (t *Table) put(f uint32, row []int8) {
	i := t.slot(f)
	t.keys[i] = f + 1
	copy(t.rows[int(i)*t.n:], row)
}

// Prune keeps the features with the largest spread of weights. w holds n weights a feature.
func Prune(w []float32, n, keep int) *Table {
	type feature struct {
		f      uint32
		spread float32
	}
	var all []feature
	top := float32(0)
	for f := 0; f < len(w)/n; f++ {
		lo, hi := w[f*n], w[f*n]
		for _, v := range w[f*n : f*n+n] {
			lo, hi = min(lo, v), max(hi, v)
		}
		if hi > lo {
			all = append(all, feature{uint32(f), hi - lo})
			top = max(top, hi, -lo)
		}
	}
	sort.Slice(all, func(i, j int) bool {
		if all[i].spread != all[j].spread {
			return all[i].spread > all[j].spread
		}
		return all[i].f < all[j].f
	})
	all = all[:min(keep, len(all))]
	t := newTable(n, len(all), top)
	row := make([]int8, n)
	for _, a := range all {
		for l := range row {
			v := float64(w[int(a.f)*n+l] / top)
			row[l] = int8(math.Round(math.Copysign(math.Sqrt(math.Abs(v)), v) * 127))
		}
		t.put(a.f, row)
	}
	return t
}
