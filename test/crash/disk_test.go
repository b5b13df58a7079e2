package crash_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/galen-health/galen/aws"
	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/blob/blobtest"
	"github.com/galen-health/galen/platform/disk/disktest"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/test/galen"
)

// injecting is a command line under which system calls fail ("error=EIO") or kill ("signal=KILL"): those of each thread that when names (strace(1): "5" is the fifth, "5+10"
// also every tenth after it).
// The test skips where processes cannot be traced.
func injecting(t *testing.T, calls, fault, when string) []string {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed: run make test, which installs it")
	}
	if out, err := exec.Command(strace, "-f", "-qq", "-o", os.DevNull, "-e", "trace=fsync", "true").CombinedOutput(); err != nil {
		t.Skipf("processes cannot be traced here: %s", out)
	}
	// -D: the tracer is the grandchild, galen the child.
	return []string{strace, "-D", "-f", "-qq", "--seccomp-bpf", "-o", os.DevNull, "-e", "trace=" + calls, "-e", fmt.Sprintf("inject=%s:%s:when=%s", calls, fault, when)}
}

// tolerant runs the load while the disk fails: a refusal is what it should give, so only a broken answer counts.
func (l *load) tolerant(ctx context.Context) (refused int) {
	type end struct {
		i   int
		err error
	}
	ends := make(chan end)
	for i := range l.writers {
		go func() {
			w := &l.writers[i]
			for ctx.Err() == nil {
				w.tried = w.acked + 1
				if err := w.write(ctx, w.tried); err != nil {
					ends <- end{i, err}
					return
				}
				w.acked = w.tried
				l.acked.Add(1)
			}
			ends <- end{i, nil}
		}()
	}
	for range l.writers {
		if e := <-ends; e.err != nil && ctx.Err() == nil {
			refused++
		}
	}
	return refused
}

// A failed sync is never taken for a success: the process ends or refuses, nothing is acknowledged that is not there after the next start, and nobody tries the sync
// again. 2 failures, or $GALEN_CRASH_FAULTS, each at another sync.
func TestFailingSync(t *testing.T) {
	t.Parallel()
	g := galen.New(t, t.TempDir(), "--log-level", "error")
	g.Run()
	l := newLoad(t, g)
	g.Stop()
	ended, refusing, atStart, rounds := 0, 0, 0, disktest.Rounds(t, "GALEN_CRASH_FAULTS", 2)
	for range rounds {
		g.Kill()
		g.Under = injecting(t, "fsync,fdatasync,sync_file_range", "error=EIO", fmt.Sprint(1+rand.IntN(40)))
		g.Launch()
		if !up(g) { // the failure met the start, which says so and ends
			atStart++
		} else {
			ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
			refusing += l.tolerant(ctx)
			cancel()
		}
		if g.Ended(10 * time.Millisecond) {
			ended++
		}
		g.Kill()
		g.Under = nil
		g.Run()
		for i := range l.writers {
			w := &l.writers[i]
			w.acked = w.check(t, w.acked, w.tried)
		}
		if t.Failed() {
			return
		}
	}
	g.Stop()
	verified(t, g)
	t.Logf("%d starts under failing syncs: %d at the start, %d ended the process, %d writers refused; %d acknowledged steps, 0 lost", rounds, atStart, ended, refusing, l.acked.Load())
}

// up waits until a launched server is ready; false when it ends instead.
func up(g *galen.Server) bool {
	for range 600 {
		if resp, err := http.Get(g.URL + "/readyz"); err == nil {
			resp.Body.Close() //nolint:errcheck // only the status is wanted
			if resp.StatusCode == http.StatusOK {
				return true
			}
		}
		if g.Ended(50 * time.Millisecond) {
			return false
		}
	}
	return false
}

