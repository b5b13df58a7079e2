package postgres_test

import (
	"context"
	"os"
	"testing"

	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
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
	server := pgtest.Start(t)
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
