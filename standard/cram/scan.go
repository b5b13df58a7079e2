package cram

import (
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"sync"

	"github.com/galen-health/galen/standard/sam"
)

// Scan says what a pass over a CRAM file shall give.
type Scan struct {
	Workers int       // 0 means one a processor
	Text    io.Writer // gets every record as SAM text with a line feed, in file order; nil = none
	// Reference gives a whole sequence in upper case, by the name and, when the header has it, the MD5. nil = there is none.
	Reference func(name, md5 string) ([]byte, error)
	// Prefix begins the names of reads whose names the file does not keep; a colon and the read's number follow.
	Prefix string
}

// Summary is what a pass found.
type Summary struct {
	Header  *sam.Header
	Records int64
	Mapped  int64
	Bases   int64 // of primary records
	Reads   int64 // primary records: not secondary, not supplementary
	index   []entry
}

// entry is a line of the index: where the records of one reference in one slice are.
type entry struct {
	ref, start, span int64
	container        int64
	slice, size      int64
}

// WriteIndex writes the .crai file (CRAMv3 §11).
func (s *Summary) WriteIndex(w io.Writer) error {
	z := gzip.NewWriter(w)
	for _, e := range s.index {
		if _, err := fmt.Fprintf(z, "%d\t%d\t%d\t%d\t%d\t%d\n", e.ref, e.start, e.span, e.container, e.slice, e.size); err != nil {
			return err
		}
	}
	return z.Close()
}

// work is a container on its way through the workers.
type work struct {
	c     *container
	text  []byte
	sum   Summary
	err   error
	done  chan struct{}
	index []entry
}

