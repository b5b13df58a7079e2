package limits

import (
	"context"
	"io"
	"math/bits"
	"time"

	"github.com/galen-health/galen/platform/errs"
)

// Bytes returns a reader of r that fails with errs.TooLarge once more than max bytes come. what names the thing: "a FHIR resource".
func Bytes(r io.Reader, max int64, what string) io.Reader {
	return &byteReader{r: r, left: max, max: max, what: what}
}

type byteReader struct {
	r         io.Reader
	left, max int64
	what      string
	err       error
}

func (b *byteReader) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // one more than allowed tells the end from the excess
	}
	n, err := b.r.Read(p)
	if int64(n) > b.left {
		n = int(b.left)
		b.left = 0
		b.err = errs.New(errs.TooLarge, "%s is larger than %d bytes", b.what, b.max)
		return n, b.err
	}
	b.left -= int64(n)
	b.err = err
	return n, err
}

// ReadAll reads r to its end, at most max bytes.
func ReadAll(r io.Reader, max int64, what string) ([]byte, error) {
	return io.ReadAll(Bytes(r, max, what))
}

// Expansion bounds how much larger the output of a decompressor may be than its input.
type Expansion struct {
	in, out int64
	ratio   int64
	free    int64
	what    string
}

// NewExpansion allows free bytes of output plus ratio bytes for each byte of input.
func NewExpansion(ratio, free int64, what string) *Expansion {
	return &Expansion{ratio: ratio, free: free, what: what}
}

// In counts what goes into the decompressor.
func (e *Expansion) In(r io.Reader) io.Reader { return &counter{r: r, n: &e.in} }

// Out checks what comes out of it.
func (e *Expansion) Out(r io.Reader) io.Reader { return &expansionReader{r: r, e: e} }

type counter struct {
	r io.Reader
	n *int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	*c.n += int64(n)
	return n, err
}

type expansionReader struct {
	r   io.Reader
	e   *Expansion
	err error
}

func (x *expansionReader) Read(p []byte) (int, error) {
	if x.err != nil {
		return 0, x.err
	}
	n, err := x.r.Read(p)
	x.e.out += int64(n)
	if x.e.out > x.e.free && (x.e.out-x.e.free)/max(x.e.ratio, 1) > x.e.in {
		n, err = 0, errs.New(errs.TooLarge, "%s expands to more than %d times its size", x.e.what, x.e.ratio)
	}
	x.err = err
	return n, err
}

// Depth counts nesting.
type Depth struct {
	Max  int
	What string
	n    int
}

// Enter goes one level down.
func (d *Depth) Enter() error {
	if d.n >= d.Max {
		return errs.New(errs.TooLarge, "%s nests deeper than %d", d.What, d.Max)
	}
	d.n++
	return nil
}

// Leave goes one level up.
func (d *Depth) Leave() { d.n-- }

// Product multiplies sizes that an input claims; errs.TooLarge when the result passes max or 64 bits.
func Product(max uint64, what string, factors ...uint64) (uint64, error) {
	p := uint64(1)
	for _, f := range factors {
		hi, lo := bits.Mul64(p, f)
		if hi != 0 || lo > max {
			// A later zero would make the product small, but no honest input has an empty dimension beside one this large.
			return 0, errs.New(errs.TooLarge, "%s is larger than %d", what, max)
		}
		p = lo
	}
	return p, nil
}

// Time returns a context that ends after d with errs.Timeout as its cause.
func Time(ctx context.Context, d time.Duration, what string) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, errs.New(errs.Timeout, "%s takes longer than %s", what, d))
}

// Until returns a reader of r that fails with the cause of ctx once ctx has ended. It checks between reads: it does not interrupt one.
func Until(ctx context.Context, r io.Reader) io.Reader { return &untilReader{ctx, r} }

type untilReader struct {
	ctx context.Context
	r   io.Reader
}

func (u *untilReader) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}
