package cram

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/galen-health/galen/standard/sam"
)

// slice decodes one slice.
type slice struct {
	source
	h       *compression
	head    *sliceHeader
	refs    *sequences
	header  *sam.Header
	groups  []string // ids of read groups
	records []record
	lastPos int32

	ref      []byte // the sequence in use, nil when there is none
	refStart int64  // of its first base, from 1
	refID    int32
	data     []byte // names, tags, bases, qualities, CIGARs of all records
	bases    int64
	scratch  []byte // a byte array that is not kept
}

// record is one alignment.
type record struct {
	flags, cramFlags int32
	ref, length, pos int32
	group            int32
	mateRef, matePos int32
	mateFlags        int32
	mate             int32 // index of the next fragment in the slice, −1 = none
	tlen             int64
	tlenKnown        bool
	end              int64
	mapQ             byte
	name, tags       span
	seq, qual, cigar span
}

type span struct{ from, to int }

// CRAM flags of a record (CRAMv3 §10.2) and mate flags (§10.4).
const (
	cramQualities  = 1
	cramDetached   = 2
	cramDownstream = 4
	cramNoSequence = 8

	mateReverse  = 1
	mateUnmapped = 2
)

func (s *slice) at(p span) []byte { return s.data[p.from:p.to] }

// add appends a byte array to the slice's data.
func (s *slice) add(d *codec) span {
	from := len(s.data)
	s.data = s.array(d, s.data)
	return span{from, len(s.data)}
}

// prepare finds the blocks and the reference of the slice.
func (s *slice) prepare(blocks []*block) error {
	s.external = make([]*cursor, len(s.h.external))
	var embedded []byte
	for _, b := range blocks {
		switch b.kind {
		case kindCore:
			raw, err := b.unpack()
			if err != nil {
				return err
			}
			s.core.b = raw
		case kindExternal:
			slot, used := s.h.external[b.id]
			if !used && b.id != s.head.embedded {
				continue
			}
			raw, err := b.unpack()
			if err != nil {
				return err
			}
			if b.id == s.head.embedded {
				embedded = raw
			}
			if used {
				s.external[slot] = &cursor{b: raw}
			}
		}
	}
	s.refID = -1
	if s.head.ref < 0 {
		return nil
	}
	if s.head.embedded >= 0 {
		if embedded == nil || len(embedded) < int(s.head.span) {
			return errors.New("the embedded reference is missing or too short")
		}
		s.ref, s.refStart, s.refID = bytes.ToUpper(embedded), int64(s.head.start), s.head.ref
		return nil
	}
	if !s.h.needsReference {
		return nil
	}
	if err := s.use(s.head.ref); err != nil {
		return err
	}
	return s.checkReference()
}

// use takes a whole sequence as the reference.
func (s *slice) use(id int32) error {
	if id == s.refID || id < 0 || !s.h.needsReference {
		return nil
	}
	ref, err := s.refs.get(id)
	s.ref, s.refStart, s.refID = ref, 1, id
	return err
}

// checkReference compares the MD5 of the slice's part of the reference.
func (s *slice) checkReference() error {
	if bytes.Equal(s.head.md5, make([]byte, 16)) || s.ref == nil {
		return nil
	}
	from := max(int64(s.head.start)-1, 0)
	to := min(from+int64(s.head.span), int64(len(s.ref)))
	if from > to {
		return errors.New("the slice lies beyond its reference")
	}
	if sum := md5.Sum(s.ref[from:to]); !bytes.Equal(sum[:], s.head.md5) {
		return fmt.Errorf("the reference %s differs from the one that the file was made with: its MD5 from %d to %d is %s, the slice says %s", s.header.References[s.head.ref].Name,
			from+1, to, hex.EncodeToString(sum[:]), hex.EncodeToString(s.head.md5))
	}
	return nil
}

// decode reads all records and joins mates.
func (s *slice) decode() error {
	s.lastPos = s.head.start
	s.records = make([]record, 0, min(int(s.head.records), 1<<16))
	for i := range s.head.records {
		s.records = append(s.records, record{})
		r := &s.records[i]
		if err := s.read(r, i); err != nil {
			return fmt.Errorf("record %d: %w", s.head.counter+int64(i)+1, err)
		}
	}
	return s.joinMates()
}