// Run reads a CRAM file to its end. What was written to Text before an error is of no use.
func (o Scan) Run(r io.Reader) (*Summary, error) {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	f, err := open(r)
	if err != nil {
		return nil, err
	}
	first, err := f.next()
	if err != nil {
		return nil, err
	}
	s := &Summary{}
	if s.Header, err = first.header(); err != nil {
		return nil, err
	}
	refs := &sequences{header: s.Header, fetch: o.Reference, have: map[int32][]byte{}}
	var groups []string
	for _, g := range s.Header.ReadGroups() {
		groups = append(groups, g.ID)
	}
	tasks, order := make(chan *work, o.Workers), make(chan *work, 2*o.Workers)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range o.Workers {
		wg.Go(func() {
			for w := range tasks {
				w.err = o.container(w, s.Header, refs, groups)
				close(w.done)
			}
		})
	}
	var failed error
	wg.Go(func() {
		for w := range order {
			<-w.done
			if failed != nil {
				continue
			}
			if failed = w.err; failed == nil && o.Text != nil {
				_, failed = o.Text.Write(w.text)
			}
			if failed != nil {
				close(stop)
				continue
			}
			s.Records += w.sum.Records
			s.Mapped += w.sum.Mapped
			s.Bases += w.sum.Bases
			s.Reads += w.sum.Reads
			s.index = append(s.index, w.index...)
		}
	})
	err = deal(f, tasks, order, stop)
	close(tasks)
	close(order)
	wg.Wait()
	if failed != nil {
		return nil, failed
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// deal reads containers and hands them out.
func deal(f *file, tasks, order chan<- *work, stop <-chan struct{}) error {
	for {
		c, err := f.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if c.eof() {
			continue
		}
		w := &work{c: c, done: make(chan struct{})}
		select {
		case order <- w:
		case <-stop:
			return nil
		}
		tasks <- w
	}
}

// container decodes the slices of a container.
func (o Scan) container(w *work, header *sam.Header, refs *sequences, groups []string) error {
	c := &cursor{b: w.c.data}
	fault := func(err error) error {
		var known interface{ Unwrap() error }
		if errors.As(err, &known) {
			return fmt.Errorf("cram: container at %d: %w", w.c.offset, err)
		}
		return &Error{Offset: w.c.offset, Reason: err.Error(), Cause: err}
	}
	unpacked := int64(0)
	next := func() (*block, error) {
		b, err := readBlock(c)
		if err == nil {
			if unpacked += int64(b.size); unpacked > maxUnpacked {
				err = fmt.Errorf("unpacks to more than %d bytes", int64(maxUnpacked))
			}
		}
		return b, err
	}
	b, err := next()
	if err != nil {
		return fault(err)
	}
	if b.kind != kindCompression {
		return w.c.fault("does not begin with a compression header")
	}
	raw, err := b.unpack()
	if err != nil {
		return fault(err)
	}
	h, err := parseCompression(raw)
	if err != nil {
		return fault(err)
	}
	for c.left() > 0 {
		begin := c.at
		b, err := next()
		if err != nil {
			return fault(err)
		}
		if b.kind != kindSlice {
			return w.c.fault("has a block of kind %d where a slice begins", b.kind)
		}
		if raw, err = b.unpack(); err != nil {
			return fault(err)
		}
		head, err := parseSliceHeader(raw)
		if err != nil {
			return fault(err)
		}
		if head.ref >= int32(len(header.References)) {
			return w.c.fault("has a slice on a reference that the header does not have")
		}
		var blocks []*block
		for range head.blocks {
			if b, err = next(); err != nil {
				return fault(err)
			}
			blocks = append(blocks, b)
		}
		s := &slice{h: h, head: head, refs: refs, header: header, groups: groups}
		if err = s.prepare(blocks); err == nil {
			err = s.decode()
		}
		if err == nil {
			err = o.emit(w, s)
		}
		if err != nil {
			return fault(err)
		}
		w.index = append(w.index, s.entries(w.c.offset, int64(begin), int64(c.at-begin))...)
	}
	return nil
}

// emit writes the records of a slice as text.
func (o Scan) emit(w *work, s *slice) error {
	var raw []byte
	for i := range s.records {
		r := &s.records[i]
		w.sum.Records++
		if r.flags&sam.FlagUnmapped == 0 {
			w.sum.Mapped++
		}
		if r.flags&(sam.FlagSecondary|sam.FlagSupplementary) == 0 {
			w.sum.Reads++
			w.sum.Bases += int64(r.seq.to - r.seq.from)
		}
		if o.Text == nil {
			continue
		}
		var err error
		if raw, err = s.bam(raw[:0], i, o.Prefix); err == nil {
			w.text, err = sam.AppendText(w.text, raw, s.header)
		}
		if err != nil {
			return fmt.Errorf("record %d: %w", s.head.counter+int64(i)+1, err)
		}
		w.text = append(w.text, '\n')
	}
	return nil
}

// bam writes a record as BAM has it, so that one formatter serves both.
func (s *slice) bam(b []byte, i int, prefix string) ([]byte, error) {
	le := binary.LittleEndian
	r := &s.records[i]
	name := s.at(r.name)
	if len(name) == 0 {
		name = s.madeName(i, prefix)
	}
	if len(name) > 254 {
		return nil, errors.New("has a name longer than 254 bytes")
	}
	cigar, long := s.at(r.cigar), []byte(nil)
	if len(cigar) > 4*0xffff { // SAMv1 §4.2.2
		long = cigar
		cigar = le.AppendUint32(nil, uint32(r.seq.to-r.seq.from)<<4|opSoft)
		cigar = le.AppendUint32(cigar, uint32(max(r.end-int64(r.pos)+1, 0))<<4|opSkip)
	}
	seq := s.at(r.seq)
	b = le.AppendUint32(b, uint32(r.ref))
	b = le.AppendUint32(b, uint32(r.pos-1))
	b = append(b, byte(len(name)+1), r.mapQ, 0, 0)
	b = le.AppendUint16(b, uint16(len(cigar)/4))
	b = le.AppendUint16(b, uint16(r.flags))
	b = le.AppendUint32(b, uint32(len(seq)))
	b = le.AppendUint32(b, uint32(r.mateRef))
	b = le.AppendUint32(b, uint32(r.matePos-1))
	b = le.AppendUint32(b, uint32(int32(r.tlen)))
	b = append(b, name...)
	b = append(b, 0)
	b = append(b, cigar...)
	for k := 0; k < len(seq); k += 2 {
		v := nibble[seq[k]] << 4
		if k+1 < len(seq) {
			v |= nibble[seq[k+1]]
		}
		b = append(b, v)
	}
	b = append(b, s.at(r.qual)...)
	b = append(b, s.at(r.tags)...)
	if r.group >= 0 {
		b = append(b, "RGZ"...)
		b = append(b, s.groups[r.group]...)
		b = append(b, 0)
	}
	if long != nil {
		b = append(b, "CGBI"...)
		b = le.AppendUint32(b, uint32(len(long)/4))
		b = append(b, long...)
	}
	return b, nil
}

// madeName is the name of a read whose name was not kept: that of its mate, else its number in the file.
func (s *slice) madeName(i int, prefix string) []byte {
	r := &s.records[i]
	n := i
	if r.mate >= 0 {
		if name := s.at(s.records[r.mate].name); len(name) > 0 {
			return name
		}
		n = min(n, int(r.mate))
	}
	return strconv.AppendInt(append([]byte(prefix), ':'), s.head.counter+int64(n)+1, 10)
}

// nibble is BAM's four bits of a base.
var nibble = func() (t [256]byte) {
	for i := range t {
		t[i] = 15
	}
	for i, c := range "=ACMGRSVTWYHKDBN" {
		t[c] = byte(i)
		t[c|0x20] = byte(i)
	}
	t['='], t['='|0x20] = 0, 0
	return
}()

// entries are the index lines of a slice: one for each reference in it.
func (s *slice) entries(container, at, size int64) []entry {
	if s.head.ref != -2 {
		return []entry{{int64(s.head.ref), int64(s.head.start), int64(s.head.span), container, at, size}}
	}
	var out []entry
	for i := range s.records {
		r := &s.records[i]
		pos, end := int64(r.pos), r.end
		if r.ref < 0 {
			pos, end = 0, 0
		}
		if n := len(out) - 1; n >= 0 && out[n].ref == int64(r.ref) {
			e := &out[n]
			last := max(e.start+e.span-1, end)
			e.start = min(e.start, pos)
			e.span = last - e.start + 1
			continue
		}
		out = append(out, entry{int64(r.ref), pos, end - pos + 1, container, at, size})
	}
	return out
}

// sequences gives reference sequences to the workers and keeps the last few.
type sequences struct {
	mu     sync.Mutex
	header *sam.Header
	fetch  func(name, md5 string) ([]byte, error)
	have   map[int32][]byte
	order  []int32
}

const sequencesKept = 3

func (q *sequences) get(id int32) ([]byte, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if seq, ok := q.have[id]; ok {
		return seq, nil
	}
	ref := q.header.References[id]
	if q.fetch == nil {
		return nil, fmt.Errorf("the file needs the reference sequence %s, and none is given", ref.Name)
	}
	seq, err := q.fetch(ref.Name, ref.MD5)
	if err != nil {
		return nil, err
	}
	if len(q.order) == sequencesKept {
		delete(q.have, q.order[0])
		q.order = q.order[1:]
	}
	q.have[id] = seq
	q.order = append(q.order, id)
	return seq, nil
}
