package sigv4

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"strconv"
	"strings"

	"github.com/galen-health/galen/platform/errs"
)

// hashReader fails at the end when the bytes were not those that were signed.
type hashReader struct {
	io.ReadCloser
	h    hash.Hash
	want []byte
}

func newHashReader(r io.ReadCloser, want []byte) io.ReadCloser {
	return &hashReader{r, sha256.New(), want}
}

func (r *hashReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.h.Write(p[:n])
	if errors.Is(err, io.EOF) && !hmac.Equal(r.h.Sum(nil), r.want) {
		return n, errs.Named(errs.Invalid, ErrPayload, "The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	return n, err
}

// maxChunk bounds one chunk, which is held whole until its signature was checked; maxLine a chunk's header or trailer.
const (
	maxChunk = 16 << 20
	maxLine  = 1 << 10
)

// chunkReader reads an aws-chunked body: each chunk's signature is checked before its bytes are handed on, then the trailers.
type chunkReader struct {
	in       *bufio.Reader
	close    io.Closer
	signed   bool
	trailers []string
	left     int64 // decoded bytes still promised
	key      []byte
	scope    string
	date     string
	prior    string
	chunk    []byte
	sums     map[string]hash.Hash
	err      error
	Trailer  map[string]string
}

func newChunkReader(r io.ReadCloser, signed bool, trailers []string, n int64, key []byte, scope, date, seed string) *chunkReader {
	c := &chunkReader{in: bufio.NewReaderSize(r, 64<<10), close: r, signed: signed, trailers: trailers, left: n, key: key, scope: scope, date: date, prior: seed, sums: map[string]hash.Hash{}, Trailer: map[string]string{}}
	for _, t := range trailers {
		if h := checksum(t); h != nil {
			c.sums[t] = h
		}
	}
	return c
}

func splitTrailers(h string) []string {
	var out []string
	for _, t := range strings.Split(h, ",") {
		if t = strings.ToLower(strings.TrimSpace(t)); t != "" {
			out = append(out, t)
		}
	}
	return out
}

// checksum returns the hash of a checksum trailer, nil for another trailer.
func checksum(trailer string) hash.Hash {
	switch trailer {
	case "x-amz-checksum-crc32":
		return crc32.NewIEEE()
	case "x-amz-checksum-crc32c":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case "x-amz-checksum-crc64nvme":
		return crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5))
	case "x-amz-checksum-sha1":
		return sha1.New()
	case "x-amz-checksum-sha256":
		return sha256.New()
	}
	return nil
}

func (c *chunkReader) Close() error { return c.close.Close() }

func (c *chunkReader) Read(p []byte) (int, error) {
	if len(c.chunk) == 0 && c.err == nil {
		c.next()
	}
	if len(c.chunk) == 0 {
		return 0, c.err
	}
	n := copy(p, c.chunk)
	c.chunk = c.chunk[n:]
	return n, nil
}

func (c *chunkReader) line() (string, error) {
	var b []byte
	for {
		part, err := c.in.ReadSlice('\n')
		b = append(b, part...)
		if len(b) > maxLine {
			return "", broken("a line of the chunked body is too long")
		}
		if err == nil {
			return strings.TrimRight(string(b), "\r\n"), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return "", broken("the chunked body breaks off")
		}
	}
}

func broken(format string, args ...any) error {
	return errs.Named(errs.Invalid, "IncompleteBody", format, args...)
}

// next reads one chunk; after the last it reads the trailers and sets err to io.EOF.
func (c *chunkReader) next() {
	head, err := c.line()
	if err != nil {
		c.err = err
		return
	}
	size, ext, _ := strings.Cut(head, ";")
	n, err := strconv.ParseInt(size, 16, 64)
	if err != nil || n < 0 || n > maxChunk {
		c.err = broken("a chunk's size is not between 0 and %d", maxChunk)
		return
	}
	if n > c.left {
		c.err = broken("the chunks hold more than the %s said", headerDecodedLength)
		return
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(c.in, b); err != nil {
		c.err = broken("the chunked body breaks off")
		return
	}
	if c.signed {
		sig, ok := strings.CutPrefix(ext, "chunk-signature=")
		if !ok || !c.check(algorithm+"-PAYLOAD", emptySHA256+"\n"+hexSHA256(b), sig) {
			c.err = refuse(ErrMismatch, "the signature of a chunk does not match")
			return
		}
	}
	c.left -= n
	for _, h := range c.sums {
		h.Write(b)
	}
	if n > 0 {
		if crlf, err := c.line(); err != nil || crlf != "" {
			c.err = broken("a chunk is longer than it says")
			return
		}
		c.chunk = b
		return
	}
	c.err = c.finish()
}

// check verifies one link of the chain.
func (c *chunkReader) check(kind, hashes, sig string) bool {
	want, err := hex.DecodeString(sig)
	text := kind + "\n" + c.date + "\n" + c.scope + "\n" + c.prior + "\n" + hashes
	if err != nil || !hmac.Equal(want, mac(c.key, text)) {
		return false
	}
	c.prior = sig
	return true
}

// finish reads the trailers and compares checksums and length.
func (c *chunkReader) finish() error {
	var canonical bytes.Buffer
	signature := ""
	for {
		l, err := c.in.ReadSlice('\n')
		if err != nil && len(l) == 0 {
			break // the end of the body
		}
		line := strings.TrimRight(string(l), "\r\n")
		if line == "" {
			if err != nil {
				break
			}
			continue
		}
		if len(line) > maxLine {
			return broken("a trailer is too long")
		}
		k, v, _ := strings.Cut(line, ":")
		k, v = strings.ToLower(strings.TrimSpace(k)), strings.TrimSpace(v)
		if k == "x-amz-trailer-signature" {
			signature = v
			continue
		}
		c.Trailer[k] = v
		canonical.WriteString(k + ":" + v + "\n")
		if err != nil {
			break
		}
	}
	if c.signed && len(c.trailers) > 0 && !c.check(algorithm+"-TRAILER", hexSHA256(canonical.Bytes()), signature) {
		return refuse(ErrMismatch, "the signature of the trailers does not match")
	}
	if c.left != 0 {
		return broken("the chunks hold %d bytes less than the %s said", c.left, headerDecodedLength)
	}
	for name, h := range c.sums {
		got, ok := c.Trailer[name]
		if !ok {
			return broken("the trailer %s was announced and did not come", name)
		}
		if base64.StdEncoding.EncodeToString(h.Sum(nil)) != got {
			return errs.Named(errs.Invalid, "BadDigest", "The %s you specified did not match the calculated checksum.", name)
		}
	}
	return io.EOF
}
