package blobtest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/key"
)

// Writers puts blobs until the process is killed, and prints "id seed size" for each that was acknowledged. nowAndThen is called between two blobs.
func Writers(s blob.Store, nowAndThen func() error) {
	fail := func(err error) {
		if err != nil {
			fmt.Println("fail", err)
			os.Exit(1)
		}
	}
	for g := range 4 {
		go func() {
			for i := 0; ; i++ {
				seed, size := rand.Uint64N(1000), rand.IntN(50_000)
				if i%10 == 9 {
					size += 2 << 20
				}
				in, err := s.Put(context.Background(), key.Ref{}, bytes.NewReader(Bytes(seed, size)))
				fail(err)
				fmt.Println(in.ID, seed, size)
				if g == 0 && i%20 == 0 {
					fail(nowAndThen())
				}
			}
		}()
	}
	select {}
}

// Killed runs a command that calls Writers, kills it at a moment up to so long after its start, and returns what it acknowledged.
func Killed(t *testing.T, cmd *exec.Cmd, within time.Duration) map[blob.ID][]byte {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(20*time.Millisecond+rand.N(within), func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	acked := map[blob.ID][]byte{}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) > 0 && f[0] == "fail" {
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
		acked[blob.ID(f[0])] = Bytes(seed, size)
	}
	_ = cmd.Wait() // killed
	return acked
}

// Whole checks that a store has what was acknowledged, that all in it verifies, and sweeps everything away.
func Whole(t *testing.T, s interface {
	blob.Store
	Verify(ctx context.Context, fault func(error)) (blobs, unreadable int, err error)
}, acked map[blob.ID][]byte) {
	t.Helper()
	ctx := context.Background()
	for id, want := range acked {
		rc, err := s.Open(ctx, id, blob.All)
		if err != nil {
			t.Errorf("acknowledged blob %s (%d bytes): %v", id, len(want), err)
			continue
		}
		got, err := io.ReadAll(rc)
		_ = rc.Close()
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("acknowledged blob %s (%d bytes): %d bytes, %v", id, len(want), len(got), err)
		}
	}
	if _, _, err := s.Verify(ctx, func(err error) { t.Error(err) }); err != nil {
		t.Error(err)
	}
	if _, err := s.Sweep(ctx, time.Now().Add(time.Hour), func(blob.ID) (bool, error) { return false, nil }); err != nil {
		t.Error(err)
	}
}
