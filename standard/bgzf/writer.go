package bgzf

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/flate"
)

// payload is how much goes into a block: less than 64 KiB, so that a block that does not compress still fits (as htslib has it).
const payload = 0xff00

// Writer compresses what is written to it into blocks, several at a time. It is used by one goroutine.
type Writer struct {
	w     io.Writer
	buf   []byte
	tasks chan deflateTask
	order chan chan []byte
	wg    sync.WaitGroup
	done  chan struct{}

	mu  sync.Mutex
	err error
	at  int64
}

type deflateTask struct {
	data []byte
	done chan []byte
}

// NewWriter writes BGZF to w at a compression level from 0 to 9 with this many workers; 0 workers means one a processor.
func NewWriter(w io.Writer, level, workers int) *Writer {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	z := &Writer{w: w, buf: make([]byte, 0, payload), tasks: make(chan deflateTask, workers), order: make(chan chan []byte, 2*workers), done: make(chan struct{})}
	for range workers {
		z.wg.Go(func() {
			var d deflater
			for t := range z.tasks {
				t.done <- d.deflate(t.data, level)
			}
		})
	}
	go z.drain()
	return z
}

// drain writes compressed blocks in their order.
func (z *Writer) drain() {
	defer close(z.done)
	for c := range z.order {
		b := <-c
		if z.failed() != nil {
			continue
		}
		_, err := z.w.Write(b)
		z.mu.Lock()
		z.at += int64(len(b))
		z.err = err
		z.mu.Unlock()
	}
}

func (z *Writer) failed() error {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.err
}

// Write compresses p.
func (z *Writer) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		n := min(len(p), payload-len(z.buf))
		z.buf = append(z.buf, p[:n]...)
		p = p[n:]
		if len(z.buf) == payload {
			z.Flush()
		}
	}
	return total, z.failed()
}

// Flush ends the block, so that what follows starts in a block of its own.
func (z *Writer) Flush() {
	if len(z.buf) == 0 {
		return
	}
	t := deflateTask{z.buf, make(chan []byte, 1)}
	z.order <- t.done
	z.tasks <- t
	z.buf = make([]byte, 0, payload)
}

// Close writes what is left and the block that marks the end. It does not close w.
func (z *Writer) Close() error {
	z.Flush()
	close(z.tasks)
	close(z.order)
	z.wg.Wait()
	<-z.done
	if z.err == nil {
		_, z.err = z.w.Write(EOF)
		z.at += int64(len(EOF))
	}
	return z.err
}

// Size is how much was written to the file; after Close it is all of it.
func (z *Writer) Size() int64 {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.at
}

// deflater compresses blocks one after another.
type deflater struct {
	z     *flate.Writer
	level int
}

func (d *deflater) deflate(data []byte, level int) []byte {
	out := bytes.NewBuffer(make([]byte, 0, len(data)/2+64))
	out.Write(EOF[:18])
	if d.z == nil || d.level != level {
		d.z, _ = flate.NewWriter(out, level) // a level out of range was clamped
		if d.z == nil {
			d.z, _ = flate.NewWriter(out, flate.DefaultCompression)
		}
		d.level = level
	} else {
		d.z.Reset(out)
	}
	_, _ = d.z.Write(data) // to memory: cannot fail
	_ = d.z.Close()
	if out.Len()+8 > MaxBlock { // data that grows is stored
		out.Truncate(18)
		s, _ := flate.NewWriter(out, flate.NoCompression)
		_, _ = s.Write(data)
		_ = s.Close()
	}
	var tail [8]byte
	binary.LittleEndian.PutUint32(tail[:], crc32.ChecksumIEEE(data))
	binary.LittleEndian.PutUint32(tail[4:], uint32(len(data)))
	out.Write(tail[:])
	b := out.Bytes()
	binary.LittleEndian.PutUint16(b[16:], uint16(len(b)-1))
	return b
}
