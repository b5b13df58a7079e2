package sam

import (
	"encoding/binary"
	"fmt"
)

// MaxRecord bounds one record, as read from a file.
const MaxRecord = 256 << 20

// Flags of a record (SAMv1 §1.4).
const (
	FlagPaired        = 0x1
	FlagUnmapped      = 0x4
	FlagMateUnmapped  = 0x8
	FlagReverse       = 0x10
	FlagMateReverse   = 0x20
	FlagRead2         = 0x80
	FlagSecondary     = 0x100
	FlagSupplementary = 0x800
)

const fixedSize = 32

// Record is a view into one BAM record without its length (SAMv1 §4.2). Check must have accepted it.
type Record struct {
	Ref, Pos         int32 // −1 = none; Pos counts from 0
	MateRef, MatePos int32
	Template         int32
	Length           int32 // bases
	Flag             uint16
	MapQ             uint8
	name, cigar      []byte // name with its NUL
	seq, qual, tags  []byte
}

// parse takes a record apart and checks every length in it. h bounds the reference numbers.
func (r *Record) parse(b []byte, h *Header) error {
	if len(b) < fixedSize {
		return fmt.Errorf("has %d bytes, the fixed part alone has %d", len(b), fixedSize)
	}
	le := binary.LittleEndian
	r.Ref, r.Pos = int32(le.Uint32(b)), int32(le.Uint32(b[4:]))
	nameLen := int(b[8])
	r.MapQ = b[9]
	cigarLen := 4 * int(le.Uint16(b[12:]))
	r.Flag = le.Uint16(b[14:])
	r.Length = int32(le.Uint32(b[16:]))
	r.MateRef, r.MatePos, r.Template = int32(le.Uint32(b[20:])), int32(le.Uint32(b[24:])), int32(le.Uint32(b[28:]))
	n := int32(len(h.References))
	switch {
	case r.Ref < -1 || r.Ref >= n || r.MateRef < -1 || r.MateRef >= n:
		return fmt.Errorf("names a reference beyond the %d of the header", n)
	case nameLen < 1 || r.Length < 0:
		return fmt.Errorf("has an empty name field or a negative length")
	}
	rest := b[fixedSize:]
	need := nameLen + cigarLen + (int(r.Length)+1)/2 + int(r.Length)
	if need > len(rest) {
		return fmt.Errorf("needs %d bytes for its fields and has %d", need, len(rest))
	}
	r.name, rest = rest[:nameLen], rest[nameLen:]
	if r.name[nameLen-1] != 0 {
		return fmt.Errorf("has a name that does not end with NUL")
	}
	r.cigar, rest = rest[:cigarLen], rest[cigarLen:]
	k := (int(r.Length) + 1) / 2
	r.seq, rest = rest[:k], rest[k:]
	r.qual, r.tags = rest[:r.Length], rest[r.Length:]
	if err := r.longCigar(); err != nil {
		return err
	}
	if len(r.cigar) > 0 && r.Length > 0 && r.Flag&FlagUnmapped == 0 {
		if _, query := r.spans(); query != int64(r.Length) {
			return fmt.Errorf("has a CIGAR of %d bases for a sequence of %d", query, r.Length)
		}
	}
	return nil
}

// longCigar takes a CIGAR of more than 65,535 operations from its CG tag (SAMv1 §4.2.2).
func (r *Record) longCigar() error {
	if len(r.cigar) == 0 || r.Ref < 0 || r.Pos < 0 || binary.LittleEndian.Uint32(r.cigar) != uint32(r.Length)<<4|4 {
		return nil
	}
	for rest := r.tags; len(rest) >= 4; {
		n, err := tagSize(rest)
		if err != nil {
			return err
		}
		if rest[0] == 'C' && rest[1] == 'G' && rest[2] == 'B' && (rest[3] == 'I' || rest[3] == 'i') {
			ops := rest[8:n]
			if len(ops) < len(r.cigar) {
				return nil
			}
			at := len(r.tags) - len(rest)
			tags := append(append(make([]byte, 0, len(r.tags)-n), r.tags[:at]...), rest[n:]...)
			r.cigar, r.tags = ops, tags
			return nil
		}
		rest = rest[n:]
	}
	return nil
}

// spans gives how many bases the CIGAR takes on the reference and of the query.
func (r *Record) spans() (reference, query int64) {
	for c := r.cigar; len(c) >= 4; c = c[4:] {
		op := binary.LittleEndian.Uint32(c)
		n := int64(op >> 4)
		switch op & 15 {
		case 0, 7, 8: // M = X
			reference += n
			query += n
		case 1, 4: // I S
			query += n
		case 2, 3: // D N
			reference += n
		}
	}
	return reference, query
}

// End is the position after the last base on the reference, at least Pos+1.
func (r *Record) End() int64 {
	n := int64(0)
	if r.Flag&FlagUnmapped == 0 {
		n, _ = r.spans()
	}
	return int64(r.Pos) + max(n, 1)
}

// Mapped reports whether the read is aligned.
func (r *Record) Mapped() bool { return r.Flag&FlagUnmapped == 0 }

// Name is the read's name.
func (r *Record) Name() string { return string(r.name[:len(r.name)-1]) }

// elementSize is the size of an array element or scalar of a tag, 0 when the type is not one.
func elementSize(t byte) int {
	switch t {
	case 'A', 'c', 'C':
		return 1
	case 's', 'S':
		return 2
	case 'i', 'I', 'f':
		return 4
	case 'd': // not in the specification; htslib knows it
		return 8
	}
	return 0
}

// tagSize is the size of the tag at the start of b, with its name and type.
func tagSize(b []byte) (int, error) {
	if len(b) < 4 {
		return 0, fmt.Errorf("has %d stray bytes after its tags", len(b))
	}
	switch t := b[2]; t {
	case 'Z', 'H':
		for i := 3; i < len(b); i++ {
			if b[i] == 0 {
				return i + 1, nil
			}
		}
		return 0, fmt.Errorf("has a tag %s without an end", printable(b[:2]))
	case 'B':
		if len(b) < 8 {
			return 0, fmt.Errorf("has a tag %s that is cut off", printable(b[:2]))
		}
		size, n := elementSize(b[3]), uint64(binary.LittleEndian.Uint32(b[4:]))
		if size == 0 || b[3] == 'd' || n*uint64(size) > uint64(len(b)-8) {
			return 0, fmt.Errorf("has a tag %s whose array is cut off or of an unknown type", printable(b[:2]))
		}
		return 8 + int(n)*size, nil
	default:
		size := elementSize(t)
		if size == 0 || 3+size > len(b) {
			return 0, fmt.Errorf("has a tag %s that is cut off or of an unknown type", printable(b[:2]))
		}
		return 3 + size, nil
	}
}

// printable keeps error text clean of control bytes.
func printable(b []byte) string {
	for _, c := range b {
		if c <= ' ' || c > '~' {
			return fmt.Sprintf("%x", b)
		}
	}
	return string(b)
}