// A read that fails is an error of its request, never other bytes and never "it is not there"; the next read is good. 2 rounds, or $GALEN_CRASH_FAULTS.
func TestFailingReads(t *testing.T) {
	t.Parallel()
	g := galen.New(t, t.TempDir(), "--log-level", "error", "--services", "s3")
	g.Run()
	ctx := t.Context()
	c := s3.NewClient(g.Client())
	if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: "reads"}); err != nil {
		t.Fatal(err)
	}
	body := func(n int) []byte { return blobtest.Bytes(uint64(n), 300_000) }
	for n := range 10 {
		if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: "reads", Key: fmt.Sprint(n), Body: bytes.NewReader(body(n)), ContentLength: aws.Ptr(int64(300_000))}); err != nil {
			t.Fatal(err)
		}
	}
	g.Stop()
	read, failed, rounds := 0, 0, disktest.Rounds(t, "GALEN_CRASH_FAULTS", 2)
	for range rounds {
		g.Under = injecting(t, "pread64", "error=EIO", fmt.Sprintf("%d+%d", 40+rand.IntN(50), 3+rand.IntN(10)))
		g.Launch()
		if up(g) {
			for n := range 150 {
				out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: "reads", Key: fmt.Sprint(n % 10)})
				var got bytes.Buffer
				if err == nil {
					_, err = got.ReadFrom(out.Body)
					out.Body.Close() //nolint:errcheck // read
				}
				if err == nil && !bytes.Equal(got.Bytes(), body(n%10)) || err != nil && !bytes.HasPrefix(body(n%10), got.Bytes()) {
					t.Errorf("read %d: %d other bytes, %v", n, got.Len(), err)
				}
				if errs.Is(err, errs.NotFound) || errs.Is(err, errs.Corrupt) {
					t.Errorf("read %d: %v", n, err)
				}
				if err != nil {
					failed++
				}
				read++
			}
		}
		g.Kill()
	}
	g.Under = nil
	g.Run()
	g.Stop()
	verified(t, g)
	if failed == 0 && rounds >= 10 {
		t.Error("no read failed: the test proves nothing")
	}
	t.Logf("%d reads, %d failed with an error, 0 wrong", read, failed)
}

// On a disk that is full at any moment writes are refused with a reason and reads go on; with room again writes go on too, at the latest after a restart; nothing is
// lost, nothing half there. 2 times, or $GALEN_CRASH_FAULTS.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=900m"); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	g := galen.New(t, filepath.Join(dir, "data"), "--log-level", "error", "--min-free-bytes", "1")
	g.Run()
	l := newLoad(t, g)
	restarts, refusedAll, rounds := 0, 0, disktest.Rounds(t, "GALEN_CRASH_FAULTS", 2)
	for n := range rounds {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		ended := make(chan int)
		go func() { ended <- l.tolerant(ctx) }()
		time.Sleep(rand.N(1500 * time.Millisecond))
		ballast := fill(t, filepath.Join(dir, "ballast"), rand.IntN(100_000)) // at once: faster than the look at the room that is left
		refusedAll += <-ended
		cancel()
		if !g.Ended(10 * time.Millisecond) {
			if b, err := l.send(t.Context(), "healthlake", "GET", "/datastore/"+l.fhir+"/r4/metadata", "", nil, 200); err != nil && !strings.Contains(err.Error(), "503") {
				t.Errorf("reading on a full disk: %v %.200s", err, b)
			}
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if g.Ended(10 * time.Millisecond) {
			restarts++
			g.Run()
		} else if n%2 == 1 {
			g.Kill()
			g.Run()
		} else if err := l.recovers(t.Context()); err != nil {
			restarts++ // an engine gave up, as one does after a failed write of its log
			g.Kill()
			g.Run()
			if err := l.recovers(t.Context()); err != nil {
				t.Errorf("with room again, after a restart: %v", err)
			}
		}
		for i := range l.writers {
			w := &l.writers[i]
			w.acked = w.check(t, w.acked, w.tried)
		}
		if t.Failed() {
			return
		}
	}
	g.Stop()
	verified(t, g)
	t.Logf("the disk was full %d times: %d writers refused, %d restarts needed; %d acknowledged steps, 0 lost", rounds, refusedAll, restarts, l.acked.Load())
}

// recovers tries one write.
func (l *load) recovers(ctx context.Context) (err error) {
	for range 2 {
		if _, err = s3.NewClient(l.g.Client()).PutObject(ctx, &s3.PutObjectInput{Bucket: "mixed", Key: "again", Body: strings.NewReader("x"), ContentLength: aws.Ptr(int64(1))}); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// fill makes a file that leaves about left bytes of its disk.
func fill(t *testing.T, name string, left int) string {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // its size is what matters
	b := make([]byte, 1<<20)
	for {
		if _, err := f.Write(b); errors.Is(err, syscall.ENOSPC) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(max(0, st.Size()-int64(left))); err != nil {
		t.Fatal(err)
	}
	return name
}
