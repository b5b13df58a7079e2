package limits_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/limits"
)

func TestBytes(t *testing.T) {
	for _, c := range []struct {
		size, max int
		fails     bool
	}{{0, 0, false}, {1, 0, true}, {10, 10, false}, {11, 10, true}, {100000, 10, true}, {9, 10, false}} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "bytewise": iotest.OneByteReader, "err with data": iotest.DataErrReader} {
			got, err := limits.ReadAll(wrap(strings.NewReader(strings.Repeat("x", c.size))), int64(c.max), "the thing")
			if c.fails != errs.Is(err, errs.TooLarge) || (!c.fails && err != nil) {
				t.Errorf("%d of %d (%s): error = %v", c.size, c.max, name, err)
			}
			if len(got) > c.max {
				t.Errorf("%d of %d (%s): %d bytes came through", c.size, c.max, name, len(got))
			}
			if err != nil && !strings.Contains(err.Error(), "the thing") {
				t.Errorf("the message %q does not name the thing", err)
			}
		}
	}
	r := limits.Bytes(strings.NewReader("xxxx"), 2, "it")
	_, first := io.ReadAll(r)
	_, again := r.Read(make([]byte, 8))
	if first == nil || !errors.Is(again, first) {
		t.Errorf("after %v a read gives %v, want the same failure", first, again)
	}
	if _, err := limits.ReadAll(iotest.ErrReader(io.ErrUnexpectedEOF), 5, "it"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the reader's own error became %v", err)
	}
}

func zip(t *testing.T, b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestExpansion(t *testing.T) {
	unzip := func(z []byte, ratio, free int64) ([]byte, error) {
		e := limits.NewExpansion(ratio, free, "the archive")
		r, err := gzip.NewReader(e.In(bytes.NewReader(z)))
		if err != nil {
			t.Fatal(err)
		}
		return io.ReadAll(e.Out(r))
	}
	bomb := zip(t, make([]byte, 10<<20))
	if got, err := unzip(bomb, 50, 1<<16); !errs.Is(err, errs.TooLarge) || len(got) > 2<<20 {
		t.Errorf("a bomb gave %d bytes and %v", len(got), err)
	}
	if got, err := unzip(bomb, 2000, 0); err != nil || len(got) != 10<<20 {
		t.Errorf("within the ratio: %d bytes and %v", len(got), err)
	}
	if got, err := unzip(zip(t, make([]byte, 1<<16)), 1, 1<<16); err != nil || len(got) != 1<<16 {
		t.Errorf("within the free bytes: %d bytes and %v", len(got), err)
	}
}

func TestDepth(t *testing.T) {
	d := limits.Depth{Max: 2, What: "the document"}
	for range 2 {
		if err := d.Enter(); err != nil {
			t.Fatalf("two levels are allowed: %v", err)
		}
	}
	if err := d.Enter(); !errs.Is(err, errs.TooLarge) {
		t.Fatalf("the third level: %v", err)
	}
	d.Leave()
	if err := d.Enter(); err != nil {
		t.Fatalf("after leaving: %v", err)
	}
}

func TestProduct(t *testing.T) {
	if p, err := limits.Product(1<<40, "the image", 512, 512, 2); err != nil || p != 524288 {
		t.Errorf("512·512·2 = %d, %v", p, err)
	}
	for _, f := range [][]uint64{{math.MaxUint64, 2}, {1 << 32, 1 << 32, 1 << 32}, {1 << 41}, {math.MaxUint64, 0}} {
		if p, err := limits.Product(1<<40, "the image", f...); !errs.Is(err, errs.TooLarge) {
			t.Errorf("%v = %d, %v, want too large", f, p, err)
		}
	}
}

func TestTime(t *testing.T) {
	ctx, cancel := limits.Time(context.Background(), time.Nanosecond, "the parse")
	defer cancel()
	<-ctx.Done()
	_, err := limits.Until(ctx, strings.NewReader("x")).Read(make([]byte, 1))
	if !errs.Is(err, errs.Timeout) || !strings.Contains(err.Error(), "the parse") {
		t.Errorf("error = %v, want a timeout that names the parse", err)
	}
	if b, err := io.ReadAll(limits.Until(context.Background(), strings.NewReader("x"))); string(b) != "x" || err != nil {
		t.Errorf("without an end: %q, %v", b, err)
	}
}

func FuzzBytes(f *testing.F) {
	f.Add([]byte("hello"), int64(3))
	f.Fuzz(func(t *testing.T, data []byte, max int64) {
		if max < 0 {
			return
		}
		got, err := limits.ReadAll(bytes.NewReader(data), max, "it")
		if (err != nil) != (int64(len(data)) > max) || int64(len(got)) > max || !bytes.HasPrefix(data, got) {
			t.Fatalf("%d bytes of at most %d: got %d, %v", len(data), max, len(got), err)
		}
	})
}
