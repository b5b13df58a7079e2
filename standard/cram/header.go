package cram

import (
	"bytes"
	"errors"
	"fmt"
)

// Data series by their two-letter names (CRAMv3 §8.4).
const (
	seriesBF = iota
	seriesCF
	seriesRI
	seriesRL
	seriesAP
	seriesRG
	seriesRN
	seriesMF
	seriesNS
	seriesNP
	seriesTS
	seriesNF
	seriesTL
	seriesFN
	seriesFC
	seriesFP
	seriesDL
	seriesBA
	seriesBS
	seriesIN
	seriesRS
	seriesPD
	seriesHC
	seriesSC
	seriesMQ
	seriesQS
	seriesBB
	seriesQQ
	seriesCount
)

const seriesNames = "BFCFRIRLAPRGRNMFNSNPTSNFTLFNFCFPDLBABSINRSPDHCSCMQQSBBQQ"

// compression is the compression header of a container (CRAMv3 §8.4).
type compression struct {
	names, deltas, needsReference bool
	substitution                  [5][4]byte // by reference base, then code
	tagLines                      [][]tag
	series                        [seriesCount]*codec
	tags                          map[int32]*codec
	external                      map[int32]int // id to slot
}

// tag is a tag of a line of the dictionary.
type tag struct {
	name  [3]byte
	codec *codec
}

func parseCompression(b []byte) (*compression, error) {
	h := &compression{names: true, deltas: true, needsReference: true, tags: map[int32]*codec{}, external: map[int32]int{}}
	c := &cursor{b: b}
	dictionary, err := h.preservation(c)
	if err != nil {
		return nil, err
	}
	m := &cursor{b: c.take(int(c.itf8()))}
	for range m.itf8() {
		if m.err != nil {
			break
		}
		key := m.take(2)
		d, err := readCodec(m, h.external, 0)
		if err != nil {
			return nil, fmt.Errorf("encoding of data series: %w", err)
		}
		for i := 0; i < len(seriesNames); i += 2 {
			if string(key) == seriesNames[i:i+2] {
				h.series[i/2] = d
			}
		}
	}
	t := &cursor{b: c.take(int(c.itf8()))}
	for range t.itf8() {
		if t.err != nil {
			break
		}
		key := t.itf8()
		d, err := readCodec(t, h.external, 0)
		if err != nil {
			return nil, fmt.Errorf("encoding of a tag: %w", err)
		}
		h.tags[key] = d
	}
	for _, e := range []error{c.err, m.err, t.err} {
		if e != nil {
			return nil, fmt.Errorf("compression header: %w", e)
		}
	}
	return h, h.lines(dictionary)
}

// preservation reads the preservation map and gives the tag dictionary.
func (h *compression) preservation(c *cursor) (dictionary []byte, err error) {
	m := &cursor{b: c.take(int(c.itf8()))}
	for range m.itf8() {
		if m.err != nil {
			break
		}
		switch string(m.take(2)) {
		case "RN":
			h.names = m.byte() != 0
		case "AP":
			h.deltas = m.byte() != 0
		case "RR":
			h.needsReference = m.byte() != 0
		case "SM":
			h.matrix(m.take(5))
		case "TD":
			dictionary = m.take(int(m.itf8()))
		case "QO":
			if m.byte() == 0 {
				return nil, errors.New("qualities in the order of the original read (QO) are of CRAM 4 and not read here")
			}
		default:
			return nil, errors.New("the preservation map has a key that is not known")
		}
	}
	if m.err != nil {
		return nil, fmt.Errorf("preservation map: %w", m.err)
	}
	return dictionary, nil
}

// matrix reads the substitution matrix: for each reference base the codes of the four others, two bits each.
func (h *compression) matrix(sm []byte) {
	for i, b := range sm {
		k := 0
		for j := range 5 {
			if j != i {
				h.substitution[i][b>>(6-2*k)&3] = "ACGTN"[j]
				k++
			}
		}
	}
}

// lines splits the tag dictionary: lines end with NUL, tags have three bytes.
func (h *compression) lines(dictionary []byte) error {
	for len(dictionary) > 0 {
		line, rest, ok := bytes.Cut(dictionary, []byte{0})
		if !ok || len(line)%3 != 0 {
			return errors.New("the tag dictionary is damaged")
		}
		tags := make([]tag, 0, len(line)/3)
		for ; len(line) > 0; line = line[3:] {
			t := tag{name: [3]byte(line), codec: h.tags[int32(line[0])<<16|int32(line[1])<<8|int32(line[2])]}
			if t.codec == nil {
				return errors.New("the tag dictionary names a tag without an encoding")
			}
			tags = append(tags, t)
		}
		h.tagLines = append(h.tagLines, tags)
		dictionary = rest
	}
	return nil
}

// sliceHeader is the header of a slice (CRAMv3 §8.5).
type sliceHeader struct {
	ref, start, span, records int32
	counter                   int64
	blocks                    int32
	embedded                  int32 // id of the block with the reference, −1 = none
	md5                       []byte
}

func parseSliceHeader(b []byte) (*sliceHeader, error) {
	c := &cursor{b: b}
	h := &sliceHeader{ref: c.itf8(), start: c.itf8(), span: c.itf8(), records: c.itf8(), counter: c.ltf8(), blocks: c.itf8()}
	c.list() // content ids: the blocks say them themselves
	h.embedded = c.itf8()
	h.md5 = c.take(16)
	switch {
	case c.err != nil:
		return nil, fmt.Errorf("slice header: %w", c.err)
	case h.ref < -2 || h.records < 0 || h.records > maxRecords || h.blocks < 1 || h.blocks > 1<<16 || h.span < 0:
		return nil, errors.New("slice header: a count is out of bounds")
	}
	return h, nil
}
