package speech

import (
	"testing"
)

func TestVoicedStretches(t *testing.T) {
	tone := func(seconds float64, loud int16) []int16 {
		out := make([]int16, int(seconds*Rate))
		for i := range out {
			if i%40 < 20 {
				out[i] = loud
			} else {
				out[i] = -loud
			}
		}
		return out
	}
	join := func(parts ...[]int16) (out []int16) {
		for _, p := range parts {
			out = append(out, p...)
		}
		return out
	}
	for name, c := range map[string]struct {
		in   []int16
		want int
	}{
		"nothing": {nil, 0}, "silence": {tone(2, 0), 0}, "a blip": {join(tone(1, 0), tone(0.05, 9000), tone(1, 0)), 0},
		"two":             {join(tone(1, 2), tone(1, 9000), tone(1, 2), tone(1, 9000), tone(1, 2)), 2},
		"a short pause":   {join(tone(1, 2), tone(1, 9000), tone(0.1, 2), tone(1, 9000), tone(1, 2)), 1},
		"longer than all": {join(tone(1, 2), tone(30, 9000), tone(1, 2)), 3},
	} {
		got := voiced(c.in)
		if len(got) != c.want {
			t.Errorf("%s: %v, want %d", name, got, c.want)
		}
		last := 0
		for _, s := range got {
			if s.begin < last || s.end <= s.begin || s.end > len(c.in) || s.end-s.begin > (longest+2*padding)*frame {
				t.Errorf("%s: stretch %+v after %d of %d", name, s, last, len(c.in))
			}
			last = s.end
		}
	}
}

func TestVocabulary(t *testing.T) {
	b := []byte("\x05<unk>\x03<s>\x04</s>")
	for i := range 256 {
		b = append(b, 1, byte(i))
	}
	b = append(b, 4)
	b = append(b, "▁h"...)
	b = append(b, 2)
	b = append(b, "ey"...)
	v, err := readVocabulary(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := v.text([]int64{1, 259, 260, firstByte + '!', 2, 99999, -1}); got != "hey!" {
		t.Errorf("text = %q", got)
	}
	for cut := 1; cut < len(b); cut++ {
		if v, err := readVocabulary(b[:cut]); err == nil && len(v) == 261 {
			t.Fatalf("%d of %d bytes give a whole vocabulary", cut, len(b))
		}
	}
}

func TestUnrepeat(t *testing.T) {
	for in, want := range map[string]string{"a b c": "a b c", "no no no no no no": "no", "I go I go I go I go I go": "I go", "very very very good": "very very very good"} {
		if got := unrepeat(in); got != want {
			t.Errorf("unrepeat(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzReadVocabulary(f *testing.F) {
	f.Add([]byte("\x05<unk>\x03<s>\x04</s>\xff\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := readVocabulary(b); err == nil {
			v.text([]int64{3, 300})
		}
	})
}

func FuzzRepair(f *testing.F) {
	f.Add("I take met from in 500 milligrams. at her vastate in 10 mg")
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 2000 {
			return
		}
		got, repairs := RepairMedicines(s, nil)
		last := 0
		for _, r := range repairs {
			if r.Begin < last || r.End > len(got) || r.End <= r.Begin {
				t.Fatalf("%q: %+v in %q", s, r, got)
			}
			last = r.End
		}
	})
}
