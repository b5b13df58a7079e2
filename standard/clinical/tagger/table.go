package tagger

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"sort"
)

// table maps a feature to its weights, one a label, in open addressing over at most half-full slots. A weight is a byte q that stands for
// sign(q)·(q/127)²·scale: small weights, which are many, keep their differences.
type table struct {
	n     int
	scale float32
	value [256]float32 // of a byte
	mask  uint32
	keys  []uint32 // feature+1; 0 = empty
	rows  []int8   // n a slot
}

func newTable(n, size int, scale float32) table {
	slots := 16
	for slots < 2*size {
		slots *= 2
	}
	t := table{n: n, scale: scale, mask: uint32(slots - 1), keys: make([]uint32, slots), rows: make([]int8, slots*n)}
	for q := -127; q <= 127; q++ {
		v := float32(q) / 127
		t.value[uint8(int8(q))] = v * abs(v) * scale
	}
	return t
}

func abs(v float32) float32 { return max(v, -v) }

func (t *table) slot(f uint32) uint32 {
	i := f * 2654435761 >> 7 & t.mask
	for t.keys[i] != 0 && t.keys[i] != f+1 {
		i = (i + 1) & t.mask
	}
	return i
}

func (t *table) row(f uint32) []int8 {
	if i := t.slot(f); t.keys[i] != 0 {
		return t.rows[int(i)*t.n : int(i)*t.n+t.n]
	}
	return nil
}

func (t *table) put(f uint32, row []int8) {
	i := t.slot(f)
	t.keys[i] = f + 1
	copy(t.rows[int(i)*t.n:], row)
}

// prune keeps the features with the largest spread of weights, in 8 bits each.
func prune(w []float32, n, keep int) table {
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

const magic = "GTAG1\n"

// Write stores a model: magic, then deflated: labels, transitions, scale, count, feature deltas, weights by label.
func (t *Tagger) Write(w io.Writer) error {
	var b bytes.Buffer
	b.WriteByte(byte(len(t.labels)))
	for _, l := range t.labels {
		b.WriteByte(byte(len(l)))
		b.WriteString(l)
	}
	var features []uint32
	for _, k := range t.table.keys {
		if k != 0 {
			features = append(features, k-1)
		}
	}
	sort.Slice(features, func(i, j int) bool { return features[i] < features[j] })
	number := func(v uint32) { b.Write(binary.LittleEndian.AppendUint32(nil, v)) }
	for _, v := range t.trans {
		number(math.Float32bits(v))
	}
	number(math.Float32bits(t.table.scale))
	number(uint32(len(features)))
	last := uint32(0)
	for _, f := range features {
		b.Write(binary.AppendUvarint(nil, uint64(f-last)))
		last = f
	}
	for l := 0; l < t.table.n; l++ {
		for _, f := range features {
			b.WriteByte(byte(t.table.row(f)[l]))
		}
	}
	if _, err := io.WriteString(w, magic); err != nil {
		return err
	}
	z, err := flate.NewWriter(w, flate.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(b.Bytes()); err != nil {
		return err
	}
	return z.Close()
}

// maxModel bounds a model's unpacked size.
const maxModel = 64 << 20

// Read loads a model that Write stored.
func Read(r io.Reader) (*Tagger, error) {
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(r, head); err != nil || string(head) != magic {
		return nil, fmt.Errorf("tagger: not a model: begins with %q", head)
	}
	b, err := io.ReadAll(io.LimitReader(flate.NewReader(r), maxModel))
	if err != nil {
		return nil, fmt.Errorf("tagger: model: %w", err)
	}
	d := &decoder{b: b}
	t := &Tagger{}
	for range d.byte() {
		t.labels = append(t.labels, string(d.bytes(int(d.byte()))))
	}
	n := len(t.labels)
	if n == 0 || n%2 == 0 || n > 63 {
		return nil, fmt.Errorf("tagger: model has %d labels, want O and pairs of B and I", n)
	}
	t.trans = make([]float32, (n+1)*n)
	for i := range t.trans {
		t.trans[i] = math.Float32frombits(d.number())
	}
	scale := math.Float32frombits(d.number())
	count := int(d.number())
	if d.err != nil || count < 0 || count > len(b) {
		return nil, fmt.Errorf("tagger: model is cut short")
	}
	features := make([]uint32, count)
	last := uint64(0)
	for i := range features {
		last += d.uvarint()
		features[i] = uint32(last & (1<<bits - 1))
	}
	t.table = newTable(n, count, scale)
	weights := d.bytes(count * n)
	if d.err != nil {
		return nil, fmt.Errorf("tagger: model is cut short")
	}
	row := make([]int8, n)
	for i, f := range features {
		for l := range row {
			row[l] = int8(weights[l*count+i])
		}
		t.table.put(f, row)
	}
	return t, nil
}

type decoder struct {
	b   []byte
	err error
}

func (d *decoder) bytes(n int) []byte {
	if d.err != nil || n < 0 || n > len(d.b) {
		d.err = io.ErrUnexpectedEOF
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) byte() byte {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) number() uint32 {
	if b := d.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.err = io.ErrUnexpectedEOF
		return 0
	}
	d.b = d.b[n:]
	return v
}
