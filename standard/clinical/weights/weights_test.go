package weights_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/galen-health/galen/standard/clinical/weights"
)

// some makes a table of three outputs: feature f has weights f/100, −f/50, 0.
func some(features, keep int) (*weights.Table, []float32) {
	w := make([]float32, 3*features)
	for f := range features {
		w[3*f], w[3*f+1] = float32(f)/100, -float32(f)/50
	}
	return weights.Prune(w, 3, keep), w
}

func scores(t *weights.Table, f uint32) []float32 {
	out := make([]float32, 3)
	t.Add(out, f)
	return out
}

func TestPruneKeepsTheStrongest(t *testing.T) {
	table, w := some(1000, 100)
	top := float64(w[3*999+1])
	for f := range uint32(1000) {
		got := scores(table, f)
		for l := range got {
			want := float64(w[3*f+uint32(l)])
			if f < 900 {
				want = 0
			}
			// Half a step of the square-root scale at this weight.
			if bound := math.Abs(top) * (2*math.Sqrt(math.Abs(want/top))/254 + 1.0/254/254) * 1.01; math.Abs(float64(got[l])-want) > bound {
				t.Fatalf("feature %d, output %d = %v, want %v ± %v", f, l, got[l], want, bound)
			}
		}
	}
}

func TestFileRoundTrip(t *testing.T) {
	table, _ := some(500, 400)
	w := &weights.Writer{}
	w.Number(7)
	w.String("head")
	w.Table(table)
	w.Float(2.5)
	var file bytes.Buffer
	if err := w.Close(&file, "a-model"); err != nil {
		t.Fatal(err)
	}
	if _, err := weights.Open(bytes.NewReader(file.Bytes()), "b-model"); err == nil {
		t.Error("another magic was taken")
	}
	read := func(b []byte, outputs int) (*weights.Table, error) {
		r, err := weights.Open(bytes.NewReader(b), "a-model")
		if err != nil {
			return nil, err
		}
		if n, s := r.Number(), r.String(); r.Err() == nil && (n != 7 || s != "head") {
			t.Errorf("head = %d %q", n, s)
		}
		out := r.Table(outputs)
		if f := r.Float(); r.Err() == nil && f != 2.5 {
			t.Errorf("tail = %v", f)
		}
		return out, r.Err()
	}
	again, err := read(file.Bytes(), 3)
	if err != nil {
		t.Fatal(err)
	}
	for f := range uint32(600) {
		a, b := scores(table, f), scores(again, f)
		for l := range a {
			if a[l] != b[l] {
				t.Fatalf("feature %d: %v became %v", f, a, b)
			}
		}
	}
	if _, err := read(file.Bytes(), 4); err == nil {
		t.Error("a table of three outputs was read as one of four")
	}
	for n := range file.Bytes() {
		if _, err := read(file.Bytes()[:n], 3); err == nil {
			t.Errorf("the first %d of %d bytes were read whole", n, file.Len())
		}
	}
}

func FuzzOpen(f *testing.F) {
	table, _ := some(50, 40)
	w := &weights.Writer{}
	w.Table(table)
	var file bytes.Buffer
	if err := w.Close(&file, "m"); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := weights.Open(bytes.NewReader(b), "m")
		if err != nil {
			return
		}
		if table := r.Table(3); r.Err() == nil {
			scores(table, 3)
		}
	})
}
