package audio

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Rate is the sample rate of a Clip.
const Rate = 16000

// Clip is a recording.
type Clip struct {
	Channels   [][]int16 // 16 kHz, equally long
	SourceRate int       // of the file
}

// Seconds is how long it is.
func (c *Clip) Seconds() float64 {
	if len(c.Channels) == 0 {
		return 0
	}
	return float64(len(c.Channels[0])) / Rate
}

// Limits bound a recording.
type Limits struct {
	Seconds int // the longest; 0 = DefaultSeconds
}

// DefaultSeconds is the bound when none is given: two hours.
const DefaultSeconds = 2 * 60 * 60

// Errors that tell what a file is; the text says more.
var (
	ErrNotWave     = errors.New("audio: not a WAVE file")
	ErrUnsupported = errors.New("audio: a WAVE file of a kind that is not read")
	ErrTooLong     = errors.New("audio: the recording is too long")
	ErrDamaged     = errors.New("audio: the WAVE file is damaged")
)

// format is the fmt chunk.
type format struct {
	float    bool
	channels int
	rate     int
	bits     int
}

// ReadWAV reads a WAVE file.
func ReadWAV(r io.Reader, lim Limits) (*Clip, error) {
	if lim.Seconds <= 0 {
		lim.Seconds = DefaultSeconds
	}
	br := bufio.NewReaderSize(r, 1<<16)
	var head [12]byte
	if _, err := io.ReadFull(br, head[:]); err != nil || string(head[:4]) != "RIFF" && string(head[:4]) != "RF64" || string(head[8:]) != "WAVE" {
		return nil, ErrNotWave
	}
	var f *format
	for n := 0; ; n++ {
		var ch [8]byte
		if _, err := io.ReadFull(br, ch[:]); err != nil || n > 1000 {
			return nil, fmt.Errorf("%w: no data chunk", ErrDamaged)
		}
		size := int64(binary.LittleEndian.Uint32(ch[4:]))
		switch string(ch[:4]) {
		case "fmt ":
			var err error
			if f, err = readFormat(br, size); err != nil {
				return nil, err
			}
		case "data":
			if f == nil {
				return nil, fmt.Errorf("%w: data before the format", ErrDamaged)
			}
			if size == 0 || size == math.MaxUint32 {
				size = math.MaxInt64
			}
			return readData(br, size, f, lim)
		default:
			if _, err := io.CopyN(io.Discard, br, size+size%2); err != nil {
				return nil, fmt.Errorf("%w: the %q chunk is cut short", ErrDamaged, ch[:4])
			}
		}
	}
}

func readFormat(r io.Reader, size int64) (*format, error) {
	if size < 16 || size > 1<<12 {
		return nil, fmt.Errorf("%w: a format chunk of %d bytes", ErrDamaged, size)
	}
	b := make([]byte, size+size%2)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("%w: the format chunk is cut short", ErrDamaged)
	}
	tag := binary.LittleEndian.Uint16(b)
	f := &format{channels: int(binary.LittleEndian.Uint16(b[2:])), rate: int(binary.LittleEndian.Uint32(b[4:])), bits: int(binary.LittleEndian.Uint16(b[14:]))}
	align := int(binary.LittleEndian.Uint16(b[12:]))
	if tag == 0xFFFE { // WAVE_FORMAT_EXTENSIBLE: the sub-format's first two bytes are the tag
		if size < 40 {
			return nil, fmt.Errorf("%w: an extensible format chunk of %d bytes", ErrDamaged, size)
		}
		tag = binary.LittleEndian.Uint16(b[24:])
	}
	switch {
	case tag == 1 && (f.bits == 8 || f.bits == 16 || f.bits == 24 || f.bits == 32):
	case tag == 3 && (f.bits == 32 || f.bits == 64):
		f.float = true
	default:
		return nil, fmt.Errorf("%w: format %#x with %d bits; PCM of 8, 16, 24, 32 bits and float of 32, 64 bits are read", ErrUnsupported, tag, f.bits)
	}
	if f.channels < 1 || f.channels > 2 {
		return nil, fmt.Errorf("%w: %d channels; one or two are read", ErrUnsupported, f.channels)
	}
	if f.rate < 8000 || f.rate > 192000 {
		return nil, fmt.Errorf("%w: %d samples a second; 8000 to 192000 are read", ErrUnsupported, f.rate)
	}
	if align != f.channels*f.bits/8 {
		return nil, fmt.Errorf("%w: frames of %d bytes for %d channels of %d bits", ErrDamaged, align, f.channels, f.bits)
	}
	return f, nil
}

