package ingest_test

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/galen-health/galen/app/ingest"
	"github.com/galen-health/galen/aws/client"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/test/galen"
)

// taken counts the entries of the ledger, the only sign of progress that is seen from outside.
func taken(h *client.HTTP) int {
	out, err := s3.NewClient(h).ListObjectsV2(context.Background(), &s3.ListObjectsV2Input{Bucket: "galen-ingest-" + galen.Account, Prefix: "ledger/"})
	if err != nil {
		return 0 // the bucket is not there yet, or the server is gone
	}
	return len(out.Contents)
}

// until waits for the ledger to have n entries; the ingest must not end before.
func until(t *testing.T, g *galen.Server, cmd *exec.Cmd, n int) (ended chan error) {
	t.Helper()
	ended = make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for deadline := time.Now().Add(2 * time.Minute); taken(g.Client()) < n; {
		select {
		case err := <-ended:
			t.Fatalf("galen ingest ended before it had taken %d files: %v", n, err)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("galen ingest did not take %d files in two minutes", n)
		}
	}
	return ended
}

// TestCrashes kills the ingest, and then servers, at several points of the way, and holds what is there in the end against a server where nothing
// happened.
func TestCrashes(t *testing.T) {
	if testing.Short() {
		t.Skip("several whole ingests")
	}
	dir, byPath := folder(t)
	calm := galen.Start(t)
	want := look(t, calm, take(t, calm, dir)).state()
	calm.Stop()

	t.Run("ingest", func(t *testing.T) {
		g := galen.Start(t)
		for _, n := range []int{1, 14, 60, 120} { // before the stores are all there, among the records, the images and the rest
			before := taken(g.Client())
			cmd := begin(t, g, dir)
			ended := until(t, g, cmd, max(n, before+1))
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-ended
		}
		at := taken(g.Client())
		r := take(t, g, dir)
		check(t, r, byPath, ingest.Landed, ingest.Already)
		if r.Counts[ingest.Landed] == 0 || r.Counts[ingest.Already] == 0 {
			t.Errorf("killed with %d entries in the ledger, the last run landed %d and found %d", at, r.Counts[ingest.Landed], r.Counts[ingest.Already])
		}
		same(t, "after four kills of the ingest", look(t, g, r).state(), want)
	})

	t.Run("server", func(t *testing.T) {
		data := t.TempDir()
		g := galen.New(t, data)
		g.Run()
		for _, n := range []int{1, 14, 60, 120} {
			before := taken(g.Client())
			cmd := begin(t, g, dir)
			ended := until(t, g, cmd, max(n, before+1))
			g.Kill()
			if err := <-ended; err == nil {
				t.Errorf("galen ingest succeeded although its server was killed with %d files taken", n)
			}
			g.Run()
		}
		r := take(t, g, dir)
		check(t, r, byPath, ingest.Landed, ingest.Already)
		same(t, "after four kills of the server", look(t, g, r).state(), want)
		again := take(t, g, dir)
		if n := again.Counts[ingest.Landed]; n != 0 {
			t.Errorf("a further run landed %d files", n)
		}
		g.Stop()
		if out, err := g.Exec("verify", "--data-dir", data); err != nil {
			t.Errorf("galen verify after the crashes: %v\n%s", err, out)
		}
	})
}
