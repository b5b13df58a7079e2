// Package postgres_test kills what several servers on one PostgreSQL are made of: the servers, and PostgreSQL.
package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record/postgres"
	"github.com/galen-health/galen/platform/record/postgres/pgtest"
)

// kills is how many processes are killed: 12, or $GALEN_POSTGRES_KILLS.
func kills() int {
	if n, err := strconv.Atoi(os.Getenv("GALEN_POSTGRES_KILLS")); err == nil && n > 0 {
		return n
	}
	return 12
}

// copyFolder copies a flat folder.
func copyFolder(t testing.TB, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// TestThreeProcesses: three processes write, deliver events and run jobs on one database under kill -9 at random, PostgreSQL itself among the killed. Nothing that
// was acknowledged is lost, no event is missing, none comes under two ids, and each job has its effect once.
func TestThreeProcesses(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	url := server.Database(t)
	ctx := context.Background()
	first := t.TempDir()
	keys, err := keyring.Open(first, make([]byte, 32), keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := postgres.Open(ctx, url, keys, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), keys.Close()); err != nil {
		t.Fatal(err)
	}
	stop := filepath.Join(t.TempDir(), "stop")
	h := &heard{acked: map[string]bool{}, got: map[string]int{}, ids: map[string]string{}}
	var workers [3]*worker
	var dirs [3]string
	for i := range workers {
		dirs[i] = filepath.Join(t.TempDir(), "keys")
		copyFolder(t, first, dirs[i])
		workers[i] = startWorker(t, h, dirs[i], url, stop)
		defer func() { workers[i].kill() }()
	}
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	crashes := 0
	total := kills()
	for n := range total {
		for want, end := h.count()+1+rng.IntN(30), time.Now().Add(30*time.Second); h.count() < want && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		if n%6 == 3 {
			if crashes++; crashes%2 == 1 {
				server.Crash()
			} else {
				server.Stop()
			}
			if err := server.Run(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		i := rng.IntN(3)
		workers[i].kill()
		workers[i] = startWorker(t, h, dirs[i], url, stop)
	}
	if err := os.WriteFile(stop, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// The survivors do the rest.
	if keys, err = keyring.Open(first, make([]byte, 32), keyring.Config{}); err != nil {
		t.Fatal(err)
	}
	defer keys.Close() //nolint:errcheck // test
	if s, err = postgres.Open(ctx, url, keys, postgres.Options{}); err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // test
	if err := s.Declare(things.Def(), done.Def()); err != nil {
		t.Fatal(err)
	}
	var there map[string]bool
	var missing string
	for end := time.Now().Add(90 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		there, missing = look(t, ctx, s, h)
		if missing == "" || time.Now().After(end) {
			break
		}
	}
	if missing != "" {
		t.Error(missing)
	}
	again := 0
	h.mu.Lock()
	defer h.mu.Unlock()
	for n := range h.acked {
		if !there[n] {
			t.Errorf("%s was acknowledged and is lost", n)
		}
	}
	for n, times := range h.got {
		again += times - 1
		if !there[n] {
			t.Errorf("%s was delivered and is not there", n)
		}
	}
	for _, f := range h.faults {
		t.Error(f)
	}
	faults := 0
	if _, _, err := s.Verify(ctx, func(f string) { faults++; t.Error("verify: " + f) }); err != nil {
		t.Error(err)
	}
	t.Logf("%d kills, %d of them of PostgreSQL: %d batches acknowledged, %d made, 0 lost; %d events delivered, 0 missing, %d again under the same id; %d jobs, each once; verify: %d faults",
		total, crashes, len(h.acked), len(there), len(h.got), again, len(there), faults)
}

// look reports what is there, and what is still to come.
func look(t *testing.T, ctx context.Context, s *postgres.Store, h *heard) (there map[string]bool, missing string) {
	t.Helper()
	v, err := s.View(ctx, space)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	there = map[string]bool{}
	for x, err := range v.Scan(things.Name, 0) {
		if err != nil {
			t.Fatal(err)
		}
		there[x.ID] = true
	}
	ended := map[string]string{}
	for x, err := range v.Scan(done.Name, 0) {
		if err != nil {
			t.Fatal(err)
		}
		d, err := done.Decode(x.Body)
		if err != nil {
			t.Fatal(err)
		}
		ended[x.ID] = d.N
	}
	if ended["counter"] != fmt.Sprint(len(there)) {
		t.Fatalf("the counter under the lock is %s after %d batches", ended["counter"], len(there))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for n := range there {
		switch {
		case len(ended[n]) > 1:
			t.Fatalf("job %s had its effect %d times", n, len(ended[n]))
		case ended[n] == "":
			missing = "job " + n + " has not ended"
		case h.got[n] == 0:
			missing = "event " + n + " has not come"
		}
	}
	return there, missing
}
