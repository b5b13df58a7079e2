package files_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/blob/blobtest"
	"github.com/galen-health/galen/platform/blob/files"
	"github.com/galen-health/galen/platform/disk/disktest"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
)

const childEnv = "GALEN_TEST_BLOB_CHILD"

// TestMain turns the test binary into the process that is killed: it puts blobs and prints "id seed size" for each that was acknowledged.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		child(dir)
	}
	os.Exit(m.Run())
}

func child(dir string) {
	fail := func(err error) {
		if err != nil {
			fmt.Println("fail", err)
			os.Exit(1)
		}
	}
	r, err := keyring.Open(dir+"/keys", nil, keyring.Config{})
	fail(err)
	s, err := files.Open(dir+"/blobs", r)
	fail(err)
	for g := range 4 {
		go func() {
			for i := 0; ; i++ {
				seed, size := rand.Uint64N(1000), rand.IntN(50_000)
				if i%10 == 9 {
					size += 2 << 20
				}
				in, err := s.Put(context.Background(), key.Ref{}, bytes.NewReader(blobtest.Bytes(seed, size)))
				fail(err)
				fmt.Println(in.ID, seed, size)
				if g == 0 && i%20 == 0 { // key changes too
					_, err := r.CreateOwned(context.Background(), "x")
					fail(err)
				}
			}
		}()
	}
	select {}
}

// A process killed at any moment loses nothing that it acknowledged. GALEN_CRASH_KILLS sets the number of kills (20).
func TestKill9(t *testing.T) {
	kills := disktest.Rounds(t, disktest.Kills, 20)
	dir := t.TempDir()
	total := 0
	for range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(time.Duration(20+rand.IntN(150))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		acked := map[blob.ID][]byte{}
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			f := strings.Fields(lines.Text())
			if f[0] == "fail" {
				t.Error(lines.Text())
				continue
			}
			if len(f) != 3 {
				continue // cut off
			}
			seed, _ := strconv.ParseUint(f[1], 10, 64)
			size, err := strconv.Atoi(f[2])
			if err != nil {
				continue
			}
			acked[blob.ID(f[0])] = blobtest.Bytes(seed, size)
		}
		_ = cmd.Wait()
		kill.Stop()
		total += len(acked)
		check(t, dir, acked)
		if t.Failed() {
			return
		}
	}
	if total == 0 {
		t.Error("nothing was acknowledged: the test proved nothing")
	}
	t.Logf("%d kills, %d acknowledged blobs, 0 lost", kills, total)
}

func check(t *testing.T, dir string, acked map[blob.ID][]byte) {
	t.Helper()
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
	for id, want := range acked {
		if got, err := all(s, id); err != nil || !bytes.Equal(got, want) {
			t.Errorf("acknowledged blob %s (%d bytes): %v", id, len(want), err)
		}
	}
	if _, _, err := s.Verify(context.Background(), func(err error) { t.Error(err) }); err != nil {
		t.Error(err)
	}
	if _, err := s.Sweep(context.Background(), time.Now().Add(time.Hour), func(blob.ID) (bool, error) { return false, nil }); err != nil {
		t.Error(err)
	}
}
