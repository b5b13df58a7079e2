// Package cursor is the form of a record.Cursor that the back ends of package record share: where a match stands in the order of its query. It promises nothing
// of the match; a cursor comes from outside, and one that is not of its query's form is errs.Invalid.
package cursor

import (
	"encoding/base64"
	"encoding/binary"
	"math"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// Spot is where a match stands: its keys as the back end sorts them, then its pid.
type Spot struct {
	Keys [][]byte // one for each order of the query; nil = the record lacks the index: last
	PID  uint64
}

// Encode is base64 of: the pid, the number of keys, then for each a flag and, unless it is nil, its length and the key.
func (s *Spot) Encode() record.Cursor {
	b := binary.AppendUvarint(nil, s.PID)
	b = binary.AppendUvarint(b, uint64(len(s.Keys)))
	for _, k := range s.Keys {
		if k == nil {
			b = append(b, 0)
			continue
		}
		b = append(b, 1)
		b = binary.AppendUvarint(b, uint64(len(k)))
		b = append(b, k...)
	}
	return record.Cursor(base64.RawURLEncoding.EncodeToString(b))
}

// Decode reads a cursor of a query with this many orders; nil is the beginning. A pid fits into an int64.
func Decode(c record.Cursor, orders int) (*Spot, error) {
	if c == "" {
		return nil, nil
	}
	bad := errs.New(errs.Invalid, "the page token is not one of this query")
	b, err := base64.RawURLEncoding.DecodeString(string(c))
	if err != nil {
		return nil, bad
	}
	number := func() uint64 {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			err = bad
			return 0
		}
		b = b[size:]
		return n
	}
	s := &Spot{PID: number()}
	if n := number(); err != nil || s.PID > math.MaxInt64 || n != uint64(orders) {
		return nil, bad
	}
	for range orders {
		if len(b) == 0 {
			return nil, bad
		}
		flag := b[0]
		b = b[1:]
		if flag == 0 {
			s.Keys = append(s.Keys, nil)
			continue
		}
		n := number()
		if err != nil || flag != 1 || n > uint64(len(b)) {
			return nil, bad
		}
		s.Keys = append(s.Keys, b[:n:n])
		b = b[n:]
	}
	if len(b) > 0 {
		return nil, bad
	}
	return s, nil
}