// read reads one record (CRAMv3 §10).
func (s *slice) read(r *record, index int32) error {
	series := &s.h.series
	r.flags = s.integer(series[seriesBF])
	r.cramFlags = s.integer(series[seriesCF])
	r.ref = s.head.ref
	if r.ref == -2 {
		r.ref = s.integer(series[seriesRI])
		if s.err == nil && r.ref >= int32(len(s.header.References)) {
			return errors.New("names a reference that the header does not have")
		}
		if err := s.use(r.ref); err != nil {
			return err
		}
	}
	r.length = s.integer(series[seriesRL])
	r.pos = s.integer(series[seriesAP])
	if s.h.deltas {
		r.pos += s.lastPos
		s.lastPos = r.pos
	}
	r.group = s.integer(series[seriesRG])
	if s.err == nil && (r.length < 0 || r.flags < 0 || r.flags > 0xffff || r.ref < -1 || r.group < -1 || int(r.group) >= len(s.groups)) {
		return errors.New("has a length, flag, reference or read group out of bounds")
	}
	if s.bases += int64(r.length); s.bases > maxBases {
		return fmt.Errorf("brings the slice to more than %d bases", maxBases)
	}
	if s.h.names {
		r.name = s.add(series[seriesRN])
	}
	s.readMate(r, index)
	if err := s.readTags(r); err != nil {
		return err
	}
	if s.err != nil {
		return s.err
	}
	n := int(r.length)
	r.seq = span{len(s.data), len(s.data) + n}
	r.qual = span{r.seq.to, r.seq.to + n}
	s.data = append(s.data, make([]byte, 2*n)...)
	r.end = int64(r.pos)
	if r.flags&sam.FlagUnmapped == 0 {
		if r.pos <= 0 {
			return errors.New("is mapped and has no position")
		}
		if err := s.readAlignment(r); err != nil {
			return err
		}
	} else {
		if r.cramFlags&cramNoSequence == 0 {
			s.fill(series[seriesBA], s.at(r.seq))
		}
		s.readQualities(r)
	}
	if r.cramFlags&cramNoSequence != 0 {
		r.seq.to, r.qual.to = r.seq.from, r.qual.from
	}
	return s.err
}

// readMate reads what is known of the mate (CRAMv3 §10.4).
func (s *slice) readMate(r *record, index int32) {
	series := &s.h.series
	r.mate, r.mateRef = -1, -1
	switch {
	case r.cramFlags&cramDetached != 0:
		r.mateFlags = s.integer(series[seriesMF])
		if !s.h.names {
			r.name = s.add(series[seriesRN])
		}
		r.mateRef = s.integer(series[seriesNS])
		r.matePos = s.integer(series[seriesNP])
		r.tlen, r.tlenKnown = int64(s.integer(series[seriesTS])), true
		if s.err == nil && (r.mateRef < -1 || int(r.mateRef) >= len(s.header.References)) {
			s.fail(errors.New("names a mate reference that the header does not have"))
		}
	case r.cramFlags&cramDownstream != 0:
		next := int64(index) + 1 + int64(s.integer(series[seriesNF]))
		if s.err == nil && (next <= int64(index) || next >= int64(s.head.records)) {
			s.fail(errors.New("has its mate outside the slice"))
			return
		}
		r.mate = int32(next)
	}
}

func (s *slice) readTags(r *record) error {
	line := s.integer(s.h.series[seriesTL])
	if s.err == nil && (line < 0 || int(line) >= len(s.h.tagLines)) {
		if line == 0 && len(s.h.tagLines) == 0 {
			return nil
		}
		return errors.New("names a line of tags that the dictionary does not have")
	}
	if s.err != nil {
		return s.err
	}
	r.tags.from = len(s.data)
	for _, t := range s.h.tagLines[line] {
		from := len(s.data)
		s.data = append(s.data, t.name[:]...)
		switch t.codec.kind {
		case encByteArrayLen, encByteArrayStop:
			s.data = s.array(t.codec, s.data)
		default: // a scalar, coded as single bytes
			s.data = append(s.data, s.byte(t.codec))
		}
		if string(t.name[:]) == "cFC" { // htslib's note to itself on MD and NM, not a tag of the file
			s.data = s.data[:from]
		}
	}
	r.tags.to = len(s.data)
	return nil
}

func (s *slice) readQualities(r *record) {
	q := s.at(r.qual)
	if r.cramFlags&cramQualities != 0 {
		s.fill(s.h.series[seriesQS], q)
		return
	}
	for i := range q {
		q[i] = 0xff
	}
}
