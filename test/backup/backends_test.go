package backup_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/test/galen"
)

// A backup carries records from the data folder to PostgreSQL and back: versions, times, searches, objects and past states are the same. A database that has records is
// refused before anything is begun; a restore that is cut off after the database was filled goes on.
func TestAcrossBackEnds(t *testing.T) {
	t.Setenv("GALEN_TEST_RECORDS", "") // the back ends are said here
	pg := galen.Postgres(t)
	g := fill(t)
	g.object(t, "first", content)
	g.patient(t, "p", "One")
	at := g.patient(t, "q", "One")
	time.Sleep(time.Until(at.Truncate(time.Second).Add(time.Second + 10*time.Millisecond)))
	g.patient(t, "p", "Two")
	g.patient(t, "r", "Two")
	history := g.history(t, "p")
	first, second := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "second")
	must(t, g.Env(), "admin", "backup", first)
	g.Stop()
	env := g.rootKey(t)
	t.Setenv("GALEN_ROOT_KEY", strings.TrimPrefix(env[len(env)-1], "GALEN_ROOT_KEY="))
	check := func(n *filled, where string) {
		t.Helper()
		if n.family(t, "p") != "Two" || n.family(t, "q") != "One" || n.family(t, "r") != "Two" || n.read(t, "first") != content {
			t.Errorf("%s: what is found is another", where)
		}
		if h := n.history(t, "p"); h != history || strings.Count(h, " ") != 2 {
			t.Errorf("%s: the history is %s, was %s", where, h, history)
		}
	}

	inDatabase, url := filepath.Join(t.TempDir(), "new"), pg.Database(t)
	must(t, env, "admin", "restore", first, "--data-dir", inDatabase, "--records", url)
	if out := must(t, env, "verify", "--data-dir", inDatabase, "--records", url); !strings.Contains(out, "all is whole") {
		t.Error(out)
	}
	n := &filled{Server: galen.New(t, inDatabase, "--records", url), store: g.store}
	n.Run()
	check(n, "in PostgreSQL")
	n.patient(t, "s", "Three") // it goes on
	must(t, n.Env(), "admin", "backup", second)
	n.Stop()
	if out := must(t, env, "verify", "--data-dir", inDatabase, "--records", url); !strings.Contains(out, "all is whole") {
		t.Error(out)
	}

	x := filepath.Join(t.TempDir(), "x")
	if status, out := run(t, env, "admin", "restore", second, "--data-dir", x, "--records", url); status != 1 || !strings.Contains(out, "has records: a restore never overwrites") {
		t.Errorf("a restore into a database with records: %d %s", status, out)
	}
	if _, err := os.Stat(x); err == nil {
		t.Error("a restore that was refused has begun a folder")
	}

	inFolder := filepath.Join(t.TempDir(), "back")
	must(t, env, "admin", "restore", second, "--data-dir", inFolder)
	if out := must(t, env, "verify", "--data-dir", inFolder); !strings.Contains(out, "all is whole") {
		t.Error(out)
	}
	b := &filled{Server: galen.New(t, inFolder), store: g.store}
	b.Run()
	check(b, "in the folder again")
	if b.family(t, "s") != "Three" {
		t.Error("what was written in PostgreSQL is not there")
	}
	b.Stop()

	past, pastURL := filepath.Join(t.TempDir(), "past"), pg.Database(t)
	restore := []string{"admin", "restore", second, "--data-dir", past, "--records", pastURL, "--at", at.UTC().Truncate(time.Second).Format(time.RFC3339)}
	must(t, env, restore...)
	// As if it had been cut off between the import and the files.
	var what struct{ At string }
	if err := json.Unmarshal([]byte(must(t, env, "admin", "restore", second, "--data-dir", filepath.Join(t.TempDir(), "y"), "--at", restore[len(restore)-1], "--json")), &what); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(past, "RESTORING"), []byte("galen admin restore "+second+" --at "+what.At+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(past, "audit")); err != nil {
		t.Fatal(err)
	}
	if out := must(t, env, restore...); !strings.Contains(out, "restored") {
		t.Error(out)
	}
	if out := must(t, env, "verify", "--data-dir", past, "--records", pastURL); !strings.Contains(out, "all is whole") {
		t.Error(out)
	}
	p := &filled{Server: galen.New(t, past, "--records", pastURL), store: g.store}
	p.Run()
	if p.family(t, "p") != "One" || p.family(t, "q") != "One" || p.family(t, "r") != "" {
		t.Errorf("the state of %s: p %q, q %q, r %q", at, p.family(t, "p"), p.family(t, "q"), p.family(t, "r"))
	}
}

// history is the versions of a Patient and their times.
func (g *filled) history(t *testing.T, id string) string {
	t.Helper()
	status, answer, err := g.Client().Send(t.Context(), "healthlake", "GET", "/datastore/"+g.store+"/r4/Patient/"+id+"/_history", nil, nil, 1<<20)
	if err != nil || status != 200 {
		t.Fatalf("history: %d %v %s", status, err, answer)
	}
	var h struct {
		Entry []struct {
			Resource struct {
				Meta struct{ VersionID, LastUpdated string }
			}
		}
	}
	if err := json.Unmarshal(answer, &h); err != nil {
		t.Fatal(err)
	}
	out := ""
	for _, e := range h.Entry {
		out += " " + e.Resource.Meta.VersionID + "@" + e.Resource.Meta.LastUpdated
	}
	return out
}
