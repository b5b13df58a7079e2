package pebble

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// head is what is kept of a record's newest version beside its body.
type head struct {
	id      string
	version int64
	commit  uint64
	time    int64 // microseconds
	deleted bool
	entries []posting // sorted, each once
}

// posting is one index entry with its index as number.
type posting struct {
	index uint16
	value record.Value
}

func compare(a, b posting) int {
	if a.index != b.index {
		return int(a.index) - int(b.index)
	}
	return strings.Compare(string(a.value), string(b.value))
}

// encodeHead appends nothing that depends on the record's place but its id.
func encodeHead(h *head) []byte {
	n := 40 + len(h.id)
	for _, e := range h.entries {
		n += 6 + len(e.value)
	}
	b := make([]byte, 0, n)
	flags := byte(0)
	if h.deleted {
		flags = 1
	}
	b = append(b, flags)
	b = binary.AppendUvarint(b, uint64(len(h.id)))
	b = append(b, h.id...)
	b = binary.AppendUvarint(b, uint64(h.version))
	b = binary.AppendUvarint(b, h.commit)
	b = binary.AppendVarint(b, h.time)
	b = binary.AppendUvarint(b, uint64(len(h.entries)))
	for _, e := range h.entries {
		b = binary.AppendUvarint(b, uint64(e.index))
		b = binary.AppendUvarint(b, uint64(len(e.value)))
		b = append(b, e.value...)
	}
	return b
}

func decodeHead(b []byte) (*head, error) {
	r := &reader{s: string(b)} // one copy, which ids and values are parts of
	h := &head{deleted: r.byte() == 1, id: r.bytes(r.uvarint()), version: int64(r.uvarint()), commit: r.uvarint(), time: r.varint()}
	n := r.uvarint()
	if n > uint64(len(r.s)) {
		r.bad = true
		n = 0
	}
	h.entries = make([]posting, 0, n)
	for range n {
		h.entries = append(h.entries, posting{uint16(r.uvarint()), record.Value(r.bytes(r.uvarint()))})
	}
	if r.bad || len(r.s) != 0 {
		return nil, corrupt("a record's head cannot be read")
	}
	return h, nil
}

// of returns the record's values of one index.
func (h *head) of(index uint16) []posting {
	low, _ := slices.BinarySearchFunc(h.entries, index, func(p posting, i uint16) int { return int(p.index) - int(i) })
	high := low
	for high < len(h.entries) && h.entries[high].index == index {
		high++
	}
	return h.entries[low:high]
}

// postings is every posting of the record but that of its time, sorted: its being live, its entries, the systems of its tokens. h may be nil.
func (h *head) postings() []posting {
	if h == nil || h.deleted {
		return nil
	}
	out := make([]posting, 1, 1+len(h.entries)+len(h.entries)/2)
	out[0] = posting{index: indexLive}
	for start := 0; start < len(h.entries); {
		at := len(out)
		index := h.entries[start].index
		for ; start < len(h.entries) && h.entries[start].index == index; start++ {
			out = append(out, h.entries[start])
		}
		for _, e := range out[at:] {
			if v := e.value.System(); v != "" && !slices.Contains(out[at:], posting{index, v}) {
				out = append(out, posting{index, v})
			}
		}
		slices.SortFunc(out[at:], compare)
	}
	return out
}

// entryPostings numbers the indexes of entries, sorts them and drops duplicates.
func (s *Store) entryPostings(entries []record.Entry) ([]posting, error) {
	out := make([]posting, 0, len(entries))
	for _, e := range entries {
		n, err := s.number(e.Index, true)
		if err != nil {
			return nil, err
		}
		if e.Value == "" || e.Value[0] == 'c' || e.Value[0] == 'y' {
			return nil, errs.New(errs.Internal, "an entry of index %s has no value, or one that is for queries only", e.Index)
		}
		out = append(out, posting{n, e.Value})
	}
	slices.SortFunc(out, compare)
	return slices.Compact(out), nil
}

// reader reads the varint-based encodings; any short or impossible input sets bad.
type reader struct {
	s   string
	bad bool
}

func (r *reader) uvarint() uint64 {
	var v uint64
	for i := 0; i < len(r.s) && i < binary.MaxVarintLen64; i++ {
		c := r.s[i]
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.s = r.s[i+1:]
			return v
		}
	}
	r.bad = true
	return 0
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (r *reader) bytes(n uint64) string {
	if n > uint64(len(r.s)) {
		r.bad = true
		return ""
	}
	out := r.s[:n]
	r.s = r.s[n:]
	return out
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != "" {
		return b[0]
	}
	return 0
}
