package keyring_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
)

func openShared(t testing.TB, dir string) *keyring.Ring {
	t.Helper()
	r, err := keyring.OpenShared(dir, nil, keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// What one process changes holds in the others at once.
func TestSharedRing(t *testing.T) {
	dir := t.TempDir()
	a, b := openShared(t, dir), openShared(t, dir)
	ctx := context.Background()
	k, err := a.Create()
	if err != nil {
		t.Fatal(err)
	}
	dk, err := b.DataKey(ctx, key.Ref{Key: k.ID})
	if err != nil {
		t.Fatalf("the other process does not know a new key: %v", err)
	}
	if err := b.SetEnabled(k.ID, false); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Open(ctx, dk.Wrapped, nil); !errs.Is(err, errs.Conflict) {
		t.Errorf("a key that the other process disabled opens: %v", err)
	}
	if err := a.Check(ctx, k.ARN); !errs.Is(err, errs.Conflict) {
		t.Errorf("a check of it: %v", err)
	}
	if err := a.SetEnabled(k.ID, true); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Open(ctx, dk.Wrapped, nil); err != nil || string(got.Plain) != string(dk.Plain) {
		t.Errorf("an enabled key does not open: %v", err)
	}
	// A folder whose files are gone or damaged opens nothing, and opens again when they are back.
	held := map[string][]byte{}
	for _, n := range []string{"ring.a", "ring.b"} {
		held[n], err = os.ReadFile(filepath.Join(dir, n))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, n), []byte("damage"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Open(ctx, dk.Wrapped, nil); err == nil {
		t.Error("a damaged ring opens a key")
	}
	for n, b := range held {
		if err := os.WriteFile(filepath.Join(dir, n), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Open(ctx, dk.Wrapped, nil); err != nil {
		t.Errorf("the ring is mended, and: %v", err)
	}
}

// TestSharedChild makes keys in a shared ring and tells them.
func TestSharedChild(t *testing.T) {
	dir := os.Getenv("KEYRING_DIR")
	if dir == "" {
		t.Skip("runs as a child of TestSharedByProcesses")
	}
	r := openShared(t, dir)
	for range 20 {
		k, err := r.Create()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("made", k.ID)
	}
}

// Processes that change the ring at the same time lose nothing of each other's, not even when they begin with an empty folder.
func TestSharedByProcesses(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	made := map[string]bool{}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			cmd := exec.Command(os.Args[0], "-test.run", "^TestSharedChild$")
			cmd.Env = append(os.Environ(), "KEYRING_DIR="+dir)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			sc := bufio.NewScanner(strings.NewReader(string(out)))
			for sc.Scan() {
				if id, ok := strings.CutPrefix(sc.Text(), "made "); ok {
					mu.Lock()
					made[id] = true
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	r := openShared(t, dir)
	for _, k := range r.List() {
		delete(made, k.ID)
	}
	if n := len(r.List()); n != 60 || len(made) != 0 {
		t.Errorf("the ring has %d keys, want 60; %d are lost", n, len(made))
	}
}
