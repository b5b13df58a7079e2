package audio_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/galen-health/galen/standard/audio"
)

// wave makes a file of any kind: samples are −1 … 1, the same on each channel save that the second is inverted.
func wave(tag, bits, channels, rate int, extensible bool, samples []float64) []byte {
	var data bytes.Buffer
	for _, s := range samples {
		for ch := range channels {
			v := s
			if ch == 1 {
				v = -s
			}
			switch {
			case tag == 3 && bits == 32:
				binary.Write(&data, binary.LittleEndian, float32(v))
			case tag == 3:
				binary.Write(&data, binary.LittleEndian, v)
			case bits == 8:
				data.WriteByte(byte(math.Round(v*127) + 128))
			case bits == 16:
				binary.Write(&data, binary.LittleEndian, int16(math.Round(v*32767)))
			case bits == 24:
				x := int32(math.Round(v * 8388607))
				data.Write([]byte{byte(x), byte(x >> 8), byte(x >> 16)})
			case bits == 32:
				binary.Write(&data, binary.LittleEndian, int32(math.Round(v*2147483647)))
			}
		}
	}
	var f bytes.Buffer
	le := func(v any) { binary.Write(&f, binary.LittleEndian, v) }
	t := tag
	if extensible {
		t = 0xFFFE
	}
	le(uint16(t))
	le(uint16(channels))
	le(uint32(rate))
	le(uint32(rate * channels * bits / 8))
	le(uint16(channels * bits / 8))
	le(uint16(bits))
	if extensible {
		le(uint16(22))
		le(uint16(bits))
		le(uint32(3))
		le(uint16(tag))
		f.Write(make([]byte, 14))
	}
	out := []byte("RIFF\x00\x00\x00\x00WAVEfmt ")
	out = binary.LittleEndian.AppendUint32(out, uint32(f.Len()))
	out = append(out, f.Bytes()...)
	out = append(out, "LIST\x03\x00\x00\x00abc\x00data"...)
	out = binary.LittleEndian.AppendUint32(out, uint32(data.Len()))
	return append(out, data.Bytes()...)
}

func tone(hz float64, rate int, seconds float64) []float64 {
	out := make([]float64, int(seconds*float64(rate)))
	for i := range out {
		out[i] = 0.5 * math.Sin(2*math.Pi*hz*float64(i)/float64(rate))
	}
	return out
}

// Every kind of file gives the same tone at 16 kHz, up to its resolution.
func TestKinds(t *testing.T) {
	for _, k := range []struct{ tag, bits int }{{1, 8}, {1, 16}, {1, 24}, {1, 32}, {3, 32}, {3, 64}} {
		for _, rate := range []int{8000, 11025, 16000, 22050, 44100, 48000, 96000} {
			for channels := 1; channels <= 2; channels++ {
				c, err := audio.ReadWAV(bytes.NewReader(wave(k.tag, k.bits, channels, rate, k.bits == 24, tone(440, rate, 0.5))), audio.Limits{})
				if err != nil {
					t.Fatalf("%v at %d: %v", k, rate, err)
				}
				if len(c.Channels) != channels || c.SourceRate != rate || math.Abs(c.Seconds()-0.5) > 0.001 {
					t.Fatalf("%v at %d: %d channels of %v s from %d", k, rate, len(c.Channels), c.Seconds(), c.SourceRate)
				}
				want := tone(440, audio.Rate, 0.5)
				for ch, x := range c.Channels {
					worst := 0.0
					for i := 400; i < len(x)-400; i++ { // the filter needs its surroundings
						w := want[i]
						if ch == 1 {
							w = -w
						}
						worst = max(worst, math.Abs(float64(x[i])/32768-w))
					}
					if bound := map[bool]float64{true: 0.02, false: 0.01}[k.bits == 8]; worst > bound {
						t.Errorf("%v at %d, channel %d: off by %.4f", k, rate, ch, worst)
					}
				}
			}
		}
	}
}

// A tone above the new Nyquist frequency must not come back as another tone.
func TestNoAliasing(t *testing.T) {
	c, err := audio.ReadWAV(bytes.NewReader(wave(1, 16, 1, 48000, false, tone(11000, 48000, 0.5))), audio.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	worst := 0.0
	for _, v := range c.Channels[0][400 : len(c.Channels[0])-400] {
		worst = max(worst, math.Abs(float64(v)/32768))
	}
	if worst > 0.02 {
		t.Errorf("11 kHz comes through at %.3f", worst)
	}
}

func TestRefusals(t *testing.T) {
	good := wave(1, 16, 1, 16000, false, tone(440, 16000, 0.1))
	edit := func(at int, b ...byte) []byte {
		out := bytes.Clone(good)
		copy(out[at:], b)
		return out
	}
	for name, c := range map[string]struct {
		in   []byte
		want error
	}{
		"empty": {nil, audio.ErrNotWave}, "text": {[]byte(strings.Repeat("hello ", 20)), audio.ErrNotWave}, "AVI": {edit(8, 'A', 'V', 'I', ' '), audio.ErrNotWave},
		"μ-law": {edit(20, 7), audio.ErrUnsupported}, "three channels": {edit(22, 3), audio.ErrUnsupported}, "no channels": {edit(22, 0), audio.ErrUnsupported}, "slow": {edit(24, 100, 0, 0, 0), audio.ErrUnsupported},
		"align": {edit(32, 9), audio.ErrDamaged}, "cut": {good[:len(good)-100], audio.ErrDamaged}, "no data": {good[:36], audio.ErrDamaged}, "huge format": {edit(16, 255, 255, 255, 255), audio.ErrDamaged},
	} {
		if _, err := audio.ReadWAV(bytes.NewReader(c.in), audio.Limits{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := audio.ReadWAV(bytes.NewReader(wave(1, 8, 1, 8000, false, make([]float64, 16001))), audio.Limits{Seconds: 2}); !errors.Is(err, audio.ErrTooLong) {
		t.Errorf("over two seconds: %v", err)
	}
	open := edit(len(good)-3204, 255, 255, 255, 255) // a recorder that could not seek
	if c, err := audio.ReadWAV(bytes.NewReader(open), audio.Limits{}); err != nil || len(c.Channels[0]) != 1600 {
		t.Errorf("unknown length: %v", err)
	}
}

func TestWriteIsRead(t *testing.T) {
	a, b := []int16{1, -2, 32767, -32768}, []int16{5, 6, 7, 8}
	var f bytes.Buffer
	if err := audio.WriteWAV(&f, audio.Rate, a, b); err != nil {
		t.Fatal(err)
	}
	c, err := audio.ReadWAV(&f, audio.Limits{})
	if err != nil || len(c.Channels) != 2 {
		t.Fatal(err)
	}
	for i := range a {
		if c.Channels[0][i] != a[i] || c.Channels[1][i] != b[i] {
			t.Errorf("frame %d = %d, %d", i, c.Channels[0][i], c.Channels[1][i])
		}
	}
}

func FuzzReadWAV(f *testing.F) {
	f.Add(wave(1, 16, 2, 44100, false, tone(440, 44100, 0.01)))
	f.Add(wave(3, 32, 1, 8000, true, tone(440, 8000, 0.01)))
	f.Add(wave(1, 24, 1, 16000, true, tone(440, 16000, 0.01)))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := audio.ReadWAV(bytes.NewReader(b), audio.Limits{Seconds: 5})
		if err == nil && (len(c.Channels) == 0 || len(c.Channels) == 2 && len(c.Channels[0]) != len(c.Channels[1])) {
			t.Fatalf("%d channels", len(c.Channels))
		}
	})
}
