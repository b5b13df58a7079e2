package postgres

import (
	"testing"

	"github.com/galen-health/galen/platform/record"
)

// A page token comes from outside.
func FuzzCursor(f *testing.F) {
	f.Add(string(encodeCursor(&spot{keys: [][]byte{nil, {1, 2}}, pid: 7})), 2)
	f.Add("AAAA", 0)
	f.Add("!", 1)
	f.Fuzz(func(t *testing.T, token string, orders int) {
		if orders < 0 || orders > 16 {
			return
		}
		p, err := decodeCursor(record.Cursor(token), orders)
		if err != nil || p == nil {
			return
		}
		if len(p.keys) != orders || p.pid < 0 {
			t.Errorf("%q reads as %+v", token, p)
		}
		again, err := decodeCursor(encodeCursor(p), orders)
		if err != nil || again.pid != p.pid {
			t.Errorf("%q does not come back: %v", token, err)
		}
	})
}

// What opened under the space's key is still not trusted to be well-formed.
func FuzzEntries(f *testing.F) {
	f.Add([]byte{1, 2, 's', 0})
	f.Add([]byte{0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := decodeEntries(b)
		for i := range list {
			if err == nil && (list[i].index < 1 || i > 0 && compareEntries(list[i-1], list[i]) > 0) {
				t.Errorf("%x reads as %v", b, list)
			}
		}
	})
}
