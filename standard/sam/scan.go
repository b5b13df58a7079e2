package sam

import (
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/galen-health/galen/standard/bgzf"
)

// Scan says what a pass over a BAM file shall give.
type Scan struct {
	Workers int       // 0 means one a processor
	Text    io.Writer // gets every record as SAM text with a line feed, in file order; nil = none
	Index   bool      // build a BAI index
}

// Summary is what a pass found.
type Summary struct {
	Header  *Header
	Records int64
	Mapped  int64
	Bases   int64 // of primary records
	Reads   int64 // primary records: not secondary, not supplementary
	Sorted  bool  // by coordinate, so that there is an index
	Reason  string
	index   *Index
}

// WriteIndex writes the .bai file. Sorted must be true.
func (s *Summary) WriteIndex(w io.Writer) error { return s.index.write(w, len(s.Header.References)) }

// batch is a run of records on its way through the workers.
type batch struct {
	first int64 // number of the first record
	raw   []byte
	ends  []int         // in raw, after each record
	offs  []bgzf.Offset // in the file, after each record
	begin bgzf.Offset

	text  []byte
	marks []mark
	bases int64
	reads int64
	err   error
	done  chan struct{}
}

// mark is where a record lies.
type mark struct {
	ref, pos int32
	end      int64
	mapped   bool
}

const batchSize = 512 << 10

// Run reads a BAM file to its end. An error names the record, counted from 1; what was written to Text before it is of no use.
func (o Scan) Run(r io.Reader) (*Summary, error) {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	z := bgzf.NewReader(r, o.Workers)
	defer z.Close() //nolint:errcheck // never fails
	h, err := readHeader(z)
	if err != nil {
		return nil, err
	}
	s := &Summary{Header: h}
	work := make(chan *batch, o.Workers)
	order := make(chan *batch, 2*o.Workers)
	var wg sync.WaitGroup
	for range o.Workers {
		wg.Go(func() {
			for b := range work {
				b.format(h, o.Text != nil)
				close(b.done)
			}
		})
	}
	var failed error
	var ix indexer
	stop := make(chan struct{})
	wg.Go(func() {
		for b := range order {
			<-b.done
			if failed != nil {
				continue
			}
			if failed = o.settle(s, &ix, b); failed != nil {
				close(stop)
			}
			freeBatches.Put(b)
		}
	})
	err = split(z, work, order, stop)
	close(work)
	close(order)
	wg.Wait()
	if failed != nil {
		return nil, failed
	}
	if err != nil {
		return nil, err
	}
	if o.Index {
		s.Sorted, s.Reason, s.index = ix.disorder == "", ix.disorder, &ix.x
	}
	return s, nil
}

// settle takes in a finished batch, in order.
func (o Scan) settle(s *Summary, ix *indexer, b *batch) error {
	if b.err != nil {
		return b.err
	}
	if o.Text != nil {
		if _, err := o.Text.Write(b.text); err != nil {
			return err
		}
	}
	s.Records += int64(len(b.marks))
	s.Bases += b.bases
	s.Reads += b.reads
	at := b.begin
	for i, m := range b.marks {
		if m.mapped {
			s.Mapped++
		}
		if o.Index {
			ix.push(m.ref, m.pos, m.end, m.mapped, at, b.offs[i])
			at = b.offs[i]
		}
	}
	return nil
}

var freeBatches = sync.Pool{New: func() any { return new(batch) }}

func newBatch(first int64, begin bgzf.Offset) *batch {
	b := freeBatches.Get().(*batch)
	*b = batch{first: first, begin: begin, raw: b.raw[:0], ends: b.ends[:0], offs: b.offs[:0], text: b.text[:0], marks: b.marks[:0], done: make(chan struct{})}
	return b
}

// split cuts the stream into records and deals them out in batches.
func split(z *bgzf.Reader, work, order chan<- *batch, stop <-chan struct{}) error {
	n := int64(0)
	b := newBatch(0, z.Offset())
	send := func() bool {
		select {
		case order <- b:
		case <-stop:
			return false
		}
		work <- b
		b = newBatch(n, z.Offset())
		return true
	}
	var size [4]byte
	for {
		if _, err := io.ReadFull(z, size[:]); err == io.EOF {
			break
		} else if err != nil {
			return at(n, errTruncated("a record", err))
		}
		length := int(binary.LittleEndian.Uint32(size[:]))
		if length < fixedSize || length > MaxRecord {
			return at(n, fmt.Errorf("says it has %d bytes, it must have %d to %d", length, fixedSize, MaxRecord))
		}
		var err error
		if b.raw, err = appendN(b.raw, z, length); err != nil {
			return at(n, errTruncated("a record", err))
		}
		b.ends = append(b.ends, len(b.raw))
		b.offs = append(b.offs, z.Offset())
		n++
		if len(b.raw) >= batchSize && !send() {
			return nil
		}
	}
	if len(b.ends) > 0 {
		send()
	}
	return nil
}

// appendN reads n bytes onto b, growing as they come so that a false length costs nothing.
func appendN(b []byte, r io.Reader, n int) ([]byte, error) {
	for n > 0 {
		k := min(n, 1<<20)
		at := len(b)
		if cap(b)-at < k {
			b = append(b, make([]byte, k)...)
		} else {
			b = b[:at+k]
		}
		if _, err := io.ReadFull(r, b[at:]); err != nil {
			return b[:at], err
		}
		n -= k
	}
	return b, nil
}

func at(n int64, err error) error { return fmt.Errorf("sam: record %d %w", n+1, err) }

// format checks the records of a batch and writes their text.
func (b *batch) format(h *Header, text bool) {
	var r Record
	start := 0
	for i, end := range b.ends {
		if err := r.parse(b.raw[start:end], h); err != nil {
			b.err = at(b.first+int64(i), err)
			return
		}
		start = end
		if text {
			var err error
			if b.text, err = r.appendText(b.text, h); err != nil {
				b.err = at(b.first+int64(i), err)
				return
			}
			b.text = append(b.text, '\n')
		}
		b.marks = append(b.marks, mark{r.Ref, r.Pos, r.End(), r.Mapped()})
		if r.Flag&(FlagSecondary|FlagSupplementary) == 0 {
			b.bases += int64(r.Length)
			b.reads++
		}
	}
}
