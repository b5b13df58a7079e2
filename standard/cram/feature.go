package cram

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// CIGAR operations as BAM numbers them.
const (
	opMatch = iota
	opInsert
	opDelete
	opSkip
	opSoft
	opHard
	opPad
)

// alignment follows the features of one read along the reference (CRAMv3 §10.6).
type alignment struct {
	s         *slice
	r         *record
	seq, qual []byte
	seqPos    int   // of the next base in the read, from 0
	refPos    int64 // of the next base on the reference, from 1
	cigar     []byte
	op        uint32
	run       uint32
}

// ops adds to the operation in progress, or begins another.
func (a *alignment) ops(op uint32, n int) {
	if a.run > 0 && a.op != op {
		a.flush()
	}
	a.op = op
	a.run += uint32(n)
}

func (a *alignment) flush() {
	if a.run > 0 {
		a.cigar = binary.LittleEndian.AppendUint32(a.cigar, a.run<<4|a.op)
		a.run = 0
	}
}

// matches copies n bases from the reference; N where the reference ends, = where there is none.
func (a *alignment) matches(n int) {
	to := a.seq[min(a.seqPos, len(a.seq)):min(a.seqPos+n, len(a.seq))]
	ref := a.s.ref
	for i := range to {
		switch at := a.refPos + int64(i) - a.s.refStart; {
		case ref == nil || a.r.ref < 0:
			to[i] = '='
		case at < 0 || at >= int64(len(ref)):
			to[i] = 'N'
		default: // the rest in one go
			k := copy(to[i:], ref[at:])
			for j := i + k; j < len(to); j++ {
				to[j] = 'N'
			}
			a.ops(opMatch, n)
			a.seqPos += n
			a.refPos += int64(n)
			return
		}
	}
	a.ops(opMatch, n)
	a.seqPos += n
	a.refPos += int64(n)
}

var errFeature = errors.New("has a feature outside of the read")

// readAlignment reads the features of a mapped read and makes its bases and CIGAR of them and the reference.
func (s *slice) readAlignment(r *record) error {
	series := &s.h.series
	a := &alignment{s: s, r: r, seq: s.at(r.seq), qual: s.at(r.qual), refPos: int64(r.pos)}
	if r.cramFlags&cramQualities == 0 {
		for i := range a.qual {
			a.qual[i] = 0xff
		}
	}
	absent := r.cramFlags&cramNoSequence != 0 && r.length == 0 // the length is not known: features tell the CIGAR alone
	n := s.integer(series[seriesFN])
	pos := 0
	for range n {
		if s.err != nil {
			return s.err
		}
		code := s.byte(series[seriesFC])
		pos += int(s.integer(series[seriesFP]))
		limit := int(r.length)
		if code == 'N' || code == 'P' || code == 'H' || code == 'D' {
			limit++
		}
		if s.err == nil && (pos <= 0 || pos > limit && !absent && r.length > 0) {
			return errFeature
		}
		if pos-1 > a.seqPos {
			a.matches(pos - 1 - a.seqPos)
		}
		if err := a.feature(code, pos-1); err != nil {
			return err
		}
	}
	if int(r.length) > a.seqPos {
		a.matches(int(r.length) - a.seqPos)
	}
	a.flush()
	r.end = max(a.refPos-1, int64(r.pos))
	r.mapQ = byte(s.integer(series[seriesMQ]))
	if r.cramFlags&cramQualities != 0 {
		s.fill(series[seriesQS], a.qual)
	}
	r.cigar = span{len(s.data), len(s.data) + len(a.cigar)}
	s.data = append(s.data, a.cigar...)
	return s.err
}

// feature takes in one feature at a place in the read, from 0.
func (a *alignment) feature(code byte, at int) error {
	s, series := a.s, &a.s.h.series
	switch code {
	case 'S', 'I', 'b':
		index, op := seriesSC, uint32(opSoft)
		switch code {
		case 'I':
			index, op = seriesIN, opInsert
		case 'b':
			index, op = seriesBB, opMatch
		}
		s.scratch = s.array(series[index], s.scratch[:0])
		text := s.scratch
		if at+len(text) > len(a.seq) && len(a.seq) > 0 {
			return errFeature
		}
		if len(a.seq) > 0 {
			copy(a.seq[at:], text)
		}
		if code == 'S' {
			a.flush()
		}
		a.ops(op, len(text))
		a.seqPos += len(text)
		if code == 'b' {
			a.refPos += int64(len(text))
		}
	case 'i':
		a.base(at, s.byte(series[seriesBA]))
		a.ops(opInsert, 1)
		a.seqPos++
	case 'X':
		a.base(at, a.substitute(s.integer(series[seriesBS])))
		a.ops(opMatch, 1)
		a.seqPos++
		a.refPos++
	case 'B':
		a.base(at, s.byte(series[seriesBA]))
		a.quality(at, s.byte(series[seriesQS]))
		a.ops(opMatch, 1)
		a.seqPos++
		a.refPos++
	case 'Q':
		a.quality(at, s.byte(series[seriesQS]))
	case 'q':
		s.scratch = s.array(series[seriesQQ], s.scratch[:0])
		for i, q := range s.scratch {
			a.quality(at+i, q)
		}
	case 'D', 'N', 'P', 'H':
		index, op := seriesDL, uint32(opDelete)
		switch code {
		case 'N':
			index, op = seriesRS, opSkip
		case 'P':
			index, op = seriesPD, opPad
		case 'H':
			index, op = seriesHC, opHard
		}
		n := int(s.integer(series[index]))
		if n < 0 || n >= 1<<28 {
			return errors.New("has a deletion, skip, padding or clip out of bounds")
		}
		a.ops(op, n)
		if code == 'D' || code == 'N' {
			a.refPos += int64(n)
		}
	default:
		if s.err == nil {
			return fmt.Errorf("has a feature of the unknown code %#02x", code)
		}
	}
	return s.err
}

func (a *alignment) base(at int, b byte) {
	if at < len(a.seq) {
		a.seq[at] = b
	}
}

// quality sets one quality. The first of a read without stored ones sets the others to 30, as all implementations do.
func (a *alignment) quality(at int, q byte) {
	if at >= len(a.qual) {
		return
	}
	if a.r.cramFlags&cramQualities == 0 && a.qual[0] == 0xff {
		for i := range a.qual {
			a.qual[i] = 30
		}
	}
	a.qual[at] = q
}

// substitute is the base that a code stands for at this place of the reference.
func (a *alignment) substitute(code int32) byte {
	if code < 0 || code > 3 {
		a.s.fail(errors.New("has a substitution of an unknown code"))
		return 'N'
	}
	row := 4 // N, also where there is no reference
	if at := a.refPos - a.s.refStart; a.s.ref != nil && a.r.ref >= 0 && at >= 0 && at < int64(len(a.s.ref)) {
		switch a.s.ref[at] {
		case 'A':
			row = 0
		case 'C':
			row = 1
		case 'G':
			row = 2
		case 'T':
			row = 3
		}
	}
	return a.s.h.substitution[row][code]
}
