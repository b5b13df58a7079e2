package keyring_test

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/disk/disktest"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key/keyring"
)

// TestWorker is the child of TestKill: it makes, uses, disables and destroys keys until it is killed, and prints what was acknowledged.
func TestWorker(t *testing.T) {
	dir := os.Getenv("KEYRING_DIR")
	if dir == "" {
		t.Skip("runs as a child of TestKill")
	}
	r, err := keyring.Open(dir, root, keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var arns []string
	for i := 0; ; i++ {
		arn, err := r.CreateOwned(ctx, "x")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("made %s %x\n", arn, dataKey(t, r, arn, nil).Wrapped)
		arns = append(arns, arn)
		if i%4 == 3 {
			n := rand.IntN(len(arns))
			fmt.Println("destroying", arns[n])
			if err := r.DestroyOwned(ctx, arns[n]); err != nil {
				t.Fatal(err)
			}
			fmt.Println("destroyed", arns[n])
			arns = append(arns[:n], arns[n+1:]...)
		}
	}
}

// A process killed at any moment keeps every key that it acknowledged, and a key whose destruction was acknowledged never comes back. 20 kills, or
// $GALEN_CRASH_KILLS; a folder lives through 20.
func TestKill(t *testing.T) {
	type key struct {
		wrapped []byte
		state   string // made, destroying, destroyed
	}
	dir := t.TempDir()
	keys := map[string]*key{}
	acknowledged, kills := 0, disktest.Rounds(t, disktest.Kills, 20)
	for n := range kills {
		if n%20 == 19 {
			dir, keys = t.TempDir(), map[string]*key{}
		}
		cmd := exec.Command(os.Args[0], "-test.run", "^TestWorker$")
		cmd.Env = append(os.Environ(), "KEYRING_DIR="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(20+rand.IntN(120))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var what, arn, wrapped string
			switch n, _ := fmt.Sscan(lines.Text(), &what, &arn, &wrapped); {
			case n == 3 && what == "made":
				b, err := hex.DecodeString(wrapped)
				if err != nil {
					continue // cut off
				}
				keys[arn] = &key{b, what}
				acknowledged++
			case n == 2 && keys[arn] != nil && (what == "destroying" || what == "destroyed"):
				keys[arn].state = what
				acknowledged++
			}
		}
		_ = cmd.Wait()
		timer.Stop()
		if _, faults := keyring.Verify(dir, root); len(faults) > 0 && len(keys) > 0 { // a kill between the two copies is no damage
			t.Errorf("kill %d: %v", n, faults)
		}
		r, err := keyring.Open(dir, root, keyring.Config{})
		if err != nil {
			t.Fatal(err)
		}
		for arn, k := range keys {
			_, err := r.Open(ctx, k.wrapped, nil)
			if k.state == "made" && err != nil || k.state == "destroyed" && !errs.Is(err, errs.NotFound) || k.state == "destroying" && err != nil && !errs.Is(err, errs.NotFound) {
				t.Errorf("kill %d: key %s was %s: %v", n, arn, k.state, err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if _, faults := keyring.Verify(dir, root); len(faults) > 0 {
			t.Errorf("kill %d: after a start: %v", n, faults)
		}
		if t.Failed() {
			return
		}
	}
	if acknowledged == 0 {
		t.Error("nothing was acknowledged: the test proves nothing")
	}
	t.Logf("%d kills, %d acknowledged changes, 0 lost", kills, acknowledged)
}
