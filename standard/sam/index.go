package sam

import (
	"encoding/binary"
	"fmt"
	"io"
	"sort"

	"github.com/galen-health/galen/standard/bgzf"
)

// The binning scheme of BAI (SAMv1 §5.1.1, §5.2): bins down to 16 KiB over 512 Mbp.
const (
	minShift   = 14
	maxIndexed = 1 << 29
	metaBin    = 37450
)

// Index is a BAI index.
type Index struct {
	refs     []refIndex
	unplaced uint64
}

type refIndex struct {
	bins             map[uint32][]chunk
	linear           []bgzf.Offset
	begin, end       bgzf.Offset
	mapped, unmapped uint64
}

type chunk struct{ begin, end bgzf.Offset }

// reg2bin is the smallest bin that holds [beg, end) (SAMv1 §5.3).
func reg2bin(beg, end int64) uint32 {
	end--
	for shift, first := int64(minShift), int64(4681); first > 0; shift, first = shift+3, first>>3 {
		if beg>>shift == end>>shift {
			return uint32(first + beg>>shift)
		}
	}
	return 0
}

// indexer builds an index from records in file order.
type indexer struct {
	x        Index
	last     int32
	lastPos  int32
	began    bool
	disorder string // why there can be no index
}

// push adds the record at [begin, end) of the file. Once the records are out of order it does nothing.
func (ix *indexer) push(ref, pos int32, to int64, mapped bool, begin, end bgzf.Offset) {
	switch {
	case ix.disorder != "":
		return
	case ref < 0:
		ix.last, ix.began = -1, true
		ix.x.unplaced++
		return
	case ix.began && (ix.last < 0 || ref < ix.last || ref == ix.last && pos < ix.lastPos):
		ix.disorder = "the records are not sorted by coordinate"
		return
	case to > maxIndexed:
		ix.disorder = fmt.Sprintf("a record lies beyond %d, where BAI ends", maxIndexed)
		return
	}
	ix.last, ix.lastPos, ix.began = ref, pos, true
	for len(ix.x.refs) <= int(ref) {
		ix.x.refs = append(ix.x.refs, refIndex{})
	}
	r := &ix.x.refs[ref]
	if r.bins == nil {
		r.bins = map[uint32][]chunk{}
		r.begin = begin
	}
	r.end = end
	if mapped {
		r.mapped++
	} else {
		r.unmapped++
	}
	from := int64(max(pos, 0))
	to = max(to, from+1)
	bin := reg2bin(from, to)
	if c := r.bins[bin]; len(c) > 0 && c[len(c)-1].end.Block() >= begin.Block() {
		c[len(c)-1].end = end // adjacent, or begins in the same block
	} else {
		r.bins[bin] = append(c, chunk{begin, end})
	}
	for w := from >> minShift; w <= (to-1)>>minShift; w++ {
		for int64(len(r.linear)) <= w {
			r.linear = append(r.linear, 0)
		}
		if r.linear[w] == 0 {
			r.linear[w] = begin
		}
	}
}

// Unplaced is how many reads have no place on any reference.
func (x *Index) Unplaced() uint64 { return x.unplaced }

// WriteTo writes the index as a .bai file for a file with this many references.
func (x *Index) write(w io.Writer, references int) error {
	le := binary.LittleEndian
	b := le.AppendUint32([]byte("BAI\x01"), uint32(references))
	for i := range references {
		if i >= len(x.refs) || x.refs[i].bins == nil {
			b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
			continue
		}
		r := &x.refs[i]
		keys := make([]uint32, 0, len(r.bins))
		for k := range r.bins {
			keys = append(keys, k)
		}
		sort.Slice(keys, func(i, j int) bool { return keys[i] < keys[j] })
		b = le.AppendUint32(b, uint32(len(keys)+1))
		for _, k := range keys {
			b = appendBin(b, k, r.bins[k])
		}
		b = appendBin(b, metaBin, []chunk{{r.begin, r.end}, {bgzf.Offset(r.mapped), bgzf.Offset(r.unmapped)}})
		b = le.AppendUint32(b, uint32(len(r.linear)))
		for j := len(r.linear) - 2; j >= 0; j-- { // an empty window begins where the next does
			if r.linear[j] == 0 {
				r.linear[j] = r.linear[j+1]
			}
		}
		for _, o := range r.linear {
			b = le.AppendUint64(b, uint64(o))
		}
		if len(b) > 1<<20 {
			if _, err := w.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	_, err := w.Write(le.AppendUint64(b, x.unplaced))
	return err
}

func appendBin(b []byte, bin uint32, chunks []chunk) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, bin)
	b = le.AppendUint32(b, uint32(len(chunks)))
	for _, c := range chunks {
		b = le.AppendUint64(b, uint64(c.begin))
		b = le.AppendUint64(b, uint64(c.end))
	}
	return b
}
