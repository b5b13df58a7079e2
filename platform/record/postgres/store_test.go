package postgres_test

import (
	"context"
	"os"
	"testing"

	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/pebble"
	"github.com/galen-health/galen/platform/record/postgres"
	"github.com/galen-health/galen/platform/record/postgres/pgtest"
	"github.com/galen-health/galen/platform/record/recordtest"
)

var ctx = context.Background()

// ring is a real key ring over a folder.
func ring(t testing.TB, dir string) key.Ring {
	t.Helper()
	r, err := keyring.Open(dir, make([]byte, 32), keyring.Config{Account: "000000000000", Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// The suite is the same as Pebble's; of its random queries fewer are asked by default, for each is a statement to plan. GALEN_RECORD_QUERIES says how many.
func TestSuite(t *testing.T) {
	if os.Getenv("GALEN_RECORD_QUERIES") == "" {
		t.Setenv("GALEN_RECORD_QUERIES", "1000")
	}
	server := pgtest.Shared(t)
	recordtest.Suite(t, func(t *testing.T) recordtest.Backend {
		url, keys := server.Database(t), ring(t, t.TempDir())
		return recordtest.Backend{Open: func() record.Store {
			s, err := postgres.Open(ctx, url, keys, postgres.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}, Keys: keys}
	})
}

// Records are carried between PostgreSQL and the embedded store, both ways.
func TestPortable(t *testing.T) {
	server := pgtest.Shared(t)
	keys := ring(t, t.TempDir())
	inDatabase := func(t *testing.T) recordtest.Backend {
		url := server.Database(t)
		return recordtest.Backend{Keys: keys, Open: func() record.Store {
			s, err := postgres.Open(ctx, url, keys, postgres.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}}
	}
	inFolder := func(t *testing.T) recordtest.Backend {
		dir := t.TempDir()
		return recordtest.Backend{Keys: keys, Open: func() record.Store {
			s, err := pebble.Open(dir, keys, pebble.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}}
	}
	t.Run("from the folder", func(t *testing.T) { recordtest.Portable(t, inFolder(t), inDatabase(t)) })
	t.Run("to the folder", func(t *testing.T) { recordtest.Portable(t, inDatabase(t), inFolder(t)) })
	t.Run("between databases", func(t *testing.T) { recordtest.Portable(t, inDatabase(t), inDatabase(t)) })
	t.Run("cut", func(t *testing.T) { recordtest.PortableCut(t, inFolder(t), inDatabase(t)) })
}
