package testbed

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/blob/files"
	"github.com/galen-health/galen/platform/call"
	"github.com/galen-health/galen/platform/job"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/pebble"
)

// Account and Region of everything in a testbed.
const (
	Account = "000000000000"
	Region  = "us-east-1"
)

// Engines are the real ones, over one folder.
type Engines struct {
	Keys    *keyring.Ring
	Records *pebble.Store
	Blobs   *files.Store
	Jobs    *job.Engine
	Ctx     context.Context // of a call by the account's root; it ends with the engines

	t    testing.TB
	runs chan struct{} // closed when the job engine has returned; nil before Run
	stop func()
}

// Open opens the engines over a folder, which an earlier testbed or process may have used. They are stopped when the test ends.
func Open(t testing.TB, dir string, jobs ...func(*job.Config)) *Engines {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	e := &Engines{t: t}
	var err error
	e.Keys, err = keyring.Open(filepath.Join(dir, "keys"), make([]byte, 32), keyring.Config{Account: Account, Region: Region})
	check(err)
	e.Records, err = pebble.Open(filepath.Join(dir, "records"), e.Keys, pebble.Options{})
	check(err)
	check(e.Records.Declare(record.OnceKind.Def()))
	e.Blobs, err = files.Open(filepath.Join(dir, "blobs"), e.Keys)
	check(err)
	cfg := job.Config{Exclusive: true, Rescan: 50 * time.Millisecond}
	for _, edit := range jobs {
		edit(&cfg)
	}
	e.Jobs, err = job.New(e.Records, cfg)
	check(err)
	ctx, cancel := context.WithCancel(context.Background())
	e.Ctx = call.With(ctx, &call.Call{Principal: call.Principal{Kind: call.Root, ARN: "arn:aws:iam::" + Account + ":root"}})
	e.stop = sync.OnceFunc(func() {
		if e.runs != nil {
			bound, end := context.WithTimeout(context.Background(), 20*time.Second)
			defer end()
			_ = e.Jobs.Stop(bound)
		}
		cancel()
		if e.runs != nil {
			<-e.runs
		}
		if err := errors.Join(e.Blobs.Close(), e.Records.Close(), e.Keys.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(e.stop)
	return e
}

// Run lets the job engine work. It is called once, when the service has told the engine its jobs.
func (e *Engines) Run() {
	e.runs = make(chan struct{})
	go func() { defer close(e.runs); e.Jobs.Run(e.Ctx) }()
}

// Stop ends the engines as a server that stops does; what is in the folder stays.
func (e *Engines) Stop() { e.stop() }

// Await waits for work that goes on by itself. The bound is only there to end a test that hangs.
func (e *Engines) Await(what string, ok func() bool) {
	e.t.Helper()
	for end := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			e.t.Fatalf("never: %s", what)
		}
	}
}

// Event is one that left through the outbox.
type Event struct {
	Source     string
	DetailType string `json:"detail-type"`
	Detail     json.RawMessage
}

// Events are those in the outbox, in order.
func (e *Engines) Events() (out []Event) {
	e.t.Helper()
	msgs, err := e.Records.Outbox(e.Ctx, 0, 10_000)
	if err != nil {
		e.t.Fatal(err)
	}
	for _, m := range msgs {
		var ev Event
		if m.Topic != "event" {
			continue
		}
		if err := json.Unmarshal(m.Body, &ev); err != nil {
			e.t.Fatal(err)
		}
		out = append(out, ev)
	}
	return out
}

// EventTypes are the detail types of Events.
func (e *Engines) EventTypes() (out []string) {
	e.t.Helper()
	for _, ev := range e.Events() {
		out = append(out, ev.DetailType)
	}
	return out
}
