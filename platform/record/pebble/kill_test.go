package pebble_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/galen-health/galen/platform/disk/disktest"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record/pebble"
)

// TestWorker is the child of the tests below: it works on the store in $RECORD_DIR until it is killed, and prints what was acknowledged. With
// $RECORD_FAIL = "sync 12" the twelfth sync of a database file fails, with "write 12" the twelfth write finds the disk full.
func TestWorker(t *testing.T) {
	dir := os.Getenv("RECORD_DIR")
	if dir == "" {
		t.Skip("runs as a child")
	}
	var opts pebble.Options
	if f := os.Getenv("RECORD_FAIL"); f != "" {
		opts.FS = failing(t, f)
	}
	ring, err := keyring.Open(dir+"/keys", make([]byte, 32), keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := pebble.Open(dir+"/records", ring, opts.MemTable(64<<10))
	if err != nil {
		t.Fatal(err)
	}
	if err := declare(s); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	err = work(context.Background(), s, func(w, n int) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("acked %d %d\n", w, n)
	})
	t.Fatal(err)
}

// failing is the disk with one fault.
func failing(t *testing.T, fault string) vfs.FS {
	var what string
	var at, count int
	if _, err := fmt.Sscan(fault, &what, &at); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	return errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		hit := what == "sync" && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) || what == "write" && op.Kind == errorfs.OpFileWrite
		if !hit {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if count++; count < at || what == "sync" && count > at {
			return nil
		}
		if what == "write" { // a full disk stays full
			return &os.PathError{Op: "write", Path: op.Path, Err: noSpace}
		}
		return errorfs.ErrInjected
	}))
}

// child runs the worker until it ends by itself, or is killed after a while, and adds what it acknowledged.
func child(t *testing.T, dir, fail string, after time.Duration, acked *[writers]int) (lines int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestWorker$")
	cmd.Env = append(os.Environ(), "RECORD_DIR="+dir, "RECORD_FAIL="+fail)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	scan := bufio.NewScanner(out)
	for scan.Scan() {
		var w, n int
		if _, err := fmt.Sscanf(scan.Text(), "acked %d %d", &w, &n); err == nil {
			acked[w] = max(acked[w], n)
			lines++
		}
	}
	_ = cmd.Wait() // it was killed, or it ended with an error, as it should
	return lines
}

// open opens the folder that a child left.
func open(t *testing.T, dir string) (*pebble.Store, func()) {
	t.Helper()
	ring, err := keyring.Open(dir+"/keys", make([]byte, 32), keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := pebble.Open(dir+"/records", ring, pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := declare(s); err != nil {
		t.Fatal(err)
	}
	return s, func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := ring.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A process that is killed with SIGKILL at any moment, again and again, has kept what it acknowledged, whole. 20 kills, or
// $GALEN_CRASH_KILLS; a folder lives through 50.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	var acked [writers]int
	total, lines, kills := 0, 0, disktest.Rounds(t, disktest.Kills, 20)
	for n := range kills {
		if n%50 == 49 {
			dir, acked = t.TempDir(), [writers]int{}
		}
		lines += child(t, dir, "", time.Duration(60+rand.IntN(140))*time.Millisecond, &acked)
		s, done := open(t, dir)
		total = inspect(t, s, acked)
		done()
		if t.Failed() {
			t.FailNow()
		}
	}
	if lines == 0 {
		t.Fatal("no step was acknowledged: the test proves nothing")
	}
	t.Logf("%d kills, %d acknowledged steps, %d steps there, 0 lost", kills, lines, total)
}

// A failed sync or a full disk ends the process rather than leaving it to guess what is on the disk; the next start has all that was acknowledged.
func TestFailingDisk(t *testing.T) {
	for _, what := range []string{"sync", "write"} {
		for i := range disktest.Rounds(t, "GALEN_CRASH_FAULTS", 8) {
			dir := t.TempDir()
			var acked [writers]int
			lines := child(t, dir, "", 120*time.Millisecond, &acked) // so that there is something to lose
			fail := fmt.Sprintf("%s %d", what, 6+i*9)
			lines += child(t, dir, fail, 2*time.Second, &acked) // a failed flush alone is made again, so some live on
			s, done := open(t, dir)
			total := inspect(t, s, acked)
			done()
			t.Logf("%s: %d steps acknowledged, %d there", fail, lines, total)
		}
	}
}
