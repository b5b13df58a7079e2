package backup

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"io"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
)

func blobID(s string) blob.ID { return blob.ID(s) }

// A stream is cut into chunks where its content says so, at ends of items, so that what changes in one place leaves the chunks of other places as they were.
const (
	minChunk = 64 << 10
	maxChunk = 4 << 20
	cutOften = 64 // of the items past minChunk, one in so many ends a chunk
)

// chunker is a stream being written.
type chunker struct {
	ctx     context.Context
	v       *vault
	buf     []byte
	names   []string
	written *int64
}

// item adds one whole item. identity says where chunks end, and stays the same when the item's content changes.
func (c *chunker) item(b []byte, identity uint64) error {
	for len(b) > 0 {
		n := min(len(b), maxChunk-len(c.buf))
		c.buf = append(c.buf, b[:n]...)
		b = b[n:]
		if len(c.buf) == maxChunk {
			if err := c.cut(); err != nil {
				return err
			}
		}
	}
	if len(c.buf) >= minChunk {
		h := fnv.New64a()
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, identity)) // never fails
		if h.Sum64()%cutOften == 0 {
			return c.cut()
		}
	}
	return nil
}

// cut ends a chunk.
func (c *chunker) cut() error {
	if len(c.buf) == 0 {
		return nil
	}
	name, n, err := c.v.put(c.ctx, c.buf)
	if err != nil {
		return err
	}
	*c.written += n
	c.names, c.buf = append(c.names, name), c.buf[:0]
	return nil
}

// end is the list of the stream's chunks.
func (c *chunker) end() ([]string, error) {
	err := c.cut()
	return c.names, err
}

// joined reads a stream back.
type joined struct {
	ctx   context.Context
	v     *vault
	names []string
	buf   []byte
}

func (j *joined) Read(p []byte) (int, error) {
	for len(j.buf) == 0 {
		if len(j.names) == 0 {
			return 0, io.EOF
		}
		b, err := j.v.chunk(j.ctx, j.names[0])
		if err != nil {
			return 0, err
		}
		if len(b) == 0 {
			return 0, errs.New(errs.Corrupt, "%s is empty", chunkPlace(j.names[0]))
		}
		j.buf, j.names = b, j.names[1:]
	}
	n := copy(p, j.buf)
	j.buf = j.buf[n:]
	return n, nil
}