func readData(r io.Reader, size int64, f *format, lim Limits) (*Clip, error) {
	frame := f.channels * f.bits / 8
	buf := make([]byte, frame*4096)
	filters := make([]*resampler, f.channels)
	for i := range filters {
		filters[i] = newResampler(f.rate, Rate)
	}
	block := make([]float32, 4096)
	limit := int64(lim.Seconds) * int64(f.rate)
	frames := int64(0)
	for size > 0 {
		want := min(int64(len(buf)), size)
		n, err := io.ReadFull(r, buf[:want])
		size -= int64(n)
		for ch := range filters {
			samples := block[:n/frame]
			for i := range samples {
				samples[i] = sample(buf[i*frame+ch*f.bits/8:], f)
			}
			filters[ch].write(samples)
		}
		if frames += int64(n / frame); frames > limit {
			return nil, fmt.Errorf("%w: over %d seconds", ErrTooLong, lim.Seconds)
		}
		if err != nil {
			if size > math.MaxInt64/2 && (err == io.EOF || err == io.ErrUnexpectedEOF) {
				break // of unknown length
			}
			if err != io.EOF && err != io.ErrUnexpectedEOF {
				return nil, err
			}
			return nil, fmt.Errorf("%w: the data chunk is cut short after %d of its frames", ErrDamaged, frames)
		}
	}
	c := &Clip{SourceRate: f.rate}
	for _, x := range filters {
		c.Channels = append(c.Channels, x.finish())
	}
	return c, nil
}

// sample reads one sample as −1 … 1.
func sample(b []byte, f *format) float32 {
	switch {
	case f.float && f.bits == 32:
		return clean(float64(math.Float32frombits(binary.LittleEndian.Uint32(b))))
	case f.float:
		return clean(math.Float64frombits(binary.LittleEndian.Uint64(b)))
	case f.bits == 8:
		return (float32(b[0]) - 128) / 128
	case f.bits == 16:
		return float32(int16(binary.LittleEndian.Uint16(b))) / 32768
	case f.bits == 24:
		return float32(int32(uint32(b[0])<<8|uint32(b[1])<<16|uint32(b[2])<<24)>>8) / 8388608
	}
	return float32(int32(binary.LittleEndian.Uint32(b))) / 2147483648
}

func clean(v float64) float32 {
	if math.IsNaN(v) {
		return 0
	}
	return float32(max(-1, min(1, v)))
}

// WriteWAV writes 16-bit PCM of equally long channels.
func WriteWAV(w io.Writer, rate int, channels ...[]int16) error {
	n := 0
	if len(channels) > 0 {
		n = len(channels[0])
	}
	bytes := n * len(channels) * 2
	b := make([]byte, 0, 44+bytes)
	b = append(b, "RIFF"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(36+bytes))
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = binary.LittleEndian.AppendUint16(b, 1)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(channels)))
	b = binary.LittleEndian.AppendUint32(b, uint32(rate))
	b = binary.LittleEndian.AppendUint32(b, uint32(rate*len(channels)*2))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(channels)*2))
	b = binary.LittleEndian.AppendUint16(b, 16)
	b = append(b, "data"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(bytes))
	for i := range n {
		for _, c := range channels {
			b = binary.LittleEndian.AppendUint16(b, uint16(c[i]))
		}
	}
	_, err := w.Write(b)
	return err
}
