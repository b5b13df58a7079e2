package postgres_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/event"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/postgres"
)

type thing struct{ N string }

var (
	things = record.Kind[thing]{Name: "test.thing", Indexes: record.Indexes[thing]{record.ByString("n", func(t *thing) string { return t.N })}}
	done   = record.Kind[thing]{Name: "test.done"} // what jobs came to
)

const space record.Space = "work"

// lease is short, so that the dead are replaced soon.
const lease = time.Second

// TestWorker is a process of TestThreeProcesses: it writes, delivers events and runs jobs, like its siblings on the same database, until it is killed. What
// others hold it to, it prints.
func TestWorker(t *testing.T) {
	dir := os.Getenv("WORKER_DIR")
	if dir == "" {
		t.Skip("runs as a child of TestThreeProcesses")
	}
	ctx := context.Background()
	fatal := func(err error) {
		if err != nil {
			fmt.Println("fatal", err)
			os.Exit(1)
		}
	}
	keys, err := keyring.Open(dir, make([]byte, 32), keyring.Config{})
	fatal(err)
	s, err := postgres.Open(ctx, os.Getenv("WORKER_URL"), keys, postgres.Options{Patience: 30 * time.Second})
	fatal(err)
	fatal(s.Declare(things.Def(), done.Def()))
	fatal(s.CreateSpace(ctx, space, key.Ref{}))
	bus, err := event.New(ctx, s, event.Config{Account: "000000000000", Region: "us-east-1", Shared: true, Lease: lease})
	fatal(err)
	fatal(bus.Subscribe("out", "", func(_ context.Context, e *event.Event) error {
		say("got %s %s", e.ID, e.Detail)
		return nil
	}))
	// A job that meets many outages would pause for minutes, as it should; the test does not wait that long.
	engine, err := job.New(s, job.Config{Lease: lease, Rescan: lease, Backoff: func(int) time.Duration { return 300 * time.Millisecond }})
	fatal(err)
	engine.Register(job.Kind{Name: "work", Concurrency: 4, MaxAttempts: 1000, Run: func(ctx context.Context, r job.Run) error {
		time.Sleep(20 * time.Millisecond) // so that kills meet it
		_, err := s.Update(ctx, space, []string{"done/" + r.ID()}, func(tx record.Tx) error {
			v, _, err := done.Get(tx, r.ID())
			if errs.Is(err, errs.NotFound) {
				v, err = &thing{}, nil
			}
			if err != nil {
				return err
			}
			v.N += "x"
			if err := done.Put(tx, r.ID(), v); err != nil {
				return err
			}
			return r.Finish(tx)
		})
		return err
	}})
	bus.Watch(job.Topic, func(m record.Message) { engine.Wake(m.Space) })
	go bus.Run(ctx) //nolint:errcheck // until the kill
	go engine.Run(ctx)
	stop := os.Getenv("WORKER_STOP")
	me := fmt.Sprint(os.Getpid(), "-", time.Now().UnixNano())
	for i := 0; ; i++ {
		if _, err := os.Stat(stop); err == nil { // enough is written: only the rest is done
			time.Sleep(10 * time.Millisecond)
			continue
		}
		n := fmt.Sprintf("%s-%d", me, i)
		_, err := s.Update(ctx, space, []string{"counter"}, func(tx record.Tx) error {
			c, _, err := done.Get(tx, "counter")
			if errs.Is(err, errs.NotFound) {
				c, err = &thing{"0"}, nil
			}
			if err != nil {
				return err
			}
			var count int
			if _, err := fmt.Sscan(c.N, &count); err != nil {
				return err
			}
			if err := done.Put(tx, "counter", &thing{fmt.Sprint(count + 1)}); err != nil {
				return err
			}
			if err := things.Create(tx, n, &thing{n}); err != nil {
				return err
			}
			if err := engine.Start(tx, "work", n, nil); err != nil {
				return err
			}
			return event.Emit(tx, event.Event{Source: "aws.test", DetailType: "x", Detail: event.Detail(n)})
		})
		if err != nil {
			say("refused %v", err)
			continue
		}
		say("ack %s", n)
	}
}

var printing sync.Mutex

func say(format string, args ...any) {
	printing.Lock()
	defer printing.Unlock()
	fmt.Printf(format+"\n", args...)
}

// worker is a child process.
type worker struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// heard is what all workers printed.
type heard struct {
	mu      sync.Mutex
	acked   map[string]bool
	got     map[string]int    // deliveries by what was written
	ids     map[string]string // event id by what was written
	refused int
	faults  []string
}

func (h *heard) line(s string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := strings.Fields(s)
	switch {
	case len(f) == 2 && f[0] == "ack":
		h.acked[f[1]] = true
	case len(f) == 3 && f[0] == "got":
		var n string
		if json.Unmarshal([]byte(f[2]), &n) != nil {
			return // cut by the kill
		}
		h.got[n]++
		if h.ids[n] != "" && h.ids[n] != f[1] {
			h.faults = append(h.faults, fmt.Sprintf("%s came as event %s and as %s", n, h.ids[n], f[1]))
		}
		h.ids[n] = f[1]
	case len(f) > 0 && f[0] == "refused":
		h.refused++
	case len(f) > 0 && f[0] == "fatal":
		h.faults = append(h.faults, s)
	}
}

func (h *heard) count() int { h.mu.Lock(); defer h.mu.Unlock(); return len(h.acked) }

func startWorker(t *testing.T, h *heard, dir, url, stop string) *worker {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestWorker$", "-test.timeout", "10m")
	cmd.Env = append(os.Environ(), "WORKER_DIR="+dir, "WORKER_URL="+url, "WORKER_STOP="+stop)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w := &worker{cmd, make(chan struct{})}
	go func() {
		defer close(w.done)
		sc := bufio.NewScanner(out)
		for sc.Scan() {
			h.line(sc.Text())
		}
		_ = cmd.Wait() // it was killed
	}()
	return w
}

func (w *worker) kill() {
	_ = w.cmd.Process.Kill()
	<-w.done
}
