package sigv4

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
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

// hashReader fails at the end when the bytes were not those that were signed. Where the length is known the end is its last byte, so that a reader that stops
// there has been told.
type hashReader struct {
	io.ReadCloser
	h    hash.Hash
	want []byte
	left int64 // -1 = unknown
	err  error
}

func newHashReader(r io.ReadCloser, want []byte, length int64) io.ReadCloser {
	return &hashReader{ReadCloser: r, h: sha256.New(), want: want, left: length}
}

func (r *hashReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.ReadCloser.Read(p)
	r.h.Write(p[:n])
	if r.left > 0 {
		r.left -= int64(n)
	}
	if (errors.Is(err, io.EOF) || r.left == 0 && n > 0) && !hmac.Equal(r.h.Sum(nil), r.want) {
		r.err = errs.Named(errs.Invalid, ErrPayload, "The provided 'x-amz-content-sha256' header does not match what was computed.")
		return 0, r.err // not the last bytes: a reader that takes them for the whole must see that they are not
	}
	return n, err
}

// maxChunk bounds a signed chunk, which is held whole until its signature was checked; maxLine a chunk's header or trailer.
const (
	maxChunk    = 16 << 20
	maxLine     = 1 << 10
	maxTrailers = 16
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
	chunk    []byte // checked bytes of a signed chunk
	passing  int64  // bytes still to come of an unsigned one
	sums     map[string]hash.Hash
	err      error
	Trailer  map[string]string
}

func newChunkReader(r io.ReadCloser, signed bool, trailers []string, n int64, key []byte, scope, date, seed string) *chunkReader {
	c := &chunkReader{in: bufio.NewReaderSize(r, 64<<10), close: r, signed: signed, trailers: trailers, left: n, key: key, scope: scope, date: date, prior: seed, sums: map[string]hash.Hash{}, Trailer: map[string]string{}}
	for _, t := range trailers {
		if h := checksum(t); h != nil {
			c.sums[t] = h
		} else if strings.HasPrefix(t, "x-amz-checksum-") && c.err == nil {
			c.err = errs.Named(errs.Unsupported, "NotImplemented", "the checksum %.40s is not offered: use CRC32, CRC32C, CRC64NVME, SHA1, SHA256, SHA512 or MD5", t)
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
	case "x-amz-checksum-sha512":
		return sha512.New()
	case "x-amz-checksum-md5":
		return md5.New()
	}
	return nil
}

func (c *chunkReader) Close() error { return c.close.Close() }

func (c *chunkReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		switch {
		case len(c.chunk) > 0:
			n := copy(p, c.chunk)
			c.chunk = c.chunk[n:]
			return n, nil
		case c.err != nil:
			return 0, c.err
		case c.passing > 0:
			return c.pass(p), nil
		}
		c.next()
	}
}

// pass hands on bytes of an unsigned chunk, which may be as large as the whole body.
func (c *chunkReader) pass(p []byte) int {
	n, err := c.in.Read(p[:min(int64(len(p)), c.passing)])
	c.passing -= int64(n)
	c.left -= int64(n)
	for _, h := range c.sums {
		h.Write(p[:n])
	}
	if c.passing == 0 {
		c.endOfChunk()
	} else if err != nil {
		c.err = broken("the chunked body breaks off")
	}
	return n
}

func (c *chunkReader) endOfChunk() {
	if crlf, err := c.line(); err != nil || crlf != "" {
		c.err = broken("a chunk is longer than it says")
	}
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
	if err != nil || n < 0 || c.signed && n > maxChunk {
		c.err = broken("the size of a chunk is not a number, or of a signed chunk over %d", maxChunk)
		return
	}
	if n > c.left {
		c.err = broken("the chunks hold more than the %s said", headerDecodedLength)
		return
	}
	if !c.signed && n > 0 {
		c.passing = n
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
		if c.endOfChunk(); c.err == nil {
			c.chunk = b
		}
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
		if c.Trailer[k] = v; len(c.Trailer) > maxTrailers {
			return broken("more than %d trailers", maxTrailers)
		}
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
