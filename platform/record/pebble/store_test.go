package pebble_test

import (
	"context"
	"testing"

	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/pebble"
	"github.com/galen-health/galen/platform/record/recordtest"
)

// ring is a real key ring over a folder.
func ring(t testing.TB, dir string) key.Ring {
	t.Helper()
	r, err := keyring.Open(dir, make([]byte, 32), keyring.Config{Account: "000000000000", Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func backend(t *testing.T, change func(*pebble.Store)) recordtest.Backend {
	dir := t.TempDir()
	keys := ring(t, dir+"/keys")
	return recordtest.Backend{Open: func() record.Store {
		s, err := pebble.Open(dir+"/records", keys, pebble.Options{})
		if err != nil {
			t.Fatal(err)
		}
		change(s)
		return s
	}, Keys: keys}
}

func TestSuite(t *testing.T) {
	recordtest.Suite(t, func(t *testing.T) recordtest.Backend { return backend(t, func(*pebble.Store) {}) })
}

// The same with an evaluation that takes on small data the ways that are meant for large data.
func TestSuiteOfLargeWays(t *testing.T) {
	recordtest.Suite(t, func(t *testing.T) recordtest.Backend { return backend(t, (*pebble.Store).Shrink) })
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	keys := ring(t, dir+"/keys")
	s, err := pebble.Open(dir+"/records", keys, pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := pebble.Open(dir+"/records", keys, pebble.Options{}); err == nil {
		t.Fatal("a second open of the same folder succeeded")
	}
	if err := s.CreateSpace(context.Background(), "x", key.Ref{}); err != nil {
		t.Fatal(err)
	}
}
