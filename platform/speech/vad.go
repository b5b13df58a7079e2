package speech

import (
	"math"
	"slices"
)

// stretch is samples [begin, end) that hold speech.
type stretch struct{ begin, end int }

const (
	frame     = Rate / 50 // 20 ms
	hangover  = 15        // frames that a pause must last to end a stretch: 0.3 s
	shortest  = 8         // frames of speech in a stretch that counts
	padding   = 8         // frames kept around it
	longest   = 14 * 50   // frames of a stretch; a longer one is cut at its quietest place
	cutWindow = 4 * 50    // how far from its end that place may be
)

// voiced finds speech by energy: frames louder than the background, which is followed as the quiet tenth of the last seconds.
func voiced(samples []int16) []stretch {
	n := len(samples) / frame
	level := make([]float64, n)
	for i := range level {
		sum := 0.0
		for _, v := range samples[i*frame : (i+1)*frame] {
			sum += float64(v) * float64(v)
		}
		level[i] = 10 * math.Log10(sum/frame+1)
	}
	floor := background(level)
	var out []stretch
	begin, last, loud := -1, 0, 0
	flush := func() {
		if begin >= 0 && loud >= shortest {
			out = append(out, cut(level, max(0, begin-padding), min(n, last+1+padding))...)
		}
		begin, loud = -1, 0
	}
	for i, l := range level {
		if l > floor[i]+9 && l > 32 {
			if begin < 0 {
				begin = i
			}
			last = i
			loud++
		} else if begin >= 0 && i-last > hangover {
			flush()
		}
	}
	flush()
	for i := range out {
		if i > 0 && out[i].begin < out[i-1].end { // paddings meet
			mid := (out[i].begin + out[i-1].end) / 2
			out[i].begin, out[i-1].end = mid, mid
		}
	}
	for i := range out {
		out[i].begin *= frame
		out[i].end *= frame
	}
	return out
}

// background is the level that a tenth of the surrounding eight seconds lies below.
func background(level []float64) []float64 {
	const window, step = 8 * 50, 50
	out := make([]float64, len(level))
	for at := 0; at < len(level); at += step {
		b, e := max(0, at-window/2), min(len(level), at+window/2)
		sorted := slices.Clone(level[b:e])
		slices.Sort(sorted)
		f := min(sorted[len(sorted)/10], 55) // speech without a pause has no background in it
		for i := at; i < min(at+step, len(level)); i++ {
			out[i] = f
		}
	}
	return out
}

// cut divides a stretch that is too long at quiet places.
func cut(level []float64, begin, end int) []stretch {
	var out []stretch
	for end-begin > longest {
		best := begin + longest
		for i := begin + longest - cutWindow; i < begin+longest; i++ {
			if level[i] < level[best] {
				best = i
			}
		}
		out = append(out, stretch{begin, best})
		begin = best
	}
	return append(out, stretch{begin, end})
}
