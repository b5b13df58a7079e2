package sam

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
)

const bases = "=ACMGRSVTWYHKDBN"

const cigarOps = "MIDNSHP=XB??????"

// basePairs are the two bases of each byte of a packed sequence.
var basePairs = func() (t [256][2]byte) {
	for i := range t {
		t[i] = [2]byte{bases[i>>4], bases[i&15]}
	}
	return
}()

// appendText appends the record as a line of SAM, without the line feed, as htslib's sam_format1 does.
func (r *Record) appendText(b []byte, h *Header) ([]byte, error) {
	b = append(b, r.name[:len(r.name)-1]...)
	b = append(b, '\t')
	b = appendInt(b, int64(r.Flag))
	b = append(b, '\t')
	if r.Ref >= 0 {
		b = append(b, h.References[r.Ref].Name...)
	} else {
		b = append(b, '*')
	}
	b = append(b, '\t')
	b = appendInt(b, int64(r.Pos)+1)
	b = append(b, '\t')
	b = appendInt(b, int64(r.MapQ))
	b = append(b, '\t')
	if len(r.cigar) == 0 {
		b = append(b, '*')
	}
	for c := r.cigar; len(c) >= 4; c = c[4:] {
		op := binary.LittleEndian.Uint32(c)
		b = appendInt(b, int64(op>>4))
		b = append(b, cigarOps[op&15])
	}
	b = append(b, '\t')
	switch {
	case r.MateRef < 0:
		b = append(b, '*')
	case r.MateRef == r.Ref:
		b = append(b, '=')
	default:
		b = append(b, h.References[r.MateRef].Name...)
	}
	b = append(b, '\t')
	b = appendInt(b, int64(r.MatePos)+1)
	b = append(b, '\t')
	b = appendInt(b, int64(r.Template))
	b = append(b, '\t')
	b = r.appendBases(b)
	var err error
	for rest := r.tags; len(rest) >= 4; { // up to three stray bytes are ignored, as htslib does
		var n int
		if n, err = tagSize(rest); err != nil {
			return b, err
		}
		b = append(b, '\t')
		b = appendTag(b, rest[:n])
		rest = rest[n:]
	}
	return b, nil
}

func (r *Record) appendBases(b []byte) []byte {
	n := int(r.Length)
	if n == 0 {
		return append(b, '*', '\t', '*')
	}
	at := len(b)
	b = append(b, make([]byte, 2*n+1)...)
	out := b[at:]
	for i, p := range r.seq[:n/2] {
		pair := &basePairs[p]
		out[2*i], out[2*i+1] = pair[0], pair[1]
	}
	if n%2 == 1 {
		out[n-1] = bases[r.seq[n/2]>>4]
	}
	out[n] = '\t'
	if r.qual[0] == 0xff {
		out[n+1] = '*'
		return b[:at+n+2]
	}
	for i, q := range r.qual {
		out[n+1+i] = q + 33
	}
	return b
}

// appendTag appends a tag whose size was checked.
func appendTag(b, tag []byte) []byte {
	le := binary.LittleEndian
	b = append(b, tag[0], tag[1], ':')
	v := tag[3:]
	switch t := tag[2]; t {
	case 'A':
		b = append(b, 'A', ':', v[0])
	case 'f':
		b = append(b, 'f', ':')
		b = appendG(b, float64(math.Float32frombits(le.Uint32(v))))
	case 'd':
		b = append(b, 'd', ':')
		b = appendG(b, math.Float64frombits(le.Uint64(v)))
	case 'Z', 'H':
		b = append(b, t, ':')
		b = append(b, v[:len(v)-1]...)
	case 'B':
		t = v[0]
		b = append(b, 'B', ':', t)
		size := elementSize(t)
		for v = v[5:]; len(v) > 0; v = v[size:] {
			b = append(b, ',')
			switch t {
			case 'f':
				b = appendRounded(b, float64(math.Float32frombits(le.Uint32(v))))
			case 'A':
				b = append(b, v[0])
			default:
				b = appendInt(b, integer(t, v))
			}
		}
	default:
		b = append(b, 'i', ':')
		b = appendInt(b, integer(t, v))
	}
	return b
}

func integer(t byte, v []byte) int64 {
	le := binary.LittleEndian
	switch t {
	case 'c':
		return int64(int8(v[0]))
	case 'C':
		return int64(v[0])
	case 's':
		return int64(int16(le.Uint16(v)))
	case 'S':
		return int64(le.Uint16(v))
	case 'i':
		return int64(int32(le.Uint32(v)))
	}
	return int64(le.Uint32(v)) // 'I'
}

func appendInt(b []byte, v int64) []byte {
	if v >= 0 && v < 10 {
		return append(b, byte('0'+v))
	}
	return strconv.AppendInt(b, v, 10)
}

// appendG writes a number as C's %g does.
func appendG(b []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		if math.Signbit(f) {
			b = append(b, '-')
		}
		return append(b, "nan"...)
	case math.IsInf(f, 0):
		if f < 0 {
			b = append(b, '-')
		}
		return append(b, "inf"...)
	}
	return strconv.AppendFloat(b, f, 'g', 6, 64)
}

// appendRounded writes an array's number as htslib's kputd does: six significant digits by rounding the scaled number, no exponent
// between 0.0001 and 999999.
func appendRounded(b []byte, f float64) []byte {
	if f == 0 {
		if math.Signbit(f) {
			b = append(b, '-')
		}
		return append(b, '0')
	}
	if f < 0 {
		b = append(b, '-')
		f = -f
	}
	if !(f >= 0.0001 && f <= 999999) {
		return appendG(b, f)
	}
	places := 9
	for _, limit := range [...]float64{0.001, 0.01, 0.1, 1, 10, 100, 1000, 10000, 100000} {
		if f < limit {
			break
		}
		places--
	}
	n := uint64(math.RoundToEven(f * pow10[places]))
	scale := uint64(pow10[places])
	b = strconv.AppendUint(b, n/scale, 10)
	frac := n % scale
	if frac == 0 {
		return b
	}
	b = append(b, '.')
	for scale /= 10; frac > 0; scale /= 10 {
		b = append(b, byte('0'+frac/scale))
		frac %= scale
	}
	return b
}

var pow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}

// Text is the record as a line of SAM without the line feed.
func (r *Record) Text(h *Header) (string, error) {
	b, err := r.appendText(nil, h)
	if err != nil {
		return "", fmt.Errorf("sam: a record %w", err)
	}
	return string(b), nil
}

// AppendText appends a BAM record, without its length, as a line of SAM without the line feed. It is checked as Scan checks records.
func AppendText(to, raw []byte, h *Header) ([]byte, error) {
	var r Record
	if err := r.parse(raw, h); err != nil {
		return to, err
	}
	return r.appendText(to, h)
}
