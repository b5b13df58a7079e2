package galen

import (
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/galen-health/galen/platform/record/postgres/pgtest"
)

// cluster is the PostgreSQL of a test process, and which database belongs to which data folder.
var cluster struct {
	sync.Mutex
	server *pgtest.Server
	urls   map[string]string
}

// Postgres is the PostgreSQL of the test process, which ends with it; the test skips where none is installed.
func Postgres(t testing.TB) *pgtest.Server {
	t.Helper()
	cluster.Lock()
	defer cluster.Unlock()
	if cluster.server == nil {
		s, err := pgtest.New()
		if errors.Is(err, pgtest.ErrAbsent) {
			t.Skip("PostgreSQL is not installed: run make test, which installs it")
		}
		if err != nil {
			t.Fatal(err)
		}
		cluster.server, cluster.urls = s, map[string]string{}
	}
	return cluster.server
}

// RecordsEnv says where the records of a data folder are: with GALEN_TEST_RECORDS=postgres in a database of its own, so that any suite runs on PostgreSQL. Without
// it they are in the folder, and there is nothing to say.
func RecordsEnv(t testing.TB, dir string) []string {
	if os.Getenv("GALEN_TEST_RECORDS") != "postgres" {
		return nil
	}
	return []string{"GALEN_RECORDS=" + RecordsURL(t, dir)}
}

// RecordsURL is the database of a data folder, made when it has none yet.
func RecordsURL(t testing.TB, dir string) string {
	t.Helper()
	server := Postgres(t)
	cluster.Lock()
	defer cluster.Unlock()
	url := cluster.urls[dir]
	if url == "" {
		url = server.Database(t)
		cluster.urls[dir] = url
	}
	return url
}
