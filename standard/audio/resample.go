package audio

import "math"

// resampler brings a stream to another rate: each output sample is the input weighted by a Hann-windowed sinc, cut off at the lower of the two
// Nyquist frequencies. The weights repeat, so they are computed once for each of the phases.
type resampler struct {
	from, to int
	half     int // input samples on each side
	phases   [][]float32
	buf      []float32 // input not yet used up; begins at input sample start
	start    int64
	next     int64 // output samples made
	total    int64 // input samples taken
	out      []int16
}

const taps = 16 // zero crossings on each side

func newResampler(from, to int) *resampler {
	g := gcd(from, to)
	r := &resampler{from: from / g, to: to / g}
	if r.from == r.to {
		return r
	}
	cut := min(1, float64(r.to)/float64(r.from))
	r.half = int(math.Ceil(taps / cut))
	n := min(r.to, 512) // rates with a larger common fraction take the nearest phase
	r.phases = make([][]float32, n)
	for p := range r.phases {
		w := make([]float32, 2*r.half)
		shift := float64(p) / float64(n)
		sum := 0.0
		for i := range w {
			x := float64(i-r.half+1) - shift
			v := cut
			if x != 0 {
				v = math.Sin(math.Pi*x*cut) / (math.Pi * x)
			}
			v *= 0.5 + 0.5*math.Cos(math.Pi*x/float64(r.half+1))
			w[i] = float32(v)
			sum += v
		}
		for i := range w {
			w[i] = float32(float64(w[i]) / sum)
		}
		r.phases[p] = w
	}
	r.buf = make([]float32, r.half) // silence before the beginning
	r.start = -int64(r.half)
	return r
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func (r *resampler) write(x []float32) {
	r.total += int64(len(x))
	if r.phases == nil {
		for _, v := range x {
			r.out = append(r.out, quantise(v))
		}
		return
	}
	r.buf = append(r.buf, x...)
	for {
		at := r.next * int64(r.from)
		whole, rest := at/int64(r.to), at%int64(r.to)
		first := whole - int64(r.half) + 1
		if first+2*int64(r.half) > r.start+int64(len(r.buf)) {
			break
		}
		w := r.phases[int(rest)*len(r.phases)/r.to]
		in := r.buf[first-r.start:]
		sum := float32(0)
		for i, c := range w {
			sum += c * in[i]
		}
		r.out = append(r.out, quantise(sum))
		r.next++
	}
	at := r.next * int64(r.from) / int64(r.to)
	if used := at - int64(r.half) - r.start; used > 1<<14 {
		r.buf = append(r.buf[:0], r.buf[used:]...)
		r.start += used
	}
}

// finish gives the whole output: as long as the input.
func (r *resampler) finish() []int16 {
	if r.phases == nil {
		return r.out
	}
	total := r.total
	r.write(make([]float32, 2*r.half+r.from/r.to+2))
	want := (total*int64(r.to) + int64(r.from) - 1) / int64(r.from)
	return r.out[:min(want, int64(len(r.out)))]
}

func quantise(v float32) int16 {
	return int16(max(-32768, min(32767, math.Round(float64(v)*32768))))
}
