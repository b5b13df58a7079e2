package htj2k

import (
	"context"
	"errors"
	"fmt"
	"math/bits"

	"github.com/tetratelabs/wazero/api"
)

// Format is a compression.
type Format int

// The formats.
const (
	HTJ2K Format = iota
	JPEG2000
	JPEGLS
)

func (f Format) String() string { return [...]string{"HTJ2K", "JPEG 2000", "JPEG-LS"}[f] }

func (f Format) engine() *engine { return [...]*engine{openjph, openjpeg, charls}[f] }

// ErrUnsupported is a frame that the codec cannot take: its glue counts one byte a sample where pixels have several components.
var ErrUnsupported = errors.New("htj2k: samples of more than 8 bits in pixels of several components are not supported")

func supported(format Format, f Frame) error {
	if format != JPEGLS && f.Components > 1 && f.Bits > 8 {
		return ErrUnsupported
	}
	return nil
}

// Ready compiles the codec of a format and reports whether it can be used.
func Ready(ctx context.Context, f Format) error { return f.engine().load(ctx) }

// Encode compresses a frame without loss. Samples are interleaved by pixel, little endian, SampleBytes each. colorTransform decorrelates three
// components (RCT); JPEG-LS has none.
func Encode(ctx context.Context, format Format, f Frame, pixels []byte, colorTransform bool) (stream []byte, err error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	if int64(len(pixels)) != f.Bytes() {
		return nil, fmt.Errorf("htj2k: %d bytes of pixels for a frame of %d", len(pixels), f.Bytes())
	}
	if err := supported(format, f); err != nil {
		return nil, err
	}
	if format == JPEGLS && f.Signed {
		return nil, errors.New("htj2k: JPEG-LS has no signed samples")
	}
	e := format.engine()
	in, err := e.borrow(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { e.release(in, err) }()
	in.refuel(f)
	enc := in.objects[e.classes[0]]
	info, err := in.describe(ctx, f, colorTransform && f.Components == 3)
	if err != nil {
		return nil, wrap(format, "encoded", err)
	}
	buf, err := in.buffer(ctx, enc, "getDecodedBuffer", uint64(info))
	if err != nil {
		return nil, wrap(format, "encoded", err)
	}
	if len(buf) < len(pixels) {
		return nil, wrap(format, "encoded", fmt.Errorf("the codec takes %d bytes of %d", len(buf), len(pixels)))
	}
	copy(buf, pixels)
	for _, s := range settings(format, f) {
		if _, err = in.call(ctx, enc, s.name, s.args...); err != nil {
			return nil, wrap(format, "encoded", err)
		}
	}
	if _, err = in.call(ctx, enc, "encode"); err != nil {
		return nil, wrap(format, "encoded", err)
	}
	out, err := in.buffer(ctx, enc, "getEncodedBuffer")
	if err != nil {
		return nil, wrap(format, "encoded", err)
	}
	return append([]byte(nil), out...), nil
}

type setting struct {
	name string
	args []uint64
}

// settings of a lossless encoder. HTJ2K as in PS3.5 §10.18.
func settings(format Format, f Frame) []setting {
	switch format {
	case HTJ2K:
		return []setting{
			{"setQuality", []uint64{1, api.EncodeF32(0)}},
			{"setDecompositions", []uint64{uint64(Decompositions(f.Width, f.Height))}},
			{"setProgressionOrder", []uint64{2}}, // RPCL
			{"setTLMMarker", []uint64{1}},
			{"setTilePartDivisionsAtResolutions", []uint64{1}},
		}
	case JPEG2000:
		return []setting{
			{"setQuality", []uint64{1, 0}},
			{"setDecompositions", []uint64{uint64(Decompositions(f.Width, f.Height))}},
		}
	}
	mode := uint64(0)
	if f.Components > 1 {
		mode = 2 // by sample
	}
	return []setting{{"setNearLossless", []uint64{0}}, {"setInterleaveMode", []uint64{mode}}}
}

// Decompositions is how often an image is halved: until width or height is at most 64 (PS3.5 §10.18), five times at least where the image
// is large enough for it.
func Decompositions(width, height int) int {
	small := min(width, height)
	n := 0
	for (small+1<<n-1)>>n > 64 {
		n++
	}
	return max(n, min(5, bits.Len(uint(small))-1))
}

// describe fills the codec's FrameInfo.
func (in *instance) describe(ctx context.Context, f Frame, transform bool) (uint32, error) {
	r, err := in.frameInfo()
	if err != nil {
		return 0, err
	}
	at, err := in.invoke(context.WithValue(ctx, instanceKey{}, in), r.make)
	if err != nil {
		return 0, err
	}
	flag := func(b bool) uint64 {
		if b {
			return 1
		}
		return 0
	}
	values := map[string]uint64{"width": uint64(f.Width), "height": uint64(f.Height), "bitsPerSample": uint64(f.Bits),
		"componentCount": uint64(f.Components), "isSigned": flag(f.Signed), "isUsingColorTransform": flag(transform)}
	for name, fd := range r.fields {
		if _, err := in.invoke(context.WithValue(ctx, instanceKey{}, in), fd.set, uint64(fd.set.context), at, values[name]); err != nil {
			return 0, err
		}
	}
	return uint32(at), nil
}

// Decode expands a code stream: interleaved by pixel, little endian.
func Decode(ctx context.Context, format Format, stream []byte) (Frame, []byte, error) {
	return decode(ctx, format, stream, func(ctx context.Context, in *instance, dec *object, f *Frame) ([]byte, error) {
		if _, err := in.call(ctx, dec, "decode"); err != nil {
			return nil, err
		}
		b, err := in.buffer(ctx, dec, "getDecodedBuffer")
		if err == nil && format == JPEGLS && f.Components > 1 {
			var mode uint64
			if mode, err = in.call(ctx, dec, "getInterleaveMode"); err == nil && mode == 0 {
				return interleaved(b, f.Components, f.SampleBytes()), nil
			}
		}
		return b, err
	})
}

// DecodeLevels expands an HTJ2K stream at every resolution, the smallest first, and calls fn with each; the last is the full one.
func DecodeLevels(ctx context.Context, stream []byte, fn func(width, height int, pixels []byte)) (Frame, error) {
	f, _, err := decode(ctx, HTJ2K, stream, func(ctx context.Context, in *instance, dec *object, f *Frame) ([]byte, error) {
		for level := f.Levels; level >= 0; level-- {
			method, args := "decode", []uint64(nil)
			if level > 0 {
				method, args = "decodeSubResolution", []uint64{uint64(level)}
			}
			if _, err := in.call(ctx, dec, method, args...); err != nil {
				return nil, err
			}
			b, err := in.buffer(ctx, dec, "getDecodedBuffer")
			if err != nil {
				return nil, err
			}
			at := Frame{Width: ceilShift(f.Width, level), Height: ceilShift(f.Height, level), Components: f.Components, Bits: f.Bits}
			if int64(len(b)) < at.Bytes() {
				return nil, fmt.Errorf("resolution %d has %d bytes, not %d", level, len(b), at.Bytes())
			}
			fn(at.Width, at.Height, b[:at.Bytes()])
			if level == 0 {
				return b, nil
			}
		}
		return nil, nil
	})
	return f, err
}

func ceilShift(n, s int) int { return (n + 1<<s - 1) >> s }

func decode(ctx context.Context, format Format, stream []byte, run func(context.Context, *instance, *object, *Frame) ([]byte, error)) (f Frame, pixels []byte, err error) {
	if f, err = Header(stream); err != nil {
		return f, nil, err
	}
	if err := supported(format, f); err != nil {
		return f, nil, err
	}
	if format != JPEGLS {
		stream = codestream(stream)
		if err := whole(stream); err != nil {
			return f, nil, err
		}
	}
	e := format.engine()
	in, err := e.borrow(ctx)
	if err != nil {
		return f, nil, err
	}
	defer func() { e.release(in, err) }()
	in.refuel(f)
	dec := in.objects[e.classes[1]]
	buf, err := in.buffer(ctx, dec, "getEncodedBuffer", uint64(len(stream)))
	if err != nil {
		return f, nil, wrap(format, "decoded", err)
	}
	if len(buf) < len(stream) {
		return f, nil, wrap(format, "decoded", errors.New("the codec has no room for it"))
	}
	copy(buf, stream)
	out, err := run(ctx, in, dec, &f)
	if err == nil && int64(len(out)) != f.Bytes() {
		err = fmt.Errorf("%d bytes came out of a stream that announces %d", len(out), f.Bytes())
	}
	if err != nil {
		return f, nil, wrap(format, "decoded", err)
	}
	return f, append([]byte(nil), out...), nil
}

// interleaved turns planes into pixels.
func interleaved(b []byte, components, size int) []byte {
	out := make([]byte, len(b))
	n := len(b) / components / size
	for c := range components {
		for i := range n {
			copy(out[(i*components+c)*size:][:size], b[(c*n+i)*size:])
		}
	}
	return out
}

func wrap(f Format, what string, err error) error {
	return fmt.Errorf("htj2k: the %v frame cannot be %s: %w", f, what, err)
}
