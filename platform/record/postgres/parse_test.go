package postgres

import (
	"testing"
)

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
