package job

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	mrand "math/rand/v2"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// Topic of the outbox messages that tell of a started or cancelled job. They only wake the engine: it finds the work in the records.
const Topic = "job"

// Config of an Engine; the zero value is usable.
type Config struct {
	// Lease is how long a worker keeps a job without renewal; 0 = 30 s. A third of it passes between renewals.
	Lease time.Duration
	// Exclusive says that no other process uses the store, so leases found at the start belong to the dead and are taken at once.
	Exclusive bool
	// Server names this process among those that share the store, over its restarts; of one name there is one process at a time. What an earlier process of this name
	// left running is taken at once.
	Server string
	// Backoff is the pause after the n-th failed attempt, up to 12 min; nil = 1 s doubled each time, at most 5 min, ± a fifth.
	Backoff func(n int) time.Duration
	// Keep is how long ended jobs can be asked for; 0 = 7 days.
	Keep time.Duration
	// Rescan is how often all spaces are looked through although nobody woke the engine; 0 = 30 s.
	Rescan time.Duration
	// Log gets what no caller can be told (a panic in a Run); nil = slog.Default().
	Log *slog.Logger
	// Tracer gets a span of each attempt, under which the engines' spans stand; nil = none.
	Tracer trace.Tracer
}

// Engine runs the jobs of one store. Make it with New, Register the kinds, then Run it in a goroutine.
type Engine struct {
	store record.Store
	cfg   Config
	owner string

	mu      sync.Mutex
	kinds   map[string]Kind
	busy    map[string]int  // running now, by kind
	running map[runKey]*run // of this process
	ended   map[string]map[State]int64
	dirty   map[record.Space]bool   // spaces that may hold work for us
	waiting map[record.Space]bool   // spaces whose work found no free place
	all     bool                    // look through every space at the next turn
	again   map[record.Space]*timer // when to look at a space again
	stopped bool

	wake chan struct{}
	work sync.WaitGroup
	once sync.Once
}

type timer struct {
	at time.Time
	t  *time.Timer
}

type runKey struct {
	space    record.Space
	recordID string
}

// Kinds are the kinds of records that are kept here; who moves records asks for them.
func Kinds() []record.KindDef {
	return []record.KindDef{jobs.Def()}
}

// New returns an engine on store and declares its record kind.
func New(store record.Store, cfg Config) (*Engine, error) {
	if cfg.Lease <= 0 {
		cfg.Lease = 30 * time.Second
	}
	if cfg.Backoff == nil {
		cfg.Backoff = backoff
	}
	if cfg.Keep <= 0 {
		cfg.Keep = 7 * 24 * time.Hour
	}
	if cfg.Rescan <= 0 {
		cfg.Rescan = 30 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if err := store.Declare(Kinds()...); err != nil {
		return nil, err
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	return &Engine{
		store: store, cfg: cfg, owner: cfg.Server + "/" + hex.EncodeToString(id[:]),
		kinds: map[string]Kind{}, busy: map[string]int{}, running: map[runKey]*run{}, ended: map[string]map[State]int64{},
		dirty: map[record.Space]bool{}, waiting: map[record.Space]bool{}, again: map[record.Space]*timer{}, all: true,
		wake: make(chan struct{}, 1),
	}, nil
}

// Trace gives the tracer later than New; before Run.
func (e *Engine) Trace(t trace.Tracer) { e.cfg.Tracer = t }

// longestPause is about what backoff gives at most.
const longestPause = 6 * time.Minute

func backoff(n int) time.Duration {
	d := float64(time.Second) * math.Pow(2, float64(min(n, 10)-1))
	d = min(d, float64(5*time.Minute))
	return time.Duration(d * (0.8 + 0.4*mrand.Float64()))
}

// Register tells a kind of work; before Run. A job of a kind that is not registered waits.
func (e *Engine) Register(k Kind) {
	if k.Name == "" || k.Run == nil {
		panic("job: a kind needs a name and a Run")
	}
	if k.Concurrency <= 0 {
		k.Concurrency = 1
	}
	if k.MaxAttempts <= 0 {
		k.MaxAttempts = 5
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.kinds[k.Name]; ok {
		panic("job: kind " + k.Name + " is registered twice")
	}
	e.kinds[k.Name] = k
}

// Start puts a job into the caller's batch: it runs once the batch is committed. id is unique within the kind and space (the service's own job
// id); errs.Conflict when it is taken. args is kept as JSON.
func (e *Engine) Start(tx record.Tx, kind, id string, args any) error {
	return e.StartAt(tx, kind, id, time.Time{}, args)
}

// StartAt is Start for a job that must not run before a time. It can be cancelled until then.
func (e *Engine) StartAt(tx record.Tx, kind, id string, at time.Time, args any) error {
	a, err := json.Marshal(args)
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the arguments of job %s cannot be written", kind)
	}
	s := &stored{Kind: kind, ID: id, State: Queued, Args: a, Created: tx.Time(), NotBefore: at}
	if err := jobs.Create(tx, recordID(kind, id), s); err != nil {
		return err
	}
	tx.Emit(Topic, nil)
	return nil
}

// Cancel asks in the caller's batch that a job stop. The job ends as cancelled when it has stopped and Cancelled succeeded; a Run that ends
// by itself before it noticed ends as done. Cancelling an ended job is errs.Conflict.
func (e *Engine) Cancel(tx record.Tx, kind, id string) error {
	_, err := jobs.Change(tx, recordID(kind, id), func(s *stored) error {
		if !s.open() {
			return errs.New(errs.Conflict, "job %s has ended as %s", id, s.State)
		}
		s.Cancel = true
		s.NotBefore = time.Time{}
		return nil
	})
	if err == nil {
		tx.Emit(Topic, nil)
	}
	return err
}

// Status tells how a job is; errs.NotFound when there is none or it ended long ago.
func (e *Engine) Status(ctx context.Context, space record.Space, kind, id string) (Status, error) {
	v, err := e.store.View(ctx, space)
	if err != nil {
		return Status{}, err
	}
	defer v.Close()
	s, _, err := jobs.Get(v, recordID(kind, id))
	if err != nil {
		return Status{}, err
	}
	st := Status{ID: s.ID, Kind: s.Kind, State: s.State, Attempt: s.Attempt, Started: s.Started, Checkpoint: s.Checkpoint, LastError: s.LastError}
	e.mu.Lock()
	r := e.running[runKey{space, recordID(kind, id)}]
	e.mu.Unlock()
	if r != nil {
		st.Done, st.Total, st.Unit = r.progress()
	}
	return st, nil
}

// Wake makes the engine look at a space for work; "" = at every space. It never blocks. The outbox reader calls it for each message of Topic.
func (e *Engine) Wake(space record.Space) {
	e.mu.Lock()
	if space == "" {
		e.all = true
	} else {
		e.dirty[space] = true
	}
	e.mu.Unlock()
	e.signal()
}

func (e *Engine) signal() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// wakeAt looks at a space again at a time.
func (e *Engine) wakeAt(space record.Space, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return
	}
	if old := e.again[space]; old != nil {
		if !at.Before(old.at) {
			return
		}
		old.t.Stop()
	}
	tm := &timer{at: at}
	tm.t = time.AfterFunc(time.Until(at)+time.Millisecond, func() {
		e.mu.Lock()
		if e.again[space] == tm {
			delete(e.again, space)
		}
		e.mu.Unlock()
		e.Wake(space)
	})
	e.again[space] = tm
}

// describe is an error in the form that operators may see: no cause, no content.
func describe(err error) string {
	x := errs.As(err)
	return fmt.Sprintf("%s: %s", x.Code, x.Message)
}
