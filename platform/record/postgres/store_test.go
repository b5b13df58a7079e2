package postgres_test

import (
	"context"
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

func TestSuite(t *testing.T) {
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
