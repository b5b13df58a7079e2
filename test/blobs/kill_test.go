package blobs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/blob/blobtest"
	"github.com/galen-health/galen/platform/blob/s3"
	"github.com/galen-health/galen/platform/disk/disktest"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/test/galen"
)

const childEnv = "GALEN_TEST_BLOBS_CHILD"

// child is what the process that is killed is told.
type child struct {
	Keys string
	To   s3.Target
}

func (c child) open() (*s3.Store, *keyring.Ring, error) {
	r, err := keyring.Open(c.Keys, nil, keyring.Config{})
	if err != nil {
		return nil, nil, err
	}
	s, err := s3.Open(context.Background(), c.To, r)
	return s, r, err
}

// TestMain turns the test binary into the process that is killed.
func TestMain(m *testing.M) {
	if told := os.Getenv(childEnv); told != "" {
		var c child
		err := json.Unmarshal([]byte(told), &c)
		if err == nil {
			var s *s3.Store
			if s, _, err = c.open(); err == nil {
				blobtest.Writers(s, func() error { return nil })
			}
		}
		fmt.Println("fail", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// A process killed at any moment loses nothing that it acknowledged, whether its S3 is killed with it or not. GALEN_CRASH_KILLS sets the number of kills (10).
func TestKill9(t *testing.T) {
	kills, ofS3, total := disktest.Rounds(t, disktest.Kills, 10), 0, 0
	g := galen.Start(t, "--services", "s3")
	makeBucket(t, g.URL)
	c := child{Keys: t.TempDir(), To: target(t, g.URL)}
	told, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	const within = 300 * time.Millisecond
	for i := range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+string(told))
		also := make(chan struct{})
		go func() {
			defer close(also)
			if i%10 == 9 {
				time.Sleep(rand.N(within))
				g.Kill()
			}
		}()
		acked := blobtest.Killed(t, cmd, within)
		if <-also; i%10 == 9 {
			ofS3++
			g.Run()
		}
		total += len(acked)
		s, r, err := c.open()
		if err != nil {
			t.Fatal(err)
		}
		blobtest.Whole(t, s, acked)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			return
		}
	}
	if total == 0 {
		t.Error("nothing was acknowledged: the test proved nothing")
	}
	t.Logf("%d kills, %d of them of the S3 too, %d acknowledged blobs, 0 lost", kills, ofS3, total)
}
