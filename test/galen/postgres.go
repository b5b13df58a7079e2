package galen

import (
	"os"
	"sync"
	"testing"

	"github.com/galen-health/galen/platform/record/postgres/pgtest"
)

// databases are those of data folders.
var databases struct {
	sync.Mutex
	urls map[string]string
}

// Postgres is the PostgreSQL of the test process, which ends with it; the test skips where none is installed.
func Postgres(t testing.TB) *pgtest.Server {
	t.Helper()
	return pgtest.Shared(t)
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
	databases.Lock()
	defer databases.Unlock()
	if databases.urls == nil {
		databases.urls = map[string]string{}
	}
	if databases.urls[dir] == "" {
		databases.urls[dir] = server.Database(t)
	}
	return databases.urls[dir]
}
