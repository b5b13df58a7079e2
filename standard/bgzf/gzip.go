package bgzf

import (
	"bufio"
	"errors"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
)

// Format is how a file is compressed.
type Format string

// The formats that Open knows.
const (
	Plain Format = "plain"
	Gzip  Format = "gzip"
	BGZF  Format = "bgzf"
)

// Open reads a file that may be BGZF, gzip or not compressed, found by its first bytes. Close what it returns; r stays open.
func Open(r io.Reader, workers int) (io.ReadCloser, Format, error) {
	b := bufio.NewReaderSize(r, MaxBlock)
	head, err := b.Peek(18)
	if err != nil && err != io.EOF {
		return nil, "", err
	}
	switch {
	case Is(head):
		return NewReader(b, workers), BGZF, nil
	case IsGzip(head):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, "", &Error{Reason: "its gzip header is damaged", Cause: err}
		}
		return &gzipReader{z: z}, Gzip, nil
	}
	return io.NopCloser(b), Plain, nil
}

// gzipReader gives gzip's faults their place: how much was inflated before.
type gzipReader struct {
	z *gzip.Reader
	n int64
}

func (g *gzipReader) Read(p []byte) (int, error) {
	n, err := g.z.Read(p)
	g.n += int64(n)
	var corrupt flate.CorruptInputError
	switch {
	case err == io.ErrUnexpectedEOF:
		err = &Error{Offset: g.n, Reason: "the gzip data ends too early (offset in inflated bytes)", Cause: err}
	case err == gzip.ErrChecksum, err == gzip.ErrHeader, errors.As(err, &corrupt):
		err = &Error{Offset: g.n, Reason: "the gzip data is damaged (offset in inflated bytes)", Cause: err}
	}
	return n, err
}

func (g *gzipReader) Close() error { return g.z.Close() }
