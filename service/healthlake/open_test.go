package healthlake

import (
	"testing"

	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/pebble"
)

// openRecords opens the embedded record engine, with a real key ring, in a temporary folder.
func openRecords(t testing.TB) (record.Store, *keyring.Ring) {
	t.Helper()
	s, keys := openRecordsIn(t, t.TempDir())
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, keys
}

// openRecordsIn is for tests that close it themselves.
func openRecordsIn(t testing.TB, dir string) (record.Store, *keyring.Ring) {
	t.Helper()
	keys, err := keyring.Open(dir+"/keys", make([]byte, 32), keyring.Config{Account: "000000000000", Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := pebble.Open(dir+"/records", keys, pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Declare(record.OnceKind.Def()); err != nil {
		t.Fatal(err)
	}
	return s, keys
}
