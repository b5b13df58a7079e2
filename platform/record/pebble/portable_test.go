package pebble_test

import (
	"testing"

	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/pebble"
	"github.com/galen-health/galen/platform/record/recordtest"
)

func TestPortable(t *testing.T) {
	keys := ring(t, t.TempDir())
	open := func() recordtest.Backend {
		dir := t.TempDir()
		return recordtest.Backend{Keys: keys, Open: func() record.Store {
			s, err := pebble.Open(dir, keys, pebble.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}}
	}
	recordtest.Portable(t, open(), open())
	recordtest.PortableCut(t, open(), open())
}
