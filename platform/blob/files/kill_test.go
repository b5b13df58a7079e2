package files_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/blob/blobtest"
	"github.com/galen-health/galen/platform/blob/files"
	"github.com/galen-health/galen/platform/disk/disktest"
	"github.com/galen-health/galen/platform/key/keyring"
)

const childEnv = "GALEN_TEST_BLOB_CHILD"

// TestMain turns the test binary into the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		r, err := keyring.Open(dir+"/keys", nil, keyring.Config{})
		if err == nil {
			var s *files.Store
			if s, err = files.Open(dir+"/blobs", r); err == nil {
				blobtest.Writers(s, func() error { // key changes too
					_, err := r.CreateOwned(context.Background(), "x")
					return err
				})
			}
		}
		fmt.Println("fail", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// A process killed at any moment loses nothing that it acknowledged. GALEN_CRASH_KILLS sets the number of kills (20).
func TestKill9(t *testing.T) {
	kills := disktest.Rounds(t, disktest.Kills, 20)
	dir := t.TempDir()
	total := 0
	for range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		acked := blobtest.Killed(t, cmd, 150*time.Millisecond)
		total += len(acked)
		func() {
			r, err := keyring.Open(dir+"/keys", nil, keyring.Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close() //nolint:errcheck // test
			s, err := files.Open(dir+"/blobs", r)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close() //nolint:errcheck // test
			blobtest.Whole(t, s, acked)
		}()
		if t.Failed() {
			return
		}
	}
	if total == 0 {
		t.Error("nothing was acknowledged: the test proved nothing")
	}
	t.Logf("%d kills, %d acknowledged blobs, 0 lost", kills, total)
}
