package weights

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"sort"
)

// maxBody bounds a model's unpacked size, maxOutputs its outputs.
const (
	maxBody    = 64 << 20
	maxOutputs = 64
)

// Writer collects the body of a model.
type Writer struct{ b bytes.Buffer }

// Number adds a number.
func (w *Writer) Number(v uint32) { w.b.Write(binary.LittleEndian.AppendUint32(nil, v)) }

// Float adds a number.
func (w *Writer) Float(v float32) { w.Number(math.Float32bits(v)) }

// String adds a text of at most 255 bytes.
func (w *Writer) String(s string) {
	w.b.WriteByte(byte(len(s)))
	w.b.WriteString(s[:min(len(s), 255)])
}

// Table adds a table: outputs, scale, count, feature deltas, weights by output.
func (w *Writer) Table(t *Table) {
	var features []uint32
	for _, k := range t.keys {
		if k != 0 {
			features = append(features, k-1)
		}
	}
	sort.Slice(features, func(i, j int) bool { return features[i] < features[j] })
	w.Number(uint32(t.n))
	w.Float(t.scale)
	w.Number(uint32(len(features)))
	last := uint32(0)
	for _, f := range features {
		w.b.Write(binary.AppendUvarint(nil, uint64(f-last)))
		last = f
	}
	for l := 0; l < t.n; l++ {
		for _, f := range features {
			w.b.WriteByte(byte(t.row(f)[l]))
		}
	}
}

// Close writes the magic line and the deflated body.
func (w *Writer) Close(out io.Writer, magic string) error {
	if _, err := io.WriteString(out, magic+"\n"); err != nil {
		return err
	}
	z, err := flate.NewWriter(out, flate.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(w.b.Bytes()); err != nil {
		return err
	}
	return z.Close()
}

// Reader takes a body apart. After a failure all that it gives is empty; ask Err before use.
type Reader struct {
	b   []byte
	err error
}

// Open reads a model with this magic line.
func Open(r io.Reader, magic string) (*Reader, error) {
	head := make([]byte, len(magic)+1)
	if _, err := io.ReadFull(r, head); err != nil || string(head) != magic+"\n" {
		return nil, fmt.Errorf("weights: not a %s model", magic)
	}
	b, err := io.ReadAll(io.LimitReader(flate.NewReader(r), maxBody))
	if err != nil {
		return nil, fmt.Errorf("weights: %s model: %w", magic, err)
	}
	return &Reader{b: b}, nil
}

// Err is the first failure.
func (r *Reader) Err() error {
	if r.err != nil {
		return fmt.Errorf("weights: the model is cut short or broken: %w", r.err)
	}
	return nil
}

func (r *Reader) bytes(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.b) {
		r.err = io.ErrUnexpectedEOF
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

// Number reads a number.
func (r *Reader) Number() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// Float reads a number.
func (r *Reader) Float() float32 { return math.Float32frombits(r.Number()) }

// String reads a text.
func (r *Reader) String() string {
	if b := r.bytes(1); b != nil {
		return string(r.bytes(int(b[0])))
	}
	return ""
}

func (r *Reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.err = io.ErrUnexpectedEOF
		return 0
	}
	r.b = r.b[n:]
	return v
}

// Table reads a table of n outputs; nil after a failure.
func (r *Reader) Table(n int) *Table {
	if got := int(r.Number()); r.err == nil && (got != n || n > maxOutputs) {
		r.err = fmt.Errorf("%d outputs, want %d", got, n)
	}
	scale, count := r.Float(), int(r.Number())
	if r.err != nil || count > len(r.b) {
		r.bytes(-1)
		return nil
	}
	features := make([]uint32, count)
	last := uint64(0)
	for i := range features {
		last += r.uvarint()
		features[i] = uint32(last & (1<<31 - 1))
	}
	weights := r.bytes(count * n)
	if r.err != nil {
		return nil
	}
	t := newTable(n, count, scale)
	row := make([]int8, n)
	for i, f := range features {
		for l := range row {
			row[l] = int8(weights[l*count+i])
		}
		t.put(f, row)
	}
	return t
}
