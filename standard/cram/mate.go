package cram

import (
	"errors"

	"github.com/galen-health/galen/standard/sam"
)

// joinMates fills in what records of one template in a slice tell of each other: position, reference, flags and template length (CRAMv3 §10.4).
func (s *slice) joinMates() error {
	for i := range s.records {
		r := &s.records[i]
		if r.mate < 0 {
			if r.mateFlags&mateReverse != 0 {
				r.flags |= sam.FlagPaired | sam.FlagMateReverse
			}
			if r.mateFlags&mateUnmapped != 0 {
				r.flags |= sam.FlagMateUnmapped
			}
			if r.flags&sam.FlagPaired == 0 {
				r.mateRef = -1
			}
			continue
		}
		if !r.tlenKnown {
			if err := s.measure(int32(i)); err != nil {
				return err
			}
		}
		mate := &s.records[r.mate]
		r.matePos, r.mateRef = mate.pos, mate.ref
		r.flags |= sam.FlagPaired
		if mate.flags&sam.FlagUnmapped != 0 {
			r.flags |= sam.FlagMateUnmapped
			r.tlen = 0
		}
		if r.flags&sam.FlagUnmapped != 0 {
			r.tlen = 0
		}
		if mate.flags&sam.FlagReverse != 0 {
			r.flags |= sam.FlagMateReverse
		}
	}
	return nil
}

// measure closes the chain of fragments that begins at first into a ring and gives all of them their template length: positive for the leftmost,
// negative for the others, by the read number when two begin and end alike.
func (s *slice) measure(first int32) error {
	left, right := int64(s.records[first].pos), s.records[first].end
	leftCount, rightCount := 0, 0
	same := true
	for i := first; ; {
		r := &s.records[i]
		switch {
		case int64(r.pos) < left:
			left, leftCount = int64(r.pos), 1
		case int64(r.pos) == left:
			leftCount++
		}
		switch {
		case r.end > right:
			right, rightCount = r.end, 1
		case r.end == right:
			rightCount++
		}
		same = same && r.ref == s.records[first].ref
		if r.mate < 0 {
			r.mate = first
			break
		}
		if r.mate <= i {
			return errors.New("the fragments of a template point backwards")
		}
		i = r.mate
	}
	length := right - left + 1
	if !same {
		length = 0
	}
	r := &s.records[first]
	switch {
	case int64(r.pos) == left && (r.end < right || leftCount <= 1),
		int64(r.pos) == left && r.end == right && leftCount > 1 && rightCount > 1 && r.flags&0x40 != 0:
		r.tlen = length
		length = -length
	default:
		r.tlen = -length
	}
	r.tlenKnown = true
	for i := r.mate; i != first; i = s.records[i].mate {
		s.records[i].tlen, s.records[i].tlenKnown = length, true
	}
	return nil
}
