package bgzf

import (
	"bytes"
	"io"
	"runtime"
	"sync"
)

// Block is one inflated block.
type Block struct {
	Offset int64  // of the block in the file
	Size   int    // of the block in the file
	Data   []byte // inflated; may be empty
	buf    *[MaxBlock]byte
}

// Reader inflates the blocks of a file in order, several at a time. It is used by one goroutine; Close it.
type Reader struct {
	order chan chan result
	stop  chan struct{}
	once  sync.Once
	wg    sync.WaitGroup
	pool  sync.Pool

	cur    Block
	next   int // in cur.Data
	offset int64
	last   bool // the newest block was the empty one
	err    error
}

type result struct {
	b   Block
	err error
}

type task struct {
	raw    *[MaxBlock]byte
	block  []byte
	head   int
	offset int64
	done   chan result
}

// NewReader reads BGZF from r with this many workers; 0 means one a processor.
func NewReader(r io.Reader, workers int) *Reader {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	z := &Reader{order: make(chan chan result, 4*workers), stop: make(chan struct{})}
	z.pool.New = func() any { return new([MaxBlock]byte) }
	tasks := make(chan task, workers)
	for range workers {
		z.wg.Go(func() {
			var f inflater
			for t := range tasks {
				dst := z.pool.Get().(*[MaxBlock]byte)
				data, err := f.inflate(dst[:], t.block, t.head, t.offset)
				t.done <- result{Block{Offset: t.offset, Size: len(t.block), Data: data, buf: dst}, err}
				z.pool.Put(t.raw)
			}
		})
	}
	z.wg.Go(func() {
		defer close(z.order)
		defer close(tasks)
		z.split(r, tasks)
	})
	return z
}

// split reads the blocks of the file and deals them out.
func (z *Reader) split(r io.Reader, tasks chan<- task) {
	var offset int64
	for {
		select {
		case <-z.stop:
			return
		default:
		}
		raw := z.pool.Get().(*[MaxBlock]byte)
		block, head, err := readBlock(r, offset, raw[:])
		done := make(chan result, 1)
		if err != nil {
			done <- result{Block{Offset: offset}, err}
		}
		select {
		case z.order <- done:
		case <-z.stop:
			return
		}
		if err != nil {
			return
		}
		select {
		case tasks <- task{raw, block, head, offset, done}:
		case <-z.stop:
			return
		}
		offset += int64(len(block))
	}
}

// Next gives the next block, valid until the following call. io.EOF at the end of a whole file; an *Error that wraps
// io.ErrUnexpectedEOF when the file ends without the block that marks its end. Next and Read must not be mixed within a block.
func (z *Reader) Next() (Block, error) {
	if z.err != nil {
		return Block{}, z.err
	}
	if z.cur.buf != nil {
		z.pool.Put(z.cur.buf)
		z.cur = Block{}
	}
	done, ok := <-z.order
	if !ok {
		z.err = io.ErrClosedPipe
		return Block{}, z.err
	}
	res := <-done
	if res.err == io.EOF && !z.last {
		res.err = &Error{Offset: res.b.Offset, Reason: "the file ends without the empty block that marks its end: it is truncated", Cause: io.ErrUnexpectedEOF}
	}
	if res.err != nil {
		z.offset, z.err = res.b.Offset, res.err
		return Block{}, z.err
	}
	z.last = len(res.b.Data) == 0
	z.cur, z.next, z.offset = res.b, 0, res.b.Offset+int64(res.b.Size)
	return z.cur, nil
}

// Read reads inflated bytes across blocks.
func (z *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for z.next == len(z.cur.Data) {
		if _, err := z.Next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, z.cur.Data[z.next:])
	z.next += n
	return n, nil
}

// WriteTo writes all that is left to w.
func (z *Reader) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		n, err := w.Write(z.cur.Data[z.next:])
		z.next += n
		total += int64(n)
		if err != nil {
			return total, err
		}
		if _, err := z.Next(); err == io.EOF {
			return total, nil
		} else if err != nil {
			return total, err
		}
	}
}

// Offset is the virtual offset of the next byte that Read gives. At the end of a block it names the block after it, as htslib does.
func (z *Reader) Offset() Offset {
	if z.next == len(z.cur.Data) {
		return MakeOffset(z.offset, 0)
	}
	return MakeOffset(z.cur.Offset, z.next)
}

// Close ends the workers and returns when none of them uses the source any more: after a read of it that is in progress. It does not close the source.
func (z *Reader) Close() error {
	z.once.Do(func() {
		close(z.stop)
		for range z.order { // ends when the splitter does
		}
		z.wg.Wait()
	})
	return nil
}

// At reads the file from a virtual offset: r must stand at the block that the offset names.
func At(r io.Reader, o Offset, workers int) (*Reader, error) {
	z := NewReader(r, workers)
	if _, err := io.CopyN(io.Discard, z, int64(o.Within())); err != nil {
		_ = z.Close() // nothing more to learn from it
		return nil, err
	}
	return z, nil
}

// ReadBlock inflates the single block at the start of b.
func ReadBlock(b []byte) (data []byte, size int, err error) {
	buf := make([]byte, MaxBlock)
	block, head, err := readBlock(bytes.NewReader(b), 0, buf)
	if err != nil {
		return nil, 0, err
	}
	var f inflater
	data, err = f.inflate(make([]byte, MaxBlock), block, head, 0)
	return data, len(block), err
}
